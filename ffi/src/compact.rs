//! Compacts batches: notes which keys a batch has, and writes a batch without the records that have become superfluous.
//!
//! The caller decides about batches (headers, transactions, producers), this about records: one stays when it is the
//! newest of its key in the map, or lies behind what the map covers; a record without a value (a tombstone) goes when
//! its batch's horizon has passed. A batch of which something goes keeps its offsets: its base and its last one stay, and
//! the records keep their distances. As in Kafka the horizon of a batch is in the place of its base timestamp.
//!
//! A compactor belongs to the thread that opened it. Its result is in its [`Report`], which the caller reads in place.

use crate::checksum::crc32c;
use crate::errors::Outcome;
use crate::keymap::{KeyMap, Seed};
use crate::pack::pack;
use crate::unpack::{NONE, Sink, Step, Unpacker};
use crate::walk::{Cursor, Fault};
use std::ptr::null_mut;
use std::sync::atomic::{AtomicPtr, Ordering};

const HEADER_SIZE: usize = 61;
const LENGTH: usize = 8;
const LENGTH_OVERHEAD: usize = 12;
const CRC: usize = 17;
const ATTRIBUTES: usize = 21;
const BASE_TIMESTAMP: usize = 27;
const MAX_TIMESTAMP: usize = 35;
const RECORD_COUNT: usize = 57;
const COMPRESSION_MASK: u8 = 7;
const LOG_APPEND_TIME: u8 = 0x08;
const HORIZON: u8 = 0x40;
const NO_TIMESTAMP: i64 = -1;

/// All records go.
const DISCARD: u32 = 1;
/// Where nothing stays, a batch without records does.
const KEEP_EMPTY: u32 = 2;
/// Records without a value stay.
const KEEP_TOMBSTONES: u32 = 4;
/// Every record stays; the batch gets a horizon where it has none.
const SET_HORIZON: u32 = 8;
const FLAGS: u32 = DISCARD | KEEP_EMPTY | KEEP_TOMBSTONES | SET_HORIZON;

/// Buffers larger than this are given back after a batch.
const KEPT_BYTES: usize = 1 << 20;
/// Compactors open at a time, in the whole process.
const COMPACTORS_MAX: usize = 4096;

/// What the last call found; read by TypeScript (`src/io/record_compactor.ts`), little-endian.
#[repr(C)]
#[derive(Default)]
pub struct Report {
    /// Keys that were new to the map.
    keys: u32,
    /// Records of the batch, and those that stay.
    records: u32,
    kept: u32,
    /// Whether the result differs from the batch.
    changed: u32,
}

/// How a batch is to be written.
#[derive(Clone, Copy)]
pub struct Rules {
    pub flags: u32,
    /// Offsets from here on are not in the map, and stay.
    pub covered: f64,
    pub now: f64,
    /// The horizon of what gets one.
    pub horizon: f64,
}

/// The map's memory, and the offset that it counts from.
pub struct Keys<'a> {
    pub slots: &'a mut [u8],
    pub base: f64,
}

pub struct Compactor {
    report: Report,
    seed: Seed,
    unpacker: Unpacker,
    unpacked: Vec<u8>,
    kept: Vec<u8>,
    packed: Vec<u8>,
    unpacked_max: usize,
}

/// Collects what a decoder gives.
struct Collect<'a> {
    into: &'a mut Vec<u8>,
    most: usize,
}

impl Sink for Collect<'_> {
    fn feed(&mut self, bytes: &[u8]) -> Result<(), Fault> {
        if bytes.len() > self.most - self.into.len() {
            return Err(Fault::TooLarge);
        }
        self.into.extend_from_slice(bytes);
        Ok(())
    }
}

/// What is looked at of a record, and where it lies.
struct Record<'a> {
    bytes: &'a [u8],
    /// From its attributes on.
    body: &'a [u8],
    timestamp_delta: i64,
    /// Of the body, from the offset's delta on.
    rest: usize,
    offset_delta: i64,
    key: Option<&'a [u8]>,
    has_value: bool,
}

impl Compactor {
    fn new(unpacked_max: usize, seed: Seed) -> Self {
        Self {
            report: Report::default(),
            seed,
            unpacker: Unpacker::new(unpacked_max),
            unpacked: Vec::new(),
            kept: Vec::new(),
            packed: Vec::new(),
            unpacked_max,
        }
    }

