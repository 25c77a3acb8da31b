//! The one door to randomness.

use std::sync::atomic::{AtomicU64, Ordering};

/// A source of pseudo-random numbers (SplitMix64). Good for jitter and identifiers, not for
/// secrets. The program seeds it from the operating system, tests with a number.
#[derive(Debug)]
pub struct Random(AtomicU64);

impl Random {
    /// Starts from a seed; equal seeds give equal numbers.
    #[must_use]
    pub fn seeded(seed: u64) -> Self {
        Self(AtomicU64::new(seed))
    }

    /// The next 64 bits.
    pub fn next_u64(&self) -> u64 {
        const STEP: u64 = 0x9E37_79B9_7F4A_7C15;
        let mut z = self.0.fetch_add(STEP, Ordering::Relaxed).wrapping_add(STEP);
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// A number from 0 up to and without 1.
    pub fn unit(&self) -> f64 {
        const BITS: u32 = 53;
        #[expect(clippy::cast_precision_loss, reason = "53 bits fit a double exactly")]
        let unit = (self.next_u64() >> (64 - BITS)) as f64 / (1_u64 << BITS) as f64;
        unit
    }

    /// A number from 0 up to and without `bound`; 0 when `bound` is 0.
    pub fn below(&self, bound: u64) -> u64 {
        if bound == 0 { 0 } else { self.next_u64() % bound }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_seeds_give_equal_numbers_in_range() {
        let (a, b) = (Random::seeded(7), Random::seeded(7));
        for _ in 0..100 {
            assert_eq!(a.next_u64(), b.next_u64());
            let unit = a.unit();
            assert!((0.0..1.0).contains(&unit));
            b.unit();
            assert!(a.below(3) < 3);
            b.below(3);
        }
    }
}
