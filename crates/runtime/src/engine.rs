//! A lane: the graphs of a model and a queue, from which a thread answers queries, merging their rows.
mod fair;
mod queue;
mod starter;
mod watch;

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use buckler_attack::VictimError;
use ndarray::ArrayD;
use tokio::sync::oneshot;

pub(crate) use self::{fair::Flow, queue::Answered};
pub use self::{
    queue::Timing,
    watch::{Batch, Lane, Watch},
};
use self::{
    queue::{Capacity, Part, Query, Shared},
    starter::Job,
};
use crate::{
    RuntimeError,
    background::in_background,
    batch::Column,
    session::{Graph, Terminator},
};

/// A model at work: whenever it becomes free, it takes rows that wait, in fair turns and up to one batch, and answers them.
///
/// It has a thread while there is something to do and for a while after, see [`queue::IDLE`]. Dropping it ends the run in progress,
/// answers what waits with [`VictimError::Closed`] and waits for the thread.
pub(crate) struct Engine {
    worker: Arc<Worker>,
    terminators: Vec<Terminator>,
}

/// What callers and the thread share.
struct Worker {
    shared: Shared,
    /// Locked by the thread for as long as it runs.
    graphs: Mutex<Vec<Graph>>,
    paces: Vec<AtomicU64>,
    settings: Settings,
}

/// How a lane is run.
pub(crate) struct Settings {
    pub lane: Lane,
    /// The model's name.
    pub model: String,
    /// Bounds the memory of the rows that wait.
    pub queue_bytes: usize,
    pub watch: Option<Watch>,
    /// Leaves the processors to whatever else wants them.
    pub background: bool,
}

/// A failed run.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct RunError(String);

impl Engine {
    pub fn start(graphs: Vec<Graph>, settings: Settings) -> Result<Self, RuntimeError> {
        starter::open().map_err(RuntimeError::Thread)?;
        let pace = |graph: &Graph| AtomicU64::new(graph.seconds_per_row().to_bits());
        Ok(Self {
            terminators: graphs.iter().map(Graph::terminator).collect(),
            worker: Arc::new(Worker {
                shared: Shared::new(settings.queue_bytes),
                paces: graphs.iter().map(pace).collect(),
                graphs: Mutex::new(graphs),
                settings,
            }),
        })
    }

    /// Asks one of the graphs for the outputs to some rows of inputs (at least one; the same number in every column).
    /// Dropping the future withdraws the query.
    pub async fn ask(
        &self,
        flow: &Flow,
        graph: usize,
        inputs: Vec<Column>,
    ) -> Result<Answered, VictimError> {
        let (reply, answer) = oneshot::channel();
        let query = Query::new(flow.clone(), graph, inputs, reply);
        if self.worker.shared.push(query)? {
            Worker::start(&self.worker);
        }
        // The sender is gone without an answer only if the thread is.
        answer.await.unwrap_or(Err(VictimError::Closed))
    }

    /// What a row of a graph takes, in a batch of the size usual of late.
    pub fn seconds_per_row(&self, graph: usize) -> f64 {
        let pace = self.worker.paces.get(graph);
        pace.map_or(0.0, |pace| f64::from_bits(pace.load(Ordering::Relaxed)))
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        self.worker.shared.close();
        self.terminators.iter().for_each(Terminator::terminate);
        self.worker.shared.wait_until_idle();
        unpoisoned(self.worker.graphs.lock()).clear();
    }
}

impl Worker {
    /// Starts the thread.
    fn start(worker: &Arc<Self>) {
        let name = format!("{} {}", worker.settings.lane, worker.settings.model);
        let (serving, refusing) = (Arc::clone(worker), Arc::clone(worker));
        let job = Job {
            // A name with a NUL would be refused by a panic.
            name: buckler_onnx::printable(&name).into_owned(),
            work: Box::new(move || serving.serve()),
            refused: Box::new(move |error| {
                tracing::error!(%error, "a lane's thread cannot be started");
                let reason = RuntimeError::Thread(error).to_string();
                let failed = || VictimError::Runtime(Box::new(RunError(reason.clone())));
                refusing.shared.fail_all(failed);
            }),
        };
        let sent = starter::open().map(|jobs| jobs.send(job));
        if !matches!(sent, Ok(Ok(()))) {
            worker.shared.fail_all(|| VictimError::Closed);
        }
    }

    fn serve(&self) {
        // Also when unwinding: queries must not wait for a thread that is gone.
        let _closing = Closing(&self.shared);
        let mut graphs = unpoisoned(self.graphs.lock());
        if self.settings.background {
            in_background();
        }
        loop {
            let capacities: Vec<Capacity> = graphs
                .iter()
                .map(|graph| Capacity {
                    max_rows: graph.max_batch(),
                    cost_of_row: graph.seconds_per_row(),
                })
                .collect();
            let Some(parts) = self.shared.next(&capacities) else {
                return;
            };
            let asked = parts.first().map_or(0, |part| part.query.graph);
            let Some(graph) = graphs.get_mut(asked) else {
                continue;
            };
            answer(&self.shared, graph, parts, &self.settings);
            if let Some(pace) = self.paces.get(asked) {
                pace.store(graph.seconds_per_row().to_bits(), Ordering::Relaxed);
            }
        }
    }
}

fn answer(shared: &Shared, graph: &mut Graph, parts: Vec<Part>, settings: &Settings) {
    let start = Instant::now();
    match run(graph, &parts) {
        Ok(outputs) => {
            let computed = start.elapsed();
            settings.report(&parts, computed);
            shared.deliver(parts, &outputs, computed);
        }
        // One query's rows may be at fault: the others are asked again without them.
        Err(_) if parts.len() > 1 && !shared.is_closed() => {
            for part in parts {
                answer(shared, graph, vec![part], settings);
            }
        }
        Err(error) => {
            if !shared.is_closed() {
                tracing::error!(%error, "a run failed");
            }
            for part in parts {
                let error = RunError(error.to_string());
                shared.fail(part, VictimError::Runtime(Box::new(error)));
            }
        }
    }
}

impl Settings {
    fn report(&self, parts: &[Part], computed: Duration) {
        let Some(watch) = &self.watch else { return };
        let waited: Vec<Duration> = parts.iter().filter_map(Part::waited).collect();
        watch.tell(&Batch {
            model: &self.model,
            lane: self.lane,
            rows: parts.iter().map(|part| part.range.len()).sum(),
            waited: &waited,
            computed,
        });
    }
}

/// Closes the queue where its thread panics.
struct Closing<'a>(&'a Shared);

impl Drop for Closing<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            tracing::error!("a model's thread has panicked");
            self.0.close();
            self.0.end();
        }
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
