//! One evaluation at a time in a report's folder.

use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io::{Read, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use super::{PLAN, REPORT, STATE};
use crate::ReportError;

const FILE: &str = "evaluation.lock";

/// A lock on a report's folder, which the system takes off when the process ends, however it ends.
#[derive(Debug)]
pub struct FolderLock {
    path: PathBuf,
    /// Whether the folder was not there before.
    made: bool,
    _file: File,
}

/// Who has the lock, as the file says.
#[derive(Debug, Serialize, Deserialize)]
struct Holder {
    pid: u32,
    host: String,
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
        let state = path.join(STATE);
        fs::create_dir_all(&state).map_err(ReportError::file(&state))?;
        let lock = Self {
            _file: lock(path)?,
            path: path.to_owned(),
            made,
        };
        // Another evaluation may just have ended.
        check_no_report(path)?;
        if !resume && state.join(PLAN).exists() {
            return Err(ReportError::Unfinished(path.to_owned()));
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

fn lock(folder: &Path) -> Result<File, ReportError> {
    let path = folder.join(STATE).join(FILE);
    let mut file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(&path)
        .map_err(ReportError::file(&path))?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let mut text = String::new();
            let holder = file.read_to_string(&mut text).ok();
            let holder = holder.and_then(|_| serde_json::from_str::<Holder>(&text).ok());
            return Err(ReportError::Locked {
                path: folder.to_owned(),
                holder: holder.map_or("another process".to_owned(), |holder| {
                    format!("process {} on {}", holder.pid, holder.host.escape_debug())
                }),
            });
        }
        Err(TryLockError::Error(error)) => tracing::warn!(
            "{}: the file system has no locks ({error}); let no other evaluation write to this folder",
            path.display()
        ),
    }
    let holder = Holder {
        pid: std::process::id(),
        host: host(),
    };
    let text = serde_json::to_vec(&holder).map_err(|e| ReportError::broken(&path, e))?;
    file.set_len(0)
        .and_then(|()| file.seek(SeekFrom::Start(0)))
        .and_then(|_| file.write_all(&text))
        .map_err(ReportError::file(&path))?;
    Ok(file)
}

fn host() -> String {
    let name = fs::read_to_string("/proc/sys/kernel/hostname").ok();
    let name = name.or_else(|| std::env::var("HOSTNAME").ok());
    let name = name.or_else(|| std::env::var("COMPUTERNAME").ok());
    name.map_or("an unknown host".to_owned(), |name| name.trim().to_owned())
}
