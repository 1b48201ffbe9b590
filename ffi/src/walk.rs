//! Walks the records of a batch (Kafka's format v2, drawn in `src/wire/record_batch.ts`) and compares
//! them with its header. Bytes may come in pieces, as a decoder's output does.
//!
//! A walk ends with the first record that is malformed. A record that is whole but may not be stored (no
//! key where one is needed, a time out of bounds) is noted, and the walk continues.

use crate::unpack::Sink;

/// Refused records that are listed one by one; the others are counted.
pub const REFUSED_MAX: usize = 3;
/// A record without a time.
const NO_TIMESTAMP: i64 = -1;
const VARINT_BYTES_MAX: u32 = 5;
const VARLONG_BYTES_MAX: u32 = 10;

/// Why a batch cannot be stored.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Fault {
    /// A record that contradicts itself, or another number of them than the header says.
    Malformed,
    /// Offsets that do not count up from 0.
    Offsets,
    /// The compressed stream is not one, is cut, or something follows it.
    Undecodable,
    /// More would come out of it than a batch may hold, or at once than there may be memory for.
    TooLarge,
    /// The compressed stream asks for a larger window than there may be.
    Window,
}

/// Why one record may not be stored.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Reason {
    #[default]
    NoKey = 1,
    Timestamp = 2,
}

#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Refused {
    pub index: u32,
    pub reason: Reason,
    pub timestamp: i64,
}

/// What the header promises and the topic asks for.
#[derive(Clone, Copy, Debug, Default)]
pub struct Rules {
    pub count: u32,
    pub base_timestamp: i64,
    pub keys_required: bool,
    /// Bounds of timestamps (ms), both allowed; records without one are outside of the rule.
    pub oldest: i64,
    pub newest: i64,
}

#[derive(Clone, Copy, PartialEq)]
enum Field {
    Length,
    Attributes,
    Timestamp,
    Offset,
    KeyLength,
    Key,
    ValueLength,
    Value,
    HeaderCount,
    HeaderKeyLength,
    HeaderKey,
    HeaderValueLength,
    HeaderValue,
}

pub struct Walk {
    rules: Rules,
    /// Records that the walk has passed.
    pub records: u32,
    pub max_timestamp: i64,
    pub refused: u32,
    /// Of them, those with a time out of bounds.
    pub out_of_time: u32,
    pub listed: [Refused; REFUSED_MAX],
    field: Field,
    /// Bytes of this record that are still to come, after its length.
    left: i64,
    /// Bytes of this key or value that are still to come.
    skip: i64,
    headers_left: i64,
    varint: u64,
    varint_bytes: u32,
    timestamp: i64,
}

impl Walk {
    pub fn new(rules: Rules) -> Self {
        Self {
            rules,
            records: 0,
            max_timestamp: NO_TIMESTAMP,
            refused: 0,
            out_of_time: 0,
            listed: [Refused::default(); REFUSED_MAX],
            field: Field::Length,
            left: 0,
            skip: 0,
            headers_left: 0,
            varint: 0,
            varint_bytes: 0,
            timestamp: 0,
        }
    }

    /// Nothing comes any more.
    pub fn finish(&self) -> Result<(), Fault> {
        let between = self.field == Field::Length && self.varint_bytes == 0;
        if between && self.records == self.rules.count { Ok(()) } else { Err(Fault::Malformed) }
    }

    /// A record that begins and ends in `bytes`; its bytes, or nothing where it does not end there.
    fn whole_record(&mut self, bytes: &[u8]) -> Result<Option<usize>, Fault> {
        let mut cursor = Cursor { bytes, at: 0 };
        let Some(length) = cursor.varint() else {
            // A cut record may continue; the slow way decides.
            return Ok(None);
        };
        if self.records == self.rules.count || length < 0 {
            return Err(Fault::Malformed);
        }
        let end = cursor.at + length as usize;
        if end > bytes.len() {
            return Ok(None);
        }
        cursor.bytes = &bytes[..end];
        let (timestamp_delta, offset) = cursor.front().ok_or(Fault::Malformed)?;
        self.note_offset(offset)?;
        let key_length = cursor.bytes(-1).ok_or(Fault::Malformed)?;
        cursor.bytes(-1).ok_or(Fault::Malformed)?;
        let mut headers = cursor.headers().ok_or(Fault::Malformed)?;
        while headers > 0 {
            cursor.header().ok_or(Fault::Malformed)?;
            headers -= 1;
        }
        if cursor.at != end {
            return Err(Fault::Malformed);
        }
        self.timestamp = self.rules.base_timestamp.wrapping_add(timestamp_delta);
        self.note_key(key_length);
        self.end_record();
        Ok(Some(end))
    }

