use std::fs::{self, File};
use std::io::Write;
use std::path::Path;

use buckler_onnx::Preprocessing;
use burn::module::{Module, Param};
use burn::optim::ModuleOptimizer;
use burn::store::ModuleRecord;
use burn::tensor::{Bytes, Device, Tensor};
use serde::{Deserialize, Serialize};

use crate::device::first;
use crate::error::TrainError;
use crate::network::{Network, Precision};
use crate::recipe::Recipe;
use crate::run::{Run, position};
use crate::step::TrainingState;

mod checksums;

use checksums::Checksums;
pub(crate) use checksums::checkpoint_checksum;

const MODEL: &str = "model.bpk";
const WEIGHTS: &str = "weights.bpk";
const PERTURBATION: &str = "perturbation.bpk";
const OPTIMIZER: &str = "optimizer.bpk";
const STATE: &str = "state.json";

/// Everything about a checkpoint that is not a tensor.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CheckpointState {
    /// Which run wrote it, as its `run.json` says; absent in imported networks, and in checkpoints from before it was
    /// recorded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<String>,
    /// The recipe of the run.
    pub recipe: Recipe,
    /// Finished epochs.
    pub epochs: usize,
    /// Finished steps of the epoch after them; 0 at the end of an epoch.
    pub steps: usize,
    /// Over those steps, the sum of their losses, each times its images.
    pub loss_sum: f64,
    /// Over those steps, the images left out because they could not be read.
    pub skipped: usize,
    /// `[channels, height, width]` of the images.
    pub image: [usize; 3],
    /// Class names in the order of the logits.
    pub classes: Vec<String>,
    /// What image files went through to become such images; absent for data sets that are no files, and in checkpoints
    /// from before it was recorded.
    #[serde(default)]
    pub preprocessing: Option<Preprocessing>,
}

/// A trained network: a folder `epoch-NNN` with the weights, the optimiser's state and how they came about.
#[derive(Clone, Debug)]
pub struct Checkpoint {
    /// The weights, on the device they were loaded to, in evaluation mode.
    pub network: Network,
    /// The rest.
    pub state: CheckpointState,
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
        let checksums = Checksums::read(&dir)?;
        checksums.verify(&dir, MODEL)?;
        let state = CheckpointState::checked(&dir, &checksums)?;
        state.check_name(&dir)?;
        let network = load_module(state.network(Precision::F32, device)?, &dir, MODEL)?
            // A record holds no flags: without this, dropout would act on the input gradient.
            .valid();
        Ok(Self { network, state })
    }

    /// Everything that the next step needs, from a checkpoint's folder, on the first of `devices`.
    pub(crate) fn resume(
        dir: &Path,
        optimizer: ModuleOptimizer,
        devices: &[Device],
    ) -> Result<(TrainingState, CheckpointState), TrainError> {
        let device = &first(devices)?;
        let checksums = Checksums::read(dir)?;
        for name in [MODEL, WEIGHTS, OPTIMIZER, PERTURBATION] {
            checksums.verify(dir, name)?;
        }
        let position = CheckpointState::checked(dir, &checksums)?;
        let training = &position.recipe.training;
        let averaged = training.ema_decay.is_some();
        let fresh = position.network(training.precision, device)?;
        let network = load_module(fresh, dir, if averaged { WEIGHTS } else { MODEL })?;
        let average = if averaged {
            // Into a copy, not a network of its own: loading leaves the ids of running statistics as they are, and the
            // average finds its counterparts by id.
            Some(load_module(network.valid(), dir, MODEL)?.valid())
        } else {
            None
        };
        let optimizer = optimizer
            .from_bytes(read(&dir.join(OPTIMIZER))?)
            .map_err(|error| damaged(dir, format!("{OPTIMIZER}: {error}")))?;
        let perturbation = if dir.join(PERTURBATION).is_file() {
            let shape = Perturbation::init(&position, device);
            Some(load_module(shape, dir, PERTURBATION)?.values.val().inner())
        } else {
            None
        };
        let state = TrainingState {
            network: network.valid().train(),
            optimizer,
            average,
            perturbation,
            devices: devices.to_vec(),
        };
        Ok((state, position))
    }

    /// Its weights in a fresh network of the same shape, to start a run from.
    pub(crate) fn weights_into(&self, fresh: Network) -> Result<Network, TrainError> {
        let source = &self.state.recipe.name;
        let unfit = |error: &dyn std::fmt::Display| {
            TrainError::Run(format!(
                "the initial weights, of recipe {source}, do not fit: {error}"
            ))
        };
        let record = self
            .network
            .clone()
            .into_record()
            .into_bytes()
            .map_err(|error| unfit(&error))?;
        let record = ModuleRecord::from_bytes(record).map_err(|error| unfit(&error))?;
        let network = fresh
            .try_load_record(record)
            .map_err(|error| unfit(&error))?;
        Ok(network.valid().train())
    }

    /// Writes a checkpoint as `dir`, all or nothing: the files are complete on disk before the folder gets its name.
    pub(crate) fn write(
        dir: &Path,
        training: &TrainingState,
        state: &CheckpointState,
    ) -> Result<(), TrainError> {
        let failed = |error: &dyn std::fmt::Display| damaged(dir, error.to_string());
        let mut files = vec![(MODEL, record(training.evaluated(), dir)?)];
        if training.average.is_some() {
            files.push((WEIGHTS, record(training.network.valid(), dir)?));
        }
        if let Some(perturbation) = &training.perturbation {
            let module = Perturbation {
                values: Param::from_tensor(perturbation.clone()),
            };
            files.push((PERTURBATION, record(module, dir)?));
        }
        let optimizer = training
            .optimizer
            .into_bytes()
            .map_err(|error| failed(&error))?;
        files.push((OPTIMIZER, optimizer.to_vec()));
        let state = serde_json::to_vec_pretty(state).map_err(|error| failed(&error))?;
        files.push((STATE, state));
        files.push((checksums::FILE, Checksums::lines(&files).into_bytes()));

        let unfinished = dir.with_extension("tmp");
        remove_dir(&unfinished)?;
        fs::create_dir_all(&unfinished).map_err(TrainError::file(&unfinished))?;
        for (name, bytes) in files {
            let path = unfinished.join(name);
            File::create(&path)
                .and_then(|mut file| file.write_all(&bytes).and_then(|()| file.sync_all()))
                .map_err(TrainError::file(&path))?;
        }
        remove_dir(dir)?;
        fs::rename(&unfinished, dir).map_err(TrainError::file(dir))
    }
}

