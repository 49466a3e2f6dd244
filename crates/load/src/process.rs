use std::{
    fs, io,
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use serde::{Deserialize, Serialize};
use tokio::{
    task::JoinHandle,
    time::{Instant, sleep},
};

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
    /// The most open files seen meanwhile.
    pub peak_descriptors: usize,
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

/// Raises the number of files that this process may have open as far as it can be, and answers with it.
pub(crate) fn raise_open_files() -> u64 {
    rlimit::increase_nofile_limit(u64::MAX).unwrap_or(u64::MAX)
}

/// Looks at a process again and again.
pub(crate) struct Watch {
    pid: u32,
    before: Process,
    peak: Arc<Peak>,
    task: JoinHandle<()>,
}

/// The most that was seen of a process.
struct Peak {
    resident_bytes: AtomicU64,
    descriptors: AtomicUsize,
}

impl Peak {
    fn see(&self, process: &Process) {
        self.resident_bytes
            .fetch_max(process.resident_bytes, Ordering::Relaxed);
        self.descriptors
            .fetch_max(process.descriptors, Ordering::Relaxed);
    }
}

/// When a process holds as much as before the load.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rest {
    /// Bytes of resident memory, beside a tenth of what it held.
    pub slack: u64,
    /// How long it may take.
    pub patience: Duration,
}

impl Rest {
    pub const DEFAULT: Self = Self {
        slack: 32 << 20,
        patience: Duration::from_secs(30),
    };
}

const INTERVAL: Duration = Duration::from_millis(50);

impl Watch {
    /// Must be called within a runtime.
    pub fn start(pid: u32) -> Result<Self, LoadError> {
        let before = Process::look(pid)?;
        let peak = Arc::new(Peak {
            resident_bytes: AtomicU64::new(before.resident_bytes),
            descriptors: AtomicUsize::new(before.descriptors),
        });
        let seen = Arc::clone(&peak);
        let task = tokio::spawn(async move {
            while let Ok(process) = Process::look(pid) {
                seen.see(&process);
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
        self.peak.see(&after);
        Ok(Usage {
            before: self.before,
            peak_resident_bytes: self.peak.resident_bytes.load(Ordering::Relaxed),
            peak_descriptors: self.peak.descriptors.load(Ordering::Relaxed),
            after,
        })
    }

    /// The usage once both memory and descriptors are back, or when `rest` is over. Adds to `failures` that they are not
    /// back, or that the process has ended.
    pub async fn settled(&self, rest: &Rest, failures: &mut Vec<String>) -> Option<Usage> {
        let given_up = Instant::now() + rest.patience;
        loop {
            match self.usage() {
                Ok(usage) if usage.is_back_within(rest.slack) => return Some(usage),
                Ok(usage) if Instant::now() >= given_up => {
                    failures.push(format!(
                        "the process does not come back to what it held: {usage}"
                    ));
                    return Some(usage);
                }
                Ok(_) => sleep(Duration::from_millis(500).min(rest.patience)).await,
                Err(error) => {
                    failures.push(error.to_string());
                    return None;
                }
            }
        }
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
        self.is_back_within(Rest::DEFAULT.slack)
    }

    /// As [`Usage::is_back`], with so many bytes beside the tenth.
    pub(crate) fn is_back_within(&self, slack: u64) -> bool {
        let (before, after) = (self.before, self.after);
        after.resident_bytes <= before.resident_bytes / 10 * 11 + slack
            && after.descriptors <= before.descriptors + 16
    }
}

impl std::fmt::Display for Usage {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        let mebibytes = |bytes: u64| bytes as f64 / f64::from(1 << 20);
        write!(
            f,
            "resident memory {:.1} MiB before, {:.1} at most, {:.1} after; open files {} before, {} at most, {} after",
            mebibytes(self.before.resident_bytes),
            mebibytes(self.peak_resident_bytes),
            mebibytes(self.after.resident_bytes),
            self.before.descriptors,
            self.peak_descriptors,
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
    fn the_most_that_was_seen_of_memory_and_of_files_need_not_be_at_once() {
        let peak = Peak {
            resident_bytes: AtomicU64::new(5),
            descriptors: AtomicUsize::new(5),
        };
        for (resident_bytes, descriptors) in [(9, 2), (3, 7), (1, 1)] {
            peak.see(&Process {
                resident_bytes,
                descriptors,
            });
        }
        let (bytes, files) = (peak.resident_bytes, peak.descriptors);
        assert_eq!((bytes.into_inner(), files.into_inner()), (9, 7));
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
            peak_descriptors: 99,
            after,
        };
        assert!(usage(at(140, 30)).is_back());
        assert!(!usage(at(150, 30)).is_back());
        assert!(!usage(at(100, 40)).is_back());
        assert!(usage(at(125, 30)).is_back_within(16 << 20));
        assert!(!usage(at(130, 30)).is_back_within(16 << 20));
    }
}
