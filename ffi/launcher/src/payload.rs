//! What follows the launcher in the file, and where each part belongs.
//!
//! ```text
//!   | launcher (ELF) | frames | index | index position, index words, MAGIC |
//! ```
//!
//! Frames are whole zstd frames. The index and the three words at the end are little-endian u64:
//! the number of items, then per item [`Kind`], bytes of memory, entry, program headers (place, number), number of
//! frames, number of segments, four words per frame, three per segment. `scripts/compile/payload.ts` writes it.

/// The last word of the file: "GREGOR" and the version of this layout.
pub const MAGIC: u64 = u64::from_le_bytes(*b"GREGOR\x01\n");
/// Index position, index words, [`MAGIC`].
const TRAILER_WORDS: usize = 3;
/// Far more than there are; a bound for what a damaged file may ask for.
const ITEMS_MAX: usize = 64;
/// No part is larger than this (bytes).
const SIZE_MAX: usize = 1 << 30;

const PAGE: usize = 4096;

/// What a part is, by its number in the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The runtime's executable, laid out as its segments want it.
    Program = 1,
    /// The dynamic loader, likewise.
    Loader = 2,
    /// A shared library that the program or the shim needs.
    Library = 3,
    /// `libgregor.so`.
    Shim = 4,
    /// What a shard's thread runs.
    Worker = 5,
    /// What the control thread runs.
    Main = 6,
    /// The program's arguments, each followed by a NUL; `{main}` stands for the script that runs `Main`.
    Arguments = 7,
}

impl Kind {
    fn of(number: usize) -> Option<Kind> {
        [
            Kind::Program,
            Kind::Loader,
            Kind::Library,
            Kind::Shim,
            Kind::Worker,
            Kind::Main,
            Kind::Arguments,
        ]
        .into_iter()
        .find(|kind| *kind as usize == number)
    }

    /// It is code with segments, not a file.
    pub fn is_image(self) -> bool {
        matches!(self, Kind::Program | Kind::Loader)
    }
}

/// One zstd frame: its place in the file, and that of its content in the part.
#[derive(Debug, PartialEq, Eq)]
pub struct Frame {
    pub from: usize,
    pub packed: usize,
    pub to: usize,
    pub length: usize,
}

/// Whole pages of an image with one protection (PROT_READ and so on).
#[derive(Debug, PartialEq, Eq)]
pub struct Segment {
    pub at: usize,
    pub length: usize,
    pub protection: i32,
}

#[derive(Debug, PartialEq, Eq)]
pub struct Item {
    pub kind: Kind,
    /// Bytes of memory; of a file, its length.
    pub size: usize,
    /// Of images: where execution begins, where the program headers are, how many there are.
    pub entry: usize,
    pub headers: usize,
    pub header_count: usize,
    pub frames: Vec<Frame>,
    pub segments: Vec<Segment>,
}

/// Reads the index of a whole file. The error is for people.
pub fn read(file: &[u8]) -> Result<Vec<Item>, &'static str> {
    let end = file.len().checked_sub(TRAILER_WORDS * 8).ok_or("the file is cut short")?;
    let trailer = words_of(&file[end..]);
    if trailer[2] != MAGIC {
        return Err("the file is cut short, or something was appended to it");
    }
    const DAMAGED: &str = "the index is damaged";
    let (position, count) = (trailer[0] as usize, trailer[1] as usize);
    let length = count.checked_mul(8).ok_or(DAMAGED)?;
    if position.checked_add(length) != Some(end) {
        return Err(DAMAGED);
    }
    let mut reader = Reader { words: words_of(&file[position..end]), at: 0 };
    let items = reader.bounded(ITEMS_MAX).ok_or(DAMAGED)?;
    (0..items).map(|_| reader.item(position)).collect::<Option<Vec<_>>>().ok_or(DAMAGED)
}

fn words_of(bytes: &[u8]) -> Vec<u64> {
    let (words, _) = bytes.as_chunks::<8>();
    words.iter().map(|word| u64::from_le_bytes(*word)).collect()
}

struct Reader {
    words: Vec<u64>,
    at: usize,
}

impl Reader {
    fn bounded(&mut self, max: usize) -> Option<usize> {
        let word = usize::try_from(*self.words.get(self.at)?).ok()?;
        self.at += 1;
        (word <= max).then_some(word)
    }

    fn item(&mut self, file_end: usize) -> Option<Item> {
        let kind = Kind::of(self.bounded(usize::MAX)?)?;
        let size = self.bounded(SIZE_MAX)?;
        let entry = self.bounded(size)?;
        let headers = self.bounded(size)?;
        let header_count = self.bounded(ITEMS_MAX)?;
        let frame_count = self.bounded(self.words.len())?;
        let segment_count = self.bounded(ITEMS_MAX)?;
        let frames = (0..frame_count).map(|_| {
            let from = self.bounded(file_end)?;
            let packed = self.bounded(file_end - from)?;
            let to = self.bounded(size)?;
            let length = self.bounded(size - to)?;
            Some(Frame { from, packed, to, length })
        });
        let frames = frames.collect::<Option<Vec<_>>>()?;
        let segments = (0..segment_count).map(|_| {
            let at = self.bounded(size)?;
            let length = self.bounded(size - at)?;
            let protection = self.bounded(7)? as i32;
            (at % PAGE == 0).then_some(Segment { at, length, protection })
        });
        let segments = segments.collect::<Option<Vec<_>>>()?;
        Some(Item { kind, size, entry, headers, header_count, frames, segments })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file_of(body: &[u8], index: &[u64]) -> Vec<u8> {
        let mut file = body.to_vec();
        let trailer = [body.len() as u64, index.len() as u64, MAGIC];
        for word in index.iter().chain(&trailer) {
            file.extend(word.to_le_bytes());
        }
        file
    }

    const INDEX: [u64; 15] = [1, 1, 8192, 4096, 64, 9, 1, 1, 10, 20, 0, 100, 4096, 4096, 5];

    #[test]
    fn an_index_is_read_as_it_was_written() {
        let items = read(&file_of(&[0; 100], &INDEX));
        let item = Item {
            kind: Kind::Program,
            size: 8192,
            entry: 4096,
            headers: 64,
            header_count: 9,
            frames: vec![Frame { from: 10, packed: 20, to: 0, length: 100 }],
            segments: vec![Segment { at: 4096, length: 4096, protection: 5 }],
        };
        assert_eq!(items, Ok(vec![item]));
    }

    #[test]
    fn no_damaged_word_leads_outside_the_file_or_the_part() {
        for at in 0..INDEX.len() {
            for value in [0, 1, 7, 8, 63, 64, 99, 4097, 8193, u64::MAX / 8, u64::MAX] {
                let mut index = INDEX;
                index[at] = value;
                let Ok(items) = read(&file_of(&[0; 100], &index)) else { continue };
                for item in items {
                    for frame in item.frames {
                        assert!(frame.from + frame.packed <= 100);
                        assert!(frame.to + frame.length <= item.size);
                    }
                    for segment in item.segments {
                        assert!(segment.at + segment.length <= item.size);
                    }
                }
            }
        }
    }

    #[test]
    fn a_file_that_is_cut_or_longer_is_refused() {
        let whole = file_of(&[0; 100], &INDEX);
        for length in 0..whole.len() {
            assert!(read(&whole[..length]).is_err());
        }
        let mut longer = whole;
        longer.push(b'\n');
        assert!(read(&longer).is_err());
    }
}
