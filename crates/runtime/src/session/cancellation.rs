//! Ending what a thread does with sessions.
use std::{
    cell::RefCell,
    fmt, mem,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use ort::session::builder::{LoadCanceler, SessionBuilder};

use super::Terminator;
use crate::RuntimeError;

/// Ends the sessions that a thread opens and runs, from another thread, as far as ONNX Runtime lets them end.
#[derive(Clone, Default)]
pub(crate) struct Cancellation(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    cancelled: bool,
    opening: Vec<LoadCanceler>,
    running: Vec<Terminator>,
}

thread_local! {
    static CURRENT: RefCell<Option<Cancellation>> = const { RefCell::new(None) };
}

impl Cancellation {
    /// Does something on this thread, until it is cancelled.
    pub fn within<T>(&self, work: impl FnOnce() -> T) -> T {
        let before = CURRENT.replace(Some(self.clone()));
        let _restoring = Restoring(before);
        work()
    }

    /// Lets runs and the opening of sessions fail from now on.
    pub fn cancel(&self) {
        let mut state = self.state();
        state.cancelled = true;
        for opening in mem::take(&mut state.opening) {
            if let Err(error) = opening.cancel() {
                tracing::debug!(%error, "a session that is being opened cannot be cancelled");
            }
        }
        state.running.iter().for_each(Terminator::terminate);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Cancellation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Cancellation")
    }
}

/// Sets back what was before, also where the work panics.
struct Restoring(Option<Cancellation>);

impl Drop for Restoring {
    fn drop(&mut self) {
        CURRENT.set(self.0.take());
    }
}

fn current() -> Option<Cancellation> {
    CURRENT.with_borrow(Clone::clone)
}

/// Tells the thread's cancellation, if it has one, of a session that is about to be opened.
///
/// # Errors
/// When it is cancelled already.
pub(super) fn opening(builder: &SessionBuilder) -> Result<(), RuntimeError> {
    let Some(current) = current() else {
        return Ok(());
    };
    let mut state = current.state();
    if state.cancelled {
        return Err(RuntimeError::Cancelled);
    }
    // One at a time: the one before is open.
    state.opening = vec![builder.canceler()];
    Ok(())
}

/// Tells it of a graph that is about to be run.
pub(super) fn running(terminator: &Terminator) {
    if let Some(current) = current() {
        let mut state = current.state();
        if state.cancelled {
            terminator.terminate();
        }
        state.running.push(terminator.clone());
    }
}
