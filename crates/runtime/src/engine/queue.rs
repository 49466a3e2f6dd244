//! The queue between callers and a lane's thread.
use std::{
    ops::Range,
    sync::{Condvar, Mutex},
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
}

impl Shared {
    pub fn new(max_bytes: usize) -> Self {
        Self {
            queue: Mutex::new(Queue {
                waiting: Fair::new(),
                bytes: 0,
                closed: false,
            }),
            ready: Condvar::new(),
            max_bytes,
        }
    }

    /// A query larger than the whole queue is taken while the queue is empty: its memory exists already.
    pub fn push(&self, query: Query) -> Result<(), VictimError> {
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
        drop(queue);
        self.ready.notify_one();
        Ok(())
    }

    /// Waits for queries and takes rows of them for one batch of one graph, in fair turns. `None` once closed.
    pub fn next(&self, capacities: &[Capacity]) -> Option<Vec<Part>> {
        let mut queue = unpoisoned(self.queue.lock());
        loop {
            if queue.closed {
                return None;
            }
            let parts = queue.take(capacities);
            if !parts.is_empty() {
                return Some(parts);
            }
            queue = unpoisoned(self.ready.wait(queue));
        }
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
mod tests {
    use super::*;

    fn query(first: i64, rows: usize) -> (Query, oneshot::Receiver<Answer>) {
        let column = Column::Int(ArrayD::from_shape_fn(vec![rows], |at| first + at[0] as i64));
        let (reply, answer) = oneshot::channel();
        let flow = Flow {
            tenant: "".into(),
            request: first.unsigned_abs(),
        };
        (Query::new(flow, 0, vec![column], reply), answer)
    }

    /// The rows of the next batch, each answered with itself.
    fn work(shared: &Shared, max_rows: usize) -> Vec<i64> {
        let capacity = Capacity {
            max_rows,
            cost_of_row: 1.0,
        };
        let parts = shared.next(&[capacity, capacity]).unwrap();
        let columns: Vec<_> = parts
            .iter()
            .map(|part| (&part.query.inputs[0], part.range.clone()))
            .collect();
        let Some(Column::Int(rows)) = Column::join(&columns) else {
            panic!("one column of integers")
        };
        shared.deliver(
            parts,
            &[rows.mapv(|row| row as f32)],
            Duration::from_millis(1),
        );
        rows.into_raw_vec_and_offset().0
    }

    fn answered(mut answer: oneshot::Receiver<Answer>) -> Vec<f32> {
        let answered = answer.try_recv().unwrap().unwrap();
        answered.outputs[0].iter().copied().collect()
    }

    #[test]
    fn waiting_queries_share_a_batch_and_each_gets_its_own_rows() {
        let shared = Shared::new(1000);
        let (first, first_answer) = query(0, 2);
        let (second, second_answer) = query(10, 3);
        shared.push(first).unwrap();
        shared.push(second).unwrap();
        assert_eq!(work(&shared, 8), [0, 1, 10, 11, 12]);
        assert_eq!(answered(first_answer), [0.0, 1.0]);
        assert_eq!(answered(second_answer), [10.0, 11.0, 12.0]);
    }

    #[test]
    fn a_long_query_shares_every_batch_with_short_ones() {
        let shared = Shared::new(1000);
        let (long, long_answer) = query(0, 7);
        let (short, short_answer) = query(100, 1);
        shared.push(long).unwrap();
        shared.push(short).unwrap();
        let first = work(&shared, 3);
        assert!(first.contains(&100) && first.len() == 3, "{first:?}");
        let answer = answered(short_answer);
        assert_eq!(answer, [100.0]);
        assert_eq!(work(&shared, 3).len() + work(&shared, 3).len(), 5);
        assert_eq!(answered(long_answer), [0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
    }

    #[test]
    fn a_batch_is_of_one_graph_and_the_other_comes_next() {
        let shared = Shared::new(1000);
        let (first, _first) = query(0, 2);
        let (mut other, _other) = query(10, 2);
        other.graph = 1;
        let (last, _last) = query(20, 1);
        for query in [first, other, last] {
            shared.push(query).unwrap();
        }
        let mut batches = [work(&shared, 8), work(&shared, 8)];
        batches.iter_mut().for_each(|batch| batch.sort());
        batches.sort();
        assert_eq!(batches, [vec![0, 1, 20], vec![10, 11]]);
    }

    #[test]
    fn the_time_of_a_query_is_told_with_its_answer() {
        let shared = Shared::new(1000);
        let (query, mut answer) = query(0, 5);
        shared.push(query).unwrap();
        std::thread::sleep(Duration::from_millis(20));
        for _ in 0..3 {
            work(&shared, 2);
        }
        let timing = answer.try_recv().unwrap().unwrap().timing;
        assert_eq!(timing.computed, Duration::from_millis(3));
        assert!(timing.queued >= Duration::from_millis(20), "{timing:?}");
    }

    #[test]
    fn withdrawn_queries_are_not_run_and_do_not_fill_the_queue() {
        let shared = Shared::new(64);
        let (withdrawn, answer) = query(0, 8);
        shared.push(withdrawn).unwrap();
        drop(answer);
        let (fresh, _answer) = query(10, 2);
        shared.push(fresh).unwrap();
        assert_eq!(work(&shared, 16), [10, 11]);
        let (withdrawn, answer) = query(20, 2);
        shared.push(withdrawn).unwrap();
        drop(answer);
        let (fresh, _answer) = query(30, 1);
        shared.push(fresh).unwrap();
        assert_eq!(work(&shared, 16), [30]);
    }

    #[test]
    fn a_full_queue_says_so_and_has_room_again_after_a_batch() {
        let shared = Shared::new(64);
        let (large, _large_answer) = query(0, 100);
        shared.push(large).unwrap();
        let (next, _answer) = query(0, 1);
        let error = shared.push(next).unwrap_err();
        assert!(
            matches!(
                error,
                VictimError::Overloaded {
                    queued: 800,
                    limit: 64
                }
            ),
            "{error}"
        );
        assert_eq!(work(&shared, 100).len(), 100);
        let (next, _answer) = query(0, 8);
        shared.push(next).unwrap();
    }

    #[test]
    fn closing_answers_what_waits_and_what_comes() {
        let shared = Shared::new(1000);
        let (waiting, mut answer) = query(0, 1);
        shared.push(waiting).unwrap();
        shared.close();
        assert!(matches!(
            answer.try_recv().unwrap(),
            Err(VictimError::Closed)
        ));
        assert!(matches!(
            shared.push(query(0, 1).0),
            Err(VictimError::Closed)
        ));
        assert!(shared.next(&[]).is_none());
    }
}
