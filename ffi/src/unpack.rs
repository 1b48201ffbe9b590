//! Decoders of the four compressions of record batches, which pass their output to a walk, piece by piece.
//!
//! Memory does not depend on the output's size: gzip and zstd have a window, lz4 a block of at most 4 MiB, and
//! snappy a block of the size that it announces, in proportion to its input. Windows of zstd and blocks of snappy are
//! no larger than the owner allows; beside that a decoder takes less than [`DECODER_BYTES`]. Memory kept between
//! batches is bounded by [`KEPT_BYTES`]. One check is stricter than Kafka's: nothing may follow the stream, because not
//! every consumer reads bytes after it.

use crate::walk::Fault;
use crc_fast::{CrcAlgorithm, Digest};
use xxhash_rust::xxh32::{Xxh32, xxh32};
use zlib_rs::{Inflate, InflateFlush, Status};
use zstd_safe::{DCtx, DParameter, InBuffer, OutBuffer, ResetDirective};

/// Bytes of one piece that a streaming decoder gives out.
const PIECE_BYTES: usize = 256 << 10;
/// Buffers larger than this are given back after a batch.
const KEPT_BYTES: usize = 1 << 20;
/// The same for zstd, whose windows take up to 8 MiB at usual levels.
const ZSTD_KEPT_BYTES: usize = 9 << 20;
/// Largest window of zstd that is read, as a power of two; that of Kafka's own clients.
const ZSTD_WINDOW_LOG_MAX: u32 = 27;
/// Smallest window or block that an owner may allow: more than any encoder asks for up to zstd's level 19.
pub const WINDOW_BYTES_MIN: usize = 8 << 20;
/// What a decoder takes beside its window or block: its state, and a piece of input and output.
#[cfg(test)]
const DECODER_BYTES: usize = 1 << 20;
/// zstd's words for a frame whose window is larger than allowed.
const ZSTD_WINDOW_TOO_LARGE: &str = "Frame requires too much memory for decoding";
/// A frame up to this size is first tried in one go, without a window.
const ZSTD_SMALL_BYTES: usize = 64 << 10;
/// In the byte after a frame's magic: it has no byte that says how large its window is.
const ZSTD_SINGLE_SEGMENT: u8 = 0x20;

const GZIP_HEADER_SIZE: usize = 10;
const GZIP_TRAILER_SIZE: usize = 8;
const GZIP_HEADER_CRC: u8 = 2;
const GZIP_EXTRA: u8 = 4;
const GZIP_NAME: u8 = 8;
const GZIP_COMMENT: u8 = 16;
const GZIP_RESERVED: u8 = 0xe0;

const XERIAL_MAGIC: &[u8; 8] = b"\x82SNAPPY\0";
const XERIAL_HEADER_SIZE: usize = 16;
/// No snappy stream gives more bytes for one: a copy of 64 bytes takes three.
const SNAPPY_RATIO_MAX: usize = 22;

const LZ4_MAGIC: &[u8; 4] = &[0x04, 0x22, 0x4d, 0x18];
const LZ4_VERSION_MASK: u8 = 0xc0;
const LZ4_VERSION: u8 = 0x40;
const LZ4_INDEPENDENT: u8 = 0x20;
const LZ4_BLOCK_CHECKSUMS: u8 = 0x10;
const LZ4_CONTENT_SIZE: u8 = 0x08;
const LZ4_CONTENT_CHECKSUM: u8 = 0x04;
const LZ4_RESERVED: u8 = 0x03;
const LZ4_STORED: u32 = 0x8000_0000;
/// Maximum output bytes per input byte of a block.
const LZ4_RATIO_MAX: usize = 255;

/// The numbers in a batch's attributes.
pub const NONE: u8 = 0;
pub const GZIP: u8 = 1;
pub const SNAPPY: u8 = 2;
pub const LZ4: u8 = 3;
pub const ZSTD: u8 = 4;

