//! Gradient graphs that were made at load, kept for the next time.
use std::{
    fs, io,
    io::Write,
    path::{Path, PathBuf},
};

use buckler_onnx::Origin;
use sha2::{Digest, Sha256};
use tempfile::NamedTempFile;

/// One file for each model, output and image size; another version of this crate may make another gradient of it.
fn path(folder: &Path, origin: &Origin) -> PathBuf {
    let Origin {
        graph_sha256,
        output,
        logits,
        reading,
        size,
    } = origin;
    let choice = Sha256::digest(format!("{output}\n{logits}\n{reading:?}\n{size:?}"));
    let choice = format!("{choice:x}");
    let choice = choice.get(..16).unwrap_or_default();
    folder
        .join(env!("CARGO_PKG_VERSION"))
        .join(format!("{graph_sha256}-{choice}.onnx"))
}

pub(super) fn read(folder: &Path, origin: &Origin) -> Option<Vec<u8>> {
    fs::read(path(folder, origin)).ok()
}

pub(super) fn write(folder: &Path, origin: &Origin, bytes: &[u8]) -> io::Result<()> {
    let path = path(folder, origin);
    let folder = path.parent().unwrap_or(folder);
    fs::create_dir_all(folder)?;
    let mut file = NamedTempFile::new_in(folder)?;
    file.write_all(bytes)?;
    file.as_file().sync_all()?;
    file.persist(path)?;
    Ok(())
}
