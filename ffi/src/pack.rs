//! Encoders of the four compressions of record batches, in the framing that Kafka's own clients write.

use crate::unpack::{GZIP, LZ4, SNAPPY, ZSTD};
use xxhash_rust::xxh32::xxh32;
use zlib_rs::{Deflate, DeflateFlush, Status};

const GZIP_LEVEL: i32 = 6;
const ZSTD_LEVEL: i32 = 3;
/// gzip's header: deflate, no flags, no time, any system.
const GZIP_HEADER: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff];
const XERIAL_HEADER: [u8; 16] = *b"\x82SNAPPY\0\0\0\0\x01\0\0\0\x01";
const SNAPPY_BLOCK: usize = 32 << 10;
/// Magic, then: version 1 and independent blocks, blocks of at most 64 KiB.
const LZ4_HEADER: [u8; 6] = [0x04, 0x22, 0x4d, 0x18, 0x60, 0x40];
const LZ4_BLOCK: usize = 64 << 10;
const LZ4_STORED: u32 = 0x8000_0000;
const PIECE: usize = 64 << 10;

/// Appends `records`, compressed, to `target`; false where the encoder fails or there is no such compression.
pub fn pack(compression: u8, records: &[u8], target: &mut Vec<u8>) -> bool {
    match compression {
        GZIP => gzip(records, target),
        SNAPPY => snappy(records, target),
        LZ4 => lz4(records, target),
        ZSTD => zstd(records, target),
        _ => false,
    }
}

fn gzip(records: &[u8], target: &mut Vec<u8>) -> bool {
    target.extend(GZIP_HEADER);
    let mut deflate = Deflate::new(GZIP_LEVEL, false, 15);
    let mut piece = vec![0; PIECE];
    loop {
        let taken = deflate.total_in() as usize;
        let given = deflate.total_out();
        let Ok(status) = deflate.compress(&records[taken..], &mut piece, DeflateFlush::Finish)
        else {
            return false;
        };
        let new = (deflate.total_out() - given) as usize;
        target.extend(&piece[..new]);
        if status == Status::StreamEnd {
            break;
        }
        if new == 0 && deflate.total_in() as usize == taken {
            return false;
        }
    }
    target.extend((crc_fast::crc32_iso_hdlc(records)).to_le_bytes());
    target.extend((records.len() as u32).to_le_bytes());
    true
}

fn snappy(records: &[u8], target: &mut Vec<u8>) -> bool {
    target.extend(XERIAL_HEADER);
    let mut encoder = snap::raw::Encoder::new();
    for block in records.chunks(SNAPPY_BLOCK) {
        let Ok(packed) = encoder.compress_vec(block) else { return false };
        target.extend((packed.len() as u32).to_be_bytes());
        target.extend(packed);
    }
    true
}

fn lz4(records: &[u8], target: &mut Vec<u8>) -> bool {
    target.extend(LZ4_HEADER);
    target.push((xxh32(&LZ4_HEADER[4..], 0) >> 8) as u8);
    for block in records.chunks(LZ4_BLOCK) {
        let packed = lz4_flex::block::compress(block);
        if packed.len() < block.len() {
            target.extend((packed.len() as u32).to_le_bytes());
            target.extend(packed);
        } else {
            target.extend((block.len() as u32 | LZ4_STORED).to_le_bytes());
            target.extend(block);
        }
    }
    target.extend([0; 4]);
    true
}

fn zstd(records: &[u8], target: &mut Vec<u8>) -> bool {
    let from = target.len();
    target.resize(from + zstd_safe::compress_bound(records.len()), 0);
    let Ok(given) = zstd_safe::compress(&mut target[from..], records, ZSTD_LEVEL) else {
        return false;
    };
    target.truncate(from + given);
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::unpack::{Sink, Step, Unpacker};
    use crate::walk::Fault;

    struct Whole(Vec<u8>);

    impl Sink for Whole {
        fn feed(&mut self, bytes: &[u8]) -> Result<(), Fault> {
            self.0.extend(bytes);
            Ok(())
        }
    }

    #[test]
    fn what_is_packed_comes_out_again() {
        let mut state = 7u32;
        let noise = |_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 24) as u8
        };
        let noisy: Vec<u8> = (0..200_000).map(noise).collect();
        for records in [b"a".to_vec(), vec![9; 300_000], noisy] {
            for compression in [GZIP, SNAPPY, LZ4, ZSTD] {
                let mut packed = Vec::new();
                assert!(pack(compression, &records, &mut packed));
                let mut unpacker = Unpacker::new(0);
                unpacker.begin(compression, 1 << 24);
                let mut whole = Whole(Vec::new());
                let step = unpacker.step(&packed, u64::MAX, &mut whole);
                assert!(matches!(step, Ok(Step::End)), "{compression}");
                assert!(whole.0 == records, "{compression}");
            }
        }
    }
}
