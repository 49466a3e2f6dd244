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
    /// The output folder cannot be used.
    #[error("{0}")]
    Run(String),
    /// The loss stopped being a number.
    #[error(
        "epoch {epoch}, step {step}: the loss is {loss}; lower the learning rate (the last good checkpoint is kept)"
    )]
    Diverged {
        /// From 1.
        epoch: usize,
        /// From 1.
        step: usize,
        /// NaN or infinite.
        loss: f64,
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

impl TrainError {
    pub(crate) fn file(path: impl Into<PathBuf>) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.into();
        move |source| Self::File { path, source }
    }
}
