//! Whether there is room for one more attack.
use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

/// The attacks that run, with what each still has to do.
#[derive(Debug)]
pub(crate) struct Admission {
    limits: Limits,
    running: Mutex<Vec<Arc<Meter>>>,
}

/// What may run at the same time.
#[derive(Clone, Copy, Debug)]
struct Limits {
    attacks: usize,
    bytes: usize,
}

/// What an attack asks for.
#[derive(Clone, Debug)]
pub(crate) struct Work {
    /// The model's name: attacks on one model share its lane.
    pub model: String,
    /// Rows that it may ask the model for at most.
    pub queries: u64,
    /// What a row takes.
    pub seconds_per_query: f64,
    /// Memory of the rows that it has under way at a time.
    pub bytes: usize,
}

#[derive(Debug)]
struct Meter {
    work: Work,
    asked: AtomicU64,
}

impl Meter {
    fn remaining(&self) -> u64 {
        let asked = self.asked.load(Ordering::Relaxed);
        self.work.queries.saturating_sub(asked)
    }
}

/// Why there is no room.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
pub(crate) enum Refused {
    #[error("{running} attacks are under way, as many as are allowed at a time: try again in {} s", seconds(*.retry))]
    Full { running: usize, retry: Duration },
    #[error(
        "the attacks under way have {queued} bytes of images waiting, and {limit} are allowed: try again in {} s, or send fewer images",
        seconds(*.retry)
    )]
    Memory {
        queued: usize,
        limit: usize,
        retry: Duration,
    },
    #[error(
        "the attacks under way would delay this one by {:.1} s, beyond its deadline in {:.1} s: try again in {} s, or allow it more time",
        .wait.as_secs_f64(), .deadline.as_secs_f64(), seconds(*.retry)
    )]
    Late {
        wait: Duration,
        deadline: Duration,
        retry: Duration,
    },
}

impl Refused {
    /// When to try again.
    pub fn retry(&self) -> Duration {
        match self {
            Self::Full { retry, .. } | Self::Memory { retry, .. } | Self::Late { retry, .. } => {
                *retry
            }
        }
    }
}

/// Whole seconds, rounded up: what `Retry-After` holds.
pub(crate) fn seconds(wait: Duration) -> u64 {
    wait.as_secs() + u64::from(wait.subsec_nanos() > 0)
}

impl Admission {
    /// `bytes` is what the models' queues hold.
    pub fn new(attacks: usize, bytes: usize) -> Self {
        Self {
            limits: Limits { attacks, bytes },
            running: Mutex::default(),
        }
    }

    /// A place for an attack, all of it or nothing.
    ///
    /// Attacks take turns, so each of the others delays this one by what it has left to do itself, and at most by what this one
    /// has to do. That counts every attack at its price, the most that it may ask: most end earlier.
    ///
    /// # Errors
    /// When there is none, with the time until there may be one.
    pub fn admit(self: &Arc<Self>, work: Work, deadline: Duration) -> Result<Ticket, Refused> {
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        let rivals = || {
            running
                .iter()
                .filter(|meter| meter.work.model == work.model)
        };
        let backlog: u64 = rivals().map(|meter| meter.remaining()).sum();
        let delay: u64 = rivals()
            .map(|meter| meter.remaining().min(work.queries))
            .sum();
        let time = |queries: u64| {
            let seconds = queries as f64 * work.seconds_per_query;
            Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX)
        };
        let queued: usize = running.iter().map(|meter| meter.work.bytes).sum();
        let retry = time(backlog).clamp(Duration::from_secs(1), Duration::from_secs(3600));
        let wait = time(delay);
        if wait > deadline {
            return Err(Refused::Late {
                wait,
                deadline,
                retry,
            });
        }
        if running.len() >= self.limits.attacks {
            return Err(Refused::Full {
                running: running.len(),
                retry,
            });
        }
        if queued > 0 && queued.saturating_add(work.bytes) > self.limits.bytes {
            return Err(Refused::Memory {
                queued,
                limit: self.limits.bytes,
                retry,
            });
        }
        let predicted = wait.saturating_add(time(work.queries));
        let meter = Arc::new(Meter {
            work,
            asked: AtomicU64::new(0),
        });
        running.push(Arc::clone(&meter));
        Ok(Ticket {
            admission: Arc::clone(self),
            meter,
            predicted,
        })
    }

    /// What the attacks under way on a model have left to do, in seconds at most.
    pub fn backlog_seconds(&self, model: &str) -> f64 {
        let running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        let rivals = running.iter().filter(|meter| meter.work.model == model);
        rivals
            .map(|meter| meter.remaining() as f64 * meter.work.seconds_per_query)
            // The sum of nothing is -0.
            .fold(0.0, |sum, seconds| sum + seconds)
    }
}

