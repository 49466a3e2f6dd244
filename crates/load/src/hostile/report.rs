//! How a server has stood hostile clients.
use std::fmt;

use serde::{Deserialize, Serialize};

use super::{Attack, Held, SLACK};
use crate::{Measurement, Usage};

/// How a server has stood attacks, one after the other.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct HostileReport {
    /// What the proper client asked.
    pub url: String,
    /// In the order in which they were made.
    pub attacks: Vec<AttackReport>,
    /// What the server's process held before the first, at most, and after the last.
    pub usage: Option<Usage>,
    /// What a server must not do, and this one did, with the attack; empty when it has stood them all.
    pub failures: Vec<String>,
}

/// How a server has stood one attack.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AttackReport {
    /// What hostile clients did.
    pub attack: Attack,
    /// What they asked, as `METHOD /path`.
    pub asked: Vec<String>,
    /// How many connections they had at once, at most.
    pub hostile_connections: usize,
    /// How long the server may let something be held.
    pub hold_limit_seconds: f64,
    /// The proper client before.
    pub before: Measurement,
    /// The proper client during the attack.
    pub meanwhile: Measurement,
    /// The proper client from the end of the attack until nothing was held any more.
    pub ending: Measurement,
    /// The proper client after that.
    pub after: Measurement,
    /// `GET /v2/health/live` once a second on new connections, from the beginning of the attack on.
    pub health: Measurement,
    /// The hostile clients' connections. With streams, these are what is judged.
    pub connections: Option<Held>,
    /// The hostile clients' streams of HTTP/2.
    pub streams: Option<Held>,
    /// What the scrapes got.
    pub scrapes: Option<Measurement>,
    /// What the server's process held.
    pub usage: Option<Usage>,
    /// What a server must not do, and this one did; empty when it has stood it.
    pub failures: Vec<String>,
}

impl HostileReport {
    pub(super) fn new(url: String, attacks: Vec<AttackReport>) -> Self {
        let failures = attacks.iter().flat_map(|report| {
            let named = |failure| format!("{}: {failure}", report.attack);
            report.failures.iter().map(named)
        });
        let mut failures: Vec<String> = failures.collect();
        let usage = over_all(attacks.iter().filter_map(|report| report.usage));
        // What one attack leaves may be small, and what all of them leave too much.
        if attacks.len() > 1
            && let Some(usage) = usage
            && !usage.is_back_within(SLACK)
        {
            failures.push(format!(
                "after all of them the process does not come back to what it held: {usage}"
            ));
        }
        Self {
            url,
            attacks,
            usage,
            failures,
        }
    }
}

fn over_all(usages: impl Iterator<Item = Usage>) -> Option<Usage> {
    usages.reduce(|all, next| Usage {
        before: all.before,
        peak_resident_bytes: all.peak_resident_bytes.max(next.peak_resident_bytes),
        peak_descriptors: all.peak_descriptors.max(next.peak_descriptors),
        after: next.after,
    })
}

impl AttackReport {
    /// What the server must not do, and did; its memory apart.
    pub(super) fn judge(&self) -> Vec<String> {
        let mut failures = Vec::new();
        for (when, measured) in self.proper() {
            failures.extend(measured.of_proper_client(when));
            if measured.requests == 0 && when != ENDING {
                failures.push(format!("{when} the proper client could ask nothing"));
            }
        }
        if self.health.not_ok() > 0 {
            failures.push(format!(
                "{} of {} health probes failed: {}",
                self.health.not_ok(),
                self.health.requests,
                self.health
            ));
        }
        for (what, held) in self.held() {
            if held.outlived > 0 {
                failures.push(format!(
                    "{} {what} were held for longer than the limit of {} s (--hold-limit)",
                    held.outlived, self.hold_limit_seconds
                ));
            }
            if held.opened == 0 {
                failures.push(format!(
                    "no {what} were opened ({} refused), so this was no attack",
                    held.refused
                ));
            }
        }
        if let Some(scrapes) = &self.scrapes
            && scrapes.ok == 0
        {
            failures.push(format!("no scrape succeeded: {scrapes}"));
        }
        failures
    }

    fn proper(&self) -> [(&'static str, &Measurement); 4] {
        [
            ("before", &self.before),
            ("meanwhile", &self.meanwhile),
            (ENDING, &self.ending),
            ("after", &self.after),
        ]
    }

    fn held(&self) -> impl Iterator<Item = (&'static str, &Held)> {
        let connections = self.connections.iter().map(|held| ("connections", held));
        connections.chain(self.streams.iter().map(|held| ("streams", held)))
    }
}

/// The part of an attack in which clients only hold what they have.
const ENDING: &str = "while they let go";

impl fmt::Display for HostileReport {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        for (index, report) in self.attacks.iter().enumerate() {
            if index > 0 {
                f.write_str("\n\n")?;
            }
            report.fmt(f)?;
        }
        if self.attacks.len() < 2 {
            return Ok(());
        }
        let failed = |report: &&AttackReport| !report.failures.is_empty();
        write!(
            f,
            "\n\nall: {} of {} attacks have failures",
            self.attacks.iter().filter(failed).count(),
            self.attacks.len()
        )?;
        if let Some(usage) = &self.usage {
            write!(f, "; {usage}")?;
        }
        let of_attacks: usize = self.attacks.iter().map(|one| one.failures.len()).sum();
        for failure in self.failures.iter().skip(of_attacks) {
            write!(f, "\nFAILED: {failure}")?;
        }
        Ok(())
    }
}

