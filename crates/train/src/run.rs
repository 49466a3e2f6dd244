//! A run's folder and what is recorded of the run.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::checkpoint::{CheckpointState, checkpoint_checksum, remove_dir};
use crate::error::TrainError;
use crate::fingerprint::Fingerprint;
use crate::recipe::{Difference, Recipe};

mod changes;
mod epoch;
mod folder;
mod index;

use changes::CHANGEABLE;
pub use changes::Change;
pub use epoch::EpochRecord;
use folder::{CHECKPOINTS, checkpoint};
pub(crate) use folder::{check_unused, position};
use index::Index;

/// A run's folder: `run.json` with the recipe and the figures of every finished epoch, `recipe.toml`, `metrics.jsonl`
/// with a line per step, `report.md` with `curves.svg`, and in `checkpoints` the best epoch's checkpoint and the last
/// one. Robust accuracy peaks before training ends (Rice et al. 2020), hence the best.
#[derive(Clone, Debug)]
pub struct Run {
    dir: PathBuf,
    index: Index,
}

impl Run {
    /// A new run in `dir`, in place of one that has no checkpoint.
    ///
    /// # Errors
    /// When there is one that has, or the folder holds what a run writes and is not one.
    pub fn create(
        dir: &Path,
        recipe: &Recipe,
        device: &str,
        init: Option<String>,
    ) -> Result<Self, TrainError> {
        check_unused(dir)?;
        if let Some(earlier) = Self::find(dir)?
            && earlier.index.last.is_some()
        {
            return Err(TrainError::RunExists {
                path: dir.to_owned(),
                recipe: earlier.index.recipe.name,
            });
        }
        std::fs::create_dir_all(dir).map_err(TrainError::file(dir))?;
        let run = Self {
            dir: dir.to_owned(),
            index: Index {
                id: Some(format!("{:032x}", rand::random::<u128>())),
                recipe: recipe.clone(),
                version: env!("CARGO_PKG_VERSION").to_owned(),
                revision: revision(),
                device: device.to_owned(),
                epochs: Vec::new(),
                last: None,
                stopped: None,
                changes: Vec::new(),
                data: None,
                init,
                checkpoints: BTreeMap::new(),
            },
        };
        // First of all files: without it, the others would not be known for a run's.
        run.write()?;
        run.write_recipe()?;
        Ok(run)
    }

    /// The run in `dir`.
    ///
    /// # Errors
    /// When there is none, or its index is damaged.
    pub fn open(dir: &Path) -> Result<Self, TrainError> {
        Ok(Self {
            dir: dir.to_owned(),
            index: Index::read(dir)?,
        })
    }

    /// The run in `dir`, if there is one: an empty index without a checkpoint is of none.
    pub(crate) fn find(dir: &Path) -> Result<Option<Self>, TrainError> {
        let path = dir.join(index::FILE);
        let empty = std::fs::read(&path).is_ok_and(|bytes| bytes.trim_ascii().is_empty());
        if !path.exists() || (empty && !folder::has_checkpoints(dir)) {
            return Ok(None);
        }
        Self::open(dir).map(Some)
    }

    /// Which run it is, as its checkpoints state it; absent in runs from before they did.
    pub(crate) fn id(&self) -> Option<&str> {
        self.index.id.as_deref()
    }

    /// The recipe of the run, with what was changed since it was started.
    pub fn recipe(&self) -> &Recipe {
        &self.index.recipe
    }

    /// The finished epochs.
    pub fn epochs(&self) -> &[EpochRecord] {
        &self.index.epochs
    }

    /// The best finished epoch; the earliest of equals.
    pub fn best(&self) -> Option<&EpochRecord> {
        self.index.epochs.iter().reduce(|best, next| {
            if next.merit() > best.merit() {
                next
            } else {
                best
            }
        })
    }

    /// The folder of the best epoch's checkpoint.
    ///
    /// # Errors
    /// When no epoch is finished, or the checkpoint is not the one that the run wrote.
    pub fn best_checkpoint(&self) -> Result<PathBuf, TrainError> {
        let Some(best) = self.best() else {
            return Err(TrainError::Run(format!(
                "{}: no epoch is finished yet, so there is no checkpoint",
                self.dir.display()
            )));
        };
        self.verified(&checkpoint(best.epoch, 0))
    }

    /// The folder of a checkpoint, which is the one that this run wrote under that name.
    fn verified(&self, name: &str) -> Result<PathBuf, TrainError> {
        let dir = self.dir.join(CHECKPOINTS).join(name);
        let wrong = |reason: String| {
            Err(TrainError::Checkpoint {
                path: dir.clone(),
                reason,
            })
        };
        if !dir.is_dir() {
            return wrong("it is missing, and run.json lists it: put a copy of it back".to_owned());
        }
        let state = CheckpointState::read(&dir)?;
        state.check_name(&dir)?;
        let same = |difference: &Difference| {
            let key = difference.key.as_str();
            key == "description" || CHANGEABLE.contains(&key)
        };
        let recipe = self.index.recipe.differences(&state.recipe)?;
        if state.run != self.index.id || !recipe.iter().all(same) {
            return wrong(format!(
                "it is of another run, of recipe {}: put the checkpoint of this run back",
                state.recipe.name
            ));
        }
        let listed = self.index.checkpoints.get(name);
        match listed {
            Some(Some(sum)) if checkpoint_checksum(&dir)?.as_ref() != Some(sum) => wrong(
                "it is not the one that the run wrote under this name (SHA256SUMS has another SHA-256 than run.json states): put that one back"
                    .to_owned(),
            ),
            None if self.index.id.is_some() => wrong(
                "run.json does not list it: put back the run.json that was written with it"
                    .to_owned(),
            ),
            _ => Ok(dir),
        }
    }

