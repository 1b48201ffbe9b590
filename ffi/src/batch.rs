//! Checks the records of a whole batch, in slices: a walker continues where it stopped, so that neither a
//! large batch nor a decompression bomb occupies a thread for long.
//!
//! A walker belongs to the thread that opened it. Its result is in its [`Verdict`], which the caller
//! reads in place. The batch must neither move nor change between the slices.

use crate::errors::Outcome;
use crate::unpack::{NONE, Sink, Step, Unpacker};
use crate::walk::{Fault, REFUSED_MAX, Rules, Walk};
use std::ptr::null_mut;
use std::sync::atomic::{AtomicPtr, Ordering};

const HEADER_SIZE: usize = 61;
const ATTRIBUTES: usize = 21;
const BASE_TIMESTAMP: usize = 27;
const RECORD_COUNT: usize = 57;
const COMPRESSION_MASK: u8 = 7;

/// Records without a key are refused.
const KEYS_REQUIRED: u32 = 1;
/// Goes on with the batch of the call before.
const RESUME: u32 = 2;
/// To the end, however long it takes.
const WHOLE: u32 = 4;
const FLAGS: u32 = KEYS_REQUIRED | RESUME | WHOLE;

/// A slice ends when a decoder has produced this many bytes.
const SLICE_BYTES: u64 = 256 << 10;
/// A slice of uncompressed records ends after the piece in which their number reaches this.
const SLICE_RECORDS: u32 = 16 << 10;
const SLICE_PIECE_BYTES: usize = 256 << 10;
/// The maximum decompressed size of one batch, which its consumers have to hold: this many times its
/// bytes, within bounds.
const UNPACKED_RATIO_MAX: u64 = 100;
const UNPACKED_BYTES_MIN: u64 = 16 << 20;
const UNPACKED_BYTES_MAX: u64 = 256 << 20;

/// The largest int64 that a double can be (2^63 would be one too many).
const TIMESTAMP_MAX: f64 = 9_223_372_036_854_774_784.0;

/// Walkers open at a time, in the whole process.
const WALKERS_MAX: usize = 4096;

/// What a finished walk found; read by TypeScript (`src/io/shim_walk.ts`), little-endian.
#[repr(C)]
pub struct Verdict {
    /// 0 sound, 1 malformed, 2 wrong offsets, 3 undecodable, 4 too large, 5 refused records, 6 too large a window.
    status: i32,
    records: u32,
    max_timestamp: f64,
    /// Refused records, of which the first are listed.
    refused: u32,
    /// Of them, those with a time out of bounds.
    out_of_time: u32,
    listed: [Listed; REFUSED_MAX],
}

#[repr(C)]
#[derive(Clone, Copy)]
struct Listed {
    index: u32,
    reason: u32,
    timestamp: f64,
}

pub struct Walker {
    verdict: Verdict,
    walk: Walk,
    unpacker: Unpacker,
    /// In the batch, of what is not compressed.
    at: usize,
    compression: u8,
    active: bool,
}

/// What the topic asks for.
#[derive(Clone, Copy)]
pub struct Limits {
    pub flags: u32,
    pub oldest: f64,
    pub newest: f64,
}

impl Walker {
    fn new(window_max: usize) -> Self {
        Self {
            verdict: Verdict {
                status: 0,
                records: 0,
                max_timestamp: -1.0,
                refused: 0,
                out_of_time: 0,
                listed: [Listed { index: 0, reason: 0, timestamp: 0.0 }; REFUSED_MAX],
            },
            walk: Walk::new(Rules::default()),
            unpacker: Unpacker::new(window_max),
            at: 0,
            compression: NONE,
            active: false,
        }
    }

    /// A slice of `batch`, whose header was checked; 0: the verdict stands, 1: there is more.
    ///
    /// EINVAL: shorter than a header, unknown flags, or nothing to resume.
    pub fn slice(&mut self, batch: &[u8], limits: Limits) -> Outcome<i32> {
        let Limits { flags, .. } = limits;
        let resumes = flags & RESUME != 0;
        if batch.len() < HEADER_SIZE || flags & !FLAGS != 0 || (resumes && !self.active) {
            return Err(libc::EINVAL);
        }
        if !resumes {
            self.begin(batch, limits);
        }
        let stepped = if self.compression == NONE {
            self.plain(batch, flags & WHOLE != 0)
        } else {
            let budget = if flags & WHOLE != 0 { u64::MAX } else { SLICE_BYTES };
            self.unpacker.step(&batch[HEADER_SIZE..], budget, &mut self.walk)
        };
        let ended = match stepped {
            Ok(Step::More) => return Ok(1),
            Ok(Step::End) => self.walk.finish(),
            Err(fault) => Err(fault),
        };
        self.end(ended);
        Ok(0)
    }