    /// Notes the keys of a batch, whose offsets are at or after the map's base, in the map, which has room for all of them.
    ///
    /// EINVAL: shorter than a header. EBADMSG: the records cannot be read. E2BIG: they are too large, decompressed.
    pub fn index(&mut self, batch: &[u8], keys: Keys) -> Outcome<i32> {
        if batch.len() < HEADER_SIZE || keys.slots.is_empty() {
            return Err(libc::EINVAL);
        }
        let mut unpacked = std::mem::take(&mut self.unpacked);
        let mut map = KeyMap::new(keys.slots, keys.base as i64, self.seed);
        let base = big64(batch, 0);
        self.report = Report::default();
        let report = &mut self.report;
        let result = records_of(&mut self.unpacker, batch, &mut unpacked, self.unpacked_max)
            .and_then(|bytes| {
                each(bytes, count_of(batch), |record| {
                    report.records += 1;
                    if let Some(key) = record.key {
                        report.keys += u32::from(map.put(key, base + record.offset_delta));
                    }
                })
            });
        self.unpacked = unpacked;
        self.rest();
        result.map(|()| 0)
    }

    /// Writes what stays of a batch to `target`; its length, 0: nothing stays.
    ///
    /// EINVAL, EBADMSG, E2BIG: as of [`Compactor::index`]. EMSGSIZE: `target` is too small.
    pub fn rewrite(
        &mut self,
        batch: &[u8],
        target: &mut [u8],
        keys: Keys,
        rules: Rules,
    ) -> Outcome<i32> {
        if batch.len() < HEADER_SIZE || rules.flags & !FLAGS != 0 {
            return Err(libc::EINVAL);
        }
        self.report = Report { records: count_of(batch), ..Report::default() };
        if rules.flags & DISCARD != 0 || self.report.records == 0 {
            return self.write_empty(batch, target, rules.flags);
        }
        let mut unpacked = std::mem::take(&mut self.unpacked);
        let mut kept = std::mem::take(&mut self.kept);
        kept.clear();
        let written = self.write_kept(batch, target, keys, rules, (&mut unpacked, &mut kept));
        self.unpacked = unpacked;
        self.kept = kept;
        self.rest();
        written
    }

    fn write_kept(
        &mut self,
        batch: &[u8],
        target: &mut [u8],
        keys: Keys,
        rules: Rules,
        (unpacked, kept): (&mut Vec<u8>, &mut Vec<u8>),
    ) -> Outcome<i32> {
        let attributes = batch[ATTRIBUTES + 1];
        let base_timestamp = big64(batch, BASE_TIMESTAMP);
        let base = big64(batch, 0);
        let map = KeyMap::new(keys.slots, keys.base as i64, self.seed);
        let has_horizon = attributes & HORIZON != 0;
        let goes = has_horizon && base_timestamp as f64 <= rules.now;
        let keeps_tombstones = rules.flags & KEEP_TOMBSTONES != 0 || !goes;
        let sets = rules.flags & SET_HORIZON != 0;
        let stays = |record: &Record| {
            let offset = base + record.offset_delta;
            if sets || offset as f64 >= rules.covered {
                return true;
            }
            let Some(key) = record.key else { return false };
            offset >= map.get(key) && (record.has_value || keeps_tombstones)
        };
        let count = count_of(batch);
        let bytes = records_of(&mut self.unpacker, batch, unpacked, self.unpacked_max)?;
        // Whether there are tombstones is known at the end, and a new horizon changes the distances of all times.
        let mut remaining = 0;
        let mut has_tombstones = false;
        let mut latest = NO_TIMESTAMP;
        each(bytes, count, |record| {
            if stays(&record) {
                remaining += 1;
                has_tombstones |=
                    !record.has_value && offset_is_covered(base, &record, rules.covered);
                latest = latest.max(base_timestamp.wrapping_add(record.timestamp_delta));
                kept.extend_from_slice(record.bytes);
            }
        })?;
        self.report.kept = remaining;
        if remaining == 0 {
            return self.write_empty(batch, target, rules.flags);
        }
        let stamps = !has_horizon && (sets || has_tombstones);
        if remaining == count && !stamps {
            return copy(batch, target);
        }
        self.report.changed = 1;
        let horizon = rules.horizon as i64;
        if stamps {
            let shift = base_timestamp.wrapping_sub(horizon);
            let before = std::mem::take(kept);
            each(&before, remaining, |record| {
                put_record(kept, &record, record.timestamp_delta.wrapping_add(shift));
            })?;
        }
        self.packed.clear();
        let compression = attributes & COMPRESSION_MASK;
        let records: &[u8] = if compression == NONE {
            kept
        } else {
            if !pack(compression, kept, &mut self.packed) {
                return Err(libc::EBADMSG);
            }
            &self.packed
        };
        let length = HEADER_SIZE + records.len();
        let target = target.get_mut(..length).ok_or(libc::EMSGSIZE)?;
        target[..HEADER_SIZE].copy_from_slice(&batch[..HEADER_SIZE]);
        target[HEADER_SIZE..].copy_from_slice(records);
        if stamps {
            target[ATTRIBUTES + 1] |= HORIZON;
            put64(target, BASE_TIMESTAMP, horizon);
        }
        if attributes & LOG_APPEND_TIME == 0 {
            put64(target, MAX_TIMESTAMP, latest);
        }
        target[RECORD_COUNT..][..4].copy_from_slice(&remaining.to_be_bytes());
        seal(target);
        Ok(length as i32)
    }

