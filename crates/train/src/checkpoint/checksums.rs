//! `SHA256SUMS` of a checkpoint.

use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use sha2::{Digest, Sha256};

use super::{STATE, damaged};
use crate::error::TrainError;

/// In the format of `sha256sum`.
pub(super) const FILE: &str = "SHA256SUMS";

/// SHA-256 of the files of a checkpoint, by name; absent in checkpoints from before there were any.
pub(super) struct Checksums(Option<Vec<(String, String)>>);

impl Checksums {
    pub fn lines(files: &[(&str, Vec<u8>)]) -> String {
        let lines = files
            .iter()
            .map(|(name, bytes)| format!("{:x}  {name}\n", Sha256::digest(bytes)));
        lines.collect()
    }

    pub fn read(dir: &Path) -> Result<Self, TrainError> {
        let text = match fs::read_to_string(dir.join(FILE)) {
            Err(error) if error.kind() == ErrorKind::NotFound => {
                if states_its_run(dir) {
                    return Err(damaged(
                        dir,
                        format!(
                            "{FILE} is missing, so that its files cannot be checked: use another checkpoint, or a copy of this one"
                        ),
                    ));
                }
                tracing::warn!(
                    "{}: the checkpoint is from before there were checksums; that its files are as they were written was not checked",
                    dir.display()
                );
                return Ok(Self(None));
            }
            text => text.map_err(|error| damaged(dir, format!("{FILE}: {error}")))?,
        };
        let lines = text.lines().map(|line| {
            let (sum, name) = line
                .split_once("  ")
                .ok_or_else(|| damaged(dir, format!("{FILE} is not a list of checksums")))?;
            Ok((name.to_owned(), sum.to_owned()))
        });
        let sums = lines.collect::<Result<Vec<_>, TrainError>>()?;
        match sums.is_empty() {
            true => Err(damaged(
                dir,
                format!("{FILE} is empty: use another checkpoint, or a copy of this one"),
            )),
            false => Ok(Self(Some(sums))),
        }
    }

    /// That a file is the one that was written, or was not written either.
    pub fn verify(&self, dir: &Path, name: &str) -> Result<(), TrainError> {
        let Some(sums) = &self.0 else {
            return Ok(());
        };
        let path = dir.join(name);
        let listed = sums.iter().find(|(known, _)| known == name);
        let Some((_, expected)) = listed else {
            return match path.is_file() {
                true => Err(damaged(dir, format!("{name} is not listed in {FILE}"))),
                false => Ok(()),
            };
        };
        let found = match fs::read(&path) {
            Err(error) if error.kind() == ErrorKind::NotFound => {
                return Err(damaged(
                    dir,
                    format!(
                        "{name} is missing, and {FILE} lists it: use another checkpoint, or a copy of this one"
                    ),
                ));
            }
            bytes => bytes.map_err(TrainError::file(&path))?,
        };
        let found = format!("{:x}", Sha256::digest(found));
        match found == *expected {
            true => Ok(()),
            false => Err(damaged(
                dir,
                format!(
                    "{name} was changed or damaged after it was written (its SHA-256 is {found}, {FILE} has {expected}): use another checkpoint, or a copy of this one"
                ),
            )),
        }
    }
}

/// SHA-256 of the list of checksums of a checkpoint, if it has one.
pub(crate) fn checkpoint_checksum(dir: &Path) -> Result<Option<String>, TrainError> {
    let path = dir.join(FILE);
    match fs::read(&path) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        bytes => {
            let bytes = bytes.map_err(TrainError::file(&path))?;
            Ok(Some(format!("{:x}", Sha256::digest(bytes))))
        }
    }
}

/// Whether a checkpoint names its run, as all that have checksums from then on do.
fn states_its_run(dir: &Path) -> bool {
    let state = fs::read(dir.join(STATE)).ok();
    let state = state.and_then(|bytes| serde_json::from_slice::<serde_json::Value>(&bytes).ok());
    state.is_some_and(|state| state["run"].is_string())
}
