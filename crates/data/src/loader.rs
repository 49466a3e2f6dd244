//! Threads that prepare batches while the device computes. Batch `k` is the work of thread `k` modulo their number, each
//! thread has a channel of its own, and the channels are read in turn: the batches come in order, and a thread that is
//! ahead waits.
mod batches;

use std::{
    num::NonZero,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
};

pub use self::batches::Batches;
use crate::{Augmentation, DataError, Dataset, epoch_order, stream::augmentation_stream};

/// More would read faster than a disk can.
const USUAL_WORKERS: usize = 8;
const MAX_WORKERS: usize = 256;

/// How a [`Loader`] loads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoaderConfig {
    /// Images per batch; the last batch of an epoch holds what is left.
    pub batch_size: usize,
    /// What is done to every image.
    pub augmentation: Augmentation,
    /// What the order and the augmentation are drawn from.
    pub seed: u64,
    /// Threads that prepare batches; 0 for as many as there are cores, at most 8. The batches do not depend on it.
    pub workers: usize,
    /// Leaves out images that cannot be decoded, instead of ending with an error.
    pub skip_broken: bool,
}

/// One batch of images to learn from.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Batch {
    /// `[len, channels, height, width]`, row-major, in `[0, 1]`.
    pub images: Vec<f32>,
    /// The class of each image.
    pub labels: Vec<i64>,
    /// The index of each image in the data set.
    pub indices: Vec<usize>,
    /// The images that were left out because they are broken: file and reason.
    pub skipped: Vec<String>,
}

impl Batch {
    /// The number of images.
    pub fn len(&self) -> usize {
        self.indices.len()
    }

    /// Whether there are no images, because all of them are broken.
    pub fn is_empty(&self) -> bool {
        self.indices.is_empty()
    }
}

/// Loads a data set epoch by epoch, shuffled and augmented, in threads of its own.
#[derive(Clone, Debug)]
pub struct Loader {
    dataset: Arc<Dataset>,
    config: LoaderConfig,
    workers: usize,
}

impl Loader {
    /// Checks the configuration; nothing is read yet.
    ///
    /// # Errors
    /// When the batch size is 0, there are more than 256 workers, or the augmentation does not fit the images.
    pub fn new(dataset: Arc<Dataset>, config: LoaderConfig) -> Result<Self, DataError> {
        let in_range = |what, value, min, max| match (min..=max).contains(&value) {
            true => Ok(value),
            false => Err(DataError::OutOfRange {
                what,
                value,
                min,
                max,
            }),
        };
        in_range("batch", config.batch_size, 1, usize::MAX)?;
        let workers = match in_range("number of loader threads", config.workers, 0, MAX_WORKERS)? {
            0 => usual_workers(),
            workers => workers,
        };
        config.augmentation.check(&dataset)?;
        Ok(Self {
            dataset,
            config,
            workers,
        })
    }

    /// The number of batches in an epoch.
    pub fn batches_per_epoch(&self) -> usize {
        self.dataset.len().div_ceil(self.config.batch_size)
    }

    /// The batches of epoch number `epoch` from number `first_batch` on, in the order of [`epoch_order`]. They depend on
    /// nothing but the data set, the configuration (its `workers` aside) and the epoch: `epoch(e, k)` gives what
    /// `epoch(e, 0)` gives after `k` batches, so that a resumed training goes on as if it had not stopped.
    ///
    /// The threads start at once and run at most two batches each ahead of what was taken.
    pub fn epoch(&self, epoch: u64, first_batch: usize) -> Batches {
        let all = self.batches_per_epoch();
        let work = Work {
            dataset: self.dataset.clone(),
            order: epoch_order(self.dataset.len(), self.config.seed, epoch),
            config: self.config.clone(),
            epoch,
        };
        Batches::start(
            first_batch.min(all)..all,
            self.workers,
            move |batch, stop| work.prepare(batch, stop),
        )
    }
}

/// As many threads as there are cores, at most 8.
pub(crate) fn usual_workers() -> usize {
    thread::available_parallelism()
        .map_or(1, NonZero::get)
        .min(USUAL_WORKERS)
}

/// What a thread has to know.
struct Work {
    dataset: Arc<Dataset>,
    order: Vec<usize>,
    config: LoaderConfig,
    epoch: u64,
}

impl Work {
    /// Batch number `batch`, or `None` when it is no longer wanted.
    fn prepare(&self, batch: usize, stop: &AtomicBool) -> Option<Result<Batch, DataError>> {
        let indices = self.order.chunks(self.config.batch_size).nth(batch)?;
        let mut batch = Batch {
            images: Vec::with_capacity(indices.len() * self.dataset.image_len()),
            labels: Vec::with_capacity(indices.len()),
            indices: Vec::with_capacity(indices.len()),
            skipped: Vec::new(),
        };
        for &index in indices {
            if stop.load(Ordering::Relaxed) {
                return None;
            }
            match self.add(index, &mut batch) {
                Ok(()) => {}
                Err(DataError::Image { path, reason }) if self.config.skip_broken => {
                    batch.skipped.push(format!("{}: {reason}", path.display()));
                }
                Err(error) => return Some(Err(error)),
            }
        }
        Some(Ok(batch))
    }

    fn add(&self, index: usize, batch: &mut Batch) -> Result<(), DataError> {
        let label = self.dataset.label(index);
        let label = label.ok_or_else(|| self.dataset.no_such(index))?;
        let mut rng = augmentation_stream(self.config.seed, self.epoch, index);
        let augmentation = &self.config.augmentation;
        self.dataset
            .augmented(index, augmentation, &mut rng, &mut batch.images)?;
        batch.labels.push(i64::from(label));
        batch.indices.push(index);
        Ok(())
    }
}

#[cfg(test)]
mod tests;
