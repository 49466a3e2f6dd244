use std::{io, path::PathBuf, time::Duration};

use crate::{LibraryError, Provider};

/// Why a model could not be loaded.
#[derive(Debug, thiserror::Error)]
pub enum RuntimeError {
    /// There is no ONNX Runtime.
    #[error(transparent)]
    Library(#[from] LibraryError),
    /// A file or directory cannot be read.
    #[error("`{path}` cannot be read: {source}")]
    Read {
        /// The file or directory.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The file is no ONNX model, or one that cannot be understood.
    #[error(transparent)]
    Onnx(#[from] buckler_onnx::Error),
    /// A file of a model that is served lies outside of the directory of models.
    #[error(
        "`{path}` leads out of the directory of models, to `{target}`: copy the file there, or set `follow_links`"
    )]
    Outside {
        /// The file in the directory.
        path: PathBuf,
        /// Where it leads.
        target: PathBuf,
    },
    /// A normalisation that is not in units of pixels in `[0, 1]`, or not one for the model's channels.
    #[error(transparent)]
    Normalization(#[from] buckler_onnx::NormalizationError),
    /// Such a normalisation on the model's card.
    #[error("the card's `input.normalization`: {0}")]
    CardNormalization(buckler_onnx::NormalizationError),
    /// The model is not an image classifier.
    #[error(
        "the model is not served as an image classifier: its {what} should be {expected}, but is {got}"
    )]
    Unsupported {
        /// Which part of it.
        what: &'static str,
        /// What a classifier has.
        expected: String,
        /// What this one has.
        got: String,
    },
    /// The model returns numbers from which no class can be chosen.
    #[error(
        "output `{output}` holds {got} for an image of noise in [0, 1], from which no class can be chosen; check what pixels the model expects \
         (mean, std) and its weights, or export it again in float32"
    )]
    NotFinite {
        /// The output.
        output: String,
        /// What it holds.
        got: String,
    },
    /// ONNX Runtime refuses the model or fails to run it.
    #[error("ONNX Runtime failed to {what}: {source}")]
    Runtime {
        /// What was tried.
        what: &'static str,
        /// The runtime's own words.
        source: ort::Error,
    },
    /// ONNX Runtime takes longer than any model of use does.
    #[error(
        "ONNX Runtime did not {what} within {seconds} s: use a smaller network or smaller images, and no loops in the graph"
    )]
    Slow {
        /// What was tried.
        what: &'static str,
        /// The limit.
        seconds: u64,
    },
    /// The model cannot be run where it was wanted.
    #[error(
        "ONNX Runtime cannot run models on `{provider}` ({source}): use an ONNX Runtime built for it, such as that of the Python package \
         onnxruntime-gpu with its CUDA libraries (ORT_DYLIB_PATH names the library), or `cpu`"
    )]
    Provider {
        /// Where.
        provider: Provider,
        /// The runtime's own words.
        source: ort::Error,
    },
    /// Loading a model, or what its attacks need, took too long.
    #[error(
        "{what} took longer than {} s (`load_timeout`) and was given up: look for loops and large computed constants in the model, \
         simplify it, or allow it more time", .limit.as_secs_f64()
    )]
    LoadTimeout {
        /// What was done.
        what: &'static str,
        /// What was allowed.
        limit: Duration,
    },
    /// As much as may be is loading beyond its deadline.
    #[error(
        "{what} has to wait while {running} others go on beyond their deadline (`load_timeout`): take those models out of the folder, and \
         start again if they do not end"
    )]
    TooManyLoads {
        /// What was to be done.
        what: &'static str,
        /// How many.
        running: usize,
    },
    /// What was done for the model was cancelled.
    #[error("loading it was cancelled")]
    Cancelled,
    /// The operating system gives no thread.
    #[error("no thread can be started for the model: {0}")]
    Thread(io::Error),
}

impl RuntimeError {
    /// For `map_err`, with what was tried.
    pub(crate) fn runtime<R>(what: &'static str) -> impl FnOnce(ort::Error<R>) -> Self
    where
        ort::Error<R>: Into<ort::Error>,
    {
        move |error| Self::Runtime {
            what,
            source: error.into(),
        }
    }
}
