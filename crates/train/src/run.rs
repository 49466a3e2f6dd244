//! A run's folder and what is recorded of the run.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::checkpoint::remove_dir;
use crate::error::TrainError;
use crate::fingerprint::Fingerprint;
use crate::recipe::{Difference, Recipe};

const INDEX: &str = "run.json";
const CHECKPOINTS: &str = "checkpoints";
/// What may change in a run, when asked for.
const CHANGEABLE: [&str; 4] = [
    "optimizer.clip_norm",
    "optimizer.learning_rate",
    "training.epochs",
    "training.stop_on_drop",
];

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
    /// Whether nearly all validation images were predicted as one class.
    #[serde(default)]
    pub collapsed: bool,
    /// A reason to distrust the epoch, for people.
    #[serde(default)]
    pub warning: Option<String>,
}

impl EpochRecord {
    /// What the best epoch has most of: more than one answer, accuracy under attack, then clean accuracy.
    fn merit(&self) -> (bool, f64, f64) {
        (
            !self.collapsed,
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
    /// What was changed when the run went on, in order.
    #[serde(default)]
    changes: Vec<Change>,
    /// Of the data; absent in runs from before it was recorded.
    #[serde(default)]
    data: Option<Fingerprint>,
    /// Where the weights started, if not at random.
    #[serde(default)]
    init: Option<String>,
}

/// A value of the recipe that was changed in a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// Finished epochs at that time.
    pub after_epoch: usize,
    /// Dotted.
    pub key: String,
    /// The value before, as TOML.
    pub from: String,
    /// The value since, as TOML.
    pub to: String,
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
    /// A new run in `dir`, in place of one that has no checkpoint.
    ///
    /// # Errors
    /// When there is one that has.
    pub fn create(
        dir: &Path,
        recipe: &Recipe,
        device: &str,
        init: Option<String>,
    ) -> Result<Self, TrainError> {
        if dir.join(INDEX).exists() {
            let earlier = Self::open(dir)?;
            if earlier.index.last.is_some() {
                return Err(TrainError::RunExists {
                    path: dir.to_owned(),
                    recipe: earlier.index.recipe.name,
                });
            }
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
                changes: Vec::new(),
                data: None,
                init,
            },
        };
        run.write_recipe()?;
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

    /// What was changed when the run went on, in order.
    pub fn changes(&self) -> &[Change] {
        &self.index.changes
    }

    /// Where the weights started, if not at random.
    pub fn init(&self) -> Option<&str> {
        self.index.init.as_deref()
    }

    /// Takes over the values of `given` that were asked for by key, and refuses all other differences.
    pub(crate) fn change(&mut self, given: &Recipe, asked: &[String]) -> Result<(), TrainError> {
        let mut recipe = self.index.recipe.clone();
        let mut changes = Vec::new();
        let (mut refused, mut changeable) = (Vec::new(), Vec::new());
        for difference in self.index.recipe.differences(given)? {
            let Difference { key, ours, theirs } = &difference;
            let may = CHANGEABLE.contains(&key.as_str());
            if key == "description" {
                continue;
            }
            let named = asked
                .iter()
                .any(|asked| key == asked || key.starts_with(&format!("{asked}.")));
            if named && may {
                recipe = recipe.with(key, theirs)?;
                changes.push(Change {
                    after_epoch: self.index.epochs.len(),
                    key: key.clone(),
                    from: ours.clone(),
                    to: theirs.clone(),
                });
            } else if !self.started_with(key, theirs) {
                refused.push(format!(
                    "{key} is {ours} in the run, {theirs} in the recipe"
                ));
                if may {
                    changeable.push(key.clone());
                }
            }
        }
        if !refused.is_empty() {
            return Err(TrainError::RunDiffers {
                path: self.dir.clone(),
                differences: refused.join("; "),
                changeable,
            });
        }
        if changes.is_empty() {
            return Ok(());
        }
        for change in &changes {
            tracing::info!(
                "{}: {} is {} from here on, it was {}",
                self.dir.display(),
                change.key,
                change.to,
                change.from
            );
        }
        self.index.recipe = recipe;
        self.index.changes.extend(changes);
        self.index.stopped = None;
        self.write_recipe()?;
        self.write()
    }

    /// Whether a value is the one that the run was started with, before it was changed.
    fn started_with(&self, key: &str, value: &str) -> bool {
        let first = self.index.changes.iter().find(|change| change.key == key);
        first.is_some_and(|change| change.from == value)
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
