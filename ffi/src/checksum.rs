//! CRC-32C (Castagnoli), the checksum of Kafka's record batches and of every format of ours.

use crc_fast::{CrcAlgorithm, Digest};

/// Unit of sealing (bytes), and of every disk transfer.
pub const BLOCK_SIZE: usize = 4096;

/// CRC-32C of `bytes`, going on from `seed`, the CRC of what came before (0 at the start).
pub fn crc32c(seed: u32, bytes: &[u8]) -> u32 {
    if seed == 0 {
        return crc_fast::crc32_iscsi(bytes);
    }
    // The state inside is the complement of the finished value.
    let mut digest = Digest::new_with_init_state(CrcAlgorithm::Crc32Iscsi, u64::from(!seed));
    digest.update(bytes);
    digest.finalize() as u32
}

/// Writes into the first four bytes of each whole block the CRC-32C (little-endian) of its others.
pub fn seal_blocks(bytes: &mut [u8]) {
    for block in bytes.chunks_exact_mut(BLOCK_SIZE) {
        let crc = crc32c(0, &block[4..]);
        block[..4].copy_from_slice(&crc.to_le_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Bit by bit, from the definition.
    fn slow(bytes: &[u8]) -> u32 {
        let mut crc = !0u32;
        for &byte in bytes {
            crc ^= u32::from(byte);
            for _ in 0..8 {
                crc = if crc & 1 == 1 { (crc >> 1) ^ 0x82f6_3b78 } else { crc >> 1 };
            }
        }
        !crc
    }

    #[test]
    fn known_values() {
        assert_eq!(crc32c(0, b""), 0);
        assert_eq!(crc32c(0, b"123456789"), 0xe306_9283);
        assert_eq!(crc32c(0, &[0u8; 32]), 0x8a91_36aa);
    }

    #[test]
    fn agrees_with_the_definition_at_every_length_and_split() {
        let bytes: Vec<u8> =
            (0..1500u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
        for length in (0..300).chain([511, 512, 1023, 1024, 1500]) {
            let whole = slow(&bytes[..length]);
            assert_eq!(crc32c(0, &bytes[..length]), whole, "length {length}");
            let split = length / 3;
            let first = crc32c(0, &bytes[..split]);
            assert_eq!(crc32c(first, &bytes[split..length]), whole, "split {split} of {length}");
        }
    }

    #[test]
    fn sealing_touches_whole_blocks_alone() {
        let mut bytes = vec![7u8; 2 * BLOCK_SIZE + 100];
        seal_blocks(&mut bytes);
        let expected = slow(&[7u8; BLOCK_SIZE - 4]).to_le_bytes();
        assert_eq!(bytes[..4], expected);
        assert_eq!(bytes[BLOCK_SIZE..BLOCK_SIZE + 4], expected);
        assert!(bytes[2 * BLOCK_SIZE..].iter().all(|&byte| byte == 7));
        assert!(bytes[4..BLOCK_SIZE].iter().all(|&byte| byte == 7));
    }
}
