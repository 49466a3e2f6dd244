use std::{io, path::PathBuf};

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
    /// Nobody said where the files are.
    #[error(
        "no directory for data set `{name}`: write `{name}:DIR`, or set BUCKLER_DATA to the directory that holds \
         `{name}/`; put {files} there (or use `digits`, which needs no files)"
    )]
    NoDirectory {
        /// The data set.
        name: &'static str,
        /// The files it consists of.
        files: &'static str,
    },
    /// A file is not where it should be.
    #[error("`{}` is missing, plain or as `.gz`: put it there, or name another directory", .path.display())]
    MissingFile {
        /// The file, without `.gz`.
        path: PathBuf,
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
