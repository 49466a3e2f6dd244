//! What a run was trained on, in a few bytes.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use buckler_data::Dataset;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::error::TrainError;

/// Files of a folder that are read, evenly spread.
const FILES_READ: usize = 4096;
/// Bytes that are read of each.
const BYTES_READ: u64 = 1 << 16;

/// Tells one data set from another: a run goes on with the data that it was started with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fingerprint {
    /// Training images, those without the validation images.
    pub training: PartFingerprint,
    /// The images that choose the best epoch.
    pub validation: PartFingerprint,
}

/// Of one part of the data.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartFingerprint {
    /// Images.
    pub images: usize,
    /// SHA-256 of the names of the classes, in order.
    pub classes: String,
    /// SHA-256 of all labels, in order.
    pub labels: String,
    /// SHA-256 of all pixels, in order; of a folder, of the files' names and sizes and of the beginnings of some of them:
    /// millions of images are not read for it.
    pub content: String,
}

impl Fingerprint {
    pub(crate) fn of(training: &Dataset, validation: &Dataset) -> Result<Self, TrainError> {
        Ok(Self {
            training: PartFingerprint::of(training)?,
            validation: PartFingerprint::of(validation)?,
        })
    }

    /// What differs, for people.
    pub(crate) fn differences(&self, other: &Self) -> Vec<String> {
        let parts = [
            ("training", &self.training, &other.training),
            ("validation", &self.validation, &other.validation),
        ];
        parts
            .into_iter()
            .flat_map(|(part, ours, theirs)| ours.differences(theirs, part))
            .collect()
    }
}

impl PartFingerprint {
    fn of(data: &Dataset) -> Result<Self, TrainError> {
        let mut classes = Sha256::new();
        for class in data.classes() {
            classes.update((class.len() as u64).to_le_bytes());
            classes.update(class);
        }
        let mut labels = Sha256::new();
        for label in data.labels() {
            labels.update(label.to_le_bytes());
        }
        let mut content = Sha256::new();
        let every = data.len().div_ceil(FILES_READ).max(1);
        for index in 0..data.len() {
            match data.path(index) {
                Some(path) => {
                    // A link to nothing is a broken image: whether it is left out is not decided here.
                    let bytes = std::fs::metadata(path).map_or(u64::MAX, |meta| meta.len());
                    content.update(name(path));
                    content.update([0]);
                    content.update(bytes.to_le_bytes());
                    if index % every == 0 {
                        content.update(beginning(path));
                    }
                }
                None => content.update(&data.image(index)?),
            }
        }
        Ok(Self {
            images: data.len(),
            classes: format!("{:x}", classes.finalize()),
            labels: format!("{:x}", labels.finalize()),
            content: format!("{:x}", content.finalize()),
        })
    }

    fn differences(&self, other: &Self, part: &str) -> Vec<String> {
        if self.images != other.images {
            return vec![format!(
                "{} {part} images in the run, {} now",
                self.images, other.images
            )];
        }
        let short = |sum: &str| sum.chars().take(12).collect::<String>();
        let sums = [
            ("classes", &self.classes, &other.classes),
            ("labels", &self.labels, &other.labels),
            ("contents", &self.content, &other.content),
        ];
        sums.into_iter()
            .filter(|(_, ours, theirs)| ours != theirs)
            .map(|(what, ours, theirs)| {
                format!(
                    "{what} of the {part} images (SHA-256 {} in the run, {} now)",
                    short(ours),
                    short(theirs)
                )
            })
            .collect()
    }
}

/// What a file begins with; nothing where it cannot be read.
fn beginning(path: &Path) -> Vec<u8> {
    let mut bytes = Vec::new();
    let read = File::open(path).and_then(|file| file.take(BYTES_READ).read_to_end(&mut bytes));
    match read {
        Ok(_) => bytes,
        Err(_) => Vec::new(),
    }
}

/// A file's name with its class, so that a folder may move.
fn name(path: &Path) -> Vec<u8> {
    let parts: Vec<_> = path.components().rev().take(2).collect();
    let parts = parts.into_iter().rev().flat_map(|part| {
        let mut bytes = part.as_os_str().as_encoded_bytes().to_vec();
        bytes.push(b'/');
        bytes
    });
    parts.collect()
}

#[cfg(test)]
mod tests {
    use buckler_data::Split;

    use super::*;

    fn data(pixels: [u8; 4], labels: [u16; 4], second: &str) -> Dataset {
        let classes = vec!["a".to_owned(), second.to_owned()];
        Dataset::new(
            "toy",
            Split::Train,
            classes,
            [1, 1, 1],
            pixels.to_vec(),
            labels.to_vec(),
        )
        .unwrap()
    }

    #[test]
    fn other_labels_pixels_classes_and_numbers_are_told_apart() {
        let validation = data([0; 4], [0; 4], "b");
        let of = |data: &Dataset| Fingerprint::of(data, &validation).unwrap();
        let run = of(&data([1, 2, 3, 4], [0, 1, 0, 1], "b"));
        assert_eq!(
            run.differences(&of(&data([1, 2, 3, 4], [0, 1, 0, 1], "b"))),
            [""; 0]
        );
        for (other, expected) in [
            (
                data([1, 2, 3, 4], [1, 0, 0, 1], "b"),
                "labels of the training",
            ),
            (
                data([1, 2, 4, 3], [0, 1, 0, 1], "b"),
                "contents of the training",
            ),
            (
                data([1, 2, 3, 4], [0, 1, 0, 1], "c"),
                "classes of the training",
            ),
            (
                data([1, 2, 3, 4], [0, 1, 0, 1], "b").take(3),
                "4 training images",
            ),
        ] {
            let found = run.differences(&of(&other)).join("; ");
            assert!(found.contains(expected), "{found}");
        }
    }
}