    /// Why the run ended before its last epoch, if it did.
    pub fn stopped(&self) -> Option<&str> {
        self.index.stopped.as_deref()
    }

    /// The revision of the repository that the run was started in, `-dirty` with uncommitted changes.
    pub fn revision(&self) -> Option<&str> {
        self.index.revision.as_deref()
    }

    /// The device that the run was started on.
    pub fn device(&self) -> &str {
        &self.index.device
    }

    /// What was changed when the run went on, in order.
    pub fn changes(&self) -> &[Change] {
        &self.index.changes
    }

    /// Where the weights started, if not at random.
    pub fn init(&self) -> Option<&str> {
        self.index.init.as_deref()
    }

    /// That the run goes on with the data that it was started with.
    pub(crate) fn check_data(&mut self, data: Fingerprint) -> Result<(), TrainError> {
        match &self.index.data {
            Some(started) if *started != data => Err(TrainError::DataDiffers {
                path: self.dir.clone(),
                differences: started.differences(&data).join("; "),
            }),
            Some(_) => Ok(()),
            None => {
                if self.index.last.is_some() {
                    tracing::warn!(
                        "{}: the run is from before data were recorded; that these are the same was not checked",
                        self.dir.display()
                    );
                }
                self.index.data = Some(data);
                self.write()
            }
        }
    }

    fn write_recipe(&self) -> Result<(), TrainError> {
        let path = self.dir.join("recipe.toml");
        buckler_onnx::write_atomic(&path, self.index.recipe.to_toml()?.as_bytes())
            .map_err(TrainError::file(&path))
    }

    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    /// Whether there is a checkpoint to go on from.
    pub(crate) fn has_checkpoint(&self) -> bool {
        self.index.last.is_some()
    }

    /// The folder of the checkpoint to go on from, if there is one.
    pub(crate) fn last_checkpoint(&self) -> Result<Option<PathBuf>, TrainError> {
        let last = self.index.last.as_ref();
        last.map(|last| self.verified(last)).transpose()
    }

    /// Where the checkpoint after `epochs` finished epochs and `steps` steps of the next one goes.
    pub(crate) fn checkpoint_dir(&self, epochs: usize, steps: usize) -> PathBuf {
        self.dir.join(CHECKPOINTS).join(checkpoint(epochs, steps))
    }

    /// Makes a checkpoint on disk the one to go on from, then drops those that are neither best nor last.
    pub(crate) fn passed(&mut self, epochs: usize, steps: usize) -> Result<(), TrainError> {
        let last = checkpoint(epochs, steps);
        let best = self.best().map(|record| checkpoint(record.epoch, 0));
        let mut kept = BTreeMap::new();
        for name in best.into_iter().chain([last.clone()]) {
            let known = self.index.checkpoints.remove(&name);
            let sum = match known {
                Some(sum) if name != last => sum,
                _ => checkpoint_checksum(&self.dir.join(CHECKPOINTS).join(&name))?,
            };
            kept.insert(name, sum);
        }
        self.index.checkpoints = kept;
        self.index.last = Some(last);
        self.write()?;
        self.drop_others()
    }

    /// Adds an epoch whose checkpoint is on disk.
    pub(crate) fn finish_epoch(
        &mut self,
        record: EpochRecord,
        stopped: Option<String>,
    ) -> Result<(), TrainError> {
        let epoch = record.epoch;
        self.index.epochs.push(record);
        self.index.stopped = stopped;
        self.passed(epoch, 0)
    }

    /// Deletes checkpoints that are not kept, and nothing else that lies beside them.
    fn drop_others(&self) -> Result<(), TrainError> {
        let dir = self.dir.join(CHECKPOINTS);
        for entry in std::fs::read_dir(&dir).map_err(TrainError::file(&dir))? {
            let entry = entry.map_err(TrainError::file(&dir))?;
            let name = entry.file_name().to_string_lossy().into_owned();
            let folder = entry.file_type().is_ok_and(|kind| kind.is_dir());
            if folder && folder::is_ours(&name) && !self.index.checkpoints.contains_key(&name) {
                remove_dir(&entry.path())?;
            }
        }
        Ok(())
    }

    fn write(&self) -> Result<(), TrainError> {
        self.index.write(&self.dir)
    }
}

/// What `git` says of the current folder, if it says anything.
fn revision() -> Option<String> {
    let output = std::process::Command::new("git")
        .args([
            "describe",
            "--always",
            "--dirty",
            "--abbrev=40",
            "--exclude=*",
        ])
        .output()
        .ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    let text = text.trim();
    (output.status.success() && !text.is_empty()).then(|| text.to_owned())
}
