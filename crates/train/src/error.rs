use std::path::PathBuf;

/// What can go wrong between a recipe and an exported model.
#[derive(Debug, thiserror::Error)]
pub enum TrainError {
    /// A recipe that cannot be run.
    #[error("{0}")]
    Recipe(String),
    /// A device that is not there.
    #[error("{0}")]
    Device(String),
    /// A file could not be read or written.
    #[error("{path}: {source}")]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A checkpoint that is damaged or of another network.
    #[error("checkpoint {path}: {reason}")]
    Checkpoint {
        /// Its folder.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// A PyTorch file with more than one network, of which none was chosen.
    #[error("checkpoint {path}: {reason}")]
    SeveralStateDicts {
        /// The file.
        path: PathBuf,
        /// Their keys, for people.
        reason: String,
    },
    /// The output folder cannot be used.
    #[error("{0}")]
    Run(String),
    /// The output folder holds a run that has a checkpoint.
    #[error("{} already holds a run of recipe `{recipe}` with a checkpoint", .path.display())]
    RunExists {
        /// The folder.
        path: PathBuf,
        /// The run's recipe.
        recipe: String,
    },
    /// A run cannot go on with a recipe that differs from its own.
    #[error("{} holds a run whose recipe differs: {differences}", .path.display())]
    RunDiffers {
        /// The folder.
        path: PathBuf,
        /// Keys with both values, for people.
        differences: String,
        /// Those of the keys that may be changed in a run when asked for by name.
        changeable: Vec<String>,
    },
    /// A run cannot go on with other data.
    #[error(
        "{} holds a run that was started with other data: {differences}. Give it the same data, or start a new run",
        .path.display()
    )]
    DataDiffers {
        /// The folder.
        path: PathBuf,
        /// What differs, for people.
        differences: String,
    },
    /// Another process writes to the folder.
    #[error("{} is in use by {holder}: wait for it, or stop it", .path.display())]
    RunLocked {
        /// The folder.
        path: PathBuf,
        /// Process, host and time, for people.
        holder: String,
    },
    /// The loss stopped being a number.
    #[error("epoch {epoch}, step {step}: the loss is {loss}; lower optimizer.learning_rate, now {learning_rate}{}", kept(.checkpoint))]
    Diverged {
        /// From 1.
        epoch: usize,
        /// From 1.
        step: usize,
        /// NaN or infinite.
        loss: f64,
        /// The recipe's, before the schedule.
        learning_rate: f64,
        /// Whether the run has a checkpoint to go on from.
        checkpoint: bool,
    },
    /// The data set.
    #[error(transparent)]
    Data(#[from] buckler_data::DataError),
    /// Burn's ONNX exporter refused the network.
    #[error("export: {0}")]
    Export(String),
    /// The exported file.
    #[error("export: {0}")]
    Onnx(#[from] buckler_onnx::Error),
}

fn kept(checkpoint: &bool) -> &'static str {
    match checkpoint {
        true => " (the last checkpoint is kept)",
        false => " (there is no checkpoint yet: the folder can be used again)",
    }
}

impl TrainError {
    pub(crate) fn file(path: impl Into<PathBuf>) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.into();
        move |source| Self::File { path, source }
    }
}
