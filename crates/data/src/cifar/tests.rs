use std::fs;

use proptest::prelude::*;
use tempfile::TempDir;

use super::*;

/// The formats with files of a few images.
const SMALL10: Variant = Variant {
    train: &[("data_batch_1.bin", 3), ("data_batch_2.bin", 2)],
    test: &[("test_batch.bin", 3)],
    ..CIFAR10
};
const SMALL100: Variant = Variant {
    train: &[("train.bin", 4)],
    test: &[("test.bin", 2)],
    ..CIFAR100
};

/// A record with the plane, row and column in every pixel.
fn record(labels: &[u8]) -> Vec<u8> {
    let pixels =
        (0..3u32).flat_map(|c| (0..32).flat_map(move |y| (0..32).map(move |x| 80 * c + y + x)));
    let pixels = pixels.map(|value| value as u8);
    labels.iter().copied().chain(pixels).collect()
}

fn ten(labels: &[u8]) -> Vec<u8> {
    labels.iter().flat_map(|&label| record(&[label])).collect()
}

fn write(files: &[(&str, &[u8])]) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    for (name, bytes) in files {
        let path = dir.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }
    dir
}

fn refusal(variant: &Variant, dir: &TempDir, split: Split) -> String {
    variant.load(dir.path(), split).unwrap_err().to_string()
}

#[test]
fn images_of_all_files_come_one_after_the_other() {
    let files = [
        ("data_batch_1.bin", &ten(&[9, 0, 3])[..]),
        ("data_batch_2.bin", &ten(&[4, 4])),
        ("test_batch.bin", &ten(&[1, 2, 0])),
    ];
    let dir = write(&files);
    let train = SMALL10.load(dir.path(), Split::Train).unwrap();
    assert_eq!(train.labels(), [9, 0, 3, 4, 4]);
    assert_eq!((train.shape(), train.name()), ([3, 32, 32], "cifar10"));
    for index in 0..5 {
        assert_eq!(*train.image(index).unwrap(), record(&[])[..]);
    }
    let test = SMALL10.load(dir.path(), Split::Test).unwrap();
    assert_eq!((test.labels(), test.split()), (&[1, 2, 0][..], Split::Test));

    let inner = files.map(|(name, bytes)| (format!("cifar-10-batches-bin/{name}"), bytes));
    let dir = write(&inner.each_ref().map(|(name, bytes)| (&name[..], *bytes)));
    assert_eq!(SMALL10.load(dir.path(), Split::Train).unwrap(), train);
}

#[test]
fn the_fine_labels_of_cifar_100_are_used() {
    let records = [[19, 0], [0, 99], [3, 42], [7, 7]].map(|labels| record(&labels));
    let dir = write(&[("cifar-100-binary/train.bin", &records.concat())]);
    let train = SMALL100.load(dir.path(), Split::Train).unwrap();
    assert_eq!(train.labels(), [0, 99, 42, 7]);
    assert_eq!(*train.image(3).unwrap(), record(&[])[..]);
    let name = |index| &train.classes()[usize::from(train.label(index).unwrap())];
    assert_eq!([0, 1, 2].map(name), ["apple", "worm", "leopard"]);
}

#[test]
fn the_classes_are_in_the_order_of_the_alphabet() {
    assert!(names::CIFAR10.is_sorted());
    assert!(names::CIFAR100.windows(2).all(|pair| pair[0] < pair[1]));
}

#[test]
fn a_missing_file_is_named() {
    let dir = write(&[("data_batch_1.bin", &ten(&[0, 0, 0]))]);
    let message = refusal(&SMALL10, &dir, Split::Train);
    assert!(
        message.contains("data_batch_2.bin` is missing"),
        "{message}"
    );
    let message = cifar100(dir.path(), Split::Test).unwrap_err().to_string();
    assert!(
        message.contains("test.bin` is missing (and the directory has no `cifar-100-binary`)"),
        "{message}"
    );
    assert!(message.contains("put it there, or name another directory"));
}

#[test]
fn files_that_are_too_short_or_too_long_are_refused() {
    let whole = ten(&[1, 2, 3]);
    for (bytes, found) in [
        (whole[..whole.len() - 1].to_vec(), 9218),
        ([&whole[..], &[0]].concat(), 9220),
        (ten(&[1, 2]), 6146),
        (vec![], 0),
    ] {
        let message = refusal(&SMALL10, &write(&[("test_batch.bin", &bytes)]), Split::Test);
        let expected = format!(
            "test_batch.bin`: the number of bytes is {found}, expected 9219, those of 3 images: fetch the file again"
        );
        assert!(message.contains(&expected), "{message}");
    }
    // As published.
    let dir = write(&[("test_batch.bin", &whole)]);
    let message = cifar10(dir.path(), Split::Test).unwrap_err().to_string();
    assert!(message.contains("expected 30730000"), "{message}");
}

#[test]
fn labels_out_of_range_are_refused() {
    let dir = write(&[("test_batch.bin", &ten(&[9, 0, 10]))]);
    let message = refusal(&SMALL10, &dir, Split::Test);
    assert!(
        message.contains("the label of image 2 is 10, expected 0 to 9"),
        "{message}"
    );
    for (labels, complaint) in [
        (
            [20, 0],
            "the coarse label of image 1 is 20, expected 0 to 19",
        ),
        (
            [19, 100],
            "the fine label of image 1 is 100, expected 0 to 99",
        ),
    ] {
        let dir = write(&[("test.bin", &[record(&[0, 0]), record(&labels)].concat())]);
        let message = refusal(&SMALL100, &dir, Split::Test);
        assert!(message.contains(complaint), "{message}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]
    #[test]
    fn damaged_files_are_read_or_refused_but_never_panic(
        damage in prop::collection::vec((0usize..6148, any::<u8>()), 0..8),
        length in prop::sample::select(vec![0, 1, 3074, 6147, 6148]),
    ) {
        let mut bytes = [record(&[1, 2]), record(&[3, 4])].concat();
        for (at, value) in damage {
            bytes[at] = value;
        }
        bytes.truncate(length);
        let dir = write(&[("test.bin", &bytes)]);
        if let Ok(data) = SMALL100.load(dir.path(), Split::Test) {
            prop_assert_eq!((length, data.len()), (6148, 2));
            prop_assert!(data.labels().iter().all(|&label| label < 100));
        }
    }
}
