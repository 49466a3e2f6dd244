use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::checkpoint::remove_dir;
use crate::error::TrainError;
use crate::recipe::Recipe;

const INDEX: &str = "run.json";

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
    /// Training and validation together.
    pub seconds: f64,
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
    epochs: Vec<EpochRecord>,
}

/// A run's folder: `run.json` with the recipe and the figures of every finished epoch, and `checkpoints/epoch-NNN` of
/// the best and the last one. Robust accuracy peaks before training ends (Rice et al. 2020), hence the best.
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
    pub fn create(dir: &Path, recipe: &Recipe) -> Result<Self, TrainError> {
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
                epochs: Vec::new(),
            },
        };
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
            .map(|best| self.checkpoint_dir(best.epoch))
            .ok_or_else(|| {
                TrainError::Run(format!(
                    "{}: no epoch is finished yet, so there is no checkpoint",
                    self.dir.display()
                ))
            })
    }

    pub(crate) fn last_checkpoint(&self) -> Option<PathBuf> {
        let last = self.index.epochs.last()?;
        Some(self.checkpoint_dir(last.epoch))
    }

    pub(crate) fn checkpoint_dir(&self, epoch: usize) -> PathBuf {
        self.dir
            .join("checkpoints")
            .join(format!("epoch-{epoch:03}"))
    }

    /// Adds an epoch whose checkpoint is on disk, then drops the checkpoints that are neither best nor last.
    pub(crate) fn finish_epoch(&mut self, record: EpochRecord) -> Result<(), TrainError> {
        self.index.epochs.push(record);
        self.write()?;
        let best = self.best().map(|record| record.epoch);
        let last = self.index.epochs.last().map(|record| record.epoch);
        for record in &self.index.epochs {
            if Some(record.epoch) != best && Some(record.epoch) != last {
                remove_dir(&self.checkpoint_dir(record.epoch))?;
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
