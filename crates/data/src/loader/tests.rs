use std::{
    fs,
    path::Path,
    sync::atomic::AtomicUsize,
    thread::sleep,
    time::{Duration, Instant},
};

use image::{Rgb, RgbImage};
use proptest::prelude::*;
use tempfile::TempDir;

use super::*;
use crate::{Preprocessing, Split, digits, folder, gather};

fn config(batch_size: usize, augmentation: Augmentation) -> LoaderConfig {
    LoaderConfig {
        batch_size,
        augmentation,
        seed: 3,
        workers: 2,
        skip_broken: false,
    }
}

fn everything() -> Augmentation {
    Augmentation {
        pad: 3,
        flip: true,
        cutout: 8,
        random_resized_crop: false,
    }
}

fn loader(dataset: &Arc<Dataset>, config: LoaderConfig) -> Loader {
    Loader::new(dataset.clone(), config).unwrap()
}

fn collect(batches: Batches) -> Vec<Batch> {
    batches.map(Result::unwrap).collect()
}

/// A folder of two classes with `n` photographs in all.
fn photographs(n: u8) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    for i in 0..n {
        let class = dir.path().join(["train/a", "train/b"][usize::from(i % 2)]);
        fs::create_dir_all(&class).unwrap();
        let image = RgbImage::from_fn(30, 24, |x, y| Rgb([8 * x as u8, 10 * y as u8, 8 * i]));
        image.save(class.join(format!("{i}.png"))).unwrap();
    }
    dir
}

fn open(dir: &TempDir) -> Arc<Dataset> {
    Arc::new(folder(dir.path(), Split::Train, Preprocessing::center_crop(16)).unwrap())
}

/// Replaces the file of image `index` with text.
fn damage(dataset: &Dataset, index: usize) -> &Path {
    let path = dataset.path(index).unwrap();
    fs::write(path, "no image").unwrap();
    path
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn batches_depend_neither_on_threads_nor_on_where_an_epoch_begins(
        n in 1usize..60,
        batch_size in 1usize..20,
        epoch in 0u64..5,
        first in 0usize..12,
        workers in 1usize..6,
    ) {
        let data = Arc::new(digits(Split::Train, n, 1).unwrap());
        let config = config(batch_size, everything());
        let one = loader(&data, LoaderConfig { workers: 1, ..config.clone() });
        let many = loader(&data, LoaderConfig { workers, ..config });
        let whole = collect(one.epoch(epoch, 0));
        prop_assert_eq!(whole.len(), one.batches_per_epoch());
        prop_assert_eq!(&collect(many.epoch(epoch, 0)), &whole);
        let rest: Vec<Batch> = whole.into_iter().skip(first).collect();
        prop_assert_eq!(collect(many.epoch(epoch, first)), rest);
    }

    #[test]
    fn an_image_is_augmented_the_same_in_any_batch(batch_size in 1usize..20, epoch in 0u64..3) {
        let data = Arc::new(digits(Split::Train, 20, 1).unwrap());
        let images = |batch_size| {
            let batches = collect(loader(&data, config(batch_size, everything())).epoch(epoch, 0));
            batches.into_iter().flat_map(|batch| batch.images).collect::<Vec<_>>()
        };
        prop_assert_eq!(images(batch_size), images(20));
    }
}

#[test]
fn without_augmentation_an_epoch_is_the_data_in_the_order_of_the_epoch() {
    let data = Arc::new(digits(Split::Train, 50, 1).unwrap());
    let batches = collect(loader(&data, config(8, Augmentation::default())).epoch(4, 0));
    let sizes: Vec<usize> = batches.iter().map(Batch::len).collect();
    assert_eq!(sizes, [8, 8, 8, 8, 8, 8, 2]);
    for (batch, indices) in batches.iter().zip(epoch_order(50, 3, 4).chunks(8)) {
        assert_eq!(batch.indices, indices);
        let (images, labels) = gather(&data, indices).unwrap();
        assert_eq!((&batch.images, &batch.labels), (&images, &labels));
    }
}