    fn write_empty(&mut self, batch: &[u8], target: &mut [u8], flags: u32) -> Outcome<i32> {
        self.report.kept = 0;
        let is_empty = batch.len() == HEADER_SIZE;
        self.report.changed = u32::from(!is_empty || flags & KEEP_EMPTY == 0);
        if flags & KEEP_EMPTY == 0 {
            return Ok(0);
        }
        if is_empty {
            return copy(batch, target);
        }
        let target = target.get_mut(..HEADER_SIZE).ok_or(libc::EMSGSIZE)?;
        target.copy_from_slice(&batch[..HEADER_SIZE]);
        target[ATTRIBUTES + 1] &= !(COMPRESSION_MASK | HORIZON);
        put64(target, BASE_TIMESTAMP, big64(batch, MAX_TIMESTAMP));
        target[RECORD_COUNT..][..4].fill(0);
        seal(target);
        Ok(HEADER_SIZE as i32)
    }

    /// Gives back what a large batch needed.
    fn rest(&mut self) {
        for buffer in [&mut self.unpacked, &mut self.kept, &mut self.packed] {
            if buffer.capacity() > KEPT_BYTES {
                *buffer = Vec::new();
            }
        }
        self.unpacker.rest();
    }
}

fn offset_is_covered(base: i64, record: &Record, covered: f64) -> bool {
    ((base + record.offset_delta) as f64) < covered
}

fn copy(batch: &[u8], target: &mut [u8]) -> Outcome<i32> {
    target.get_mut(..batch.len()).ok_or(libc::EMSGSIZE)?.copy_from_slice(batch);
    Ok(batch.len() as i32)
}

/// The records of a batch, decompressed into `into` where they must be.
fn records_of<'a>(
    unpacker: &mut Unpacker,
    batch: &'a [u8],
    into: &'a mut Vec<u8>,
    most: usize,
) -> Outcome<&'a [u8]> {
    let compression = batch[ATTRIBUTES + 1] & COMPRESSION_MASK;
    if compression == NONE || count_of(batch) == 0 {
        return Ok(&batch[HEADER_SIZE..]);
    }
    into.clear();
    unpacker.begin(compression, most as u64);
    match unpacker.step(&batch[HEADER_SIZE..], u64::MAX, &mut Collect { into, most }) {
        Ok(Step::End) => Ok(into),
        Err(Fault::TooLarge | Fault::Window) => Err(libc::E2BIG),
        _ => Err(libc::EBADMSG),
    }
}

/// Visits `count` records, which fill `bytes`. EBADMSG: they do not.
fn each(bytes: &[u8], count: u32, mut visit: impl FnMut(Record)) -> Outcome<()> {
    let mut at = 0;
    for _ in 0..count {
        let record = record_at(&bytes[at..]).ok_or(libc::EBADMSG)?;
        at += record.bytes.len();
        visit(record);
    }
    if at == bytes.len() { Ok(()) } else { Err(libc::EBADMSG) }
}

fn record_at(bytes: &[u8]) -> Option<Record<'_>> {
    let mut head = Cursor { bytes, at: 0 };
    let length = usize::try_from(head.varint()?).ok()?;
    let bytes = bytes.get(..head.at.checked_add(length)?)?;
    let body = &bytes[head.at..];
    let mut cursor = Cursor { bytes: body, at: 1 };
    let timestamp_delta = cursor.varlong()?;
    let rest = cursor.at;
    let offset_delta = cursor.varint()?;
    let key_length = cursor.bytes(-1)?;
    let key =
        if key_length < 0 { None } else { Some(&body[cursor.at - key_length as usize..cursor.at]) };
    let has_value = cursor.bytes(-1)? >= 0;
    Some(Record { bytes, body, timestamp_delta, rest, offset_delta, key, has_value })
}

