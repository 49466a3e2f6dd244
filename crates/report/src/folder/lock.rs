//! One evaluation at a time in a report's folder.

use std::{
    fs,
    path::{Path, PathBuf},
};

use buckler_attack::Norm;
use buckler_onnx::{FileLock, LockError};

use super::{ADVERSARIALS, HTML, MARKDOWN, PLAN, REPORT, STATE};
use crate::{ReportError, report::curve_file};

const FILE: &str = "evaluation.lock";

/// A lock on a report's folder, which the system takes off when the process ends, however it ends.
#[derive(Debug)]
pub struct FolderLock {
    path: PathBuf,
    /// Whether the folder was not there before.
    made: bool,
    _file: FileLock,
}

impl FolderLock {
    /// Locks a folder for a new evaluation, or for going on with `resume`; makes the folder if there is none, and takes it away again
    /// when no evaluation begins in it.
    ///
    /// # Errors
    /// When another process has it locked, it holds a report, or an unfinished evaluation and `resume` is not set; and when it cannot
    /// be written.
    pub fn acquire(path: &Path, resume: bool) -> Result<Self, ReportError> {
        check_no_report(path)?;
        let made = !path.exists();
        if !made && !path.is_dir() {
            return Err(ReportError::Taken {
                path: path.to_owned(),
                reason: "it is a file: choose a folder".to_owned(),
            });
        }
        let state = path.join(STATE);
        fs::create_dir_all(&state).map_err(ReportError::file(&state))?;
        let lock = Self {
            _file: lock(path)?,
            path: path.to_owned(),
            made,
        };
        // Another evaluation may just have ended.
        check_no_report(path)?;
        match state.join(PLAN).exists() {
            true if !resume => return Err(ReportError::Unfinished(path.to_owned())),
            true => (),
            false => check_nothing_is_left(path)?,
        }
        Ok(lock)
    }

    /// The folder.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for FolderLock {
    /// Leaves nothing where no evaluation began.
    fn drop(&mut self) {
        let state = self.path.join(STATE);
        if state.join(PLAN).exists() {
            return;
        }
        // What holds something else stays.
        let _ = fs::remove_file(state.join(FILE));
        let _ = fs::remove_dir(state);
        if self.made {
            let _ = fs::remove_dir(&self.path);
        }
    }
}

fn check_no_report(path: &Path) -> Result<(), ReportError> {
    match path.join(REPORT).exists() {
        true => Err(ReportError::Taken {
            path: path.to_owned(),
            reason: "a report is here already: choose another folder, or remove this one"
                .to_owned(),
        }),
        false => Ok(()),
    }
}

/// Nothing of another evaluation is taken for a new one's, and nothing that the report would replace is lost.
fn check_nothing_is_left(path: &Path) -> Result<(), ReportError> {
    let taken = |reason: String| ReportError::Taken {
        path: path.to_owned(),
        reason,
    };
    let holds = |folder: &Path, ending: &str| match fs::read_dir(folder) {
        Ok(entries) => entries
            .flatten()
            .any(|entry| entry.file_name().to_string_lossy().ends_with(ending)),
        Err(_) => false,
    };
    for (folder, ending) in [(STATE, ".json"), (ADVERSARIALS, ".npz")] {
        if holds(&path.join(folder), ending) {
            return Err(taken(format!(
                "`{folder}` holds what is left of another evaluation: remove it, or choose another folder"
            )));
        }
    }
    let curves = [Norm::Linf, Norm::L2, Norm::L1].map(curve_file);
    let pages = [MARKDOWN, HTML].map(str::to_owned);
    let mut files = pages.iter().chain(&curves);
    match files.find(|file| path.join(file).exists()) {
        Some(file) => Err(taken(format!(
            "`{file}` is here, which the report would replace: remove it, or choose another folder"
        ))),
        None => Ok(()),
    }
}

fn lock(folder: &Path) -> Result<FileLock, ReportError> {
    let path = folder.join(STATE).join(FILE);
    let lock = FileLock::acquire(&path).map_err(|error| match error {
        LockError::Held(holder) => ReportError::Locked {
            path: folder.to_owned(),
            holder,
        },
        LockError::File(error) => ReportError::file(&path)(error),
    })?;
    if let Some(error) = &lock.unsupported {
        tracing::warn!(
            "{}: the file system has no locks ({error}); let no other evaluation write to this folder",
            path.display()
        );
    }
    Ok(lock)
}
