//! Gradient graphs that were made at load, kept for the next time.
use std::{
    fs, io,
    io::Write,
    path::{Path, PathBuf},
};

use tempfile::NamedTempFile;

/// `origin` is the checksum of the model's graph; another version of this crate may make another gradient of it.
fn path(folder: &Path, origin: &str) -> PathBuf {
    folder
        .join(env!("CARGO_PKG_VERSION"))
        .join(format!("{origin}.onnx"))
}

pub(super) fn read(folder: &Path, origin: &str) -> Option<Vec<u8>> {
    fs::read(path(folder, origin)).ok()
}

pub(super) fn write(folder: &Path, origin: &str, bytes: &[u8]) -> io::Result<()> {
    let path = path(folder, origin);
    let folder = path.parent().unwrap_or(folder);
    fs::create_dir_all(folder)?;
    let mut file = NamedTempFile::new_in(folder)?;
    file.write_all(bytes)?;
    file.as_file().sync_all()?;
    file.persist(path)?;
    Ok(())
}
