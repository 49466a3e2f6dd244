use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::checkpoint::remove_dir;
use crate::error::TrainError;
use crate::recipe::Recipe;

const INDEX: &str = "run.json";
const CHECKPOINTS: &str = "checkpoints";

/// What one epoch came to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EpochRecord {
    /// From 1.
    pub epoch: usize,
    /// Mean training loss.
    pub loss: f64,
    /// On the validation images, in `[0, 1]`.
    pub clean_accuracy: f64,
    /// The same under PGD with the recipe's threat; absent without an adversary.
    pub robust_accuracy: Option<f64>,
    /// Training and validation together; of an epoch that was interrupted, since it was resumed.
    pub seconds: f64,
    /// Training images left out because they could not be read.
    #[serde(default)]
    pub skipped: usize,
}

impl EpochRecord {
    /// What the best epoch has most of: accuracy under attack, then clean accuracy.
    fn merit(&self) -> (f64, f64) {
        (
            self.robust_accuracy.unwrap_or(self.clean_accuracy),
            self.clean_accuracy,
        )
    }
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Index {
    recipe: Recipe,
    version: String,
    revision: Option<String>,
    device: String,
    epochs: Vec<EpochRecord>,
    last: Option<String>,
    stopped: Option<String>,
}

/// A run's folder: `run.json` with the recipe and the figures of every finished epoch, `recipe.toml`, `metrics.jsonl`
/// with a line per step, `report.md` with `curves.svg`, and in `checkpoints` the best epoch's checkpoint and the last
/// one. Robust accuracy peaks before training ends (Rice et al. 2020), hence the best.
#[derive(Clone, Debug)]
pub struct Run {
    dir: PathBuf,
    index: Index,
}

impl Run {
    /// A new run in `dir`.
    ///
    /// # Errors
    /// When there is one already.
    pub fn create(dir: &Path, recipe: &Recipe, device: &str) -> Result<Self, TrainError> {
        if dir.join(INDEX).exists() {
            return Err(TrainError::Run(format!(
                "{} already holds a run: go on with it with --resume, or choose another --out",
                dir.display()
            )));
        }
        std::fs::create_dir_all(dir).map_err(TrainError::file(dir))?;
        let run = Self {
            dir: dir.to_owned(),
            index: Index {
                recipe: recipe.clone(),
                version: env!("CARGO_PKG_VERSION").to_owned(),
                revision: revision(),
                device: device.to_owned(),
                epochs: Vec::new(),
                last: None,
                stopped: None,
            },
        };
        let path = dir.join("recipe.toml");
        buckler_onnx::write_atomic(&path, recipe.to_toml()?.as_bytes())
            .map_err(TrainError::file(&path))?;
        run.write()?;
        Ok(run)
    }

    /// The run in `dir`.
    ///
    /// # Errors
    /// When there is none, or its index is damaged.
    pub fn open(dir: &Path) -> Result<Self, TrainError> {
        let path = dir.join(INDEX);
        let text = std::fs::read_to_string(&path).map_err(|error| match error.kind() {
            std::io::ErrorKind::NotFound => TrainError::Run(format!(
                "{} holds neither a checkpoint (state.json) nor a run (run.json)",
                dir.display()
            )),
            _ => TrainError::file(&path)(error),
        })?;
        let index = serde_json::from_str(&text)
            .map_err(|error| TrainError::Run(format!("{}: {error}", path.display())))?;
        Ok(Self {
            dir: dir.to_owned(),
            index,
        })
    }

    /// The recipe that the run was started with.
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
    /// When no epoch is finished.
    pub fn best_checkpoint(&self) -> Result<PathBuf, TrainError> {
        self.best()
            .map(|best| self.checkpoint_dir(best.epoch, 0))
            .ok_or_else(|| {
                TrainError::Run(format!(
                    "{}: no epoch is finished yet, so there is no checkpoint",
                    self.dir.display()
                ))
            })
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

    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    pub(crate) fn last_checkpoint(&self) -> Option<PathBuf> {
        let last = self.index.last.as_ref()?;
        Some(self.dir.join(CHECKPOINTS).join(last))
    }

    /// Where the checkpoint after `epochs` finished epochs and `steps` steps of the next one goes.
    pub(crate) fn checkpoint_dir(&self, epochs: usize, steps: usize) -> PathBuf {
        self.dir.join(CHECKPOINTS).join(checkpoint(epochs, steps))
    }

    /// Makes a checkpoint on disk the one to go on from, then drops those that are neither best nor last.
    pub(crate) fn passed(&mut self, epochs: usize, steps: usize) -> Result<(), TrainError> {
        self.index.last = Some(checkpoint(epochs, steps));
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

    fn drop_others(&self) -> Result<(), TrainError> {
        let best = self.best().map(|record| checkpoint(record.epoch, 0));
        let dir = self.dir.join(CHECKPOINTS);
        for entry in std::fs::read_dir(&dir).map_err(TrainError::file(&dir))? {
            let entry = entry.map_err(TrainError::file(&dir))?;
            let name = Some(entry.file_name().to_string_lossy().into_owned());
            if name != best && name != self.index.last {
                remove_dir(&entry.path())?;
            }
        }
        Ok(())
    }

    fn write(&self) -> Result<(), TrainError> {
        let path = self.dir.join(INDEX);
        let text = serde_json::to_vec_pretty(&self.index)
            .map_err(|error| TrainError::Run(format!("{}: {error}", path.display())))?;
        buckler_onnx::write_atomic(&path, &text).map_err(TrainError::file(&path))
    }
}

fn checkpoint(epochs: usize, steps: usize) -> String {
    match steps {
        0 => format!("epoch-{epochs:03}"),
        _ => format!("epoch-{epochs:03}-step-{steps:06}"),
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
