//! Latencies in nanoseconds, kept to better than 1 % in logarithmic buckets with linear parts.

const PART_BITS: u32 = 7;
const PARTS: usize = 1 << PART_BITS;

pub struct Histogram {
    counts: Vec<u64>,
    count: u64,
    max: u64,
}

impl Histogram {
    pub fn new() -> Histogram {
        Histogram { counts: vec![0; PARTS * (65 - PART_BITS as usize)], count: 0, max: 0 }
    }

    pub fn record(&mut self, value: u64) {
        self.counts[bucket(value)] += 1;
        self.count += 1;
        self.max = self.max.max(value);
    }

    pub fn count(&self) -> u64 {
        self.count
    }

    pub fn max(&self) -> u64 {
        self.max
    }

    /// The value that `part` (0 to 1) of all recorded ones do not exceed; 0 when there are none.
    pub fn quantile(&self, part: f64) -> u64 {
        let wanted = (part * self.count as f64).ceil() as u64;
        let mut seen = 0;
        for (at, count) in self.counts.iter().enumerate() {
            seen += count;
            if seen >= wanted && seen > 0 {
                return highest(at).min(self.max);
            }
        }
        self.max
    }
}

fn bucket(value: u64) -> usize {
    let shift = (64 - value.leading_zeros()).saturating_sub(PART_BITS + 1);
    (shift as usize) * PARTS + (value >> shift) as usize
}

/// The largest value in a bucket.
fn highest(bucket: usize) -> u64 {
    if bucket < 2 * PARTS {
        return bucket as u64;
    }
    let shift = (bucket / PARTS - 1) as u32;
    let top = (bucket % PARTS + PARTS) as u64;
    (top << shift) + ((1 << shift) - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_values_to_one_percent() {
        for value in [0, 1, 127, 128, 255, 256, 1000, 123_456, 10_000_000_000] {
            let found = highest(bucket(value));
            assert!(found >= value && found - value <= value / 100, "{value} became {found}");
        }
    }

    #[test]
    fn finds_quantiles() {
        let mut histogram = Histogram::new();
        (1..=100).for_each(|value| histogram.record(value));
        assert_eq!(histogram.quantile(0.5), 50);
        assert_eq!(histogram.quantile(0.99), 99);
        assert_eq!(histogram.quantile(1.0), 100);
    }
}