/// Where the stream is; one per walker, so its size does not matter.
#[allow(clippy::large_enum_variant)]
enum State {
    Start,
    Gzip { crc: Digest, size: u32 },
    Snappy,
    Lz4 { flags: u8, block_max: usize, hash: Xxh32, size: u64, announced: Option<u64> },
    Zstd { whole: bool },
}

/// Takes what comes out, piece by piece.
pub trait Sink {
    fn feed(&mut self, bytes: &[u8]) -> Result<(), Fault>;
}

#[derive(PartialEq)]
pub enum Step {
    More,
    End,
}

pub struct Unpacker {
    compression: u8,
    state: State,
    at: usize,
    /// Bytes that came out.
    out: u64,
    out_max: u64,
    buffer: Vec<u8>,
    inflate: Option<Inflate>,
    zstd: Option<DCtx<'static>>,
    /// Largest window or block (bytes).
    window_max: usize,
}

impl Unpacker {
    /// `window_max` counts as [`WINDOW_BYTES_MIN`] at least.
    pub fn new(window_max: usize) -> Self {
        Self {
            window_max: window_max.max(WINDOW_BYTES_MIN),
            compression: NONE,
            state: State::Start,
            at: 0,
            out: 0,
            out_max: 0,
            buffer: Vec::new(),
            inflate: None,
            zstd: None,
        }
    }

    /// Begins a stream of which at most `out_max` bytes may come out.
    pub fn begin(&mut self, compression: u8, out_max: u64) {
        self.compression = compression;
        self.state = State::Start;
        self.at = 0;
        self.out = 0;
        self.out_max = out_max;
    }

    /// Gives back what a large batch needed.
    pub fn rest(&mut self) {
        if self.buffer.capacity() > KEPT_BYTES {
            self.buffer = Vec::new();
        }
        if self.zstd.as_ref().is_some_and(|context| context.sizeof() > ZSTD_KEPT_BYTES) {
            self.zstd = None;
        }
    }

    /// Decodes on in `input`, the whole stream, until `budget` bytes went in or came out, or it ends.
    pub fn step(&mut self, input: &[u8], budget: u64, sink: &mut impl Sink) -> Result<Step, Fault> {
        let until = self.moved().saturating_add(budget);
        while self.moved() < until {
            let step = match self.compression {
                GZIP => self.gzip(input, sink)?,
                SNAPPY => self.snappy(input, sink)?,
                LZ4 => self.lz4(input, sink)?,
                ZSTD => self.zstd(input, sink)?,
                _ => return Err(Fault::Undecodable),
            };
            if step == Step::End {
                return Ok(Step::End);
            }
        }
        Ok(Step::More)
    }

    fn moved(&self) -> u64 {
        self.at as u64 + self.out
    }

    fn note(&mut self, bytes: usize) -> Result<(), Fault> {
        self.out += bytes as u64;
        if self.out > self.out_max { Err(Fault::TooLarge) } else { Ok(()) }
    }

    fn reserve(&mut self, size: usize) {
        if self.buffer.len() < size {
            self.buffer.resize(size, 0);
        }
    }

    fn gzip(&mut self, input: &[u8], sink: &mut impl Sink) -> Result<Step, Fault> {
        self.reserve(PIECE_BYTES);
        let inflate = self.inflate.get_or_insert_with(|| Inflate::new(false, 15));
        if matches!(self.state, State::Start) {
            self.at += gzip_header(&input[self.at..]).ok_or(Fault::Undecodable)?;
            inflate.reset(false);
            self.state = State::Gzip { crc: Digest::new(CrcAlgorithm::Crc32IsoHdlc), size: 0 };
        }
        let State::Gzip { crc, size } = &mut self.state else { return Err(Fault::Undecodable) };
        let (in_before, out_before) = (inflate.total_in(), inflate.total_out());
        let rest = &input[self.at..];
        let status = inflate
            .decompress(rest, &mut self.buffer, InflateFlush::NoFlush)
            .map_err(|_| Fault::Undecodable)?;
        let taken = (inflate.total_in() - in_before) as usize;
        let given = (inflate.total_out() - out_before) as usize;
        self.at += taken;
        crc.update(&self.buffer[..given]);
        *size = size.wrapping_add(given as u32);
        let (sum, size) = (crc.finalize() as u32, *size);
        sink.feed(&self.buffer[..given])?;
        self.note(given)?;
        if status != Status::StreamEnd {
            // Nothing moved: the stream is cut.
            return if taken + given > 0 { Ok(Step::More) } else { Err(Fault::Undecodable) };
        }
        let trailer = input.get(self.at..self.at + GZIP_TRAILER_SIZE).ok_or(Fault::Undecodable)?;
        if little32(trailer) != sum || little32(&trailer[4..]) != size {
            return Err(Fault::Undecodable);
        }
        self.at += GZIP_TRAILER_SIZE;
        self.state = State::Start;
        if self.at == input.len() { Ok(Step::End) } else { Ok(Step::More) }
    }

