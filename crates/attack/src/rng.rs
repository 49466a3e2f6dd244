//! Random streams that depend on nothing but the seed, the sample, the restart or draw, and what they are for.

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

/// What is drawn from a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// Whatever an attack draws in a restart.
    Attack,
    /// Noise that selects the class to certify.
    Selection,
    /// Noise that estimates the probability of that class.
    Estimation,
    /// Noise that predicts a class.
    Prediction,
    /// The place of an image among the sources of a feature attack.
    Source,
}

/// The random stream of one sample in one restart of an attack.
pub(crate) fn stream(seed: u64, id: u64, restart: u64) -> ChaCha8Rng {
    stream_for(Purpose::Attack, seed, id, restart)
}

/// The random stream of one sample, for one of many draws.
///
/// The four numbers are the cipher's key, so no two streams coincide, and what a sample draws does not depend on the
/// batch it runs in, its place there or its neighbours.
pub(crate) fn stream_for(purpose: Purpose, seed: u64, id: u64, index: u64) -> ChaCha8Rng {
    let mut key = [0; 32];
    let words = [seed, id, index, purpose as u64];
    for (slot, number) in key.chunks_exact_mut(8).zip(words) {
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
    fn every_seed_sample_restart_and_purpose_has_a_stream_of_its_own() {
        let mut firsts = HashSet::new();
        for purpose in [
            Purpose::Attack,
            Purpose::Selection,
            Purpose::Estimation,
            Purpose::Prediction,
            Purpose::Source,
        ] {
            for seed in 0..5 {
                for id in 0..5 {
                    for restart in 0..5 {
                        firsts.insert(stream_for(purpose, seed, id, restart).random::<u64>());
                    }
                }
            }
        }
        assert_eq!(firsts.len(), 625);
    }

    #[test]
    fn a_stream_repeats() {
        assert_eq!(
            stream(7, 8, 9).random::<u64>(),
            stream(7, 8, 9).random::<u64>()
        );
    }
}
