use std::{collections::BTreeMap, fmt};

use serde::{Deserialize, Serialize};

/// What one stretch of load has shown.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Measurement {
    /// How long it took.
    pub seconds: f64,
    /// Requests that were sent, and in an open loop those that were due and never were.
    pub requests: u64,
    /// Those answered with a status from 200 to 299.
    pub ok: u64,
    /// Of these, how many a second; those that ended after the measurement do not count.
    pub per_second: f64,
    /// In milliseconds; none when nothing was answered.
    pub latency_ms: Option<Latency>,
    /// How many answers had which status.
    pub statuses: BTreeMap<u16, u64>,
    /// Requests without an answer: `no connection`, `connection lost`, `timeout`.
    pub failures: BTreeMap<String, u64>,
    /// Requests without an answer five seconds after the end.
    pub unanswered: u64,
    /// The answers that said when to come back.
    pub retry_after: Option<RetryAfter>,
    /// Answers with 429 or 503 that did not.
    pub refused_without_retry_after: u64,
}

/// Quantiles.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Latency {
    /// The mean.
    pub mean: f64,
    /// The median.
    pub p50: f64,
    /// What 90 % stay below.
    pub p90: f64,
    /// What 99 % stay below.
    pub p99: f64,
    /// What 99.9 % stay below.
    pub p999: f64,
    /// The longest.
    pub max: f64,
}

/// What the headers `Retry-After` said.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct RetryAfter {
    /// How many answers had one.
    pub answers: u64,
    /// The shortest.
    pub shortest_seconds: u64,
    /// The longest.
    pub longest_seconds: u64,
}

impl Measurement {
    /// Requests that got no answer, or none with a status from 200 to 299.
    pub fn not_ok(&self) -> u64 {
        self.requests - self.ok
    }

    /// What failed for a client all of whose requests have to succeed.
    pub(crate) fn of_proper_client(&self, when: &str) -> Option<String> {
        let failed = self.not_ok();
        (failed > 0).then(|| {
            format!(
                "{when} {failed} of {} proper requests failed: {self}",
                self.requests
            )
        })
    }
}

/// What went otherwise than with a status from 200 to 299; nothing when nothing did.
impl fmt::Display for Measurement {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let others = self.statuses.iter();
        let mut parts: Vec<String> = others
            .filter(|(status, _)| !(200..300).contains(*status))
            .map(|(status, count)| format!("{count} x {status}"))
            .collect();
        if let Some(seen) = self.retry_after {
            let (from, to) = (seen.shortest_seconds, seen.longest_seconds);
            parts.push(format!(
                "{} x Retry-After of {from} to {to} s",
                seen.answers
            ));
        }
        if self.refused_without_retry_after > 0 {
            let count = self.refused_without_retry_after;
            parts.push(format!("{count} x 429 or 503 without Retry-After"));
        }
        let failures = self.failures.iter();
        parts.extend(failures.map(|(kind, count)| format!("{count} x {kind}")));
        if self.unanswered > 0 {
            parts.push(format!("{} x unanswered at the end", self.unanswered));
        }
        f.write_str(&parts.join(", "))
    }
}
