//! Which record is the last one of its key: hashes of keys with the offset of their newest record, in memory that the
//! caller provides.
//!
//! One slot is 16 bytes: 12 bytes of the key's hash, and how far its newest record lies behind the base, plus one (0: the
//! slot is free). The hash is keyed with random numbers (SipHash-2-4), because two keys with one hash would be taken for
//! the same, and whoever writes records must not be able to make such keys.

const SLOT: usize = 16;

/// The keys of one hash function.
#[derive(Clone, Copy)]
pub struct Seed(pub u64, pub u64);

pub struct KeyMap<'a> {
    slots: &'a mut [u8],
    base: i64,
    seed: Seed,
}

impl<'a> KeyMap<'a> {
    /// Over `slots`, which were zeroed before the first use. No offset is below `base`, or 2^32 - 1 behind it.
    pub fn new(slots: &'a mut [u8], base: i64, seed: Seed) -> Self {
        let whole = slots.len() - slots.len() % SLOT;
        Self { slots: &mut slots[..whole], base, seed }
    }

    /// Notes a record that is newer than all before it; whether its key is a new one. The map must not be full.
    pub fn put(&mut self, key: &[u8], offset: i64) -> bool {
        let (hash, mut at) = self.place(key);
        let distance = ((offset - self.base + 1) as u32).to_le_bytes();
        loop {
            let slot = &mut self.slots[at..at + SLOT];
            let is_free = slot[12..] == [0; 4];
            if is_free || slot[..12] == hash {
                slot[..12].copy_from_slice(&hash);
                slot[12..].copy_from_slice(&distance);
                return is_free;
            }
            at = (at + SLOT) % self.slots.len();
        }
    }

    /// The newest offset of a key; -1: it has none.
    pub fn get(&self, key: &[u8]) -> i64 {
        if self.slots.is_empty() {
            return -1;
        }
        let (hash, first) = self.place(key);
        let mut at = first;
        loop {
            let slot = &self.slots[at..at + SLOT];
            let distance = u32::from_le_bytes([slot[12], slot[13], slot[14], slot[15]]);
            if distance == 0 {
                return -1;
            }
            if slot[..12] == hash {
                return self.base + i64::from(distance) - 1;
            }
            at = (at + SLOT) % self.slots.len();
            if at == first {
                return -1;
            }
        }
    }

    fn place(&self, key: &[u8]) -> ([u8; 12], usize) {
        let (low, high) = siphash128(self.seed, key);
        let mut hash = [0; 12];
        hash[..8].copy_from_slice(&low.to_le_bytes());
        hash[8..].copy_from_slice(&(high as u32).to_le_bytes());
        let count = (self.slots.len() / SLOT) as u64;
        (hash, (high % count) as usize * SLOT)
    }
}

/// SipHash-2-4 with an output of 128 bits.
fn siphash128(Seed(k0, k1): Seed, bytes: &[u8]) -> (u64, u64) {
    let mut v = [
        k0 ^ 0x736f_6d65_7073_6575,
        k1 ^ 0x646f_7261_6e64_6f6d ^ 0xee,
        k0 ^ 0x6c79_6765_6e65_7261,
        k1 ^ 0x7465_6462_7974_6573,
    ];
    let mut words = bytes.chunks_exact(8);
    for word in &mut words {
        let mut eight = [0; 8];
        eight.copy_from_slice(word);
        absorb(&mut v, u64::from_le_bytes(eight));
    }
    let mut last = [0; 8];
    let rest = words.remainder();
    last[..rest.len()].copy_from_slice(rest);
    last[7] = bytes.len() as u8;
    absorb(&mut v, u64::from_le_bytes(last));
    v[2] ^= 0xee;
    let low = squeeze(&mut v);
    v[1] ^= 0xdd;
    (low, squeeze(&mut v))
}

fn absorb(v: &mut [u64; 4], word: u64) {
    v[3] ^= word;
    round(v);
    round(v);
    v[0] ^= word;
}

fn squeeze(v: &mut [u64; 4]) -> u64 {
    for _ in 0..4 {
        round(v);
    }
    v[0] ^ v[1] ^ v[2] ^ v[3]
}

fn round(v: &mut [u64; 4]) {
    v[0] = v[0].wrapping_add(v[1]);
    v[1] = v[1].rotate_left(13) ^ v[0];
    v[0] = v[0].rotate_left(32);
    v[2] = v[2].wrapping_add(v[3]);
    v[3] = v[3].rotate_left(16) ^ v[2];
    v[0] = v[0].wrapping_add(v[3]);
    v[3] = v[3].rotate_left(21) ^ v[0];
    v[2] = v[2].wrapping_add(v[1]);
    v[1] = v[1].rotate_left(17) ^ v[2];
    v[2] = v[2].rotate_left(32);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_are_those_of_the_reference() {
        // The reference's first and last vectors of 128 bits: keys 00..0f, inputs of 0 and 1 bytes.
        let seed = Seed(0x0706_0504_0302_0100, 0x0f0e_0d0c_0b0a_0908);
        let expected = [(0xe6a8_25ba_047f_81a3u64, 0x9302_55c7_1472_f66du64)];
        assert_eq!(siphash128(seed, &[]), expected[0]);
        let one = (0x44af_996b_d8c1_87dau64, 0x45fc_229b_1159_7634u64);
        assert_eq!(siphash128(seed, &[0]), one);
    }

    #[test]
    fn the_newest_offset_of_each_key_is_found() {
        let mut slots = vec![0; 64 * SLOT];
        let mut map = KeyMap::new(&mut slots, 1000, Seed(1, 2));
        for offset in 1000..1200i64 {
            let key = [(offset % 40) as u8; 9];
            assert_eq!(map.put(&key, offset), offset < 1040);
        }
        for n in 0..40i64 {
            assert_eq!(map.get(&[n as u8; 9]), 1160 + n);
        }
        assert_eq!(map.get(b"absent"), -1);
        assert_eq!(KeyMap::new(&mut [], 0, Seed(1, 2)).get(b"a"), -1);
    }
}
