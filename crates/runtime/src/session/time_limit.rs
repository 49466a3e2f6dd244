//! Work of the runtime that is stopped when it takes too long.
use std::{
    sync::mpsc::{self, RecvTimeoutError},
    thread,
    time::Duration,
};

/// Opening a session, in which constants are computed.
pub(super) const OPENING: Duration = Duration::from_secs(300);

/// One run on images with which a model is tried while it is loaded.
pub(super) const TRIAL: Duration = Duration::from_secs(120);

/// Does the work, and calls `stop` from another thread where it has not ended by then; whether that was so.
pub(super) fn within<T>(
    limit: Duration,
    stop: impl FnOnce() + Send,
    work: impl FnOnce() -> T,
) -> (T, bool) {
    thread::scope(|scope| {
        let (done, ended) = mpsc::channel::<()>();
        let watch = thread::Builder::new().spawn_scoped(scope, move || {
            let late = ended.recv_timeout(limit) == Err(RecvTimeoutError::Timeout);
            if late {
                stop();
            }
            late
        });
        let result = work();
        drop(done);
        // Without a thread there is no limit.
        let late = watch.is_ok_and(|watch| watch.join().unwrap_or(false));
        (result, late)
    })
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;

    #[test]
    fn work_without_end_is_stopped_and_other_work_is_not() {
        let stopped = AtomicBool::new(false);
        let stop = || stopped.store(true, Ordering::SeqCst);
        let (_, late) = within(Duration::from_millis(10), stop, || {
            while !stopped.load(Ordering::SeqCst) {
                thread::yield_now();
            }
        });
        assert!(late);
        let stopped = AtomicBool::new(false);
        let stop = || stopped.store(true, Ordering::SeqCst);
        assert_eq!(within(Duration::from_secs(3600), stop, || 7), (7, false));
        assert!(!stopped.load(Ordering::SeqCst));
    }
}
