//! Random streams that depend on nothing but the seed, the sample and the restart.

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

/// The random stream of one sample in one restart.
///
/// The three numbers are the cipher's key, so no two streams coincide, and what a sample draws does not depend on the
/// batch it runs in, its place there or its neighbours.
pub(crate) fn stream(seed: u64, id: u64, restart: u64) -> ChaCha8Rng {
    let mut key = [0; 32];
    for (slot, number) in key.chunks_exact_mut(8).zip([seed, id, restart]) {
        slot.copy_from_slice(&number.to_le_bytes());
    }
    ChaCha8Rng::from_seed(key)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::Rng;
    use std::collections::HashSet;

    #[test]
    fn every_seed_sample_and_restart_has_a_stream_of_its_own() {
        let mut firsts = HashSet::new();
        for seed in 0..5 {
            for id in 0..5 {
                for restart in 0..5 {
                    firsts.insert(stream(seed, id, restart).random::<u64>());
                }
            }
        }
        assert_eq!(firsts.len(), 125);
    }

    #[test]
    fn a_stream_repeats() {
        assert_eq!(
            stream(7, 8, 9).random::<u64>(),
            stream(7, 8, 9).random::<u64>()
        );
    }
}
