//! What a run's folder holds, and which folders a new run may use.

use std::path::Path;

use super::index;
use crate::error::TrainError;

/// The folder of checkpoints in a run's folder.
pub(super) const CHECKPOINTS: &str = "checkpoints";
/// What a run writes over beside `run.json`, and what shows that a folder is a checkpoint.
const OTHERS: [&str; 5] = [
    "recipe.toml",
    "metrics.jsonl",
    "report.md",
    "curves.svg",
    "state.json",
];

/// The name of the checkpoint after `epochs` finished epochs and `steps` steps of the next one.
pub(super) fn checkpoint(epochs: usize, steps: usize) -> String {
    match steps {
        0 => format!("epoch-{epochs:03}"),
        _ => format!("epoch-{epochs:03}-step-{steps:06}"),
    }
}

/// Finished epochs, and steps of the next one, by the name of a checkpoint.
pub(crate) fn position(name: &str) -> Option<(usize, usize)> {
    let rest = name.strip_prefix("epoch-")?;
    let (epochs, steps) = match rest.split_once("-step-") {
        Some((epochs, steps)) => (epochs, steps.parse().ok()?),
        None => (rest, 0),
    };
    let epochs = epochs.parse().ok()?;
    (checkpoint(epochs, steps) == name).then_some((epochs, steps))
}

/// Whether runs give this name to checkpoints, finished or not.
pub(super) fn is_ours(name: &str) -> bool {
    position(name.strip_suffix(".tmp").unwrap_or(name)).is_some()
}

/// The latest checkpoint in a run's folder, by its name.
fn latest(dir: &Path) -> Option<String> {
    let entries = std::fs::read_dir(dir.join(CHECKPOINTS)).ok()?;
    let names = entries
        .filter_map(|entry| Some(entry.ok()?.file_name().to_str()?.to_owned()))
        .filter_map(|name| Some((position(&name)?, name)));
    names.max().map(|(_, name)| name)
}

/// Whether there is a checkpoint that a run in the folder could have written.
pub(super) fn has_checkpoints(dir: &Path) -> bool {
    latest(dir).is_some()
}

/// What can be done with a folder whose `run.json` cannot be used.
pub(super) fn remedy(dir: &Path) -> String {
    match latest(dir) {
        Some(name) => format!(
            "put back a copy of run.json, or export a checkpoint by its own folder, such as {}, and train in another folder",
            dir.join(CHECKPOINTS).join(name).display()
        ),
        None => format!(
            "there is no checkpoint to lose: delete {} to use the folder again, or use another one",
            [&[index::FILE], &written(dir)[..]].concat().join(", ")
        ),
    }
}

/// What is in the folder of what runs write, beside `run.json`.
fn written(dir: &Path) -> Vec<&'static str> {
    let there = |name: &&str| dir.join(name).symlink_metadata().is_ok();
    let checkpoints = dir.join(CHECKPOINTS);
    let empty = std::fs::read_dir(checkpoints).is_ok_and(|mut entries| entries.next().is_none());
    let checkpoints = Some(CHECKPOINTS).filter(|name| there(name) && !empty);
    checkpoints
        .into_iter()
        .chain(OTHERS.into_iter().filter(there))
        .collect()
}

/// That a new run in the folder writes over nothing and deletes nothing that is not its own.
pub(crate) fn check_unused(dir: &Path) -> Result<(), TrainError> {
    if dir.join(index::FILE).exists() {
        return Ok(());
    }
    let found = written(dir);
    if found.is_empty() {
        return Ok(());
    }
    let of_a_run = latest(dir).map_or(String::new(), |name| {
        format!(
            "; if they are of a run, put back its run.json, or export a checkpoint by its own folder, such as {}",
            dir.join(CHECKPOINTS).join(name).display()
        )
    });
    Err(TrainError::Run(format!(
        "{} holds {} and no run.json: a new run would replace them; use another folder, or move them away{of_a_run}",
        dir.display(),
        found.join(", ")
    )))
}
