use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use crate::{Corruption, Split};

/// What random numbers are drawn for. Different purposes never share numbers, even under one seed.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Purpose {
    /// The look of one drawn image.
    Image(Split),
    /// The order of the classes in one block of drawn images.
    Labels(Split),
    /// The order of the images in one epoch.
    Epoch,
    /// The order of the files of a folder.
    Files,
}

/// The random numbers number `index` of `purpose` under `seed`: independent of all others, so that any one can be
/// had without those before it.
pub(crate) fn stream(seed: u64, purpose: Purpose, index: u64) -> ChaCha8Rng {
    let purpose: u64 = match purpose {
        Purpose::Image(Split::Train) => 0,
        Purpose::Image(Split::Test) => 1,
        Purpose::Labels(Split::Train) => 2,
        Purpose::Labels(Split::Test) => 3,
        Purpose::Epoch => 4,
        Purpose::Files => 5,
    };
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    rng.set_stream((purpose << 56) | (index & ((1 << 56) - 1)));
    rng
}

/// The random numbers that decide how image `index` is augmented in `epoch`: those of no other image, epoch or seed,
/// and those of no [`stream`], whose keys look random and not like this.
pub(crate) fn augmentation_stream(seed: u64, epoch: u64, index: usize) -> ChaCha8Rng {
    let mut key = *b"seed----epoch---buckler augment.";
    key[..8].copy_from_slice(&seed.to_le_bytes());
    key[8..16].copy_from_slice(&epoch.to_le_bytes());
    let mut rng = ChaCha8Rng::from_seed(key);
    rng.set_stream(index as u64);
    rng
}

/// The random numbers of one corruption of image `id`: those of no other image, seed, corruption or purpose.
pub(crate) fn corruption_stream(seed: u64, id: u64, corruption: Corruption) -> ChaCha8Rng {
    let mut key = *b"seed----id------buckler corrupt.";
    key[..8].copy_from_slice(&seed.to_le_bytes());
    key[8..16].copy_from_slice(&id.to_le_bytes());
    let mut rng = ChaCha8Rng::from_seed(key);
    // The published names tell corruptions apart, whatever order they are listed in.
    let mut name = [0; 8];
    for (slot, byte) in name.iter_mut().zip(corruption.name().bytes()) {
        *slot = byte;
    }
    rng.set_stream(u64::from_le_bytes(name));
    rng
}
