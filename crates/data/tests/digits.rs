//! The built-in data set, as a whole.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::{borrow::Cow, collections::HashSet};

use buckler_data::{
    DataSource, Dataset, LoadOptions, MAX_DIGITS, Split, digits, epoch_order, gather,
};
use flate2::Crc;

fn images(data: &Dataset) -> HashSet<Cow<'_, [u8]>> {
    (0..data.len())
        .map(|index| data.image(index).unwrap())
        .collect()
}

#[test]
fn a_smaller_data_set_is_the_beginning_of_a_larger_one() {
    let large = digits(Split::Train, 57, 3).unwrap();
    for n in [1, 10, 23, 57] {
        assert_eq!(digits(Split::Train, n, 3).unwrap(), large.clone().take(n));
    }
}

#[test]
fn splits_and_seeds_share_no_image() {
    let sets = [
        (Split::Train, 0),
        (Split::Test, 0),
        (Split::Train, 1),
        (Split::Test, 1),
    ]
    .map(|(split, seed)| digits(split, 300, seed).unwrap());
    let distinct: HashSet<_> = sets.iter().flat_map(images).collect();
    assert_eq!(distinct.len(), 4 * 300);
}

#[test]
fn classes_are_balanced_and_shuffled() {
    let data = digits(Split::Train, 1000, 0).unwrap();
    let blocks: HashSet<&[u16]> = data.labels().chunks(10).collect();
    for block in &blocks {
        assert_eq!(block.iter().collect::<HashSet<_>>().len(), 10, "{block:?}");
    }
    assert!(blocks.len() > 90, "the order of the classes hardly changes");
}

/// The drawing uses no function whose result the platform decides, so that a model trained on one machine is evaluated on
/// the same images on another. Other checksums mean another data set, and accuracies that cannot be compared.
#[test]
fn the_images_are_the_same_on_every_platform() {
    let checksum = |split, seed| {
        let mut crc = Crc::new();
        let data = digits(split, 200, seed).unwrap();
        for index in 0..data.len() {
            crc.update(&data.image(index).unwrap());
        }
        crc.sum()
    };
    assert_eq!(
        [checksum(Split::Train, 0), checksum(Split::Test, 7)],
        [622288028, 842323408]
    );
}

#[test]
fn digits_are_white_on_black_in_the_middle_of_the_canvas() {
    let data = digits(Split::Test, 500, 0).unwrap();
    for index in 0..data.len() {
        let image = data.image(index).unwrap();
        assert!(
            image.iter().filter(|&&byte| byte > 240).count() >= 8,
            "image {index} has no full white"
        );
        let border = (0..28).flat_map(|i| [i, 27 * 28 + i, i * 28, i * 28 + 27]);
        assert!(
            border.clone().all(|at| image[at] < 32),
            "image {index} touches the border"
        );
    }
    let values = data.to_f32(0..data.len()).unwrap();
    let sum: f64 = values.iter().map(|&value| f64::from(value)).sum();
    let mean = sum / values.len() as f64;
    assert!((0.08..0.2).contains(&mean), "{mean}");
}

#[test]
fn sizes_out_of_range_are_refused() {
    for n in [0, MAX_DIGITS + 1, usize::MAX] {
        assert!(digits(Split::Train, n, 0).is_err());
    }
}

#[test]
fn the_source_draws_the_size_and_seed_asked_for() {
    let options = LoadOptions {
        size: Some(30),
        seed: 5,
        ..Default::default()
    };
    assert_eq!(
        DataSource::Digits.load(Split::Test, &options).unwrap(),
        digits(Split::Test, 30, 5).unwrap()
    );
    let usual = LoadOptions::default();
    assert_eq!(
        DataSource::Digits.load(Split::Test, &usual).unwrap().len(),
        1000
    );
}

/// Trains softmax regression by plain stochastic gradient descent, and returns its accuracy on `test`.
fn linear_accuracy(train: &Dataset, test: &Dataset) -> f64 {
    let features = train.image_len();
    let mut weights = vec![[0f32; 10]; features + 1];
    let scores = |weights: &[[f32; 10]], image: &[f32]| {
        let mut scores = weights[features];
        for (row, &value) in weights.iter().zip(image).filter(|&(_, &value)| value > 0.0) {
            for (score, weight) in scores.iter_mut().zip(row) {
                *score += value * weight;
            }
        }
        scores
    };
    for epoch in 0..4 {
        let (images, labels) = gather(train, &epoch_order(train.len(), 0, epoch)).unwrap();
        for (image, label) in images.chunks(features).zip(labels) {
            let scores = scores(&weights, image);
            let top = scores.into_iter().fold(f32::MIN, f32::max);
            let exps = scores.map(|score| (score - top).exp());
            let sum: f32 = exps.iter().sum();
            let step: [f32; 10] = std::array::from_fn(|class| {
                0.02 * (f32::from(class as i64 == label) - exps[class] / sum)
            });
            for (row, value) in weights.iter_mut().zip(image.iter().copied().chain([1.0])) {
                for (weight, step) in row.iter_mut().zip(step) {
                    *weight += value * step;
                }
            }
        }
    }
    let (images, labels) = gather(test, &(0..test.len()).collect::<Vec<_>>()).unwrap();
    let right = images
        .chunks(features)
        .zip(labels)
        .filter(|(image, label)| {
            let scores = scores(&weights, image);
            let best = (0..10)
                .max_by(|&a, &b| scores[a].total_cmp(&scores[b]))
                .unwrap();
            best as i64 == *label
        });
    right.count() as f64 / test.len() as f64
}

#[test]
fn a_linear_classifier_learns_the_digits_but_not_perfectly() {
    let train = digits(Split::Train, 3000, 0).unwrap();
    let test = digits(Split::Test, 1000, 0).unwrap();
    let accuracy = linear_accuracy(&train, &test);
    println!("linear accuracy {accuracy}");
    assert!((0.8..0.97).contains(&accuracy), "{accuracy}");
}

#[test]
fn the_samples_of_the_servers_page_are_the_first_test_digits() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../server/src/page/samples");
    let data = digits(Split::Test, 10, 0).unwrap();
    for (index, label) in data.labels().iter().enumerate() {
        let sample = image::open(format!("{folder}/{label}.png")).unwrap();
        assert_eq!(
            sample.as_luma8().unwrap().as_raw()[..],
            *data.image(index).unwrap()
        );
    }
}