impl fmt::Display for AttackReport {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let Self {
            attack,
            hostile_connections,
            hold_limit_seconds,
            asked,
            ..
        } = self;
        write!(f, "{attack}, {hostile_connections} connections")?;
        if *attack != Attack::Scrapes {
            write!(f, ", at most {hold_limit_seconds} s each")?;
        }
        let separator = if asked.is_empty() { "" } else { ": " };
        writeln!(f, "{separator}{}", asked.join(", "))?;
        f.write_str("proper client, p50 and p99:")?;
        for (index, (when, measured)) in self.proper().into_iter().enumerate() {
            let latency = match measured.latency_ms {
                Some(latency) => format!("{:.1} and {:.1} ms", latency.p50, latency.p99),
                None => "none".to_owned(),
            };
            let separator = if index == 0 { "" } else { "," };
            write!(f, "{separator} {latency} {when}")?;
        }
        let all = self.proper().map(|(_, measured)| measured);
        write!(
            f,
            "; {} of {} requests failed",
            all.iter().map(|one| one.not_ok()).sum::<u64>(),
            all.iter().map(|one| one.requests).sum::<u64>()
        )?;
        let slowest = self.health.latency_ms.map_or(0.0, |latency| latency.max);
        write!(
            f,
            "\nhealth probes: {} of {} failed, the slowest took {slowest:.1} ms",
            self.health.not_ok(),
            self.health.requests
        )?;
        for (what, held) in self.held() {
            write!(f, "\n{what}: {held}")?;
        }
        if let Some(scrapes) = &self.scrapes {
            let p99 = scrapes.latency_ms.map_or(0.0, |latency| latency.p99);
            write!(
                f,
                "\nscrapes: {:.1} a second, p99 {p99:.1} ms; {} of {} failed",
                scrapes.per_second,
                scrapes.not_ok(),
                scrapes.requests
            )?;
            if scrapes.not_ok() > 0 {
                write!(f, ": {scrapes}")?;
            }
        }
        if let Some(usage) = &self.usage {
            write!(f, "\n{usage}")?;
        }
        for failure in &self.failures {
            write!(f, "\nFAILED: {failure}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Held {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(
            f,
            "{} opened, {} at once; {} closed by the server, the longest held for {:.1} s",
            self.opened, self.most, self.ended, self.longest_seconds
        )?;
        if self.refused > 0 {
            write!(f, ", {} refused", self.refused)?;
        }
        if self.outlived > 0 {
            write!(f, ", {} still held at the limit", self.outlived)?;
        }
        for (status, count) in &self.statuses {
            write!(f, ", {count} x {status}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Process, tally::Tally};

    /// A report of `statuses` for the proper client while it was attacked, and of memory in MiB before and after.
    fn report(statuses: [(u16, u64); 1], memory: [u64; 2]) -> AttackReport {
        let nothing = Tally::new().unwrap();
        let measured = |statuses: &[(u16, u64)]| Measurement {
            requests: statuses.iter().map(|(_, count)| count).sum(),
            ok: statuses
                .iter()
                .filter(|(status, _)| *status == 200)
                .map(|(_, count)| count)
                .sum(),
            statuses: statuses.iter().copied().collect(),
            ..nothing.measurement(std::time::Duration::from_secs(1))
        };
        let [before, after] = memory.map(|mebibytes| Process {
            resident_bytes: mebibytes << 20,
            descriptors: 10,
        });
        let well = measured(&[(200, 5)]);
        AttackReport {
            attack: Attack::Heads,
            asked: Vec::new(),
            hostile_connections: 3,
            hold_limit_seconds: 120.0,
            before: well.clone(),
            meanwhile: measured(&statuses),
            ending: measured(&[]),
            after: well.clone(),
            health: well,
            connections: Some(Held {
                opened: 3,
                ended: 3,
                ..Held::default()
            }),
            streams: None,
            scrapes: None,
            usage: Some(Usage {
                before,
                peak_resident_bytes: after.resident_bytes,
                peak_descriptors: 10,
                after,
            }),
            failures: Vec::new(),
        }
    }

    #[test]
    fn every_request_of_the_proper_client_counts() {
        assert_eq!(report([(200, 9)], [100, 100]).judge(), [""; 0]);
        let failures = report([(429, 1)], [100, 100]).judge();
        assert_eq!(
            failures,
            ["meanwhile 1 of 1 proper requests failed: 1 x 429"]
        );
        let failures = report([(200, 0)], [100, 100]).judge();
        assert_eq!(failures, ["meanwhile the proper client could ask nothing"]);
    }

    #[test]
    fn what_attacks_leave_one_by_one_may_be_too_much_in_all() {
        let all = |memory: &[[u64; 2]]| {
            let reports = memory.iter().map(|&memory| report([(200, 1)], memory));
            HostileReport::new("http://localhost".to_owned(), reports.collect())
        };
        assert_eq!(all(&[[100, 120], [120, 122]]).failures, [""; 0]);
        let creeping = all(&[[100, 120], [120, 140]]);
        assert!(
            creeping.failures[0].starts_with("after all of them"),
            "{creeping}"
        );
        assert!(
            creeping.to_string().ends_with(&creeping.failures[0]),
            "{creeping}"
        );
    }
}
