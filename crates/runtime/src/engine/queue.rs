//! The queue between callers and an engine's thread.
use std::{
    collections::VecDeque,
    ops::Range,
    sync::{Condvar, Mutex},
};

use buckler_attack::VictimError;
use ndarray::ArrayD;
use tokio::sync::oneshot;

use super::unpoisoned;
use crate::batch::{self, Column};

type Answer = Result<Vec<ArrayD<f32>>, VictimError>;

/// Rows whose outputs somebody waits for.
pub(super) struct Query {
    pub inputs: Vec<Column>,
    rows: usize,
    /// How many of the rows were taken.
    taken: usize,
    /// The outputs so far, by batch.
    outputs: Vec<Vec<ArrayD<f32>>>,
    reply: oneshot::Sender<Answer>,
}

impl Query {
    pub fn new(inputs: Vec<Column>, reply: oneshot::Sender<Answer>) -> Self {
        Self {
            rows: inputs.first().map_or(0, Column::rows),
            inputs,
            taken: 0,
            outputs: Vec::new(),
            reply,
        }
    }

    fn bytes(&self) -> usize {
        self.inputs.iter().map(Column::bytes).sum()
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
        let answer = outputs.ok_or_else(|| VictimError::Query {
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

/// What callers and the thread share.
pub(super) struct Shared {
    queue: Mutex<Queue>,
    ready: Condvar,
    max_bytes: usize,
}

struct Queue {
    waiting: VecDeque<Query>,
    /// Of the waiting queries' inputs.
    bytes: usize,
    closed: bool,
}

impl Shared {
    pub fn new(max_bytes: usize) -> Self {
        Self {
            queue: Mutex::new(Queue {
                waiting: VecDeque::new(),
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
        queue.waiting.push_back(query);
        drop(queue);
        self.ready.notify_one();
        Ok(())
    }

    /// Waits for queries and takes up to `max_rows` rows of them, first come first served. `None` once closed.
    pub fn next(&self, max_rows: usize) -> Option<Vec<Part>> {
        let mut queue = unpoisoned(self.queue.lock());
        loop {
            if queue.closed {
                return None;
            }
            let parts = queue.take(max_rows);
            if !parts.is_empty() {
                return Some(parts);
            }
            queue = unpoisoned(self.ready.wait(queue));
        }
    }

    /// Hands out the outputs of the parts' rows. A query with rows left goes to the end of the queue, so that a long
    /// one delays others by one batch at most.
    pub fn deliver(&self, parts: Vec<Part>, outputs: &[ArrayD<f32>]) {
        let mut start = 0;
        for Part { mut query, range } in parts {
            let rows = start..start + range.len();
            start = rows.end;
            let own = outputs
                .iter()
                .map(|output| batch::slice(output, rows.clone()).to_owned())
                .collect();
            query.outputs.push(own);
            if query.taken < query.rows {
                let mut queue = unpoisoned(self.queue.lock());
                if queue.closed {
                    let _ = query.reply.send(Err(VictimError::Closed));
                } else {
                    queue.bytes += query.bytes();
                    queue.waiting.push_back(query);
                }
            } else {
                query.answer();
            }
        }
    }

    pub fn fail(&self, parts: Vec<Part>, error: impl Fn() -> VictimError) {
        let closed = self.is_closed();
        for part in parts {
            let error = if closed { VictimError::Closed } else { error() };
            let _ = part.query.reply.send(Err(error));
        }
    }

    pub fn is_closed(&self) -> bool {
        unpoisoned(self.queue.lock()).closed
    }

    /// Answers what waits with [`VictimError::Closed`] and takes no more.
    pub fn close(&self) {
        let mut queue = unpoisoned(self.queue.lock());
        queue.closed = true;
        queue.bytes = 0;
        for query in queue.waiting.drain(..) {
            let _ = query.reply.send(Err(VictimError::Closed));
        }
        drop(queue);
        self.ready.notify_all();
    }
}

impl Queue {
    fn take(&mut self, max_rows: usize) -> Vec<Part> {
        let mut parts = Vec::new();
        let mut room = max_rows;
        while room > 0
            && let Some(mut query) = self.waiting.pop_front()
        {
            self.bytes = self.bytes.saturating_sub(query.bytes());
            if query.reply.is_closed() {
                continue;
            }
            let start = query.taken;
            query.taken = query.rows.min(start + room);
            let range = start..query.taken;
            room -= range.len();
            parts.push(Part { query, range });
        }
        parts
    }

    fn forget_withdrawn(&mut self) {
        self.waiting.retain(|query| !query.reply.is_closed());
        self.bytes = self.waiting.iter().map(Query::bytes).sum();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn query(first: i64, rows: usize) -> (Query, oneshot::Receiver<Answer>) {
        let column = Column::Int(ArrayD::from_shape_fn(vec![rows], |at| first + at[0] as i64));
        let (reply, answer) = oneshot::channel();
        (Query::new(vec![column], reply), answer)
    }

    /// The rows of the next batch, each answered with itself.
    fn work(shared: &Shared, max_rows: usize) -> Vec<i64> {
        let parts = shared.next(max_rows).unwrap();
        let columns: Vec<_> = parts
            .iter()
            .map(|part| (&part.query.inputs[0], part.range.clone()))
            .collect();
        let Some(Column::Int(rows)) = Column::join(&columns) else {
            panic!("one column of integers")
        };
        shared.deliver(parts, &[rows.mapv(|row| row as f32)]);
        rows.into_raw_vec_and_offset().0
    }

    fn answered(mut answer: oneshot::Receiver<Answer>) -> Vec<f32> {
        let outputs = answer.try_recv().unwrap().unwrap();
        outputs[0].iter().copied().collect()
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
    fn a_long_query_lets_short_ones_pass_between_its_batches() {
        let shared = Shared::new(1000);
        let (long, long_answer) = query(0, 7);
        let (short, short_answer) = query(100, 1);
        shared.push(long).unwrap();
        shared.push(short).unwrap();
        assert_eq!(work(&shared, 3), [0, 1, 2]);
        assert_eq!(work(&shared, 3), [100, 3, 4]);
        assert_eq!(answered(short_answer), [100.0]);
        assert_eq!(work(&shared, 3), [5, 6]);
        assert_eq!(answered(long_answer), [0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
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
        assert!(shared.next(1).is_none());
    }
}
