use rand::seq::SliceRandom;

use crate::{
    DataError, Dataset,
    stream::{Purpose, stream},
};

/// The order in which epoch number `epoch` visits `n` images: a permutation of `0..n` that depends on nothing but the
/// arguments, so that a resumed training goes on as if it had not stopped. Batches are its `chunks`.
pub fn epoch_order(n: usize, seed: u64, epoch: u64) -> Vec<usize> {
    let mut order: Vec<usize> = (0..n).collect();
    order.shuffle(&mut stream(seed, Purpose::Epoch, epoch));
    order
}

/// The images at `indices` as numbers in `[0, 1]`, `[indices.len(), channels, height, width]` row-major, with their
/// labels: not augmented, and not ahead of time as a [`crate::Loader`] does it.
///
/// # Errors
/// When there is no image at an index, or one cannot be decoded.
pub fn gather(dataset: &Dataset, indices: &[usize]) -> Result<(Vec<f32>, Vec<i64>), DataError> {
    let images = dataset.to_f32(indices.iter().copied())?;
    let labels = indices
        .iter()
        .map(|&index| {
            let label = dataset.label(index).ok_or_else(|| dataset.no_such(index))?;
            Ok(i64::from(label))
        })
        .collect::<Result<_, DataError>>()?;
    Ok((images, labels))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::Split;

    proptest! {
        #[test]
        fn an_epoch_visits_every_image_once(n in 0usize..500, seed: u64, epoch in 0u64..1000) {
            let mut order = epoch_order(n, seed, epoch);
            prop_assert_eq!(&order, &epoch_order(n, seed, epoch));
            order.sort_unstable();
            prop_assert_eq!(order, (0..n).collect::<Vec<_>>());
        }
    }

    #[test]
    fn epochs_and_seeds_differ_in_order() {
        let order = epoch_order(100, 1, 0);
        assert_ne!(order, (0..100).collect::<Vec<_>>());
        assert_ne!(order, epoch_order(100, 1, 1));
        assert_ne!(order, epoch_order(100, 2, 0));
    }

    #[test]
    fn gather_keeps_images_and_labels_together() {
        let classes = (0..3).map(|class| class.to_string()).collect();
        let data = Dataset::new(
            "toy",
            Split::Train,
            classes,
            [1, 1, 1],
            vec![0, 51, 255],
            vec![2, 0, 1],
        )
        .unwrap();
        assert_eq!(
            gather(&data, &[2, 0, 1]).unwrap(),
            (vec![1.0, 0.0, 0.2], vec![1, 2, 0])
        );
        assert!(gather(&data, &[0, 3]).is_err());
    }
}
