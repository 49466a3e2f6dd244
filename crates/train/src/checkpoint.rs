use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

use burn::module::Module;
use burn::optim::ModuleOptimizer;
use burn::store::ModuleRecord;
use burn::tensor::{Bytes, Device};
use serde::{Deserialize, Serialize};

use crate::error::TrainError;
use crate::network::Network;
use crate::recipe::Recipe;
use crate::run::{EpochRecord, Run};

const MODEL: &str = "model.bpk";
const OPTIMIZER: &str = "optimizer.bpk";
const STATE: &str = "state.json";

/// Everything about a checkpoint that is not a tensor.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CheckpointState {
    /// The recipe of the run.
    pub recipe: Recipe,
    /// The epoch after which it was taken, with its figures.
    pub epoch: EpochRecord,
    /// `[channels, height, width]` of the images.
    pub image: [usize; 3],
    /// Class names in the order of the logits.
    pub classes: Vec<String>,
}

/// A trained network: a folder `epoch-NNN` with the weights, the optimiser's state and how they came about.
#[derive(Clone, Debug)]
pub struct Checkpoint {
    /// The weights, on the device they were loaded to, in evaluation mode.
    pub network: Network,
    /// The rest.
    pub state: CheckpointState,
    dir: PathBuf,
}

impl Checkpoint {
    /// From a checkpoint folder, or from a run's folder, where it is the best one.
    ///
    /// # Errors
    /// When there is none, or it is damaged.
    pub fn load(path: &Path, device: &Device) -> Result<Self, TrainError> {
        let dir = if path.join(STATE).is_file() {
            path.to_owned()
        } else {
            Run::open(path)?.best_checkpoint()?
        };
        let damaged = |reason: String| TrainError::Checkpoint {
            path: dir.clone(),
            reason,
        };
        let text =
            fs::read_to_string(dir.join(STATE)).map_err(TrainError::file(dir.join(STATE)))?;
        let state: CheckpointState =
            serde_json::from_str(&text).map_err(|error| damaged(format!("{STATE}: {error}")))?;
        let record = ModuleRecord::from_bytes(read(&dir.join(MODEL))?)
            .map_err(|error| damaged(format!("{MODEL}: {error}")))?;
        let network = Network::init(
            &state.recipe.network,
            &state.recipe.head,
            state.image,
            state.classes.len(),
            device,
        )?
        .try_load_record(record)
        .map_err(|error| damaged(format!("{MODEL}: {error}")))?
        // A record holds no flags: without this, dropout would act on the input gradient.
        .valid();
        Ok(Self {
            network,
            state,
            dir,
        })
    }

    /// Restores the optimiser's state, for going on with the run.
    pub(crate) fn load_optimizer(
        &self,
        optimizer: ModuleOptimizer,
    ) -> Result<ModuleOptimizer, TrainError> {
        optimizer
            .from_bytes(read(&self.dir.join(OPTIMIZER))?)
            .map_err(|error| TrainError::Checkpoint {
                path: self.dir.clone(),
                reason: format!("{OPTIMIZER}: {error}"),
            })
    }

    /// Writes a checkpoint as `dir`, all or nothing: the files are complete on disk before the folder gets its name.
    pub(crate) fn write(
        dir: &Path,
        network: &Network,
        optimizer: &ModuleOptimizer,
        state: &CheckpointState,
    ) -> Result<(), TrainError> {
        let failed = |reason: String| TrainError::Checkpoint {
            path: dir.to_owned(),
            reason,
        };
        let model = network
            .clone()
            .into_record()
            .into_bytes()
            .map_err(|error| failed(error.to_string()))?;
        let optimizer = optimizer
            .into_bytes()
            .map_err(|error| failed(error.to_string()))?;
        let state = serde_json::to_vec_pretty(state).map_err(|error| failed(error.to_string()))?;

        let unfinished = dir.with_extension("tmp");
        remove_dir(&unfinished)?;
        fs::create_dir_all(&unfinished).map_err(TrainError::file(&unfinished))?;
        for (name, bytes) in [
            (MODEL, &model[..]),
            (OPTIMIZER, &optimizer[..]),
            (STATE, &state[..]),
        ] {
            let path = unfinished.join(name);
            File::create(&path)
                .and_then(|mut file| file.write_all(bytes).and_then(|()| file.sync_all()))
                .map_err(TrainError::file(&path))?;
        }
        remove_dir(dir)?;
        fs::rename(&unfinished, dir).map_err(TrainError::file(dir))
    }
}

pub(crate) fn remove_dir(dir: &Path) -> Result<(), TrainError> {
    match fs::remove_dir_all(dir) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(TrainError::file(dir)(error))
        }
        _ => Ok(()),
    }
}

fn read(path: &Path) -> Result<Bytes, TrainError> {
    let bytes = fs::read(path).map_err(TrainError::file(path))?;
    Ok(Bytes::from_bytes_vec(bytes))
}
