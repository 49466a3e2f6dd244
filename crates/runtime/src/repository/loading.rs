//! Loading with a deadline: a model that takes too long is left alone, and the others are loaded.
use std::{
    fmt,
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU8, AtomicUsize, Ordering},
        mpsc::{self, RecvTimeoutError},
    },
    thread,
    time::{Duration, Instant},
};

use crate::{RuntimeError, panics, session::Cancellation};

/// Loads beyond their deadline that may be running; they end when ONNX Runtime lets them.
const MAX_ABANDONED: usize = 4;

/// Places for loads at the same time, and how many are beyond their deadline.
#[derive(Debug)]
pub(super) struct Loads {
    places: Mutex<usize>,
    freed: Condvar,
    abandoned: Arc<AtomicUsize>,
}

/// A place, until dropped.
#[derive(Debug)]
pub(super) struct Place(Arc<Loads>);

impl Drop for Place {
    fn drop(&mut self) {
        *self.0.places() += 1;
        self.0.freed.notify_one();
    }
}

/// How long a load may take.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// After this it gives up its place, and nobody waits for it but who asked for it by name.
    pub patience: Duration,
    /// After this it is given up.
    pub deadline: Duration,
}

/// Why a model is not loaded.
#[derive(Debug)]
pub(super) struct Failure {
    pub reason: String,
    /// Whether the same files may be loaded at another time.
    pub passing: bool,
}

impl Failure {
    fn passing(error: &RuntimeError) -> Self {
        Self {
            reason: error.to_string(),
            passing: true,
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.reason)
    }
}

/// A load's states.
const RUNNING: u8 = 0;
const ENDED: u8 = 1;
const ABANDONED: u8 = 2;

impl Loads {
    pub fn new(places: usize) -> Arc<Self> {
        Arc::new(Self {
            places: Mutex::new(places.max(1)),
            freed: Condvar::new(),
            abandoned: Arc::default(),
        })
    }

    fn places(&self) -> MutexGuard<'_, usize> {
        self.places.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for a place.
    pub fn place(self: &Arc<Self>) -> Place {
        let mut places = self.places();
        while *places == 0 {
            places = self
                .freed
                .wait(places)
                .unwrap_or_else(PoisonError::into_inner);
        }
        *places -= 1;
        Place(Arc::clone(self))
    }

    /// Runs `load` on a thread of its own and waits for it. `slow` is called where its patience ends first. After the deadline it is
    /// cancelled and left alone, and what it returns is dropped.
    pub fn run<T: Send + 'static>(
        &self,
        name: &str,
        limits: Limits,
        slow: impl FnOnce(),
        load: impl FnOnce() -> Result<T, RuntimeError> + Send + 'static,
    ) -> Result<T, Failure> {
        let running = self.abandoned.load(Ordering::SeqCst);
        if running >= MAX_ABANDONED {
            return Err(Failure::passing(&RuntimeError::TooManyLoads { running }));
        }
        let (sender, result) = mpsc::sync_channel(1);
        let state = Arc::new(AtomicU8::new(RUNNING));
        let cancellation = Cancellation::default();
        let thread = thread::Builder::new()
            .name(buckler_onnx::printable(&format!("load {name}")).into_owned());
        let started = thread.spawn({
            let (state, abandoned) = (Arc::clone(&state), Arc::clone(&self.abandoned));
            let cancellation = cancellation.clone();
            move || {
                let loaded = panics::caught("loading it", || cancellation.within(load));
                // Nobody may be waiting any more.
                let unsent = sender.try_send(loaded).err();
                if state.swap(ENDED, Ordering::SeqCst) == ABANDONED {
                    drop(unsent);
                    abandoned.fetch_sub(1, Ordering::SeqCst);
                }
            }
        });
        if let Err(error) = started {
            return Err(Failure::passing(&RuntimeError::Thread(error)));
        }
        let since = Instant::now();
        let mut received = result.recv_timeout(limits.patience.min(limits.deadline));
        if matches!(received, Err(RecvTimeoutError::Timeout)) && limits.patience < limits.deadline {
            slow();
            received = result.recv_timeout(limits.deadline.saturating_sub(since.elapsed()));
        }
        if matches!(received, Err(RecvTimeoutError::Timeout)) {
            self.abandoned.fetch_add(1, Ordering::SeqCst);
            match state.swap(ABANDONED, Ordering::SeqCst) {
                // It has ended in the meantime, and its result is there.
                ENDED => {
                    self.abandoned.fetch_sub(1, Ordering::SeqCst);
                    received = result
                        .try_recv()
                        .map_err(|_| RecvTimeoutError::Disconnected);
                }
                _ => {
                    cancellation.cancel();
                    let limit = limits.deadline;
                    let reason = RuntimeError::LoadTimeout { limit }.to_string();
                    return Err(Failure {
                        reason,
                        passing: false,
                    });
                }
            }
        }
        let loaded = received.unwrap_or_else(|_| Err("loading it ended without a word".to_owned()));
        loaded.map_err(|reason| Failure {
            reason,
            passing: false,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHORT: Limits = Limits {
        patience: Duration::ZERO,
        deadline: Duration::from_millis(1),
    };

    /// A load that lasts until the sender is dropped.
    fn stuck() -> (mpsc::Sender<()>, impl FnOnce() -> Result<u8, RuntimeError>) {
        let (sender, receiver) = mpsc::channel::<()>();
        (sender, move || {
            let _ = receiver.recv();
            Ok(1)
        })
    }

    #[test]
    fn what_ends_in_time_is_the_result() {
        let loads = Loads::new(1);
        let limits = Limits {
            patience: Duration::from_secs(60),
            deadline: Duration::from_secs(60),
        };
        let slow = || panic!("not slow");
        assert_eq!(loads.run("m", limits, slow, || Ok(7)).unwrap(), 7);
        let failure = loads.run("m", limits, slow, || Err::<(), _>(RuntimeError::Cancelled));
        let failure = failure.unwrap_err();
        assert!(!failure.passing && failure.reason.contains("cancelled"));
        let panics = || -> Result<(), _> { std::panic::resume_unwind(Box::new("out of bounds")) };
        let failure = loads.run("m", limits, slow, panics).unwrap_err();
        assert!(failure.reason.contains("(out of bounds)"), "{failure}");
        assert_eq!(loads.abandoned.load(Ordering::SeqCst), 0);
    }

    #[test]
    fn what_does_not_is_left_alone_and_only_a_few_may_be() {
        let loads = Loads::new(1);
        let mut held = Vec::new();
        for _ in 0..MAX_ABANDONED {
            let (sender, load) = stuck();
            held.push(sender);
            let mut slow = false;
            let failure = loads.run("m", SHORT, || slow = true, load).unwrap_err();
            assert!(slow && !failure.passing);
            assert!(failure.reason.contains("`load_timeout`"), "{failure}");
        }
        let refused = loads.run("n", SHORT, || (), || Ok(7)).unwrap_err();
        assert!(
            refused.passing && refused.reason.contains("4 other models"),
            "{refused}"
        );
        held.clear();
        while loads.abandoned.load(Ordering::SeqCst) > 0 {
            thread::yield_now();
        }
        let limits = Limits {
            deadline: Duration::from_secs(60),
            ..SHORT
        };
        assert_eq!(loads.run("n", limits, || (), || Ok(7)).unwrap(), 7);
    }

    #[test]
    fn a_place_that_is_given_up_is_another_ones() {
        let loads = Loads::new(1);
        let place = loads.place();
        thread::scope(|scope| {
            let waiting = scope.spawn(|| drop(loads.place()));
            drop(place);
            waiting.join().unwrap();
        });
    }
}
