//! Values of the recipe that change when a run goes on.

use serde::{Deserialize, Serialize};

use super::Run;
use crate::error::TrainError;
use crate::recipe::{Difference, Recipe};

/// What may change in a run, when asked for.
pub(super) const CHANGEABLE: [&str; 4] = [
    "optimizer.clip_norm",
    "optimizer.learning_rate",
    "training.epochs",
    "training.stop_on_drop",
];

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

impl Run {
    /// The values of `given` that were asked for by key, to be taken over; all other differences are refused.
    pub(crate) fn changes_to(
        &self,
        given: &Recipe,
        asked: &[String],
    ) -> Result<(Recipe, Vec<Change>), TrainError> {
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
        Ok((recipe, changes))
    }

    /// Takes over changed values.
    pub(crate) fn change(
        &mut self,
        (recipe, changes): (Recipe, Vec<Change>),
    ) -> Result<(), TrainError> {
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
}
