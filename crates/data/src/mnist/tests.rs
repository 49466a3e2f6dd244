use std::{fs, io::Write};

use flate2::{Compression, write::GzEncoder};
use proptest::prelude::*;

use super::*;

/// An IDX file of bytes.
fn idx(magic: u32, sizes: &[u32], elements: &[u8]) -> Vec<u8> {
    let mut bytes = magic.to_be_bytes().to_vec();
    bytes.extend(sizes.iter().flat_map(|size| size.to_be_bytes()));
    bytes.extend(elements);
    bytes
}

fn images(n: u32) -> Vec<u8> {
    let pixels: Vec<u8> = (0..n * SIDE * SIDE).map(|i| (i % 251) as u8).collect();
    idx(0x0803, &[n, SIDE, SIDE], &pixels)
}

fn labels(n: u32) -> Vec<u8> {
    let labels: Vec<u8> = (0..n).map(|i| (i % 10) as u8).collect();
    idx(0x0801, &[n], &labels)
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// Loads a test split of the two files, `suffix` added to their names.
fn load(images: &[u8], labels: &[u8], suffix: &str) -> Result<Dataset, DataError> {
    let dir = tempfile::tempdir().unwrap();
    fs::write(
        dir.path().join(format!("t10k-images-idx3-ubyte{suffix}")),
        images,
    )
    .unwrap();
    fs::write(
        dir.path().join(format!("t10k-labels-idx1-ubyte{suffix}")),
        labels,
    )
    .unwrap();
    mnist(dir.path(), Split::Test)
}

/// What is said about files that cannot be loaded: the same whether they are plain or packed.
fn refusal(images: &[u8], labels: &[u8]) -> String {
    let message = load(images, labels, "").unwrap_err().to_string();
    let packed = load(&gzip(images), &gzip(labels), ".gz")
        .unwrap_err()
        .to_string();
    let complaint = |message: &str| message.split_once("`: ").unwrap().1.to_owned();
    assert_eq!(complaint(&packed), complaint(&message));
    message
}

#[test]
fn plain_and_packed_files_hold_the_same_images() {
    let plain = load(&images(12), &labels(12), "").unwrap();
    assert_eq!(plain.shape(), [1, 28, 28]);
    assert_eq!(plain.labels(), [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 0, 1]);
    let pixels: Vec<u8> = (0..12)
        .flat_map(|index| plain.image(index).unwrap().into_owned())
        .collect();
    assert_eq!(pixels, &images(12)[16..]);
    assert_eq!(
        load(&gzip(&images(12)), &gzip(&labels(12)), ".gz").unwrap(),
        plain
    );
    // Unpacked by a browser that kept the name, and the other way round.
    assert_eq!(load(&images(12), &labels(12), ".gz").unwrap(), plain);
    assert_eq!(
        load(&gzip(&images(12)), &gzip(&labels(12)), "").unwrap(),
        plain
    );
}

#[test]
fn a_missing_file_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let message = mnist(dir.path(), Split::Train).unwrap_err().to_string();
    assert!(
        message.contains("train-images-idx3-ubyte` is missing, plain or as `.gz`"),
        "{message}"
    );
}

#[test]
fn another_magic_number_is_refused() {
    let message = refusal(&labels(2), &labels(2));
    assert!(
        message.contains("magic number is 0x00000801, expected 0x00000803"),
        "{message}"
    );
    assert!(message.contains("t10k-images-idx3-ubyte"), "{message}");
}

#[test]
fn other_sizes_are_refused() {
    let square = idx(0x0803, &[2, 28, 27], &[0; 2 * 28 * 27]);
    assert!(refusal(&square, &labels(2)).contains("dimension 2 is 27, expected 28"));
}

#[test]
fn files_that_are_too_short_or_too_long_are_refused() {
    let whole = images(2);
    let message = refusal(&whole[..whole.len() - 1], &labels(2));
    assert!(
        message.contains("bytes after the header is 1567, expected 1568"),
        "{message}"
    );
    let message = refusal(&[whole, vec![0]].concat(), &labels(2));
    assert!(
        message.contains("bytes after the header is more, expected 1568"),
        "{message}"
    );
    for length in [0, 3, 4, 11, 15] {
        assert!(
            refusal(&images(2)[..length], &labels(2)).contains("is missing"),
            "{length}"
        );
    }
}

#[test]
fn labels_beyond_nine_are_refused() {
    let message = refusal(&images(3), &idx(0x0801, &[3], &[9, 0, 10]));
    assert!(
        message.contains("label 2 is 10, expected 0 to 9"),
        "{message}"
    );
}

#[test]
fn as_many_images_as_labels_are_expected() {
    let message = refusal(&images(3), &labels(2));
    assert!(
        message.contains("number of images is 3, expected 2, the number of labels"),
        "{message}"
    );
}

#[test]
fn empty_files_of_the_right_form_are_refused() {
    assert!(refusal(&images(0), &labels(0)).contains("number of items is 0"));
}

#[test]
fn a_header_that_claims_gigabytes_is_refused() {
    for items in [u32::MAX, 5_500_000] {
        let claim = idx(0x0803, &[items, SIDE, SIDE], &[0; 100]);
        assert!(refusal(&claim, &idx(0x0801, &[items], &[0; 100])).contains("number of items"));
    }
    // As many as may be: nothing is set aside for what does not come.
    let claim = idx(0x0803, &[MAX_ITEMS, SIDE, SIDE], &[0; 100]);
    let mut reader = claim.as_slice();
    let error = read_images(&mut reader, Path::new("claim"), MAX_ITEMS as usize).unwrap_err();
    assert!(
        error.to_string().contains("is 100, expected 784000000"),
        "{error}"
    );
}

#[test]
fn a_truncated_or_damaged_gzip_file_is_refused() {
    let (images, labels) = (gzip(&images(2)), gzip(&labels(2)));
    for length in [5, images.len() / 2, images.len() - 1] {
        let error = load(&images[..length], &labels, ".gz").unwrap_err();
        assert!(
            error.to_string().contains("t10k-images-idx3-ubyte.gz"),
            "{error}"
        );
    }
    let mut damaged = images.clone();
    let checksum = damaged.len() - 8;
    damaged[checksum] ^= 1;
    assert!(matches!(
        load(&damaged, &labels, ".gz"),
        Err(DataError::Io { action: "read", .. })
    ));
}

proptest! {
    #[test]
    fn damaged_bytes_are_read_or_refused_but_never_panic(
        damage in prop::collection::vec((0usize..3000, any::<u8>()), 1..8),
        length in 0usize..3000,
        packed: bool,
    ) {
        let (mut images, mut labels) = (images(2), labels(2));
        if packed {
            (images, labels) = (gzip(&images), gzip(&labels));
        }
        for bytes in [&mut images, &mut labels] {
            bytes.truncate(length);
            for &(at, value) in &damage {
                if let Some(byte) = bytes.get_mut(at) {
                    *byte = value;
                }
            }
        }
        if let Ok(data) = load(&images, &labels, "") {
            prop_assert_eq!(data.len(), 2);
            prop_assert!(data.labels().iter().all(|&label| label < 10));
        }
    }

    #[test]
    fn any_bytes_are_read_or_refused_but_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
        let path = Path::new("any");
        let _ = read_labels(&mut bytes.as_slice(), path);
        let _ = read_images(&mut bytes.as_slice(), path, 2);
    }
}
