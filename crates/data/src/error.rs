//! Why data could not be loaded, addressed or shown.
use std::{
    any::Any,
    io,
    path::{Path, PathBuf},
};

use crate::Split;

/// Why data could not be loaded, addressed or shown.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DataError {
    /// The text names no data set.
    #[error("unknown data set `{name}`{}: known are {known}", suggest(.suggestion))]
    UnknownName {
        /// What was typed.
        name: String,
        /// The names there are, separated by commas.
        known: String,
        /// The one that was probably meant.
        suggestion: Option<&'static str>,
    },
    /// The text names a data set, but not in the form `NAME[:DIR]` that fits it.
    #[error("data set `{text}`: {reason}")]
    Source {
        /// What was typed.
        text: String,
        /// What is wrong with it and what to write instead.
        reason: &'static str,
    },
    /// Nobody said where the files are, and there is no place to download them to.
    #[error(
        "no directory for data set `{name}`, and no cache directory to download it to: write `{name}:DIR`, or set \
         BUCKLER_DATA to the directory that holds `{name}/`, and put {files} there; or set BUCKLER_CACHE (or use \
         `digits`, which needs no files)"
    )]
    NoDirectory {
        /// The data set.
        name: &'static str,
        /// The files it consists of.
        files: &'static str,
    },
    /// A file could not be downloaded.
    #[error(
        "cannot download `{url}`: {reason}. Without a network, put {files} into a directory and write `{name}:DIR` (or \
         use `digits`, which needs no files)"
    )]
    Download {
        /// Where the file should have come from.
        url: String,
        /// What went wrong.
        reason: String,
        /// The data set.
        name: &'static str,
        /// The files it consists of.
        files: &'static str,
    },
    /// A file is not where it should be.
    #[error("`{}` is missing{also}: put it there, or name another directory", .path.display())]
    MissingFile {
        /// The file.
        path: PathBuf,
        /// Where or under which other name it was looked for as well.
        also: &'static str,
    },
    /// A folder does not hold what it should.
    #[error("`{}` {problem}: {remedy}", .path.display())]
    Folder {
        /// The folder.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
        /// What to do.
        remedy: &'static str,
    },
    /// An image file could not be decoded.
    #[error("image file `{}`: {reason}", .path.display())]
    Image {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// Random resized crops of images that are already small.
    #[error(
        "augmentation `random_resized_crop` cuts from the full images of a folder, and the images of `{name}` are not \
         files: use `pad` instead, or `folder:DIR`"
    )]
    NoFullImages {
        /// The data set.
        name: String,
    },
    /// A thread that prepares batches ended before its work was done.
    #[error("a thread that prepares batches failed: {reason}")]
    Worker {
        /// What it said.
        reason: String,
    },
    /// A file could not be read, unpacked or written.
    #[error("cannot {action} `{}`: {source}", .path.display())]
    Io {
        /// What was tried, as a verb.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A file is not what its name promises.
    #[error("`{}`: {what} is {found}, expected {expected}: fetch the file again", .path.display())]
    Format {
        /// The file.
        path: PathBuf,
        /// The field that is wrong.
        what: String,
        /// Its value.
        found: String,
        /// What it has to be.
        expected: String,
    },
    /// The parts of a data set do not fit together.
    #[error("data set `{name}`: {what} is {found}, expected {expected}")]
    Inconsistent {
        /// The data set.
        name: String,
        /// The part that does not fit.
        what: String,
        /// Its value.
        found: usize,
        /// What it has to be.
        expected: String,
    },
    /// There is no such image.
    #[error("image {index} of `{name}` ({split}): it has {len} images, counted from 0")]
    Index {
        /// The data set.
        name: String,
        /// Which part of it.
        split: Split,
        /// The image asked for.
        index: usize,
        /// How many there are.
        len: usize,
    },
    /// A number of images or pixels is outside its limits.
    #[error("{what} of {value}: it must be in {min}..={max}")]
    OutOfRange {
        /// What the number counts.
        what: &'static str,
        /// The number.
        value: usize,
        /// The smallest number allowed.
        min: usize,
        /// The largest number allowed.
        max: usize,
    },
    /// Images cannot be brought to what is asked for.
    #[error("preprocessing of images: {what} is {found}, expected {expected}")]
    Preprocessing {
        /// The part that is wrong.
        what: String,
        /// Its value.
        found: String,
        /// What it has to be.
        expected: String,
    },
    /// What should be corrupted is not an image.
    #[error("image to corrupt: {what} is {found}, expected {expected}")]
    NotAnImage {
        /// The part that is wrong.
        what: String,
        /// Its value.
        found: String,
        /// What it has to be.
        expected: String,
    },
    /// An image could not be encoded.
    #[error("cannot encode `{}`: {source}", .path.display())]
    Encode {
        /// The file it was meant for.
        path: PathBuf,
        /// What the encoder said.
        source: image::ImageError,
    },
}

fn suggest(name: &Option<&'static str>) -> String {
    name.map(|name| format!(" (did you mean `{name}`?)"))
        .unwrap_or_default()
}

pub(crate) fn io_error(action: &'static str, path: &Path, source: io::Error) -> DataError {
    DataError::Io {
        action,
        path: path.to_owned(),
        source,
    }
}

pub(crate) fn format_error(
    path: &Path,
    what: String,
    found: impl ToString,
    expected: impl ToString,
) -> DataError {
    DataError::Format {
        path: path.to_owned(),
        what,
        found: found.to_string(),
        expected: expected.to_string(),
    }
}

/// What a thread said when it panicked.
pub(crate) fn panic_message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "no message".to_owned())
}