impl CheckpointState {
    /// Before the first step.
    pub(crate) fn new(recipe: Recipe, image: [usize; 3], classes: Vec<String>) -> Self {
        Self {
            run: None,
            recipe,
            epochs: 0,
            steps: 0,
            loss_sum: 0.0,
            skipped: 0,
            image,
            classes,
            preprocessing: None,
        }
    }

    /// Of the checkpoint in a folder.
    pub(crate) fn read(dir: &Path) -> Result<Self, TrainError> {
        Self::checked(dir, &Checksums::read(dir)?)
    }

    fn checked(dir: &Path, checksums: &Checksums) -> Result<Self, TrainError> {
        let path = dir.join(STATE);
        let text = fs::read_to_string(&path).map_err(TrainError::file(path))?;
        checksums.verify(dir, STATE)?;
        serde_json::from_str(&text).map_err(|error| damaged(dir, format!("{STATE}: {error}")))
    }

    /// That a folder which is named as checkpoints are is named as this one is.
    pub(crate) fn check_name(&self, dir: &Path) -> Result<(), TrainError> {
        let name = dir.file_name().and_then(|name| name.to_str());
        match name.and_then(position) {
            Some(stated) if stated != (self.epochs, self.steps) => Err(damaged(
                dir,
                format!(
                    "it was written after {} epochs and {} steps, which is not what its folder is named for: put the checkpoint of that name back",
                    self.epochs, self.steps
                ),
            )),
            _ => Ok(()),
        }
    }

    /// A network of this shape, to load weights into.
    pub(crate) fn network(
        &self,
        precision: Precision,
        device: &Device,
    ) -> Result<Network, TrainError> {
        Network::init(
            &self.recipe.network,
            self.recipe.normalization.as_ref(),
            &self.recipe.head,
            self.image,
            self.classes.len(),
            precision,
            device,
        )
    }
}

/// FreeAT's perturbation as something that can be recorded.
#[derive(Module, Debug)]
struct Perturbation {
    values: Param<Tensor<4>>,
}

impl Perturbation {
    fn init(state: &CheckpointState, device: &Device) -> Self {
        let [channels, height, width] = state.image;
        let rows = state.recipe.training.batch_size;
        let values = Tensor::zeros([rows, channels, height, width], device);
        Self {
            values: Param::from_tensor(values),
        }
    }
}

fn damaged(dir: &Path, reason: String) -> TrainError {
    TrainError::Checkpoint {
        path: dir.to_owned(),
        reason,
    }
}

fn record<M: Module>(module: M, dir: &Path) -> Result<Vec<u8>, TrainError> {
    module
        .into_record()
        .into_bytes()
        .map(|bytes| bytes.to_vec())
        .map_err(|error| damaged(dir, error.to_string()))
}

fn load_module<M: Module>(module: M, dir: &Path, name: &str) -> Result<M, TrainError> {
    let record = ModuleRecord::from_bytes(read(&dir.join(name))?)
        .map_err(|error| damaged(dir, format!("{name}: {error}")))?;
    module
        .try_load_record(record)
        .map_err(|error| damaged(dir, format!("{name}: {error}")))
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
