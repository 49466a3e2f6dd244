//! The threads on which attacks compute between two queries.
use std::{num::NonZero, thread};

use tokio::{runtime, task::JoinHandle};

use crate::{ServerError, error::ApiError};

/// A runtime of its own, in the background of the threads that serve requests and predict.
#[derive(Debug)]
pub(crate) struct Pool(Option<runtime::Runtime>);

impl Pool {
    /// A quarter of the processors, at least one: the models' own threads do most of the work.
    pub fn start() -> Result<Self, ServerError> {
        let processors = thread::available_parallelism().map_or(1, NonZero::get);
        let runtime = runtime::Builder::new_multi_thread()
            .worker_threads((processors / 4).max(1))
            .thread_name("attacks")
            .on_thread_start(buckler_runtime::in_background)
            .enable_time()
            .build()?;
        Ok(Self(Some(runtime)))
    }

    /// Runs an attack; dropping the future that answers ends it at its current query.
    pub fn spawn<T, F>(
        &self,
        work: F,
    ) -> impl Future<Output = Result<T, ApiError>> + Send + use<T, F>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, ApiError>> + Send + 'static,
    {
        let task = self.0.as_ref().map(|runtime| Aborting(runtime.spawn(work)));
        async move {
            let gone = || ApiError::Internal("the attacks' threads are gone".to_owned());
            let mut task = task.ok_or_else(gone)?;
            let ended = (&mut task.0).await;
            ended.unwrap_or_else(|error| Err(ApiError::Internal(error.to_string())))
        }
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        // A runtime that is dropped where futures run would have to wait for its threads.
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

struct Aborting<T>(JoinHandle<T>);

impl<T> Drop for Aborting<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}