/// An attack's place. Dropping it gives the place to others.
#[derive(Debug)]
pub(crate) struct Ticket {
    admission: Arc<Admission>,
    meter: Arc<Meter>,
    predicted: Duration,
}

impl Ticket {
    /// How long it takes if it asks all that it may and so do the others.
    pub fn predicted(&self) -> Duration {
        self.predicted
    }

    /// Notes rows that the attack has asked for.
    pub fn spend(&self, rows: usize) {
        let rows = u64::try_from(rows).unwrap_or(u64::MAX);
        self.meter.asked.fetch_add(rows, Ordering::Relaxed);
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        let mut running = self
            .admission
            .running
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        running.retain(|meter| !Arc::ptr_eq(meter, &self.meter));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn work(model: &str, queries: u64) -> Work {
        Work {
            model: model.to_owned(),
            queries,
            seconds_per_query: 0.01,
            bytes: 100,
        }
    }

    const LONG: Duration = Duration::from_secs(1000);

    #[test]
    fn an_attack_waits_for_what_the_others_on_its_model_have_left_up_to_its_own_share() {
        let admission = Arc::new(Admission::new(10, 1000));
        let long = admission.admit(work("a", 1000), LONG).unwrap();
        assert_eq!(long.predicted(), Duration::from_secs(10));
        let short = admission.admit(work("a", 100), LONG).unwrap();
        assert_eq!(short.predicted(), Duration::from_secs(2));
        let elsewhere = admission.admit(work("b", 100), LONG).unwrap();
        assert_eq!(elsewhere.predicted(), Duration::from_secs(1));
        assert!((admission.backlog_seconds("a") - 11.0).abs() < 1e-9);
        long.spend(950);
        assert!((admission.backlog_seconds("a") - 1.5).abs() < 1e-9);
        drop(short);
        let next = admission.admit(work("a", 100), LONG).unwrap();
        assert_eq!(next.predicted(), Duration::from_secs_f64(1.5));
    }

    #[test]
    fn what_would_come_too_late_is_refused_with_the_time_that_the_backlog_takes() {
        let admission = Arc::new(Admission::new(10, 1000));
        let deadline = Duration::from_secs(5);
        let alone = admission.admit(work("a", 100_000), deadline).unwrap();
        let refused = admission.admit(work("a", 1000), deadline).unwrap_err();
        assert_eq!(refused.retry(), Duration::from_secs(1000));
        assert!(refused.to_string().contains("by 10.0 s"), "{refused}");
        assert!(admission.admit(work("a", 400), deadline).is_ok());
        drop(alone);
        assert!(admission.admit(work("a", 1000), deadline).is_ok());
    }

    #[test]
    fn places_and_memory_are_taken_all_at_once_and_given_back() {
        let admission = Arc::new(Admission::new(2, 250));
        let first = admission.admit(work("a", 1), LONG).unwrap();
        let second = admission.admit(work("b", 1), LONG).unwrap();
        let refused = admission.admit(work("c", 1), LONG).unwrap_err();
        assert!(
            matches!(refused, Refused::Full { running: 2, .. }),
            "{refused}"
        );
        drop(first);
        let large = Work {
            bytes: 200,
            ..work("a", 1)
        };
        let refused = admission.admit(large.clone(), LONG).unwrap_err();
        assert!(
            matches!(refused, Refused::Memory { queued: 100, .. }),
            "{refused}"
        );
        drop(second);
        let huge = Work {
            bytes: 9999,
            ..large
        };
        assert!(admission.admit(huge, LONG).is_ok());
    }
}
