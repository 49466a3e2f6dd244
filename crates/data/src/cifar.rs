//! The format: Alex Krizhevsky's binary version of CIFAR. A file is a sequence of records without a header: the label (of
//! CIFAR-100 the coarse one, then the fine one) in a byte each, then the red, the green and the blue plane, row-major.
pub(crate) mod names;

use std::{
    fs::File,
    io::{BufReader, Read},
    path::{Path, PathBuf},
};

use crate::{
    DataError, Dataset, Split,
    error::{format_error, io_error},
};

const SHAPE: [usize; 3] = [3, 32, 32];
const PIXELS: usize = 3 * 32 * 32;

/// What is different between the two.
#[derive(Clone, Copy)]
struct Variant {
    name: &'static str,
    /// The directory in the published archive.
    folder: &'static str,
    missing: &'static str,
    /// Names and numbers of records.
    train: &'static [(&'static str, usize)],
    test: &'static [(&'static str, usize)],
    /// What each of the bytes before the pixels is, and how many values it has; the last one is the label.
    labels: &'static [(&'static str, u8)],
    classes: &'static [&'static str],
}

const CIFAR10: Variant = Variant {
    name: "cifar10",
    folder: "cifar-10-batches-bin",
    missing: " (and the directory has no `cifar-10-batches-bin`)",
    train: &[
        ("data_batch_1.bin", 10_000),
        ("data_batch_2.bin", 10_000),
        ("data_batch_3.bin", 10_000),
        ("data_batch_4.bin", 10_000),
        ("data_batch_5.bin", 10_000),
    ],
    test: &[("test_batch.bin", 10_000)],
    labels: &[("the label", 10)],
    classes: &names::CIFAR10,
};

const CIFAR100: Variant = Variant {
    name: "cifar100",
    folder: "cifar-100-binary",
    missing: " (and the directory has no `cifar-100-binary`)",
    train: &[("train.bin", 50_000)],
    test: &[("test.bin", 10_000)],
    labels: &[("the coarse label", 20), ("the fine label", 100)],
    classes: &names::CIFAR100,
};

/// Loads one split of CIFAR-10, RGB, 32 x 32, ten classes, from its binary files: `data_batch_1.bin` to
/// `data_batch_5.bin`, or `test_batch.bin`, in `dir` or in `cifar-10-batches-bin` in it. The classes come in random
/// order in these files.
///
/// # Errors
/// When a file is missing, unreadable or not of the published length, or a label is above 9.
pub fn cifar10(dir: &Path, split: Split) -> Result<Dataset, DataError> {
    CIFAR10.load(dir, split)
}

/// Loads one split of CIFAR-100, RGB, 32 x 32, a hundred classes (the fine labels), from its binary files: `train.bin`
/// or `test.bin`, in `dir` or in `cifar-100-binary` in it. The classes come in random order in these files.
///
/// # Errors
/// When a file is missing, unreadable or not of the published length, or a label is too large.
pub fn cifar100(dir: &Path, split: Split) -> Result<Dataset, DataError> {
    CIFAR100.load(dir, split)
}

impl Variant {
    fn load(&self, dir: &Path, split: Split) -> Result<Dataset, DataError> {
        let files = match split {
            Split::Train => self.train,
            Split::Test => self.test,
        };
        let paths = self.locate(dir, files)?;
        let records = files.iter().map(|&(_, records)| records).sum();
        let mut labels = Vec::with_capacity(records);
        let mut pixels = Vec::with_capacity(records * PIXELS);
        for (path, &(_, records)) in paths.iter().zip(files) {
            self.read(path, records, &mut labels, &mut pixels)?;
        }
        let classes = self.classes.iter().map(|&name| name.to_owned()).collect();
        Dataset::new(self.name, split, classes, SHAPE, pixels, labels)
    }

    fn locate(&self, dir: &Path, files: &[(&str, usize)]) -> Result<Vec<PathBuf>, DataError> {
        let inner = dir.join(self.folder);
        let (base, also) = match inner.is_dir() {
            true => (inner, ""),
            false => (dir.to_owned(), self.missing),
        };
        files
            .iter()
            .map(|(name, _)| match base.join(name) {
                path if path.is_file() => Ok(path),
                path => Err(DataError::MissingFile { path, also }),
            })
            .collect()
    }

    fn read(
        &self,
        path: &Path,
        records: usize,
        labels: &mut Vec<u16>,
        pixels: &mut Vec<u8>,
    ) -> Result<(), DataError> {
        let file = File::open(path).map_err(|source| io_error("open", path, source))?;
        let found = file
            .metadata()
            .map_err(|source| io_error("read", path, source))?
            .len();
        let expected = records * (self.labels.len() + PIXELS);
        if found != expected as u64 {
            let what = "the number of bytes".to_owned();
            let expected = format!("{expected}, those of {records} images");
            return Err(format_error(path, what, found, expected));
        }
        let mut reader = BufReader::with_capacity(1 << 20, file);
        for record in 0..records {
            let mut label = 0;
            for &(what, values) in self.labels {
                let mut byte = [0];
                reader
                    .read_exact(&mut byte)
                    .map_err(|source| io_error("read", path, source))?;
                [label] = byte;
                if label >= values {
                    let what = format!("{what} of image {record}");
                    let expected = format!("0 to {}", values - 1);
                    return Err(format_error(path, what, label, expected));
                }
            }
            labels.push(u16::from(label));
            let mut image = [0; PIXELS];
            reader
                .read_exact(&mut image)
                .map_err(|source| io_error("read", path, source))?;
            pixels.extend(image);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
