use std::{collections::BTreeMap, time::Duration};

use hdrhistogram::Histogram;
use reqwest::{Response, header::RETRY_AFTER};

use crate::{Latency, LoadError, Measurement, RetryAfter};

/// What became of one request.
pub(crate) enum Outcome {
    /// An answer, read to its end.
    Answered {
        status: u16,
        retry_after: Option<u64>,
    },
    /// No answer within the request's time.
    TimedOut,
    /// No answer when the measurement was over.
    Unanswered,
    /// The connection failed.
    Failed(&'static str),
}

impl Outcome {
    pub async fn of(response: Result<Response, reqwest::Error>) -> Self {
        let response = match response {
            Ok(response) => response,
            Err(error) => return Self::failed(&error),
        };
        let status = response.status().as_u16();
        let seconds = response.headers().get(RETRY_AFTER);
        let retry_after = seconds.and_then(|value| value.to_str().ok()?.trim().parse().ok());
        match response.bytes().await {
            Ok(_) => Self::Answered {
                status,
                retry_after,
            },
            Err(error) => Self::failed(&error),
        }
    }

    fn failed(error: &reqwest::Error) -> Self {
        Self::Failed(if error.is_connect() {
            "no connection"
        } else {
            "connection lost"
        })
    }
}

/// The longest latency that is told from longer ones, in microseconds: an hour.
const LONGEST: u64 = 3_600_000_000;

/// What became of all requests so far.
pub(crate) struct Tally {
    latency: Histogram<u64>,
    requests: u64,
    ok: u64,
    ok_in_time: u64,
    statuses: BTreeMap<u16, u64>,
    failures: BTreeMap<String, u64>,
    unanswered: u64,
    retry_after: Option<RetryAfter>,
    refused_without_retry_after: u64,
}

impl Tally {
    pub fn new() -> Result<Self, LoadError> {
        Ok(Self {
            latency: Histogram::new_with_bounds(1, LONGEST, 3)?,
            requests: 0,
            ok: 0,
            ok_in_time: 0,
            statuses: BTreeMap::new(),
            failures: BTreeMap::new(),
            unanswered: 0,
            retry_after: None,
            refused_without_retry_after: 0,
        })
    }

    /// Counts a request that took `latency`; `in_time` is whether it ended before the measurement did.
    pub fn count(&mut self, outcome: &Outcome, latency: Duration, in_time: bool) {
        self.requests += 1;
        match *outcome {
            Outcome::Answered {
                status,
                retry_after,
            } => {
                *self.statuses.entry(status).or_default() += 1;
                if let Some(seconds) = retry_after {
                    let seen = self.retry_after.get_or_insert(RetryAfter {
                        answers: 0,
                        shortest_seconds: seconds,
                        longest_seconds: seconds,
                    });
                    seen.answers += 1;
                    seen.shortest_seconds = seen.shortest_seconds.min(seconds);
                    seen.longest_seconds = seen.longest_seconds.max(seconds);
                } else if matches!(status, 429 | 503) {
                    self.refused_without_retry_after += 1;
                }
                if !(200..300).contains(&status) {
                    return;
                }
                self.ok += 1;
                self.ok_in_time += u64::from(in_time);
            }
            Outcome::TimedOut => *self.failures.entry("timeout".to_owned()).or_default() += 1,
            Outcome::Unanswered => self.unanswered += 1,
            Outcome::Failed(kind) => {
                *self.failures.entry(kind.to_owned()).or_default() += 1;
                return;
            }
        }
        let micros = u64::try_from(latency.as_micros()).unwrap_or(LONGEST);
        self.latency.saturating_record(micros.clamp(1, LONGEST));
    }

    /// The figures, over `elapsed`.
    pub fn measurement(&self, elapsed: Duration) -> Measurement {
        let seconds = elapsed.as_secs_f64();
        Measurement {
            seconds,
            requests: self.requests,
            ok: self.ok,
            per_second: self.ok_in_time as f64 / seconds,
            latency_ms: (!self.latency.is_empty()).then(|| self.latency()),
            statuses: self.statuses.clone(),
            failures: self.failures.clone(),
            unanswered: self.unanswered,
            retry_after: self.retry_after,
            refused_without_retry_after: self.refused_without_retry_after,
        }
    }

    fn latency(&self) -> Latency {
        let at = |quantile| self.latency.value_at_quantile(quantile) as f64 / 1000.0;
        Latency {
            mean: self.latency.mean() / 1000.0,
            p50: at(0.5),
            p90: at(0.9),
            p99: at(0.99),
            p999: at(0.999),
            max: self.latency.max() as f64 / 1000.0,
        }
    }
}
