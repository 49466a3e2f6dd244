use std::{fmt, time::Duration};

use reqwest::Request;
use serde::{Deserialize, Serialize};

use crate::{
    Length, Load, LoadError, Measurement, Target, Usage,
    drive::{check, client, drive},
    process::{Rest, Watch},
};

/// Far more than a server can take.
#[derive(Debug)]
pub struct OverloadPlan {
    /// The server.
    pub target: Target,
    /// How its capacity is found: a closed loop of these connections. Its length is that of the overload.
    pub load: Load,
    /// How many times the capacity is sent.
    pub factor: f64,
    /// Requests under way at once, at most, in the overload.
    pub connections: usize,
    /// How long the capacity is looked for, before and after.
    pub calibration: Duration,
    /// The server's process.
    pub pid: Option<u32>,
}

/// How a server has stood it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OverloadReport {
    /// What was asked.
    pub url: String,
    /// The closed loop before.
    pub capacity: Measurement,
    /// The rate at which requests came due. With all connections busy they wait on the client's side.
    pub meant_per_second: f64,
    /// The overload.
    pub overload: Measurement,
    /// The closed loop after.
    pub after: Measurement,
    /// What the server's process held.
    pub usage: Option<Usage>,
    /// What a server must not do, and this one did; empty when it has stood it.
    pub failures: Vec<String>,
}

/// Finds the capacity by a closed loop, sends a multiple of it at a constant rate, and looks whether the server is as it was.
///
/// # Errors
/// As [`crate::run`]. A server that does not stand it is no error but a report with failures.
pub async fn overload(plan: &OverloadPlan) -> Result<OverloadReport, LoadError> {
    let load = Load {
        rate: None,
        ..plan.load.clone()
    };
    load.check()?;
    let request = &plan.target.request;
    check(&client()?, request, load.timeout).await?;
    let capacity = closed(request, &load, plan.calibration).await?;
    let meant = plan.factor * capacity.per_second;
    let flood = Load {
        rate: Some(meant),
        connections: plan.connections,
        ..load.clone()
    };
    flood.check()?;

    let watch = plan.pid.map(Watch::start).transpose()?;
    // A client for each stretch of load: dropped, it closes its connections, which would else count as the server's.
    let overload = drive(&client()?, request, &flood, flood.length).await?;
    let after = closed(request, &load, plan.calibration).await?;
    let mut failures = of_overload(&overload);
    if after.ok == 0 || after.not_ok() > 0 {
        failures.push(format!(
            "afterwards {} of {} requests failed: {after}",
            after.not_ok(),
            after.requests
        ));
    }
    let usage = match &watch {
        Some(watch) => watch.settled(&Rest::DEFAULT, &mut failures).await,
        None => None,
    };
    Ok(OverloadReport {
        url: request.url().to_string(),
        meant_per_second: meant,
        capacity,
        overload,
        after,
        usage,
        failures,
    })
}

async fn closed(
    request: &Request,
    load: &Load,
    duration: Duration,
) -> Result<Measurement, LoadError> {
    drive(&client()?, request, load, Length::Duration(duration)).await
}

/// Too many requests are refused with 429 or 503 and the time to come back (RFC 6585, section 4; RFC 9110, section 15.6.4), and
/// nothing else happens.
fn of_overload(overload: &Measurement) -> Vec<String> {
    let mut failures = Vec::new();
    for (&status, count) in &overload.statuses {
        if !matches!(status, 200..300 | 429 | 503) {
            failures.push(format!(
                "{count} answers had status {status}, which is neither success nor 429 nor 503"
            ));
        }
    }
    if overload.refused_without_retry_after > 0 {
        failures.push(format!(
            "{} refusals did not say when to come back",
            overload.refused_without_retry_after
        ));
    }
    for (kind, count) in &overload.failures {
        failures.push(format!("{count} requests got no answer: {kind}"));
    }
    if overload.ok == 0 {
        failures.push("no request succeeded".to_owned());
    }
    let refused = [429, 503]
        .iter()
        .any(|status| overload.statuses.contains_key(status));
    if !refused && overload.unanswered > 0 {
        failures.push(format!(
            "{} requests had no answer five seconds after the end, and none was refused",
            overload.unanswered
        ));
    } else if !refused {
        failures.push(
            "no request was refused, so this was no overload: allow more connections, or ask for something dearer"
                .to_owned(),
        );
    }
    failures
}

impl fmt::Display for OverloadReport {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let p99 = |measured: &Measurement| {
            let latency = measured.latency_ms;
            latency.map_or("none".to_owned(), |latency| {
                format!("{:.1} ms", latency.p99)
            })
        };
        let Self {
            capacity,
            overload,
            after,
            ..
        } = self;
        writeln!(
            f,
            "before: {:.1} requests/s, p99 {}",
            capacity.per_second,
            p99(capacity)
        )?;
        writeln!(
            f,
            "overload: {:.1} requests/s for {:.0} s, {:.1} of them answered well, p99 {}; {overload}",
            self.meant_per_second,
            overload.seconds,
            overload.per_second,
            p99(overload)
        )?;
        write!(
            f,
            "after: {:.1} requests/s, p99 {}",
            after.per_second,
            p99(after)
        )?;
        if let Some(usage) = &self.usage {
            write!(f, "\n{usage}")?;
        }
        for failure in &self.failures {
            write!(f, "\nFAILED: {failure}")?;
        }
        Ok(())
    }
}
