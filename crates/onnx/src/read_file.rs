//! Files of models: ordinary ones, and no larger than a protocol buffer can be.
use std::{
    fs::File,
    io::{self, Read},
    path::Path,
};

use prost::bytes::Bytes;

use crate::{Error, model::LARGEST};

/// The bytes of a model's file.
///
/// # Errors
/// When it cannot be read, is not an ordinary file (a pipe or a device may never end), or has more than 2 GiB, which no model has whose
/// file is one protocol buffer.
pub fn read_model_file(path: impl AsRef<Path>) -> Result<Bytes, Error> {
    let path = path.as_ref();
    let unreadable = |source| Error::Io {
        path: path.into(),
        source,
    };
    // Looked at before it is opened, which would wait for the other end of a pipe.
    let found = path.metadata().map_err(unreadable)?;
    if found.is_dir() {
        return Err(unreadable(io::ErrorKind::IsADirectory.into()));
    }
    if !found.is_file() {
        return Err(unreadable(io::Error::other(
            "not an ordinary file; give the path of one",
        )));
    }
    let too_large = |bytes| Error::TooLarge {
        bytes,
        limit: LARGEST,
    };
    let size = usize::try_from(found.len()).unwrap_or(usize::MAX);
    if size > LARGEST {
        return Err(too_large(size));
    }
    let mut bytes = Vec::new();
    // Fails where there is not so much memory.
    bytes
        .try_reserve_exact(size)
        .map_err(|error| unreadable(io::Error::new(io::ErrorKind::OutOfMemory, error)))?;
    // One more than is allowed, by which a file shows that grows.
    File::open(path)
        .and_then(|file| file.take(LARGEST as u64 + 1).read_to_end(&mut bytes))
        .map_err(unreadable)?;
    if bytes.len() > LARGEST {
        return Err(too_large(bytes.len()));
    }
    Ok(Bytes::from(bytes))
}
