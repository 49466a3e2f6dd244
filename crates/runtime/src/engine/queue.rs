//! The queue between callers and a lane's thread.
use std::{
    ops::Range,
    sync::{Condvar, Mutex, PoisonError},
    time::{Duration, Instant},
};

use buckler_attack::VictimError;
use ndarray::ArrayD;
use tokio::sync::oneshot;

use super::{
    fair::{Fair, Flow},
    unpoisoned,
};
use crate::batch::{self, Column};

/// How long a lane's thread waits for the next query before it ends.
pub(super) const IDLE: Duration = Duration::from_secs(30);

type Answer = Result<Answered, VictimError>;

/// The outputs to all rows of a query, and how long they took.
pub(crate) struct Answered {
    pub outputs: Vec<ArrayD<f32>>,
    pub timing: Timing,
}

/// Where the time of a query went.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Timing {
    /// Until its first row was taken.
    pub queued: Duration,
    /// Of the batches that its rows were in.
    pub computed: Duration,
}

/// Rows whose outputs somebody waits for.
pub(super) struct Query {
    /// Which graph of the lane is asked.
    pub graph: usize,
    pub inputs: Vec<Column>,
    flow: Flow,
    rows: usize,
    /// How many of the rows were taken.
    taken: usize,
    /// How many of the rows have been answered or are in the batch that is being put together.
    planned: usize,
    since: Instant,
    timing: Timing,
    /// The outputs so far, by batch.
    outputs: Vec<Vec<ArrayD<f32>>>,
    reply: oneshot::Sender<Answer>,
}

impl Query {
    pub fn new(
        flow: Flow,
        graph: usize,
        inputs: Vec<Column>,
        reply: oneshot::Sender<Answer>,
    ) -> Self {
        Self {
            flow,
            graph,
            rows: inputs.first().map_or(0, Column::rows),
            inputs,
            taken: 0,
            planned: 0,
            since: Instant::now(),
            timing: Timing::default(),
            outputs: Vec::new(),
            reply,
        }
    }

    fn bytes(&self) -> usize {
        self.inputs.iter().map(Column::bytes).sum()
    }

    fn is_withdrawn(&self) -> bool {
        self.reply.is_closed()
    }

    /// The rows planned since the last time.
    fn part(mut self) -> Part {
        if self.taken == 0 {
            self.timing.queued = self.since.elapsed();
        }
        let range = self.taken..self.planned;
        self.taken = self.planned;
        Part { query: self, range }
    }

    fn answer(self) {
        let columns = self.outputs.first().map_or(0, Vec::len);
        let outputs: Option<Vec<ArrayD<f32>>> = (0..columns)
            .map(|index| {
                let parts: Option<Vec<_>> = self
                    .outputs
                    .iter()
                    .map(|outputs| outputs.get(index).cloned())
                    .collect();
                batch::stack(&parts?)
            })
            .collect();
        let timing = self.timing;
        let answer = outputs
            .map(|outputs| Answered { outputs, timing })
            .ok_or_else(|| VictimError::Query {
                what: "outputs",
                expected: "one shape for every row".to_owned(),
                got: "several".to_owned(),
            });
        // The caller may have gone in the meantime.
        let _ = self.reply.send(answer);
    }
}

/// Some rows of a query, taken for the next batch.
pub(super) struct Part {
    pub query: Query,
    pub range: Range<usize>,
}

impl Part {
    /// How long the query waited, if these are its first rows.
    pub fn waited(&self) -> Option<Duration> {
        (self.range.start == 0).then_some(self.query.timing.queued)
    }
}

/// What a lane's graph takes in one batch, and what it costs.
#[derive(Clone, Copy, Debug)]
pub(super) struct Capacity {
    pub max_rows: usize,
    /// Any unit that is the same for all graphs of the lane.
    pub cost_of_row: f64,
}

/// What callers and the thread share.
pub(super) struct Shared {
    queue: Mutex<Queue>,
    ready: Condvar,
    max_bytes: usize,
}

struct Queue {
    waiting: Fair<Query>,
    /// Of the waiting queries' inputs.
    bytes: usize,
    closed: bool,
    /// Whether there is a thread that calls [`Shared::next`], or one is being started.
    served: bool,
}

impl Shared {
    pub fn new(max_bytes: usize) -> Self {
        Self {
            queue: Mutex::new(Queue {
                waiting: Fair::new(),
                bytes: 0,
                closed: false,
                served: false,
            }),
            ready: Condvar::new(),
            max_bytes,
        }
    }

    /// Whether a thread has to be started. A query larger than the whole queue is taken while the queue is empty: its memory exists
    /// already.
    pub fn push(&self, query: Query) -> Result<bool, VictimError> {
        let mut queue = unpoisoned(self.queue.lock());
        if queue.closed {
            return Err(VictimError::Closed);
        }
        let bytes = query.bytes();
        if queue.bytes + bytes > self.max_bytes {
            queue.forget_withdrawn();
        }
        if queue.bytes > 0 && queue.bytes + bytes > self.max_bytes {
            return Err(VictimError::Overloaded {
                queued: queue.bytes,
                limit: self.max_bytes,
            });
        }
        queue.bytes += bytes;
        let flow = query.flow.clone();
        queue.waiting.push(&flow, query);
        let served = std::mem::replace(&mut queue.served, true);
        drop(queue);
        self.ready.notify_one();
        Ok(!served)
    }

