//! Threads that leave the processors to all others.
use std::thread::{self, JoinHandle};

use ort::environment::ThreadManager;

/// Lets this thread run only while no other wants its processor: one that wakes takes it at once, where a lower priority (`nice`)
/// would let this one finish its time slice. Threads that it starts do the same. Where the system has no such thing, nothing
/// changes.
pub fn in_background() {
    #[cfg(target_os = "linux")]
    {
        use thread_priority::{
            NormalThreadSchedulePolicy::Idle, ThreadPriority, ThreadSchedulePolicy,
            set_thread_priority_and_policy, thread_native_id,
        };
        let idle = ThreadSchedulePolicy::Normal(Idle);
        if let Err(error) =
            set_thread_priority_and_policy(thread_native_id(), ThreadPriority::Min, idle)
        {
            tracing::debug!(?error, "a thread cannot be put in the background");
        }
    }
}

/// Starts a session's threads in the background.
pub(crate) struct Background;

impl ThreadManager for Background {
    type Thread = JoinHandle<()>;

    fn create(&self, work: impl FnOnce() + Send + 'static) -> ort::Result<Self::Thread> {
        let thread = thread::Builder::new().name("attack run".to_owned());
        thread
            .spawn(|| {
                in_background();
                work();
            })
            .map_err(ort::Error::wrap)
    }

    fn join(thread: Self::Thread) -> ort::Result<()> {
        thread
            .join()
            .map_err(|_| ort::Error::new("a session's thread panicked"))
    }
}