    fn snappy(&mut self, input: &[u8], sink: &mut impl Sink) -> Result<Step, Fault> {
        if matches!(self.state, State::Start) {
            if !input.starts_with(XERIAL_MAGIC) {
                self.snappy_block(input, sink)?;
                return Ok(Step::End);
            }
            self.state = State::Snappy;
        }
        let rest = &input[self.at..];
        if rest.is_empty() {
            return Ok(Step::End);
        }
        if rest.starts_with(XERIAL_MAGIC) {
            if rest.len() < XERIAL_HEADER_SIZE || big32(&rest[8..]) == 0 {
                return Err(Fault::Undecodable);
            }
            self.at += XERIAL_HEADER_SIZE;
            return Ok(Step::More);
        }
        if rest.len() < 4 {
            return Err(Fault::Undecodable);
        }
        let size = big32(rest) as usize;
        let block = rest.get(4..4 + size).ok_or(Fault::Undecodable)?;
        self.snappy_block(block, sink)?;
        self.at += 4 + size;
        Ok(Step::More)
    }

    fn snappy_block(&mut self, block: &[u8], sink: &mut impl Sink) -> Result<(), Fault> {
        let size = snap::raw::decompress_len(block).map_err(|_| Fault::Undecodable)?;
        if block.is_empty() || size > block.len().saturating_mul(SNAPPY_RATIO_MAX) {
            return Err(Fault::Undecodable);
        }
        self.note(size)?;
        if size > self.window_max {
            // In smaller batches it fits.
            return Err(Fault::TooLarge);
        }
        self.reserve(size);
        let given = snap::raw::Decoder::new()
            .decompress(block, &mut self.buffer[..size])
            .map_err(|_| Fault::Undecodable)?;
        sink.feed(&self.buffer[..given])
    }

    fn lz4(&mut self, input: &[u8], sink: &mut impl Sink) -> Result<Step, Fault> {
        if matches!(self.state, State::Start) {
            self.lz4_header(input)?;
        }
        let rest = &input[self.at..];
        let word = |at: usize| rest.get(at..at + 4).map(little32).ok_or(Fault::Undecodable);
        let header = word(0)?;
        let State::Lz4 { flags, block_max, hash, size, announced } = &mut self.state else {
            return Err(Fault::Undecodable);
        };
        if header == 0 {
            let mut end = self.at + 4;
            if *flags & LZ4_CONTENT_CHECKSUM != 0 {
                if word(4)? != hash.digest() {
                    return Err(Fault::Undecodable);
                }
                end += 4;
            }
            let fits = announced.is_none_or(|announced| announced == *size);
            return if fits && end == input.len() {
                Ok(Step::End)
            } else {
                Err(Fault::Undecodable)
            };
        }
        let stored = header & LZ4_STORED != 0;
        let length = (header & !LZ4_STORED) as usize;
        let block = rest.get(4..4 + length).ok_or(Fault::Undecodable)?;
        let mut taken = 4 + length;
        if *flags & LZ4_BLOCK_CHECKSUMS != 0 {
            if word(taken)? != xxh32(block, 0) {
                return Err(Fault::Undecodable);
            }
            taken += 4;
        }
        let most = (*block_max).min(length.saturating_mul(LZ4_RATIO_MAX));
        if !stored && self.buffer.len() < most {
            self.buffer.resize(most, 0);
        }
        let given: &[u8] = if stored {
            if length > *block_max {
                return Err(Fault::Undecodable);
            }
            block
        } else {
            let size = lz4_flex::block::decompress_into(block, &mut self.buffer[..most])
                .map_err(|_| Fault::Undecodable)?;
            &self.buffer[..size]
        };
        if *flags & LZ4_CONTENT_CHECKSUM != 0 {
            hash.update(given);
        }
        *size += given.len() as u64;
        let bytes = given.len();
        sink.feed(given)?;
        self.at += taken;
        self.note(bytes)?;
        Ok(Step::More)
    }