    /// One step of a record that lies in several pieces; gives what is left.
    fn part<'a>(&mut self, bytes: &'a [u8]) -> Result<&'a [u8], Fault> {
        match self.field {
            Field::Attributes => {
                self.left -= 1;
                self.field = Field::Timestamp;
                if self.left < 0 { Err(Fault::Malformed) } else { Ok(&bytes[1..]) }
            }
            Field::Key | Field::Value | Field::HeaderKey | Field::HeaderValue => {
                let taken = self.skip.min(bytes.len() as i64);
                self.skip -= taken;
                self.left -= taken;
                if self.skip == 0 {
                    self.after_bytes()?;
                }
                Ok(&bytes[taken as usize..])
            }
            _ => self.varint_part(bytes),
        }
    }

    fn varint_part<'a>(&mut self, bytes: &'a [u8]) -> Result<&'a [u8], Fault> {
        let long = self.field == Field::Timestamp;
        let most = if long { VARLONG_BYTES_MAX } else { VARINT_BYTES_MAX };
        for (i, &byte) in bytes.iter().enumerate() {
            if self.field != Field::Length {
                self.left -= 1;
                if self.left < 0 {
                    return Err(Fault::Malformed);
                }
            }
            self.varint |= u64::from(byte & 0x7f) << (7 * self.varint_bytes);
            self.varint_bytes += 1;
            if byte < 0x80 {
                let value = if long { zigzag64(self.varint) } else { zigzag32(self.varint) };
                self.varint = 0;
                self.varint_bytes = 0;
                self.number(value)?;
                return Ok(&bytes[i + 1..]);
            }
            if self.varint_bytes == most {
                return Err(Fault::Malformed);
            }
        }
        Ok(&[])
    }

    /// What a number of this field leads to.
    fn number(&mut self, value: i64) -> Result<(), Fault> {
        match self.field {
            Field::Length => {
                if self.records == self.rules.count || value < 0 {
                    return Err(Fault::Malformed);
                }
                self.left = value;
                self.field = Field::Attributes;
            }
            Field::Timestamp => {
                self.timestamp = self.rules.base_timestamp.wrapping_add(value);
                self.field = Field::Offset;
            }
            Field::Offset => {
                self.note_offset(value)?;
                self.field = Field::KeyLength;
            }
            Field::KeyLength => {
                self.note_key(value);
                self.field = Field::Key;
                self.bytes_ahead(value, -1)?;
            }
            Field::ValueLength => {
                self.field = Field::Value;
                self.bytes_ahead(value, -1)?;
            }
            Field::HeaderCount => {
                if value < 0 {
                    return Err(Fault::Malformed);
                }
                self.headers_left = value;
                self.next_header()?;
            }
            Field::HeaderKeyLength => {
                self.field = Field::HeaderKey;
                self.bytes_ahead(value, 0)?;
            }
            Field::HeaderValueLength => {
                self.field = Field::HeaderValue;
                self.bytes_ahead(value, -1)?;
            }
            _ => {}
        }
        Ok(())
    }

    fn bytes_ahead(&mut self, length: i64, least: i64) -> Result<(), Fault> {
        if length < least || length > self.left {
            return Err(Fault::Malformed);
        }
        self.skip = length.max(0);
        if self.skip == 0 { self.after_bytes() } else { Ok(()) }
    }

    fn after_bytes(&mut self) -> Result<(), Fault> {
        match self.field {
            Field::Key => self.field = Field::ValueLength,
            Field::Value => self.field = Field::HeaderCount,
            Field::HeaderKey => self.field = Field::HeaderValueLength,
            _ => {
                self.headers_left -= 1;
                self.next_header()?;
            }
        }
        Ok(())
    }

    fn next_header(&mut self) -> Result<(), Fault> {
        if self.headers_left > 0 {
            self.field = Field::HeaderKeyLength;
            return Ok(());
        }
        if self.left != 0 {
            return Err(Fault::Malformed);
        }
        self.field = Field::Length;
        self.end_record();
        Ok(())
    }

    fn note_offset(&self, delta: i64) -> Result<(), Fault> {
        if delta == i64::from(self.records) { Ok(()) } else { Err(Fault::Offsets) }
    }

    fn note_key(&mut self, length: i64) {
        if length < 0 && self.rules.keys_required {
            self.refuse(Reason::NoKey);
        }
    }

    fn end_record(&mut self) {
        let timestamp = self.timestamp;
        let outside = timestamp < self.rules.oldest || timestamp > self.rules.newest;
        if outside && timestamp != NO_TIMESTAMP {
            self.refuse(Reason::Timestamp);
            self.out_of_time += 1;
        }
        self.max_timestamp = self.max_timestamp.max(timestamp);
        self.records += 1;
    }

    fn refuse(&mut self, reason: Reason) {
        if let Some(place) = self.listed.get_mut(self.refused as usize) {
            *place = Refused { index: self.records, reason, timestamp: self.timestamp };
        }
        self.refused += 1;
    }
}