#[test]
fn epochs_seeds_and_images_are_augmented_differently() {
    let pixels: Vec<u8> = (0..4).flat_map(|_| 1..=100).collect();
    let shape = [1, 10, 10];
    let data = Dataset::new(
        "toy",
        Split::Train,
        vec!["a".into()],
        shape,
        pixels,
        vec![0; 4],
    )
    .unwrap();
    let data = Arc::new(data);
    let images = |seed, epoch| {
        let augmentation = Augmentation {
            pad: 4,
            ..Default::default()
        };
        let loader = loader(
            &data,
            LoaderConfig {
                seed,
                ..config(4, augmentation)
            },
        );
        let batch = loader.epoch(epoch, 0).next().unwrap().unwrap();
        let mut images: Vec<(usize, Vec<f32>)> = batch
            .indices
            .iter()
            .copied()
            .zip(batch.images.chunks(100).map(<[f32]>::to_vec))
            .collect();
        images.sort_by_key(|&(index, _)| index);
        images
    };
    let all: Vec<_> = [(0, 0), (0, 1), (1, 0), (1, 1)]
        .into_iter()
        .flat_map(|(seed, epoch)| images(seed, epoch))
        .collect();
    let mut distinct: Vec<&Vec<f32>> = all.iter().map(|(_, image)| image).collect();
    distinct.sort_by(|a, b| a.partial_cmp(b).unwrap());
    distinct.dedup();
    // Of 16 draws out of 81 places a few may coincide; shared streams would leave 4.
    assert!(distinct.len() >= 11, "{}", distinct.len());
    assert_eq!(images(0, 1), images(0, 1));
}

#[test]
fn files_are_decoded_alike_by_any_number_of_threads() {
    let dir = photographs(11);
    let data = open(&dir);
    for random_resized_crop in [false, true] {
        let augmentation = Augmentation {
            random_resized_crop,
            ..everything()
        };
        let config = config(3, augmentation);
        let batches = [1, 3].map(|workers| {
            let config = LoaderConfig {
                workers,
                ..config.clone()
            };
            collect(loader(&data, config).epoch(1, 0))
        });
        assert_eq!(batches[0], batches[1]);
        assert_eq!(batches[0].iter().map(Batch::len).sum::<usize>(), 11);
        assert_eq!(batches[0][0].images.len(), 3 * 3 * 16 * 16);
    }
    let plain = collect(loader(&data, config(4, Augmentation::default())).epoch(0, 0));
    for batch in plain {
        let (images, labels) = gather(&data, &batch.indices).unwrap();
        assert_eq!((batch.images, batch.labels), (images, labels));
    }
}

#[test]
fn a_broken_image_ends_the_epoch_with_its_name() {
    let dir = photographs(12);
    let data = open(&dir);
    let loader = loader(&data, config(2, Augmentation::default()));
    let order = epoch_order(12, 3, 0);
    let path = damage(&data, order[7]);
    let mut batches = loader.epoch(0, 0);
    for _ in 0..3 {
        batches.next().unwrap().unwrap();
    }
    let message = batches.next().unwrap().unwrap_err().to_string();
    assert!(message.contains(&path.display().to_string()), "{message}");
    assert!(batches.next().is_none());
}

#[test]
fn broken_images_are_left_out_and_named_when_that_is_asked_for() {
    let dir = photographs(12);
    let data = open(&dir);
    let config = LoaderConfig {
        skip_broken: true,
        ..config(2, everything())
    };
    let loader = loader(&data, config);
    let whole = collect(loader.epoch(0, 0));
    let order = epoch_order(12, 3, 0);
    let paths = [order[7], order[8], order[9]].map(|index| damage(&data, index));
    fs::remove_file(paths[1]).unwrap();
    let batches = collect(loader.epoch(0, 0));
    assert_eq!(batches.len(), 6);
    for index in [0, 1, 2, 5] {
        assert_eq!(batches[index], whole[index]);
    }
    assert_eq!(batches[3].indices, order[6..7]);
    assert_eq!(batches[3].images, whole[3].images[..3 * 16 * 16]);
    assert_eq!(batches[3].skipped.len(), 1);
    assert!(batches[3].skipped[0].contains(&paths[0].display().to_string()));
    // Nothing is left of this one.
    assert!(batches[4].is_empty() && batches[4].images.is_empty());
    assert_eq!(batches[4].skipped.len(), 2);
}