    fn lz4_header(&mut self, input: &[u8]) -> Result<(), Fault> {
        let broken = Fault::Undecodable;
        if !input.starts_with(LZ4_MAGIC) || input.len() < 7 {
            return Err(broken);
        }
        let (flags, sizes) = (input[4], input[5]);
        let independent = flags & (LZ4_VERSION_MASK | LZ4_INDEPENDENT | LZ4_RESERVED);
        let code = sizes >> 4;
        if independent != LZ4_VERSION | LZ4_INDEPENDENT || sizes & 0x8f != 0 || code < 4 {
            return Err(broken);
        }
        let mut at = 6;
        let announced = if flags & LZ4_CONTENT_SIZE != 0 {
            let bytes = input.get(at..at + 8).ok_or(broken)?;
            at += 8;
            Some(u64::from(little32(bytes)) | u64::from(little32(&bytes[4..])) << 32)
        } else {
            None
        };
        let checksum = *input.get(at).ok_or(broken)?;
        if checksum != (xxh32(&input[4..at], 0) >> 8) as u8 {
            return Err(broken);
        }
        self.at = at + 1;
        let block_max = 1usize << (8 + 2 * code);
        self.state = State::Lz4 { flags, block_max, hash: Xxh32::new(0), size: 0, announced };
        Ok(())
    }

    fn zstd(&mut self, input: &[u8], sink: &mut impl Sink) -> Result<Step, Fault> {
        let broken = |_| Fault::Undecodable;
        self.reserve(PIECE_BYTES);
        if self.zstd.is_none() {
            let mut context = DCtx::try_create().ok_or(Fault::Undecodable)?;
            let log = self.window_max.ilog2().min(ZSTD_WINDOW_LOG_MAX);
            context.set_parameter(DParameter::WindowLogMax(log)).map_err(broken)?;
            self.zstd = Some(context);
        }
        let Some(context) = &mut self.zstd else { return Err(Fault::Undecodable) };
        if matches!(self.state, State::Start) {
            context.reset(ResetDirective::SessionOnly).map_err(broken)?;
            if is_small_zstd(input) {
                // The slow way reports records that do not fit, and malformed ones.
                if let Ok(given) = context.decompress(&mut self.buffer[..], input) {
                    sink.feed(&self.buffer[..given])?;
                    self.note(given)?;
                    return Ok(Step::End);
                }
            }
            self.state = State::Zstd { whole: true };
        }
        let State::Zstd { whole } = &mut self.state else { return Err(Fault::Undecodable) };
        if *whole && self.at == input.len() {
            return Ok(Step::End);
        }
        let mut source = InBuffer::around(&input[self.at..]);
        let mut target = OutBuffer::around(&mut self.buffer[..]);
        let hint = context.decompress_stream(&mut target, &mut source).map_err(|code| {
            let words = zstd_safe::get_error_name(code);
            if words == ZSTD_WINDOW_TOO_LARGE { Fault::Window } else { Fault::Undecodable }
        })?;
        let (taken, given) = (source.pos(), target.pos());
        self.at += taken;
        *whole = hint == 0;
        if taken + given == 0 {
            return Err(Fault::Undecodable);
        }
        sink.feed(&self.buffer[..given])?;
        self.note(given)?;
        Ok(Step::More)
    }
}

