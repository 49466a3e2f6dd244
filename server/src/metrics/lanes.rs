use std::sync::Arc;

use buckler_runtime::{Batch, Lane, Watch};
use metrics::histogram;

use super::Metrics;

impl Metrics {
    /// Notes every batch of the models that are loaded with it.
    pub fn watch(self: &Arc<Self>) -> Watch {
        let metrics = Arc::clone(self);
        Watch::new(move |batch| metrics.record(|| note(batch)))
    }
}

fn note(batch: &Batch<'_>) {
    let labels = labels(batch.model, batch.lane);
    histogram!("buckler_batch_rows", &labels).record(batch.rows as f64);
    histogram!("buckler_compute_seconds", &labels).record(batch.computed);
    let queue = histogram!("buckler_queue_seconds", &labels);
    for waited in batch.waited {
        queue.record(*waited);
    }
}

fn labels(model: &str, lane: Lane) -> [(&'static str, String); 2] {
    [("model", model.to_owned()), ("lane", lane.to_string())]
}
