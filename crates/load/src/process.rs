use std::{
    fs, io,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use serde::{Deserialize, Serialize};
use tokio::{task::JoinHandle, time::sleep};

use crate::LoadError;

/// What a process holds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Process {
    /// Resident memory.
    pub resident_bytes: u64,
    /// Open files, sockets among them.
    pub descriptors: usize,
}

/// What a process held.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Usage {
    /// Before the load.
    pub before: Process,
    /// The largest resident memory seen meanwhile.
    pub peak_resident_bytes: u64,
    /// After the load.
    pub after: Process,
}

impl Process {
    /// Looks at `/proc/PID`.
    pub(crate) fn look(pid: u32) -> Result<Self, LoadError> {
        let read = || -> io::Result<Self> {
            let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
            Ok(Self {
                resident_bytes: resident_bytes(&status)
                    .ok_or_else(|| io::Error::other("it has ended"))?,
                descriptors: fs::read_dir(format!("/proc/{pid}/fd"))?.count(),
            })
        };
        read().map_err(|source| LoadError::Process { pid, source })
    }
}

/// `VmRSS:     1234 kB`, which a process that has ended lacks; see proc_pid_status(5).
fn resident_bytes(status: &str) -> Option<u64> {
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes * 1024)
}

/// Looks at a process again and again.
pub(crate) struct Watch {
    pid: u32,
    before: Process,
    peak: Arc<AtomicU64>,
    task: JoinHandle<()>,
}

const INTERVAL: Duration = Duration::from_millis(50);

impl Watch {
    /// Must be called within a runtime.
    pub fn start(pid: u32) -> Result<Self, LoadError> {
        let before = Process::look(pid)?;
        let peak = Arc::new(AtomicU64::new(before.resident_bytes));
        let seen = Arc::clone(&peak);
        let task = tokio::spawn(async move {
            while let Ok(process) = Process::look(pid) {
                seen.fetch_max(process.resident_bytes, Ordering::Relaxed);
                sleep(INTERVAL).await;
            }
        });
        Ok(Self {
            pid,
            before,
            peak,
            task,
        })
    }

    /// What was seen so far, and what there is now.
    pub fn usage(&self) -> Result<Usage, LoadError> {
        let after = Process::look(self.pid)?;
        Ok(Usage {
            before: self.before,
            peak_resident_bytes: self.peak.load(Ordering::Relaxed).max(after.resident_bytes),
            after,
        })
    }

    /// As [`Watch::usage`], once both memory and descriptors are back, or after half a minute.
    pub async fn settled(&self) -> Result<Usage, LoadError> {
        for _ in 0..60 {
            let usage = self.usage()?;
            if usage.is_back() {
                return Ok(usage);
            }
            sleep(Duration::from_millis(500)).await;
        }
        self.usage()
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Usage {
    /// Whether it holds as much as before: memory within a tenth and 32 MiB, which allocators keep, and descriptors within 16.
    pub fn is_back(&self) -> bool {
        let (before, after) = (self.before, self.after);
        after.resident_bytes <= before.resident_bytes / 10 * 11 + (32 << 20)
            && after.descriptors <= before.descriptors + 16
    }
}

impl std::fmt::Display for Usage {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        let mebibytes = |bytes: u64| bytes as f64 / f64::from(1 << 20);
        write!(
            f,
            "resident memory {:.1} MiB before, {:.1} at most, {:.1} after; open files {} before, {} after",
            mebibytes(self.before.resident_bytes),
            mebibytes(self.peak_resident_bytes),
            mebibytes(self.after.resident_bytes),
            self.before.descriptors,
            self.after.descriptors
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_resident_memory_is_read_in_kibibytes() {
        let status = "Name:\tcat\nVmHWM:\t    1800 kB\nVmRSS:\t    1764 kB\nThreads:\t1\n";
        assert_eq!(resident_bytes(status), Some(1764 * 1024));
        assert_eq!(resident_bytes("Name:\tcat\nState:\tZ (zombie)\n"), None);
    }

    #[test]
    fn memory_that_grew_by_more_than_the_tolerance_is_not_back() {
        let at = |mebibytes: u64, descriptors| Process {
            resident_bytes: mebibytes << 20,
            descriptors,
        };
        let usage = |after| Usage {
            before: at(100, 20),
            peak_resident_bytes: 500 << 20,
            after,
        };
        assert!(usage(at(140, 30)).is_back());
        assert!(!usage(at(150, 30)).is_back());
        assert!(!usage(at(100, 40)).is_back());
    }
}
