//! The few requests and responses of Kafka's protocol that the load needs.
//!
//! ```text
//! request    size i32 | key i16 | version i16 | correlation i32 | client id (i16, bytes) | body
//! produce v7 transactional id i16 = -1 | acks i16 | timeout i32 | 1 topic i32 | name (i16, bytes)
//!            | 1 partition i32 | index i32 | size of records i32 | batch
//! answer     size i32 | correlation i32 | 1 i32 | name | 1 i32 | index i32 | error i16 | ...
//! ```

use crate::crc32c::crc32c;

pub const PRODUCE: i16 = 0;
pub const CREATE_TOPICS: i16 = 19;
const PRODUCE_VERSION: i16 = 7;
const CREATE_TOPICS_VERSION: i16 = 4;
const TIMEOUT_MS: i32 = 60_000;
const CORRELATION_OFFSET: usize = 8;
const BATCH_HEADER: usize = 61;
const CRC_OFFSET: usize = 17;
/// Index, error, base offset, append time, log start offset.
const ANSWER_PARTITION_SIZE: usize = 30;
/// Offset of the bytes that the CRC covers.
const ATTRIBUTES_OFFSET: usize = 21;

/// A growing request.
pub struct Request {
    pub bytes: Vec<u8>,
}

impl Request {
    pub fn new(key: i16, version: i16, correlation: i32) -> Request {
        let mut request = Request { bytes: vec![0; 4] };
        request.i16(key).i16(version).i32(correlation).string("loadgen");
        request
    }

    pub fn i16(&mut self, value: i16) -> &mut Request {
        self.bytes.extend(value.to_be_bytes());
        self
    }

    pub fn i32(&mut self, value: i32) -> &mut Request {
        self.bytes.extend(value.to_be_bytes());
        self
    }

    pub fn string(&mut self, text: &str) -> &mut Request {
        self.i16(text.len() as i16);
        self.bytes.extend(text.as_bytes());
        self
    }

    /// Writes the size, for `more` bytes that follow these.
    pub fn sized(mut self, more: usize) -> Vec<u8> {
        let size = (self.bytes.len() - 4 + more) as i32;
        self.bytes[..4].copy_from_slice(&size.to_be_bytes());
        self.bytes
    }
}

pub fn create_topics(topics: &[(String, u32)]) -> Vec<u8> {
    let mut request = Request::new(CREATE_TOPICS, CREATE_TOPICS_VERSION, 0);
    request.i32(topics.len() as i32);
    for (name, partitions) in topics {
        request.string(name).i32(*partitions as i32).i16(-1).i32(0).i32(0);
    }
    request.i32(TIMEOUT_MS).bytes.push(0);
    request.sized(0)
}

/// What precedes the batch in a produce request; correlation id and partition are set per request.
#[derive(Clone)]
pub struct Head {
    pub bytes: Vec<u8>,
}

impl Head {
    pub fn new(topic: &str, batch_length: usize) -> Head {
        let mut request = Request::new(PRODUCE, PRODUCE_VERSION, 0);
        request.i16(-1).i16(-1).i32(TIMEOUT_MS).i32(1).string(topic);
        request.i32(1).i32(0).i32(batch_length as i32);
        Head { bytes: request.sized(batch_length) }
    }

    /// Precedes the payload of [`many_batches`].
    pub fn of_many(topic: &str, partitions: u32, payload_length: usize) -> Head {
        let mut request = Request::new(PRODUCE, PRODUCE_VERSION, 0);
        request.i16(-1).i16(-1).i32(TIMEOUT_MS).i32(1).string(topic).i32(partitions as i32);
        Head { bytes: request.sized(payload_length) }
    }

    pub fn set_correlation(&mut self, correlation: u32) {
        self.bytes[CORRELATION_OFFSET..][..4].copy_from_slice(&correlation.to_be_bytes());
    }

    pub fn set(&mut self, correlation: u32, partition: u32) {
        let partition_at = self.bytes.len() - 8;
        self.set_correlation(correlation);
        self.bytes[partition_at..][..4].copy_from_slice(&partition.to_be_bytes());
    }
}

/// One batch for each of `partitions`, with what stands before it.
pub fn many_batches(partitions: u32, batch: &[u8]) -> Vec<u8> {
    let mut payload = Vec::with_capacity(partitions as usize * (batch.len() + 8));
    for partition in 0..partitions {
        payload.extend(partition.to_be_bytes());
        payload.extend((batch.len() as u32).to_be_bytes());
        payload.extend(batch);
    }
    payload
}

