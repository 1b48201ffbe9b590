//! CRC-32C by table: batches are checked once, before anything is measured.

const POLYNOMIAL: u32 = 0x82f6_3b78;

pub fn crc32c(bytes: &[u8]) -> u32 {
    let table: [u32; 256] = std::array::from_fn(|at| {
        (0..8).fold(at as u32, |sum, _| (sum >> 1) ^ if sum & 1 == 1 { POLYNOMIAL } else { 0 })
    });
    !bytes
        .iter()
        .fold(!0, |sum, byte| (sum >> 8) ^ table[((sum ^ u32::from(*byte)) & 0xff) as usize])
}

#[cfg(test)]
mod tests {
    #[test]
    fn agrees_with_the_check_value_of_the_polynomial() {
        assert_eq!(super::crc32c(b"123456789"), 0xe306_9283);
    }
}
