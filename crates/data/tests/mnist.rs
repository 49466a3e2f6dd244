//! Against the real MNIST, where it is at hand.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use buckler_data::{DataSource, Dataset, LoadOptions, Split};

/// The split, or `None` and a line that says so when `BUCKLER_DATA` names no directory.
fn load(split: Split, size: Option<usize>) -> Option<Dataset> {
    if std::env::var_os("BUCKLER_DATA").is_none_or(|root| root.is_empty()) {
        eprintln!("skipped: BUCKLER_DATA is not set");
        return None;
    }
    Some(
        DataSource::Mnist { dir: None }
            .load(
                split,
                &LoadOptions {
                    size,
                    ..Default::default()
                },
            )
            .unwrap(),
    )
}

#[test]
fn the_test_split_has_the_published_numbers_of_each_digit() {
    let Some(test) = load(Split::Test, None) else {
        return;
    };
    let mut histogram = [0; 10];
    for &label in test.labels() {
        histogram[usize::from(label)] += 1;
    }
    assert_eq!(
        histogram,
        [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]
    );
}

#[test]
fn the_training_split_has_the_published_size_and_mean() {
    let Some(train) = load(Split::Train, None) else {
        return;
    };
    assert_eq!((train.len(), train.shape()), (60_000, [1, 28, 28]));
    let sum: u64 = (0..train.len())
        .flat_map(|index| train.image(index).unwrap().into_owned())
        .map(u64::from)
        .sum();
    let mean = sum as f64 / (train.len() * train.image_len()) as f64 / 255.0;
    assert!((mean - 0.1307).abs() < 5e-5, "{mean}");
}

#[test]
fn a_size_takes_the_first_images() {
    let Some(whole) = load(Split::Test, None) else {
        return;
    };
    let part = load(Split::Test, Some(100)).unwrap();
    assert_eq!(part, whole.take(100));
}
