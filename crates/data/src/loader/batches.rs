use std::{
    any::Any,
    ops::Range,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc::{Receiver, sync_channel},
    },
    thread::{self, JoinHandle},
};

use super::Batch;
use crate::{DataError, error::panic_message};

/// The batches of one epoch, in order. After an error there are no more. The threads that prepare them end when this is
/// dropped, each after the image it is at.
#[derive(Debug)]
pub struct Batches {
    workers: Vec<Worker>,
    stop: Arc<AtomicBool>,
    taken: usize,
    left: usize,
    /// Why the threads could not be started.
    failed: Option<DataError>,
}

#[derive(Debug)]
struct Worker {
    results: Receiver<Result<Batch, DataError>>,
    thread: JoinHandle<()>,
}

impl Batches {
    /// Starts at most `workers` threads that `prepare` the batches of these numbers. `prepare` returns `None` when it
    /// finds that it should stop.
    pub(super) fn start<F>(batches: Range<usize>, workers: usize, prepare: F) -> Self
    where
        F: Fn(usize, &AtomicBool) -> Option<Result<Batch, DataError>> + Send + Sync + 'static,
    {
        let mut this = Self {
            workers: Vec::new(),
            stop: Arc::default(),
            taken: 0,
            left: batches.len(),
            failed: None,
        };
        let prepare = Arc::new(prepare);
        let workers = workers.min(batches.len());
        for worker in 0..workers {
            let (prepare, stop) = (prepare.clone(), this.stop.clone());
            let mine = batches.clone().skip(worker).step_by(workers);
            // One batch waits here while the next one is prepared.
            let (sender, results) = sync_channel(1);
            let started = thread::Builder::new()
                .name(format!("loader {worker}"))
                .spawn(move || {
                    for batch in mine {
                        let Some(result) = prepare(batch, &stop) else {
                            return;
                        };
                        let last = result.is_err();
                        if sender.send(result).is_err() || last {
                            return;
                        }
                    }
                });
            match started {
                Ok(thread) => this.workers.push(Worker { results, thread }),
                Err(error) => {
                    let reason = format!("it could not be started: {error}");
                    this.failed = Some(DataError::Worker { reason });
                    break;
                }
            }
        }
        this
    }

    /// Ends the threads; what they panicked with.
    fn finish(&mut self) -> Option<Box<dyn Any + Send>> {
        self.left = 0;
        self.stop.store(true, Ordering::Relaxed);
        let (results, threads): (Vec<_>, Vec<_>) = self
            .workers
            .drain(..)
            .map(|worker| (worker.results, worker.thread))
            .unzip();
        // A thread may wait for room in its channel: first these go, then the threads can be waited for.
        drop(results);
        threads
            .into_iter()
            .filter_map(|thread| thread.join().err())
            .last()
    }
}

impl Iterator for Batches {
    type Item = Result<Batch, DataError>;

    fn next(&mut self) -> Option<Self::Item> {
        if let Some(error) = self.failed.take() {
            self.finish();
            return Some(Err(error));
        }
        if self.left == 0 {
            return None;
        }
        let worker = self.workers.get(self.taken % self.workers.len().max(1))?;
        let result = worker.results.recv().unwrap_or_else(|_| {
            let panic = self.finish();
            let reason = match panic {
                Some(panic) => panic_message(panic.as_ref()),
                None => "it ended early".to_owned(),
            };
            Err(DataError::Worker { reason })
        });
        match &result {
            Ok(_) => {
                self.taken += 1;
                self.left -= 1;
            }
            Err(_) => {
                self.finish();
            }
        }
        Some(result)
    }
}

impl Drop for Batches {
    fn drop(&mut self) {
        self.finish();
    }
}