impl Sink for Walk {
    /// Goes through the next bytes.
    fn feed(&mut self, bytes: &[u8]) -> Result<(), Fault> {
        let mut rest = bytes;
        while !rest.is_empty() {
            if self.field == Field::Length && self.varint_bytes == 0 {
                // Most records lie whole in what there is.
                if let Some(taken) = self.whole_record(rest)? {
                    rest = &rest[taken..];
                    continue;
                }
            }
            rest = self.part(rest)?;
        }
        Ok(())
    }
}

fn zigzag32(value: u64) -> i64 {
    // A fifth byte may carry more bits than there are; Kafka drops them.
    let value = value as u32;
    i64::from((value >> 1) as i32 ^ -((value & 1) as i32))
}

fn zigzag64(value: u64) -> i64 {
    (value >> 1) as i64 ^ -((value & 1) as i64)
}

/// Reads fields of a record that lies whole in `bytes`.
pub struct Cursor<'a> {
    pub bytes: &'a [u8],
    pub at: usize,
}

impl Cursor<'_> {
    #[inline]
    pub fn varint(&mut self) -> Option<i64> {
        let first = *self.bytes.get(self.at)?;
        if first < 0x80 {
            self.at += 1;
            return Some(zigzag32(u64::from(first)));
        }
        self.long(VARINT_BYTES_MAX).map(zigzag32)
    }

    #[inline]
    pub fn varlong(&mut self) -> Option<i64> {
        self.long(VARLONG_BYTES_MAX).map(zigzag64)
    }

    #[inline]
    fn long(&mut self, most: u32) -> Option<u64> {
        let mut value = 0u64;
        for i in 0..most {
            let byte = *self.bytes.get(self.at)?;
            self.at += 1;
            value |= u64::from(byte & 0x7f) << (7 * i);
            if byte < 0x80 {
                return Some(value);
            }
        }
        None
    }

    /// Over a length and its bytes; gives the length.
    #[inline]
    pub fn bytes(&mut self, least: i64) -> Option<i64> {
        let length = self.varint()?;
        if length < least {
            return None;
        }
        let taken = length.max(0) as usize;
        if taken > self.bytes.len() - self.at {
            return None;
        }
        self.at += taken;
        Some(length)
    }

    /// Over the attributes: the deltas of time and offset.
    #[inline]
    pub fn front(&mut self) -> Option<(i64, i64)> {
        if self.at >= self.bytes.len() {
            return None;
        }
        self.at += 1;
        let timestamp = self.varlong()?;
        Some((timestamp, self.varint()?))
    }

    #[inline]
    pub fn headers(&mut self) -> Option<i64> {
        self.varint().filter(|&count| count >= 0)
    }

    #[inline]
    pub fn header(&mut self) -> Option<()> {
        self.bytes(0)?;
        self.bytes(-1)?;
        Some(())
    }
}

#[cfg(test)]
pub mod tests {
    use super::*;

    pub fn varint(target: &mut Vec<u8>, value: i64) {
        let mut rest = ((value << 1) ^ (value >> 63)) as u64;
        while rest >= 0x80 {
            target.push(rest as u8 | 0x80);
            rest >>= 7;
        }
        target.push(rest as u8);
    }

    fn text(target: &mut Vec<u8>, bytes: Option<&[u8]>) {
        varint(target, bytes.map_or(-1, |bytes| bytes.len() as i64));
        target.extend_from_slice(bytes.unwrap_or_default());
    }

    pub fn record(
        index: i64,
        time: i64,
        key: Option<&[u8]>,
        value: &[u8],
        headers: i64,
    ) -> Vec<u8> {
        let mut body = vec![0];
        varint(&mut body, time);
        varint(&mut body, index);
        text(&mut body, key);
        text(&mut body, Some(value));
        varint(&mut body, headers);
        for _ in 0..headers {
            text(&mut body, Some(b"name"));
            text(&mut body, None);
        }
        let mut whole = Vec::new();
        varint(&mut whole, body.len() as i64);
        whole.extend(body);
        whole
    }

