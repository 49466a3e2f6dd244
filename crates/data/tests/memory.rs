//! Memory of a loader on a folder. A process of its own, because its peak is measured.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
use std::{fs, path::Path, sync::Arc};

use buckler_data::{
    Augmentation, DataSource, Dataset, LoadOptions, Loader, LoaderConfig, Preprocessing, Split,
};

/// The peak of this process so far, in bytes.
fn peak() -> usize {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kilobytes: usize = line
        .unwrap()
        .trim()
        .trim_end_matches(" kB")
        .parse()
        .unwrap();
    kilobytes << 10
}

/// A folder of this many names of one image.
fn dataset(dir: &Path, images: usize) -> Dataset {
    let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/baseline-420.jpg");
    let class = dir.join("train/a");
    fs::create_dir_all(&class).unwrap();
    let first = class.join("0.jpg");
    fs::copy(fixture, &first).unwrap();
    for index in 1..images {
        fs::hard_link(&first, class.join(format!("{index}.jpg"))).unwrap();
    }
    let options = LoadOptions {
        preprocessing: Some(Preprocessing::center_crop(224)),
        ..LoadOptions::default()
    };
    let source = DataSource::Folder {
        dir: dir.to_owned(),
    };
    source.load(Split::Train, &options).unwrap()
}

/// An epoch's images; the values of each are checked, so that all are there.
fn epoch(dataset: Dataset) -> usize {
    let config = LoaderConfig {
        batch_size: 32,
        augmentation: Augmentation {
            random_resized_crop: true,
            flip: true,
            ..Augmentation::default()
        },
        seed: 0,
        workers: 2,
        skip_broken: false,
    };
    let loader = Loader::new(Arc::new(dataset), config).unwrap();
    loader
        .epoch(0, 0)
        .map(|batch| {
            let batch = batch.unwrap();
            assert_eq!(batch.images.len(), batch.len() * 3 * 224 * 224);
            batch.len()
        })
        .sum()
}

#[test]
fn six_times_as_many_files_take_no_more_memory() {
    let (few, many) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    assert_eq!(epoch(dataset(few.path(), 500)), 500);
    let before = peak();
    let whole = dataset(many.path(), 3000);
    let (whole, skipped) = whole.without_broken().unwrap();
    assert!(skipped.is_empty());
    assert_eq!(epoch(whole), 3000);
    let after = peak();
    // How many batches wait at a time depends on the machine's load; the 2500 further images alone would take three times as much.
    let waiting = 6 * 32 * 3 * 224 * 224 * size_of::<f32>();
    assert!(after < before + waiting, "{before} {after}");
}