    fn begin(&mut self, batch: &[u8], limits: Limits) {
        self.walk = Walk::new(Rules {
            count: big32(batch, RECORD_COUNT),
            base_timestamp: big64(batch, BASE_TIMESTAMP) as i64,
            keys_required: limits.flags & KEYS_REQUIRED != 0,
            // Saturating: infinities are no limits.
            oldest: limits.oldest as i64,
            newest: limits.newest as i64,
        });
        self.at = HEADER_SIZE;
        self.compression = batch[ATTRIBUTES + 1] & COMPRESSION_MASK;
        let most = batch.len() as u64 * UNPACKED_RATIO_MAX;
        self.unpacker.begin(self.compression, most.clamp(UNPACKED_BYTES_MIN, UNPACKED_BYTES_MAX));
        self.active = true;
    }

    fn plain(&mut self, batch: &[u8], whole: bool) -> Result<Step, Fault> {
        let until = self.walk.records.saturating_add(SLICE_RECORDS);
        while self.at < batch.len() {
            if !whole && self.walk.records >= until {
                return Ok(Step::More);
            }
            let end =
                if whole { batch.len() } else { batch.len().min(self.at + SLICE_PIECE_BYTES) };
            self.walk.feed(&batch[self.at..end])?;
            self.at = end;
        }
        Ok(Step::End)
    }

    fn end(&mut self, ended: Result<(), Fault>) {
        let walk = &self.walk;
        let verdict = &mut self.verdict;
        verdict.status = match ended {
            Ok(()) if walk.refused > 0 => 5,
            Ok(()) => 0,
            Err(Fault::Malformed) => 1,
            Err(Fault::Offsets) => 2,
            Err(Fault::Undecodable) => 3,
            Err(Fault::TooLarge) => 4,
            Err(Fault::Window) => 6,
        };
        verdict.records = walk.records;
        verdict.max_timestamp = (walk.max_timestamp as f64).min(TIMESTAMP_MAX);
        verdict.refused = walk.refused;
        verdict.out_of_time = walk.out_of_time;
        for (to, from) in verdict.listed.iter_mut().zip(&walk.listed).take(walk.refused as usize) {
            let (reason, timestamp) = (from.reason as u32, from.timestamp as f64);
            *to = Listed { index: from.index, reason, timestamp };
        }
        self.active = false;
        if self.compression != NONE {
            self.unpacker.rest();
        }
    }
}

static WALKERS: [AtomicPtr<Walker>; WALKERS_MAX] =
    [const { AtomicPtr::new(null_mut()) }; WALKERS_MAX];

/// Opens a walker for the calling thread; its number. Its decoders take windows and blocks of at most `window_max`
/// bytes. EMFILE: there are as many as there may be.
pub fn open(window_max: usize) -> Outcome<i32> {
    let walker = Box::into_raw(Box::new(Walker::new(window_max)));
    for (index, place) in WALKERS.iter().enumerate() {
        let free = place.compare_exchange(null_mut(), walker, Ordering::AcqRel, Ordering::Relaxed);
        if free.is_ok() {
            return Ok(index as i32);
        }
    }
    // SAFETY: made just above, and nobody has seen it.
    drop(unsafe { Box::from_raw(walker) });
    Err(libc::EMFILE)
}

/// Closes a walker; nobody may read its verdict any more. EBADF: it is not open.
pub fn close(index: u32) -> Outcome<i32> {
    let place = WALKERS.get(index as usize).ok_or(libc::EBADF)?;
    let walker = place.swap(null_mut(), Ordering::AcqRel);
    if walker.is_null() {
        return Err(libc::EBADF);
    }
    // SAFETY: made by `Box::into_raw` in `open`, taken out of the table just above.
    drop(unsafe { Box::from_raw(walker) });
    Ok(0)
}

/// The walker at `index`, for the thread that opened it. EBADF: it is not open.
pub fn with<T>(index: u32, act: impl FnOnce(&mut Walker) -> Outcome<T>) -> Outcome<T> {
    let walker = WALKERS.get(index as usize).ok_or(libc::EBADF)?.load(Ordering::Acquire);
    // SAFETY: set by `open`, cleared by `close`; only the walker's own thread calls.
    unsafe { walker.as_mut() }.ok_or(libc::EBADF).and_then(act)
}

/// Where the verdict of the walker at `index` is and stays; null when it is not open.
pub fn verdict(index: u32) -> *const u8 {
    let found = with(index, |walker| Ok(&raw const walker.verdict as *const u8));
    found.unwrap_or(std::ptr::null())
}

fn big32(bytes: &[u8], at: usize) -> u32 {
    u32::from_be_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

fn big64(bytes: &[u8], at: usize) -> u64 {
    u64::from(big32(bytes, at)) << 32 | u64::from(big32(bytes, at + 4))
}
