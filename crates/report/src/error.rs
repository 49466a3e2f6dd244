use std::{io, path::PathBuf};

use buckler_attack::{AttackError, WorstCaseError};

/// Why an evaluation or its report came to nothing.
#[derive(Debug, thiserror::Error)]
pub enum ReportError {
    /// The attack failed.
    #[error(transparent)]
    Attack(#[from] AttackError),
    /// Evaluations do not belong together.
    #[error(transparent)]
    WorstCase(#[from] WorstCaseError),
    /// A file cannot be read or written.
    #[error("{}: {source}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file is not what it should be.
    #[error("{}: {reason}", path.display())]
    Broken {
        /// Which.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The folder holds something already.
    #[error("{}: {reason}", path.display())]
    Taken {
        /// The folder.
        path: PathBuf,
        /// What it holds, and the remedy.
        reason: String,
    },
    /// The folder holds a run that was interrupted.
    #[error("{}: an unfinished evaluation is here: resume it, choose another folder, or remove this one", .0.display())]
    Unfinished(PathBuf),
    /// Another process writes to the folder.
    #[error("{}: {holder} is writing an evaluation here: wait until it ends, or choose another folder", path.display())]
    Locked {
        /// The folder.
        path: PathBuf,
        /// Which process.
        holder: String,
    },
    /// What is verified is not what the report is about.
    #[error("the report is about {what} {expected}, this is {got}: give the one that was measured")]
    Other {
        /// What differs.
        what: &'static str,
        /// As the report says.
        expected: String,
        /// As it is.
        got: String,
    },
    /// A picture cannot be drawn.
    #[error("cannot draw {what}: {reason}")]
    Drawing {
        /// Which.
        what: &'static str,
        /// Why.
        reason: String,
    },
}

impl ReportError {
    pub(crate) fn file(path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::File { path, source }
    }

    pub(crate) fn broken(path: impl Into<PathBuf>, reason: impl ToString) -> Self {
        Self::Broken {
            path: path.into(),
            reason: reason.to_string(),
        }
    }
}
