//! One writer for a run's folder at a time.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::Path;

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::error::TrainError;

const FILE: &str = "run.lock";

/// A lock on a run's folder, which the system takes off when the process ends, however it ends.
#[derive(Debug)]
pub(crate) struct RunLock {
    _file: File,
}

/// Who has the lock, as the file says.
#[derive(Debug, Serialize, Deserialize)]
struct Holder {
    pid: u32,
    host: String,
    since: String,
}

impl RunLock {
    /// Locks a folder that exists.
    ///
    /// # Errors
    /// When another process has it locked: names it.
    pub fn acquire(dir: &Path) -> Result<Self, TrainError> {
        let path = dir.join(FILE);
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .map_err(TrainError::file(&path))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut text = String::new();
                let holder = file
                    .read_to_string(&mut text)
                    .ok()
                    .and_then(|_| serde_json::from_str::<Holder>(&text).ok());
                return Err(TrainError::RunLocked {
                    path: dir.to_owned(),
                    holder: holder.map_or("another process".to_owned(), |holder| {
                        format!(
                            "process {} on {} since {}",
                            holder.pid,
                            holder.host.escape_debug(),
                            holder.since.escape_debug()
                        )
                    }),
                });
            }
            Err(TryLockError::Error(error)) => tracing::warn!(
                "{}: the file system has no locks ({error}); let no other process write to this run",
                path.display()
            ),
        }
        let holder = Holder {
            pid: std::process::id(),
            host: host(),
            since: OffsetDateTime::now_utc()
                .replace_nanosecond(0)
                .ok()
                .and_then(|now| now.format(&Rfc3339).ok())
                .unwrap_or_default(),
        };
        let text = serde_json::to_vec(&holder).unwrap_or_default();
        file.set_len(0)
            .and_then(|()| file.seek(SeekFrom::Start(0)))
            .and_then(|_| file.write_all(&text))
            .map_err(TrainError::file(&path))?;
        Ok(Self { _file: file })
    }
}

fn host() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").ok();
    let name = name.or_else(|| std::env::var("HOSTNAME").ok());
    let name = name.or_else(|| std::env::var("COMPUTERNAME").ok());
    name.map_or("an unknown host".to_owned(), |name| name.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_locked_folder_is_refused_with_its_holder_until_the_lock_is_dropped() {
        let dir = tempfile::tempdir().unwrap();
        let lock = RunLock::acquire(dir.path()).unwrap();
        let error = RunLock::acquire(dir.path()).unwrap_err().to_string();
        let pid = format!("process {} on ", std::process::id());
        assert!(
            error.contains(&pid) && error.contains(" since 2"),
            "{error}"
        );
        drop(lock);
        RunLock::acquire(dir.path()).unwrap();
    }
}
