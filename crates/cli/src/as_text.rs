//! Paths in JSON, which is Unicode: what a name holds besides is replaced, so that one odd name does not keep an answer back.

use std::path::{Path, PathBuf};

use serde::Serializer;

pub fn path<S: Serializer>(path: impl AsRef<Path>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&path.as_ref().to_string_lossy())
}

pub fn optional<S: Serializer>(path: &Option<PathBuf>, serializer: S) -> Result<S::Ok, S::Error> {
    match path {
        Some(found) => self::path(found, serializer),
        None => serializer.serialize_none(),
    }
}