    pub fn rules(count: u32) -> Rules {
        Rules {
            count,
            base_timestamp: 1000,
            oldest: i64::MIN,
            newest: i64::MAX,
            ..Rules::default()
        }
    }

    fn some_records() -> Vec<u8> {
        let mut bytes = record(0, 5, Some(b"key"), &[7; 300], 0);
        bytes.extend(record(1, -3, None, b"", 2));
        bytes.extend(record(2, 1 << 40, Some(b""), &[9; 70], 1));
        bytes
    }

    fn walk_in_pieces(bytes: &[u8], rules: Rules, piece: usize) -> Result<Walk, Fault> {
        let mut walk = Walk::new(rules);
        for part in bytes.chunks(piece) {
            walk.feed(part)?;
        }
        walk.finish().map(|()| walk)
    }

    #[test]
    fn finds_the_latest_time_however_the_bytes_come() {
        let bytes = some_records();
        for piece in 1..=bytes.len() {
            let walk = walk_in_pieces(&bytes, rules(3), piece).ok();
            assert_eq!(walk.map(|walk| walk.max_timestamp), Some(1000 + (1 << 40)), "{piece}");
        }
    }

    #[test]
    fn every_cut_and_every_other_count_is_malformed() {
        let bytes = some_records();
        for piece in [1, 7, bytes.len()] {
            for length in 0..bytes.len() {
                let found = walk_in_pieces(&bytes[..length], rules(3), piece).err();
                assert_eq!(found, Some(Fault::Malformed), "{length} in pieces of {piece}");
            }
            for count in [0, 1, 2, 4] {
                let found = walk_in_pieces(&bytes, rules(count), piece).err();
                assert_eq!(found, Some(Fault::Malformed), "{count} records");
            }
        }
    }

    /// Whatever a byte becomes, both ways through the bytes say the same.
    #[test]
    fn pieces_do_not_change_what_is_said() {
        let bytes = some_records();
        let limits = Rules { keys_required: true, newest: 1004, ..rules(3) };
        for at in 0..bytes.len() {
            for flip in [1, 2, 4, 8, 0x10, 0x20, 0x40, 0x80, 0xff] {
                let mut changed = bytes.clone();
                changed[at] ^= flip;
                let said = |piece| {
                    walk_in_pieces(&changed, limits, piece)
                        .map(|walk| (walk.max_timestamp, walk.refused, walk.listed))
                };
                let whole = said(changed.len());
                for piece in [1, 3, 100] {
                    assert_eq!(
                        said(piece),
                        whole,
                        "byte {at} flipped by {flip}, pieces of {piece}"
                    );
                }
            }
        }
    }

    #[test]
    fn refused_records_are_listed_and_counted() {
        let mut bytes = Vec::new();
        for index in 0..20 {
            bytes.extend(record(index, index * 10, None, b"value", 0));
        }
        let limits = Rules { keys_required: true, oldest: 1010, ..rules(20) };
        let walk = walk_in_pieces(&bytes, limits, bytes.len()).ok();
        let Some(walk) = walk else { panic!("refused as a whole") };
        assert_eq!((walk.refused, walk.out_of_time), (21, 1));
        let expected = Refused { index: 0, reason: Reason::Timestamp, timestamp: 1000 };
        assert_eq!(walk.listed[1], expected);
        assert_eq!(walk.listed[2].index, 1);
        assert_eq!(walk.max_timestamp, 1190);
    }

    #[test]
    fn no_time_is_never_out_of_bounds() {
        let bytes = record(0, -1001, Some(b""), b"", 0);
        let limits = Rules { oldest: 5000, ..rules(1) };
        let walk = walk_in_pieces(&bytes, limits, bytes.len()).ok();
        assert_eq!(walk.map(|walk| (walk.refused, walk.max_timestamp)), Some((0, -1)));
    }

    #[test]
    fn offsets_count_up_from_0() {
        for (first, second) in [(1, 2), (0, 0), (1, 0), (0, 2), (-1, 0)] {
            let mut bytes = record(first, 0, None, b"", 0);
            bytes.extend(record(second, 0, None, b"", 0));
            for piece in [1, bytes.len()] {
                let found = walk_in_pieces(&bytes, rules(2), piece).err();
                assert_eq!(found, Some(Fault::Offsets), "{first} {second}");
            }
        }
    }
}
