//! Randomness that is the same in every run.

use std::sync::atomic::{AtomicU64, Ordering};

use doorward_core::Entropy;

/// SplitMix64 from a seed: unlike enough that nothing collides, and nothing that could pass for a secret.
#[derive(Debug)]
pub struct Seeded(AtomicU64);

impl Seeded {
    /// From a seed; two handles on one database need two.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self(AtomicU64::new(seed.wrapping_mul(0xa076_1d64_78bd_642f)))
    }

    fn next(&self) -> u64 {
        const STEP: u64 = 0x9e37_79b9_7f4a_7c15;
        let mut z = self.0.fetch_add(STEP, Ordering::SeqCst).wrapping_add(STEP);
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}

impl Entropy for Seeded {
    fn fill(&self, bytes: &mut [u8]) {
        for chunk in bytes.chunks_mut(8) {
            let random = self.next().to_le_bytes();
            chunk.iter_mut().zip(random).for_each(|(to, from)| *to = from);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn first(seed: u64) -> [u8; 40] {
        let mut bytes = [0; 40];
        Seeded::new(seed).fill(&mut bytes);
        bytes
    }

    #[test]
    fn a_seed_gives_the_same_bytes_in_every_run_and_another_seed_others() {
        assert_eq!(first(1), first(1));
        assert_ne!(first(1), first(2));
        let source = Seeded::new(1);
        let (mut one, mut two) = ([0; 32], [0; 32]);
        source.fill(&mut one);
        source.fill(&mut two);
        assert_ne!(one, two);
    }
}
