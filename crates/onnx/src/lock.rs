//! One process at a time in a folder.
use std::{
    fs::{File, OpenOptions, TryLockError},
    io::{self, Read, Seek, SeekFrom, Write},
    path::Path,
};

use serde::{Deserialize, Serialize};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

/// A locked file, which the system unlocks when the process ends, however it ends.
#[derive(Debug)]
pub struct FileLock {
    _file: File,
    /// Why the file system has no locks; nothing then keeps another process out.
    pub unsupported: Option<io::Error>,
}

/// Why a file is not locked.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Another process has it locked.
    #[error("{0} has it locked")]
    Held(String),
    /// It cannot be written.
    #[error(transparent)]
    File(#[from] io::Error),
}

/// Who has the lock, as the file says.
#[derive(Debug, Serialize, Deserialize)]
struct Holder {
    pid: u32,
    host: String,
    #[serde(default)]
    since: String,
}

impl FileLock {
    /// Locks a file, which is made if there is none, and writes into it who has the lock.
    ///
    /// # Errors
    /// When another process has it locked: names that. When it cannot be written.
    pub fn acquire(path: &Path) -> Result<Self, LockError> {
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(path)?;
        let unsupported = match file.try_lock() {
            Ok(()) => None,
            Err(TryLockError::WouldBlock) => return Err(LockError::Held(holder(&mut file))),
            Err(TryLockError::Error(error)) => Some(error),
        };
        let now = OffsetDateTime::now_utc().replace_nanosecond(0).ok();
        let holder = Holder {
            pid: std::process::id(),
            host: host(),
            since: now
                .and_then(|now| now.format(&Rfc3339).ok())
                .unwrap_or_default(),
        };
        let text = serde_json::to_vec(&holder).map_err(io::Error::from)?;
        file.set_len(0)?;
        file.seek(SeekFrom::Start(0))?;
        file.write_all(&text)?;
        Ok(Self {
            _file: file,
            unsupported,
        })
    }
}

fn holder(file: &mut File) -> String {
    let mut text = String::new();
    let read = file.read_to_string(&mut text).ok();
    let holder = read.and_then(|_| serde_json::from_str::<Holder>(&text).ok());
    let Some(Holder { pid, host, since }) = holder else {
        return "another process".to_owned();
    };
    let (host, since) = (host.escape_debug(), since.escape_debug());
    format!("process {pid} on {host} since {since}")
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
    fn a_locked_file_is_refused_with_its_holder_until_the_lock_is_dropped() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.lock");
        let lock = FileLock::acquire(&path).unwrap();
        let error = FileLock::acquire(&path).unwrap_err().to_string();
        let pid = format!("process {} on ", std::process::id());
        assert!(
            error.starts_with(&pid) && error.contains(" since 2"),
            "{error}"
        );
        drop(lock);
        FileLock::acquire(&path).unwrap();
    }
}
