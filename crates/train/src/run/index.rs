//! `run.json`: what is recorded of a run, with a checksum of itself.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::path::Path;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::Change;
use super::epoch::EpochRecord;
use super::folder;
use crate::error::TrainError;
use crate::fingerprint::Fingerprint;
use crate::recipe::Recipe;

pub(super) const FILE: &str = "run.json";
/// Begins the last entry of the file: the SHA-256 of the file without it.
const CHECKSUM: &str = ",\n  \"sha256\": \"";
const END: &str = "\n}";

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Index {
    /// Which run it is; its checkpoints have it too. Absent in runs from before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    pub recipe: Recipe,
    pub version: String,
    pub revision: Option<String>,
    pub device: String,
    pub epochs: Vec<EpochRecord>,
    pub last: Option<String>,
    pub stopped: Option<String>,
    /// What was changed when the run went on, in order.
    #[serde(default)]
    pub changes: Vec<Change>,
    /// Of the data; absent in runs from before it was recorded.
    #[serde(default)]
    pub data: Option<Fingerprint>,
    /// Where the weights started, if not at random.
    #[serde(default)]
    pub init: Option<String>,
    /// SHA-256 of the list of checksums of each checkpoint that is kept; of none where a checkpoint is from before there
    /// were such lists.
    #[serde(default)]
    pub checkpoints: BTreeMap<String, Option<String>>,
}

impl Index {
    /// The index in a run's folder.
    pub fn read(dir: &Path) -> Result<Self, TrainError> {
        let path = dir.join(FILE);
        let damaged = |reason: String| {
            TrainError::Run(format!(
                "{}: {reason}; {}",
                path.display(),
                folder::remedy(dir)
            ))
        };
        let text = std::fs::read_to_string(&path).map_err(|error| match error.kind() {
            ErrorKind::NotFound => TrainError::Run(format!(
                "{} holds neither a checkpoint (state.json) nor a run (run.json)",
                dir.display()
            )),
            ErrorKind::InvalidData => damaged(format!("it is damaged ({error})")),
            _ => TrainError::file(&path)(error),
        })?;
        let index: Self = serde_json::from_str(&text)
            .map_err(|error| damaged(format!("it is not the index of a run ({error})")))?;
        match text.rsplit_once(CHECKSUM) {
            Some((rest, sum)) => {
                let found = checksum(rest);
                if sum.trim_end() != format!("{found}\"{END}") {
                    return Err(damaged(format!(
                        "it was changed or damaged after it was written (its SHA-256 is {found}, it states {})",
                        sum.split('"').next().unwrap_or_default().escape_debug()
                    )));
                }
            }
            None if index.id.is_some() => {
                return Err(damaged(
                    "it was changed or damaged after it was written (its SHA-256 is not at its end)"
                        .to_owned(),
                ));
            }
            None => tracing::warn!(
                "{}: the run is from before run.json had a checksum; that it is as it was written was not checked",
                path.display()
            ),
        }
        index.check().map_err(damaged)?;
        Ok(index)
    }

    pub fn write(&self, dir: &Path) -> Result<(), TrainError> {
        let path = dir.join(FILE);
        let text = serde_json::to_string_pretty(self)
            .map_err(|error| TrainError::Run(format!("{}: {error}", path.display())))?;
        let rest = text.strip_suffix(END).unwrap_or(&text);
        let text = format!("{rest}{CHECKSUM}{}\"{END}", checksum(rest));
        buckler_onnx::write_atomic(&path, text.as_bytes()).map_err(TrainError::file(&path))
    }

    fn check(&self) -> Result<(), String> {
        for (index, record) in self.epochs.iter().enumerate() {
            record.check(index + 1)?;
        }
        let Some(last) = &self.last else {
            return match self.epochs.is_empty() {
                true => Ok(()),
                false => Err("last is missing; it names the last checkpoint".to_owned()),
            };
        };
        match folder::position(last) {
            Some((epochs, _)) if epochs == self.epochs.len() => Ok(()),
            _ => Err(format!(
                "last is `{}`, and {} epochs are finished; it is the name of the checkpoint after them",
                last.escape_debug(),
                self.epochs.len()
            )),
        }
    }
}

/// Of the file without its last entry.
fn checksum(rest: &str) -> String {
    format!("{:x}", Sha256::digest(format!("{rest}{END}")))
}
