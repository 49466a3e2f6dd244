//! What the server tells Prometheus. Every server has its own recorder. Series start at zero, but for those of one model's batches and
//! attacks, of which there are hundreds: they begin with the first batch and the first attack of a kind.
mod attacks;
mod connections;
mod http;
mod lanes;
mod shared;

use std::{
    collections::BTreeSet,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use axum::body::Bytes;
use buckler_runtime::Repository;
use metrics::{
    Unit, counter, describe_counter, describe_gauge, describe_histogram, gauge, with_local_recorder,
};
use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusRecorder};
use metrics_process::Collector;

use self::shared::Shared;
pub(crate) use self::{attacks::Tally, http::count};
use crate::{attacks::Admission, error::ApiError};

/// Seconds: from a tenth of a millisecond, what a small model takes, to a minute, an attack's usual deadline.
const SECONDS: &[f64] = &[
    0.0001, 0.000_25, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5,
    5.0, 10.0, 30.0, 60.0,
];

/// Batches are powers of two at most.
const ROWS: &[f64] = &[1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0];

/// How often samples are merged into their histograms where nobody scrapes; they take memory until then.
pub(crate) const UPKEEP: Duration = Duration::from_secs(5);

/// The recorder of one server.
pub(crate) struct Metrics {
    recorder: PrometheusRecorder,
    process: Collector,
    /// Models and versions that have a series. Held while a page is written.
    seen: Mutex<BTreeSet<(String, String)>>,
    page: Shared,
}

impl Metrics {
    pub fn new() -> Result<Self, BuildError> {
        let histogram = |name: &str| Matcher::Full(name.to_owned());
        let builder = PrometheusBuilder::new()
            .set_buckets(SECONDS)?
            .set_buckets_for_metric(histogram("buckler_batch_rows"), ROWS)?;
        let metrics = Self {
            recorder: builder.build_recorder(),
            process: Collector::default(),
            seen: Mutex::default(),
            page: Shared::default(),
        };
        metrics.record(|| {
            describe();
            metrics.process.describe();
            http::zeros();
            connections::zeros();
            gauge!("buckler_build_info", "version" => env!("CARGO_PKG_VERSION")).set(1.0);
        });
        Ok(metrics)
    }

    /// Runs `what` with this server's recorder in place of the one of the process.
    fn record<T>(&self, what: impl FnOnce() -> T) -> T {
        with_local_recorder(&self.recorder, what)
    }

    /// Merges samples into their histograms.
    pub fn keep_up(&self) {
        self.recorder.handle().run_upkeep();
    }

    /// The page for Prometheus, in its text format, written once for all who ask at the same time.
    pub async fn page(
        &self,
        write: impl AsyncFnOnce() -> Result<Bytes, ApiError>,
    ) -> Result<Bytes, ApiError> {
        self.page.get(write).await
    }

    /// Writes the page. Takes milliseconds.
    pub fn write(&self, repository: &Repository, admission: &Admission) -> String {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        self.record(|| {
            models(&mut seen, repository, admission);
            self.process.collect();
        });
        self.recorder.handle().render()
    }
}

/// What can only be asked for: which models there are, and what their attacks have left to do.
fn models(seen: &mut BTreeSet<(String, String)>, repository: &Repository, admission: &Admission) {
    let ready = |name: &str, version: &str, ready: bool| {
        let labels = [("model", name.to_owned()), ("version", version.to_owned())];
        gauge!("buckler_model_ready", &labels).set(f64::from(u8::from(ready)));
    };
    for (name, version) in seen.iter() {
        ready(name, version, false);
        gauge!("buckler_attack_backlog_seconds", "model" => name.clone())
            .set(admission.backlog_seconds(name));
    }
    for listed in repository.index() {
        ready(&listed.name, &listed.version, listed.ready);
        if !seen.insert((listed.name.clone(), listed.version)) {
            continue;
        }
        gauge!("buckler_attack_backlog_seconds", "model" => listed.name.clone())
            .set(admission.backlog_seconds(&listed.name));
        counter!("buckler_attack_evaluations_total", "model" => listed.name).absolute(0);
    }
}

fn describe() {
    describe_counter!("buckler_http_requests_total", "Requests answered.");
    describe_histogram!(
        "buckler_http_request_seconds",
        Unit::Seconds,
        "Time until the answer, for events until the first."
    );
    describe_gauge!(
        "buckler_http_in_flight",
        "Requests that wait for their answer."
    );
    describe_counter!(
        "buckler_rejected_total",
        "Requests answered with 401, 403, 429 or 503, by the error's code."
    );
    describe_gauge!("buckler_build_info", "1, with the version of the server.");
    describe_gauge!("buckler_http_connections", "Connections that are open.");
    describe_counter!(
        "buckler_http_connections_cut_total",
        "Connections that the server closed while the client might have used them, by the reason."
    );
    describe_gauge!(
        "buckler_model_ready",
        "1 where the version is served, 0 where it failed, was unloaded or is gone."
    );
    describe_histogram!(
        "buckler_batch_rows",
        "Rows of each batch that a model has run."
    );
    describe_histogram!(
        "buckler_queue_seconds",
        Unit::Seconds,
        "How long queries waited for their first batch."
    );
    describe_histogram!(
        "buckler_compute_seconds",
        Unit::Seconds,
        "How long each batch took."
    );
    describe_counter!(
        "buckler_attacks_total",
        "Attacks on an image at a radius that have ended."
    );
    describe_counter!(
        "buckler_attack_evaluations_total",
        "Rows that attacks and certificates have asked a model for."
    );
    describe_gauge!(
        "buckler_attack_backlog_seconds",
        Unit::Seconds,
        "What the attacks under way on a model have left to do at most."
    );
}