#[test]
fn configurations_that_make_no_sense_are_refused() {
    let data = Arc::new(digits(Split::Train, 10, 1).unwrap());
    let refusal = |config| Loader::new(data.clone(), config).unwrap_err().to_string();
    assert!(refusal(config(0, Augmentation::default())).contains("batch of 0"));
    let message = refusal(LoaderConfig {
        workers: 257,
        ..config(1, Augmentation::default())
    });
    assert!(
        message.contains("threads of 257: it must be in 0..=256"),
        "{message}"
    );
    let wide = Augmentation {
        pad: 28,
        ..Default::default()
    };
    assert!(refusal(config(1, wide)).contains("`pad` of 28"));
}

#[test]
fn beyond_the_last_batch_there_is_nothing() {
    let data = Arc::new(digits(Split::Train, 10, 1).unwrap());
    let loader = loader(&data, config(usize::MAX, Augmentation::default()));
    assert_eq!(loader.batches_per_epoch(), 1);
    assert_eq!(collect(loader.epoch(0, 0)).len(), 1);
    assert!(loader.epoch(0, 1).next().is_none());
    assert!(loader.epoch(0, usize::MAX).next().is_none());
    let nothing = Arc::new(digits(Split::Train, 10, 1).unwrap().take(0));
    assert!(
        super::Loader::new(nothing, config(1, everything()))
            .unwrap()
            .epoch(0, 0)
            .next()
            .is_none()
    );
}

#[test]
fn a_dropped_epoch_leaves_no_thread_behind() {
    let data = Arc::new(digits(Split::Train, 500, 1).unwrap());
    let loader = loader(&data, config(1, everything()));
    for taken in [0, 1, 7] {
        let mut batches = loader.epoch(0, 0);
        for _ in 0..taken {
            batches.next().unwrap().unwrap();
        }
        drop(batches);
        // The threads held the data set.
        assert_eq!(Arc::strong_count(&data), 2);
    }
}

#[test]
fn threads_do_not_run_further_ahead_than_two_batches_each() {
    let prepared = Arc::new(AtomicUsize::new(0));
    let counter = prepared.clone();
    let mut batches = Batches::start(0..100, 3, move |_, _| {
        counter.fetch_add(1, Ordering::SeqCst);
        Some(Ok(Batch::default()))
    });
    let count = || prepared.load(Ordering::SeqCst);
    let settle = |expected| {
        let deadline = Instant::now() + Duration::from_secs(10);
        while count() < expected && Instant::now() < deadline {
            sleep(Duration::from_millis(1));
        }
        sleep(Duration::from_millis(30));
        assert_eq!(count(), expected);
    };
    settle(6);
    batches.next().unwrap().unwrap();
    settle(7);
    drop(batches);
    assert_eq!(count(), 7);
}

#[test]
fn a_panic_in_a_thread_is_an_error_and_no_hang() {
    for workers in [1, 2, 4] {
        let mut batches = Batches::start(0..10, workers, |batch, _| {
            assert_ne!(batch, 5, "batch {batch} is cursed");
            let indices = vec![batch];
            Some(Ok(Batch {
                indices,
                ..Default::default()
            }))
        });
        for expected in 0..5 {
            assert_eq!(batches.next().unwrap().unwrap().indices, [expected]);
        }
        let message = batches.next().unwrap().unwrap_err().to_string();
        assert!(message.contains("batch 5 is cursed"), "{message}");
        assert!(batches.next().is_none());
    }
}