/// A v2 batch of exactly `size` bytes with values of up to `record` bytes, uncompressed.
pub fn batch(size: usize, record: usize, now_ms: i64) -> Vec<u8> {
    let mut records = Vec::with_capacity(size);
    let mut count = 0;
    while BATCH_HEADER + records.len() < size {
        let left = size - BATCH_HEADER - records.len();
        push_record(&mut records, count, record, left);
        count += 1;
    }
    let mut bytes = Vec::with_capacity(size);
    bytes.extend(0i64.to_be_bytes());
    bytes.extend(((size - 12) as i32).to_be_bytes());
    bytes.extend((-1i32).to_be_bytes());
    bytes.push(2);
    bytes.extend([0; 4]);
    bytes.extend(0i16.to_be_bytes());
    bytes.extend((count - 1).to_be_bytes());
    bytes.extend(now_ms.to_be_bytes());
    bytes.extend(now_ms.to_be_bytes());
    bytes.extend((-1i64).to_be_bytes());
    bytes.extend((-1i16).to_be_bytes());
    bytes.extend((-1i32).to_be_bytes());
    bytes.extend(count.to_be_bytes());
    bytes.extend(records);
    let sum = crc32c(&bytes[ATTRIBUTES_OFFSET..]);
    bytes[CRC_OFFSET..][..4].copy_from_slice(&sum.to_be_bytes());
    bytes
}

/// Adds one record with a value of `wanted` bytes; the last ones fill exactly the `left` bytes.
fn push_record(records: &mut Vec<u8>, delta: i32, wanted: usize, left: usize) {
    // A rest too small for a record of its own goes to this one.
    const ROOM_FOR_NEXT: usize = 64;
    let encoded = record(delta, wanted);
    if encoded.len() + ROOM_FOR_NEXT <= left {
        records.extend(encoded);
        return;
    }
    let exact = (0..left).rev().take(24).map(|value| record(delta, value));
    let last = exact.into_iter().find(|encoded| encoded.len() == left);
    // Lengths are varints, so no record has, say, 65 bytes: a short one then goes before the last.
    records.extend(last.unwrap_or_else(|| record(delta, 1)));
}

fn record(delta: i32, value: usize) -> Vec<u8> {
    let mut body = vec![0, 0];
    varint(&mut body, i64::from(delta));
    varint(&mut body, -1);
    varint(&mut body, value as i64);
    body.extend((0..value).map(|at| (at * 31 + 7) as u8));
    varint(&mut body, 0);
    let mut bytes = Vec::with_capacity(body.len() + 5);
    varint(&mut bytes, body.len() as i64);
    bytes.extend(body);
    bytes
}

fn varint(bytes: &mut Vec<u8>, value: i64) {
    let mut left = ((value << 1) ^ (value >> 63)) as u64;
    while left >= 0x80 {
        bytes.push(left as u8 | 0x80);
        left >>= 7;
    }
    bytes.push(left as u8);
}

/// Correlation id, first partition, and first error (0: none) of a produce response without its size.
pub fn produce_answer(bytes: &[u8]) -> Option<(u32, u32, i16)> {
    let field = |at: usize| bytes.get(at..at + 4)?.try_into().ok().map(u32::from_be_bytes);
    let short = |at: usize| bytes.get(at..at + 2)?.try_into().ok().map(i16::from_be_bytes);
    let after_name = 10 + usize::try_from(short(8)?).ok()?;
    let count = field(after_name)? as usize;
    if field(4)? != 1 || count == 0 {
        return None;
    }
    let mut error = 0;
    for at in 0..count {
        let found = short(after_name + 8 + at * ANSWER_PARTITION_SIZE)?;
        error = if error == 0 { found } else { error };
    }
    Some((field(0)?, field(after_name + 4)?, error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn batches_have_exactly_their_size() {
        for size in (128..5000).chain([65_536, 1_048_576]) {
            for record in [100, 1024] {
                assert_eq!(batch(size, record, 0).len(), size, "{size} {record}");
            }
        }
    }

    #[test]
    fn reads_an_answer() {
        let mut bytes = vec![0, 0, 0, 9, 0, 0, 0, 1, 0, 2, b'a', b'b', 0, 0, 0, 1];
        bytes.extend([0, 0, 0, 5, 0, 3]);
        assert_eq!(produce_answer(&bytes), Some((9, 5, 3)));
        assert_eq!(produce_answer(&bytes[..20]), None);
    }
}
