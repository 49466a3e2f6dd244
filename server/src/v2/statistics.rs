use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use buckler_runtime::Timing;
use serde::Serialize;
use utoipa::ToSchema;

/// What the inferences of one version of a model came to since it was first asked.
#[derive(Debug, Default)]
pub(crate) struct Statistics {
    rows: AtomicU64,
    executions: AtomicU64,
    success: Timed,
    fail: Timed,
    queue: Timed,
    compute_input: Timed,
    compute_infer: Timed,
    compute_output: Timed,
}

/// How often and how long.
#[derive(Debug, Default)]
struct Timed {
    count: AtomicU64,
    ns: AtomicU64,
}

impl Statistics {
    /// A request of so many rows, which counts as one execution: how long it waited and was run, and how long its tensors and its
    /// answer were made.
    fn record(&self, rows: usize, timing: Timing, input: Duration, output: Duration) {
        let Timing { queued, computed } = timing;
        self.rows.fetch_add(rows as u64, Relaxed);
        self.executions.fetch_add(1, Relaxed);
        self.queue.add(queued);
        self.compute_infer.add(computed);
        self.compute_input.add(input);
        self.compute_output.add(output);
        self.success.add(queued + computed + input + output);
    }

    pub fn answer(&self) -> Snapshot {
        Snapshot {
            inference_count: self.rows.load(Relaxed),
            execution_count: self.executions.load(Relaxed),
            inference_stats: InferenceStats {
                success: self.success.answer(),
                fail: self.fail.answer(),
                queue: self.queue.answer(),
                compute_input: self.compute_input.answer(),
                compute_infer: self.compute_infer.answer(),
                compute_output: self.compute_output.answer(),
                cache_hit: Count::default(),
                cache_miss: Count::default(),
            },
        }
    }
}

impl Timed {
    fn add(&self, time: Duration) {
        self.count.fetch_add(1, Relaxed);
        let ns = time.as_nanos().try_into().unwrap_or(u64::MAX);
        self.ns.fetch_add(ns, Relaxed);
    }

    fn answer(&self) -> Count {
        Count {
            count: self.count.load(Relaxed),
            ns: self.ns.load(Relaxed),
        }
    }
}

/// As `/stats` answers.
#[derive(Serialize, ToSchema)]
pub(crate) struct Snapshot {
    inference_count: u64,
    execution_count: u64,
    inference_stats: InferenceStats,
}

#[derive(Serialize, ToSchema)]
struct InferenceStats {
    success: Count,
    fail: Count,
    queue: Count,
    compute_input: Count,
    compute_infer: Count,
    compute_output: Count,
    /// There is no cache.
    cache_hit: Count,
    cache_miss: Count,
}

/// How often, and how long in all.
#[derive(Default, Serialize, ToSchema)]
#[schema(as = StatisticDuration)]
struct Count {
    count: u64,
    ns: u64,
}

/// The statistics of every model. Those of a version end when another one is asked.
#[derive(Debug, Default)]
pub(crate) struct AllStatistics(Mutex<BTreeMap<String, (String, Arc<Statistics>)>>);

impl AllStatistics {
    /// Of a model that exists: names are kept for good.
    pub fn of(&self, name: &str, version: &str) -> Arc<Statistics> {
        let mut models = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match models.get(name) {
            Some((known, statistics)) if known == version => Arc::clone(statistics),
            _ => {
                let statistics = Arc::<Statistics>::default();
                let entry = (version.to_owned(), Arc::clone(&statistics));
                models.insert(name.to_owned(), entry);
                statistics
            }
        }
    }
}

/// A request under way: a failure unless it is said to have succeeded, also when it is dropped.
pub(crate) struct Attempt {
    statistics: Arc<Statistics>,
    start: Instant,
    succeeded: bool,
}

impl Attempt {
    pub fn new(statistics: Arc<Statistics>, start: Instant) -> Self {
        Self {
            statistics,
            start,
            succeeded: false,
        }
    }

    pub fn succeed(mut self, rows: usize, timing: Timing, input: Duration, output: Duration) {
        self.succeeded = true;
        self.statistics.record(rows, timing, input, output);
    }
}

impl Drop for Attempt {
    fn drop(&mut self) {
        if !self.succeeded {
            self.statistics.fail.add(self.start.elapsed());
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_succeeds_and_what_does_not_is_counted_apart() {
        let all = AllStatistics::default();
        let ns = Duration::from_nanos;
        let attempt = || Attempt::new(all.of("m", "1"), Instant::now());
        let timing = |queued, computed| Timing {
            queued: ns(queued),
            computed: ns(computed),
        };
        attempt().succeed(3, timing(2, 5), ns(7), ns(11));
        attempt().succeed(2, timing(20, 50), ns(70), ns(110));
        drop(attempt());
        let answer = serde_json::to_value(all.of("m", "1").answer()).unwrap();
        assert_eq!(answer["inference_count"], 5);
        assert_eq!(answer["execution_count"], 2);
        let stats = &answer["inference_stats"];
        assert_eq!(stats["success"], json!({ "count": 2, "ns": 275 }));
        assert_eq!(stats["queue"], json!({ "count": 2, "ns": 22 }));
        assert_eq!(stats["compute_infer"], json!({ "count": 2, "ns": 55 }));
        assert_eq!(stats["compute_input"], json!({ "count": 2, "ns": 77 }));
        assert_eq!(stats["compute_output"], json!({ "count": 2, "ns": 121 }));
        assert_eq!(stats["fail"]["count"], 1);
    }

    #[test]
    fn another_version_starts_anew_and_the_same_goes_on() {
        let all = AllStatistics::default();
        let count = |version: &str| all.of("m", version).answer().inference_count;
        all.of("m", "1").rows.fetch_add(4, Relaxed);
        assert_eq!(count("1"), 4);
        assert_eq!(count("2"), 0);
    }
}