/// Writes a record with another distance in time.
fn put_record(target: &mut Vec<u8>, record: &Record, timestamp_delta: i64) {
    let mut time = [0; 10];
    let time = varlong(&mut time, timestamp_delta);
    let length = 1 + time.len() + record.body.len() - record.rest;
    let mut head = [0; 10];
    target.extend_from_slice(varlong(&mut head, length as i64));
    target.push(record.body[0]);
    target.extend_from_slice(time);
    target.extend_from_slice(&record.body[record.rest..]);
}

fn varlong(into: &mut [u8; 10], value: i64) -> &[u8] {
    let mut rest = ((value << 1) ^ (value >> 63)) as u64;
    let mut at = 0;
    while rest >= 0x80 {
        into[at] = rest as u8 | 0x80;
        rest >>= 7;
        at += 1;
    }
    into[at] = rest as u8;
    &into[..=at]
}

/// Sets the length and the checksum of a batch that fills `batch`.
fn seal(batch: &mut [u8]) {
    let length = (batch.len() - LENGTH_OVERHEAD) as u32;
    batch[LENGTH..][..4].copy_from_slice(&length.to_be_bytes());
    let sum = crc32c(0, &batch[ATTRIBUTES..]);
    batch[CRC..][..4].copy_from_slice(&sum.to_be_bytes());
}

fn count_of(batch: &[u8]) -> u32 {
    let at = RECORD_COUNT;
    u32::from_be_bytes([batch[at], batch[at + 1], batch[at + 2], batch[at + 3]])
}

fn big64(bytes: &[u8], at: usize) -> i64 {
    let mut eight = [0; 8];
    eight.copy_from_slice(&bytes[at..at + 8]);
    i64::from_be_bytes(eight)
}

fn put64(bytes: &mut [u8], at: usize, value: i64) {
    bytes[at..at + 8].copy_from_slice(&value.to_be_bytes());
}

static COMPACTORS: [AtomicPtr<Compactor>; COMPACTORS_MAX] =
    [const { AtomicPtr::new(null_mut()) }; COMPACTORS_MAX];

/// Opens a compactor for the calling thread; its number. Batches may decompress to `unpacked_max` bytes. EMFILE: there are
/// as many as there may be.
pub fn open(unpacked_max: usize, seed: Seed) -> Outcome<i32> {
    let compactor = Box::into_raw(Box::new(Compactor::new(unpacked_max, seed)));
    for (index, place) in COMPACTORS.iter().enumerate() {
        let free =
            place.compare_exchange(null_mut(), compactor, Ordering::AcqRel, Ordering::Relaxed);
        if free.is_ok() {
            return Ok(index as i32);
        }
    }
    // SAFETY: made just above, and nobody has seen it.
    drop(unsafe { Box::from_raw(compactor) });
    Err(libc::EMFILE)
}

/// Closes a compactor; nobody may read its report any more. EBADF: it is not open.
pub fn close(index: u32) -> Outcome<i32> {
    let place = COMPACTORS.get(index as usize).ok_or(libc::EBADF)?;
    let compactor = place.swap(null_mut(), Ordering::AcqRel);
    if compactor.is_null() {
        return Err(libc::EBADF);
    }
    // SAFETY: made by `Box::into_raw` in `open`, taken out of the table just above.
    drop(unsafe { Box::from_raw(compactor) });
    Ok(0)
}

/// The compactor at `index`, for the thread that opened it. EBADF: it is not open.
pub fn with<T>(index: u32, act: impl FnOnce(&mut Compactor) -> Outcome<T>) -> Outcome<T> {
    let compactor = COMPACTORS.get(index as usize).ok_or(libc::EBADF)?.load(Ordering::Acquire);
    // SAFETY: set by `open`, cleared by `close`; only the compactor's own thread calls.
    unsafe { compactor.as_mut() }.ok_or(libc::EBADF).and_then(act)
}

/// Where the report of the compactor at `index` is and stays; null when it is not open.
pub fn report(index: u32) -> *const u8 {
    let found = with(index, |compactor| Ok(&raw const compactor.report as *const u8));
    found.unwrap_or(std::ptr::null())
}
