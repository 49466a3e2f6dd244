//! Image files in one directory for each class.
mod listing;
mod order;
mod remarks;

use std::{
    fs,
    path::{Path, PathBuf},
};

use rand::seq::SliceRandom;
use unicode_normalization::UnicodeNormalization;

use self::{listing::images, order::natural};
pub(crate) use self::{order::other_order, remarks::Remarks};
use crate::{
    DataError, Dataset, Preprocessing, Split,
    error::io_error,
    stream::{Purpose, stream},
};

/// Rows and columns of the images of a folder when nothing else is asked for.
pub const DEFAULT_IMAGE_SIZE: usize = 224;
/// The most rows and columns that the images of a folder can be scaled to.
pub const MAX_IMAGE_SIZE: usize = 1024;
const MAX_CLASSES: usize = 1 << 16;

/// Finds one split of a data set in the layout of ImageNet: `dir/train/CLASS/*` to learn from, `dir/val/CLASS/*`, or
/// else `dir/test/CLASS/*`, to report on. The images are decoded when they are asked for, and brought to the shape that
/// `preprocessing` says.
///
/// The classes are the directories in natural order: numbers in names count as numbers, `2` before `10`; their names are in
/// Unicode's composed form (NFC), whichever the file system has. PNG, JPEG, WebP, BMP and GIF files are images of the class
/// in whose directory they lie, in it or in directories below it; hidden entries are passed over, everything else is counted
/// by [`Dataset::ignored`] and told by [`Dataset::assumptions`]. The order of the images is shuffled, the same way each time,
/// so that the beginning and the end of the data set are mixtures of all classes.
///
/// # Errors
/// When the shape is neither grey nor RGB, a side is 0 or more than [`MAX_IMAGE_SIZE`], `crop_pct` is not in `(0, 1]`, a
/// directory is missing or cannot be read or lies too deep, there is no class or one without images, two classes have the
/// same name in two Unicode forms, or the directories for training and testing have different classes.
pub fn folder(
    dir: &Path,
    split: Split,
    preprocessing: Preprocessing,
) -> Result<Dataset, DataError> {
    preprocessing.check()?;
    let train = Some(dir.join("train")).filter(|path| path.is_dir());
    let test = ["val", "test"]
        .map(|name| dir.join(name))
        .into_iter()
        .find(|path| path.is_dir());
    let (here, there) = match split {
        Split::Train => (train, test),
        Split::Test => (test, train),
    };
    let here = here.ok_or_else(|| missing(dir, split))?;
    let mut remarks = Remarks::new(dir);
    let classes = classes(&here, &mut remarks)?;
    if let Some(there) = there {
        let others = self::classes(&there, &mut Remarks::new(dir))?;
        compare(&classes, &here, &others, &there)?;
    }
    let mut files = Vec::new();
    for (label, class) in (0u16..).zip(&classes) {
        let images = images(&class.path, dir, &mut remarks)?;
        if images.is_empty() {
            return Err(DataError::Folder {
                path: class.path.clone(),
                problem: "holds no image".into(),
                remedy: "put PNG, JPEG, WebP, BMP or GIF files there, or remove the class everywhere",
            });
        }
        files.extend(images.into_iter().map(|path| (path, label)));
    }
    files.shuffle(&mut stream(0, Purpose::Files, 0));
    Ok(Dataset::from_files(
        "folder",
        split,
        classes.into_iter().map(|class| class.name).collect(),
        preprocessing,
        files,
        remarks,
    ))
}

/// A class and its directory.
struct Class {
    name: String,
    path: PathBuf,
}

fn missing(dir: &Path, split: Split) -> DataError {
    let (problem, remedy) = match split {
        _ if !dir.is_dir() => (
            "is not a directory",
            "name one that holds `train/CLASS/*` and `val/CLASS/*`",
        ),
        Split::Train => (
            "has no directory `train`",
            "put the images to learn from into `train/CLASS/*` there",
        ),
        Split::Test => (
            "has no directory `val` or `test`",
            "put the images to report on into `val/CLASS/*` there",
        ),
    };
    DataError::Folder {
        path: dir.to_owned(),
        problem: problem.to_owned(),
        remedy,
    }
}

/// The classes in `dir`, in the natural order of their names.
fn classes(dir: &Path, remarks: &mut Remarks) -> Result<Vec<Class>, DataError> {
    let refuse = |problem: String, remedy| DataError::Folder {
        path: dir.to_owned(),
        problem,
        remedy,
    };
    let mut classes = Vec::new();
    for path in entries(dir)? {
        match path.file_name().and_then(|name| name.to_str()) {
            _ if !path.is_dir() => remarks.leave_out(&path),
            Some(name) => classes.push(Class {
                name: name.nfc().collect(),
                path,
            }),
            None => {
                return Err(refuse(
                    format!("has a class `{}` whose name is not Unicode", path.display()),
                    "rename it",
                ));
            }
        }
    }
    match classes.len() {
        0 => {
            return Err(refuse(
                "has no directories, one for each class".into(),
                "sort the images into directories that are named for their classes",
            ));
        }
        count if count > MAX_CLASSES => {
            return Err(refuse(
                format!("has {count} classes, more than {MAX_CLASSES}"),
                "merge some",
            ));
        }
        _ => classes.sort_unstable_by(|a, b| natural(&a.name, &b.name)),
    }
    let twice = classes
        .windows(2)
        .find(|pair| matches!(pair, [a, b] if a.name == b.name));
    match twice.and_then(|pair| pair.first()) {
        Some(class) => Err(refuse(
            format!(
                "has two classes `{}`, whose names differ in their Unicode form alone",
                class.name
            ),
            "rename one, or merge them",
        )),
        None => Ok(classes),
    }
}

/// That both splits have the same classes.
fn compare(
    classes: &[Class],
    dir: &Path,
    others: &[Class],
    other_dir: &Path,
) -> Result<(), DataError> {
    // Sorted, so that the first difference is a class that one of the two does not have.
    let position = classes
        .iter()
        .zip(others)
        .take_while(|(a, b)| a.name == b.name)
        .count();
    let (lacking, has, class) = match (classes.get(position), others.get(position)) {
        (None, None) => return Ok(()),
        (Some(a), Some(b)) if natural(&a.name, &b.name).is_lt() => (other_dir, dir, a),
        (Some(a), None) => (other_dir, dir, a),
        (_, Some(b)) => (dir, other_dir, b),
    };
    Err(DataError::Folder {
        path: lacking.to_owned(),
        problem: format!("has no class `{}`, and `{}` has", class.name, has.display()),
        remedy: "give both the same classes",
    })
}

/// All entries that are not hidden, in the order of their names: directories know no order.
fn entries(dir: &Path) -> Result<Vec<PathBuf>, DataError> {
    let failed = |source| io_error("list", dir, source);
    let mut entries = Vec::new();
    for entry in fs::read_dir(dir).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        if !entry.file_name().as_encoded_bytes().starts_with(b".") {
            entries.push(entry.path());
        }
    }
    entries.sort_unstable();
    Ok(entries)
}

#[cfg(test)]
mod tests;