    /// Waits for queries and takes rows of them for one batch of one graph, in fair turns. `None` once closed, and where none comes for
    /// [`IDLE`]: the thread is to end, and the next query is told so.
    pub fn next(&self, capacities: &[Capacity]) -> Option<Vec<Part>> {
        self.next_within(capacities, IDLE)
    }

    fn next_within(&self, capacities: &[Capacity], idle: Duration) -> Option<Vec<Part>> {
        let mut queue = unpoisoned(self.queue.lock());
        let since = Instant::now();
        loop {
            let parts = match queue.closed {
                true => Vec::new(),
                false => queue.take(capacities),
            };
            if !parts.is_empty() {
                return Some(parts);
            }
            let left = idle.saturating_sub(since.elapsed());
            if queue.closed || left.is_zero() {
                // Under the lock that found nothing: a query that comes later finds no thread.
                queue.served = false;
                drop(queue);
                self.ready.notify_all();
                return None;
            }
            queue = self
                .ready
                .wait_timeout(queue, left)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
    }

    /// Tells that there is no thread any more.
    pub fn end(&self) {
        unpoisoned(self.queue.lock()).served = false;
        self.ready.notify_all();
    }

    /// Waits until there is no thread any more; the queue has to be closed.
    pub fn wait_until_idle(&self) {
        let mut queue = unpoisoned(self.queue.lock());
        while queue.served {
            queue = unpoisoned(self.ready.wait(queue));
        }
    }

    /// Answers what waits with an error, where no thread can be started.
    pub fn fail_all(&self, error: impl Fn() -> VictimError) {
        let mut queue = unpoisoned(self.queue.lock());
        queue.served = false;
        queue.bytes = 0;
        for query in queue.waiting.drain() {
            let _ = query.reply.send(Err(error()));
        }
        drop(queue);
        self.ready.notify_all();
    }

    /// Hands out the outputs of the parts' rows. A query with rows left goes back to its flow.
    pub fn deliver(&self, parts: Vec<Part>, outputs: &[ArrayD<f32>], computed: Duration) {
        let mut start = 0;
        for Part { mut query, range } in parts {
            let rows = start..start + range.len();
            start = rows.end;
            let own = outputs
                .iter()
                .map(|output| batch::slice(output, rows.clone()).to_owned())
                .collect();
            query.outputs.push(own);
            query.timing.computed += computed;
            if query.taken < query.rows {
                let mut queue = unpoisoned(self.queue.lock());
                if queue.closed {
                    let _ = query.reply.send(Err(VictimError::Closed));
                } else {
                    queue.bytes += query.bytes();
                    let flow = query.flow.clone();
                    queue.waiting.push_front(&flow, query);
                }
            } else {
                query.answer();
            }
        }
    }

    pub fn fail(&self, part: Part, error: VictimError) {
        let error = if self.is_closed() {
            VictimError::Closed
        } else {
            error
        };
        let _ = part.query.reply.send(Err(error));
    }

    pub fn is_closed(&self) -> bool {
        unpoisoned(self.queue.lock()).closed
    }

    /// Answers what waits with [`VictimError::Closed`] and takes no more.
    pub fn close(&self) {
        let mut queue = unpoisoned(self.queue.lock());
        queue.closed = true;
        queue.bytes = 0;
        for query in queue.waiting.drain() {
            let _ = query.reply.send(Err(VictimError::Closed));
        }
        drop(queue);
        self.ready.notify_all();
    }
}

impl Queue {
    fn take(&mut self, capacities: &[Capacity]) -> Vec<Part> {
        self.forget_withdrawn();
        let mut parts: Vec<Part> = Vec::new();
        let mut begun: Vec<Flow> = Vec::new();
        let first = self.waiting.turn(|_| true);
        let graph = first.and_then(|flow| Some(self.waiting.charge(&flow, 0.0)?.graph));
        let Some((graph, capacity)) = graph.and_then(|graph| Some((graph, capacities.get(graph)?)))
        else {
            return parts;
        };
        for _ in 0..capacity.max_rows {
            let Some(flow) = self.waiting.turn(|query| query.graph == graph) else {
                break;
            };
            let Some(query) = self.waiting.charge(&flow, capacity.cost_of_row) else {
                break;
            };
            query.planned += 1;
            if query.planned >= query.rows {
                parts.extend(self.waiting.pop(&flow).map(Query::part));
            } else if !begun.contains(&flow) {
                begun.push(flow);
            }
        }
        for flow in begun {
            // All of its rows may have been planned after it was begun.
            let query = self.waiting.pop(&flow);
            match query {
                Some(query) if query.planned > query.taken => parts.push(query.part()),
                Some(query) => self.waiting.push_front(&flow, query),
                None => {}
            }
        }
        self.bytes = self.waiting.items().map(Query::bytes).sum();
        self.waiting.prune();
        parts
    }

    fn forget_withdrawn(&mut self) {
        self.waiting.retain(|query| !query.is_withdrawn());
        self.bytes = self.waiting.items().map(Query::bytes).sum();
    }
}

#[cfg(test)]
mod tests;
