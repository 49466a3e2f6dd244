//! Work with a deadline: what takes too long is cancelled and left alone.
use std::{
    sync::{
        Arc, LazyLock,
        atomic::{AtomicU8, AtomicUsize, Ordering},
        mpsc::{self, RecvTimeoutError},
    },
    thread,
    time::{Duration, Instant},
};

use crate::{RuntimeError, panics, session::Cancellation};

/// Pieces of work beyond their deadline that may be running; they end when ONNX Runtime lets them.
const MAX_ABANDONED: usize = 4;

/// Runs work on threads of its own, and counts what it has given up.
#[derive(Clone, Debug, Default)]
pub(crate) struct Runner {
    abandoned: Arc<AtomicUsize>,
}

/// What is to be done of a model.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Task<'a> {
    /// The thread's name.
    pub name: &'a str,
    /// For errors, such as `loading it`.
    pub what: &'static str,
    pub deadline: Duration,
}

/// Called where the work takes longer than a time.
pub(crate) type Step<'a> = (Duration, Box<dyn FnOnce() + 'a>);

/// Why there is no result.
#[derive(Debug)]
pub(crate) struct Failure {
    pub reason: String,
    /// Whether the same may work at another time.
    pub passing: bool,
}

/// States of work.
const RUNNING: u8 = 0;
const ENDED: u8 = 1;
const ABANDONED: u8 = 2;

impl Runner {
    /// The one for all of this process.
    pub fn of_process() -> &'static Self {
        static RUNNER: LazyLock<Runner> = LazyLock::new(Runner::default);
        &RUNNER
    }

    /// Waits for `work`, and takes each of the `steps`, ordered by their times, that comes first. After the deadline the work is
    /// cancelled and left alone, and what it returns is dropped.
    pub fn run<T: Send + 'static>(
        &self,
        task: Task<'_>,
        steps: Vec<Step<'_>>,
        work: impl FnOnce() -> Result<T, RuntimeError> + Send + 'static,
    ) -> Result<T, Failure> {
        let Task {
            name,
            what,
            deadline,
        } = task;
        let passing = |error: RuntimeError| Failure {
            reason: error.to_string(),
            passing: true,
        };
        let lasting = |reason: String| Failure {
            reason,
            passing: false,
        };
        let running = self.abandoned.load(Ordering::SeqCst);
        if running >= MAX_ABANDONED {
            return Err(passing(RuntimeError::TooManyLoads { what, running }));
        }
        let (sender, result) = mpsc::sync_channel(1);
        let state = Arc::new(AtomicU8::new(RUNNING));
        let cancellation = Cancellation::default();
        let thread = thread::Builder::new().name(buckler_onnx::printable(name).into_owned());
        let started = thread.spawn({
            let (state, abandoned) = (Arc::clone(&state), Arc::clone(&self.abandoned));
            let cancellation = cancellation.clone();
            move || {
                let done = panics::caught(what, || cancellation.within(work));
                // Nobody may be waiting any more.
                let unsent = sender.try_send(done).err();
                if state.swap(ENDED, Ordering::SeqCst) == ABANDONED {
                    drop(unsent);
                    abandoned.fetch_sub(1, Ordering::SeqCst);
                }
            }
        });
        started.map_err(|error| passing(RuntimeError::Thread(error)))?;

        let since = Instant::now();
        let until = |time: Duration| result.recv_timeout(time.saturating_sub(since.elapsed()));
        let mut received = Err(RecvTimeoutError::Timeout);
        for (time, step) in steps {
            if time >= deadline || !is_late(&received) {
                break;
            }
            received = until(time);
            if is_late(&received) {
                step();
            }
        }
        if is_late(&received) {
            received = until(deadline);
        }
        if is_late(&received) {
            self.abandoned.fetch_add(1, Ordering::SeqCst);
            if state.swap(ABANDONED, Ordering::SeqCst) != ENDED {
                cancellation.cancel();
                let limit = deadline;
                return Err(lasting(
                    RuntimeError::LoadTimeout { what, limit }.to_string(),
                ));
            }
            // It has ended in the meantime, and its result is there.
            self.abandoned.fetch_sub(1, Ordering::SeqCst);
            received = result
                .try_recv()
                .map_err(|_| RecvTimeoutError::Disconnected);
        }
        let done = received.unwrap_or_else(|_| Err(format!("{what} ended without a result")));
        done.map_err(lasting)
    }
}

fn is_late<T>(received: &Result<T, RecvTimeoutError>) -> bool {
    matches!(received, Err(RecvTimeoutError::Timeout))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHORT: Task<'_> = Task {
        name: "m",
        what: "loading it",
        deadline: Duration::from_millis(1),
    };
    const LONG: Task<'_> = Task {
        deadline: Duration::from_secs(60),
        ..SHORT
    };

    /// Work that lasts until the sender is dropped.
    fn stuck() -> (mpsc::Sender<()>, impl FnOnce() -> Result<u8, RuntimeError>) {
        let (sender, receiver) = mpsc::channel::<()>();
        (sender, move || {
            let _ = receiver.recv();
            Ok(1)
        })
    }

    #[test]
    fn what_ends_in_time_is_the_result() {
        let runner = Runner::default();
        let steps = || -> Vec<Step<'_>> { vec![(LONG.deadline / 2, Box::new(|| panic!("late")))] };
        assert_eq!(runner.run(LONG, steps(), || Ok(7)).unwrap(), 7);
        let cancelled = || Err::<(), _>(RuntimeError::Cancelled);
        let failure = runner.run(LONG, steps(), cancelled).unwrap_err();
        assert!(!failure.passing && failure.reason.contains("cancelled"));
        let panics = || -> Result<(), _> { std::panic::resume_unwind(Box::new("out of bounds")) };
        let failure = runner.run(LONG, steps(), panics).unwrap_err();
        assert!(failure.reason.contains("(out of bounds)"), "{failure:?}");
        assert_eq!(runner.abandoned.load(Ordering::SeqCst), 0);
    }

    #[test]
    fn what_does_not_is_left_alone_and_only_a_few_may_be() {
        let runner = Runner::default();
        let mut held = Vec::new();
        for _ in 0..MAX_ABANDONED {
            let (sender, work) = stuck();
            held.push(sender);
            let failure = runner.run(SHORT, Vec::new(), work).unwrap_err();
            assert!(!failure.passing);
            assert!(failure.reason.contains("`load_timeout`"), "{failure:?}");
        }
        let refused = runner.run(LONG, Vec::new(), || Ok(7)).unwrap_err();
        assert!(
            refused.passing && refused.reason.contains("4 others"),
            "{refused:?}"
        );
        held.clear();
        while runner.abandoned.load(Ordering::SeqCst) > 0 {
            thread::yield_now();
        }
        assert_eq!(runner.run(LONG, Vec::new(), || Ok(7)).unwrap(), 7);
    }

    #[test]
    fn steps_are_taken_in_turn_while_the_work_lasts() {
        let runner = Runner::default();
        let (sender, work) = stuck();
        let taken = std::cell::RefCell::new(Vec::new());
        let mut sender = Some(sender);
        let steps: Vec<Step<'_>> = vec![
            (Duration::ZERO, Box::new(|| taken.borrow_mut().push(1))),
            (
                Duration::from_millis(1),
                Box::new(|| {
                    taken.borrow_mut().push(2);
                    sender.take();
                }),
            ),
            (LONG.deadline, Box::new(|| taken.borrow_mut().push(3))),
        ];
        assert_eq!(runner.run(LONG, steps, work).unwrap(), 1);
        assert_eq!(taken.into_inner(), [1, 2]);
    }
}
