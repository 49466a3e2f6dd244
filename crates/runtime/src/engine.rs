//! A thread that owns a [`Graph`] and answers queries from a queue, merging their rows.
mod queue;

use std::{
    sync::{Arc, PoisonError},
    thread::JoinHandle,
};

use buckler_attack::VictimError;
use ndarray::ArrayD;
use tokio::sync::oneshot;

use self::queue::{Part, Query, Shared};
use crate::{
    RuntimeError,
    batch::Column,
    session::{Graph, Terminator},
};

/// A model at work: whenever it becomes free, it takes whatever rows are waiting, up to one batch, and answers them.
///
/// Dropping it ends the run in progress, answers what waits with [`VictimError::Closed`] and joins the thread.
pub(crate) struct Engine {
    shared: Arc<Shared>,
    terminator: Terminator,
    thread: Option<JoinHandle<()>>,
}

/// A failed run, told to everybody who had rows in it.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{0}")]
struct RunError(Arc<str>);

impl Engine {
    /// `name` is the thread's; `queue_bytes` bounds the memory of the rows that wait.
    pub fn start(mut graph: Graph, name: &str, queue_bytes: usize) -> Result<Self, RuntimeError> {
        let shared = Arc::new(Shared::new(queue_bytes));
        let terminator = graph.terminator();
        let thread = std::thread::Builder::new().name(name.to_owned()).spawn({
            let shared = Arc::clone(&shared);
            move || serve(&shared, &mut graph)
        });
        Ok(Self {
            shared,
            terminator,
            thread: Some(thread.map_err(RuntimeError::Thread)?),
        })
    }

    /// Asks for the outputs to some rows of inputs (at least one; the same number in every column). Dropping the
    /// future withdraws the query.
    pub async fn ask(&self, inputs: Vec<Column>) -> Result<Vec<ArrayD<f32>>, VictimError> {
        let (reply, answer) = oneshot::channel();
        self.shared.push(Query::new(inputs, reply))?;
        // The sender is gone without an answer only if the thread is.
        answer.await.unwrap_or(Err(VictimError::Closed))
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        self.shared.close();
        self.terminator.terminate();
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("a model's thread had panicked");
        }
    }
}

fn serve(shared: &Shared, graph: &mut Graph) {
    // Also when unwinding: queries must not wait for a thread that is gone.
    let _closing = Closing(shared);
    while let Some(parts) = shared.next(graph.max_batch()) {
        match run(graph, &parts) {
            Ok(outputs) => shared.deliver(parts, &outputs),
            Err(error) => {
                if !shared.is_closed() {
                    tracing::error!(%error, queries = parts.len(), "a run failed");
                }
                let error = RunError(error.to_string().into());
                shared.fail(parts, || VictimError::Runtime(Box::new(error.clone())));
            }
        }
    }
}

struct Closing<'a>(&'a Shared);

impl Drop for Closing<'_> {
    fn drop(&mut self) {
        self.0.close();
    }
}

fn run(graph: &mut Graph, parts: &[Part]) -> Result<Vec<ArrayD<f32>>, RuntimeError> {
    let columns = parts.first().map_or(0, |part| part.query.inputs.len());
    let inputs: Option<Vec<Column>> = (0..columns)
        .map(|index| {
            let parts: Option<Vec<_>> = parts
                .iter()
                .map(|part| Some((part.query.inputs.get(index)?, part.range.clone())))
                .collect();
            Column::join(&parts?)
        })
        .collect();
    let inputs = inputs.ok_or_else(|| RuntimeError::Unsupported {
        what: "queries",
        expected: "of one shape".to_owned(),
        got: "of several".to_owned(),
    })?;
    graph.run(&inputs)
}

/// A panic elsewhere does not make the queue unusable: it is consistent whenever the lock is free.
fn unpoisoned<T>(guard: Result<T, PoisonError<T>>) -> T {
    guard.unwrap_or_else(PoisonError::into_inner)
}