/// One zstd frame and nothing else, small, with a window that is surely allowed.
fn is_small_zstd(input: &[u8]) -> bool {
    if input.len() > ZSTD_SMALL_BYTES || input.len() < 6 {
        return false;
    }
    let window_log = 10 + u32::from(input[5] >> 3);
    let allowed = input[4] & ZSTD_SINGLE_SEGMENT != 0 || window_log < ZSTD_WINDOW_LOG_MAX;
    allowed && zstd_safe::find_frame_compressed_size(input) == Ok(input.len())
}

/// Bytes of a gzip member's header; none where there is no sound one.
fn gzip_header(input: &[u8]) -> Option<usize> {
    let flags = *input.get(3)?;
    if input.len() < GZIP_HEADER_SIZE || !input.starts_with(&[0x1f, 0x8b, 8]) {
        return None;
    }
    if flags & GZIP_RESERVED != 0 {
        return None;
    }
    let mut at = GZIP_HEADER_SIZE;
    if flags & GZIP_EXTRA != 0 {
        let size = input.get(at..at + 2)?;
        at += 2 + usize::from(u16::from_le_bytes([size[0], size[1]]));
    }
    for text in [GZIP_NAME, GZIP_COMMENT] {
        if flags & text != 0 {
            at += 1 + input.get(at..)?.iter().position(|&byte| byte == 0)?;
        }
    }
    if flags & GZIP_HEADER_CRC != 0 {
        let sum = crc_fast::crc32_iso_hdlc(input.get(..at)?) as u16;
        if input.get(at..at + 2)? != sum.to_le_bytes() {
            return None;
        }
        at += 2;
    }
    if at <= input.len() { Some(at) } else { None }
}

/// The first four bytes of `bytes`, which has them.
fn little32(bytes: &[u8]) -> u32 {
    u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]])
}

fn big32(bytes: &[u8]) -> u32 {
    u32::from_be_bytes([bytes[0], bytes[1], bytes[2], bytes[3]])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::walk::{Rules, Walk};

    /// A zstd frame of one stored byte that asks for a window of 2^`log` bytes.
    fn frame(log: u8) -> Vec<u8> {
        let mut bytes = vec![0x28, 0xb5, 0x2f, 0xfd, 0, (log - 10) << 3, 9, 0, 0, 0xff];
        // A frame to be skipped: too much for one go.
        bytes.extend([0x50, 0x2a, 0x4d, 0x18]);
        bytes.extend((ZSTD_SMALL_BYTES as u32).to_le_bytes());
        bytes.extend(vec![0; ZSTD_SMALL_BYTES]);
        bytes
    }

    fn fault_of(unpacker: &mut Unpacker, log: u8) -> Option<Fault> {
        unpacker.begin(ZSTD, 1 << 20);
        unpacker.step(&frame(log), u64::MAX, &mut Walk::new(Rules::default())).err()
    }

    #[test]
    fn decoders_take_no_more_than_their_window() {
        for (log, window_max) in [(23, 0), (23, 8 << 20), (24, 16 << 20), (27, 128 << 20)] {
            let mut unpacker = Unpacker::new(window_max);
            assert_eq!(fault_of(&mut unpacker, log), None);
            let taken = unpacker.zstd.as_ref().map_or(0, |context| context.sizeof());
            let allowed = unpacker.window_max + DECODER_BYTES;
            assert!(taken > unpacker.window_max && taken < allowed, "{taken} for 2^{log}");
            unpacker.rest();
            let kept = unpacker.zstd.as_ref().map_or(0, |context| context.sizeof());
            assert!(kept <= ZSTD_KEPT_BYTES, "{kept} bytes are kept");
            assert_eq!(fault_of(&mut unpacker, log + 1), Some(Fault::Window));
        }
        let mut unpacker = Unpacker::new(1 << 30);
        assert_eq!(fault_of(&mut unpacker, 28), Some(Fault::Window));
    }
}
