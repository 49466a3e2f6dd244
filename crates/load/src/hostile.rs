//! Clients that hold what a server has to give, beside a proper client whose answers are judged.
mod field;
mod means;
mod options;
mod readers;
mod report;
mod silent;
mod streams;

use std::{fmt, sync::Arc, time::Duration};

use clap::ValueEnum;
use reqwest::{Client, Request, Url};
use serde::{Deserialize, Serialize};

pub(crate) use self::options::HostileOptions;
use self::{
    field::Field,
    means::{Crowd, Means},
};
pub use self::{
    field::Held,
    report::{AttackReport, HostileReport},
};
use crate::{
    Length, Load, LoadError, Measurement, Step, Target,
    drive::{Drive, client, drive},
    process::{self, Rest, Watch},
};

/// What hostile clients do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Attack {
    /// HTTP/2 in cleartext, with as many open requests on each connection as the server allows, up to 200: heads, and no body
    /// or one byte now and then.
    HeldStreams,
    /// HTTP/1.1: the head of a request with a `Content-Length`, and no body.
    Heads,
    /// HTTP/2 in cleartext: the preface and then nothing; half of the connections stop within a HEADERS frame.
    IdleHttp2,
    /// Large answers are asked for and never read: pipelined on HTTP/1.1, and on HTTP/2 with windows that never open.
    StoppedReaders,
    /// `GET /metrics` in parallel, again and again.
    Scrapes,
}

impl Attack {
    /// All of them, in the order in which they are made.
    pub const ALL: [Self; 5] = [
        Self::HeldStreams,
        Self::Heads,
        Self::IdleHttp2,
        Self::StoppedReaders,
        Self::Scrapes,
    ];

    /// Connections, where the plan does not say how many.
    pub const fn connections(self) -> usize {
        match self {
            Self::HeldStreams => 32,
            Self::Heads | Self::IdleHttp2 => 520,
            Self::StoppedReaders => 100,
            Self::Scrapes => 200,
        }
    }

    /// As on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::HeldStreams => "held-streams",
            Self::Heads => "heads",
            Self::IdleHttp2 => "idle-http2",
            Self::StoppedReaders => "stopped-readers",
            Self::Scrapes => "scrapes",
        }
    }
}

impl fmt::Display for Attack {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Hostile clients beside a proper one.
#[derive(Debug)]
pub struct HostilePlan {
    /// What the proper client asks. Hostile clients send its head, without its key.
    pub target: Target,
    /// The address below which `/v2/health/live` and `/metrics` are.
    pub base: Url,
    /// The hostile clients' bearer token.
    pub key: Option<String>,
    /// What they do, one after the other.
    pub attacks: Vec<Attack>,
    /// How many connections they have; without it, [`Attack::connections`].
    pub connections: Option<usize>,
    /// The proper client: one connection in a closed loop, or a rate. Its length is that of each attack.
    pub load: Load,
    /// How long the proper client is measured before and after each attack.
    pub calm: Duration,
    /// How long the server may let a client hold a connection or stream without progress.
    pub hold_limit: Duration,
    /// How long the server's process has after each attack to come back to what it held.
    pub rest: Duration,
    /// What `stopped-readers` ask for; of these, what the server answers well.
    pub large: Vec<Request>,
    /// The server's process.
    pub pid: Option<u32>,
}

impl HostilePlan {
    /// All attacks for ten seconds each, with a limit of two minutes for what is held; `stopped-readers` ask for `/openapi.json`.
    ///
    /// # Errors
    /// When `base` cannot have a path.
    pub fn new(target: Target, base: Url) -> Result<Self, LoadError> {
        Ok(Self {
            target,
            key: None,
            attacks: Attack::ALL.to_vec(),
            connections: None,
            load: Load {
                connections: 1,
                ..Load::default()
            },
            calm: Duration::from_secs(5),
            hold_limit: Duration::from_secs(120),
            rest: Rest::DEFAULT.patience,
            large: vec![means::get(&base, &["openapi.json"])?],
            pid: None,
            base,
        })
    }

    fn check(&self) -> Result<(), LoadError> {
        let broken = |message: &str| Err(LoadError::Plan(message.to_owned()));
        self.load.check()?;
        if self.attacks.is_empty() {
            return broken("no attack is named: give at least one");
        }
        if self.connections == Some(0) {
            return broken("0 hostile connections hold nothing: give at least 1");
        }
        if self.calm.is_zero() || self.hold_limit.is_zero() {
            return broken("0 seconds before and after, or of holding, measure nothing: give some");
        }
        let most = self.attacks.iter().map(|&attack| self.connections(attack));
        let needed = most
            .max()
            .unwrap_or_default()
            .saturating_add(self.load.connections)
            .saturating_add(OTHER_FILES);
        let allowed = process::raise_open_files();
        if needed as u64 > allowed {
            return Err(LoadError::Plan(format!(
                "{needed} open files are needed, and this process may have {allowed}: raise the hard limit (`ulimit -Hn`), or give fewer connections"
            )));
        }
        Ok(())
    }

    fn connections(&self, attack: Attack) -> usize {
        self.connections.unwrap_or(attack.connections())
    }
}

/// Open files beside those of hostile clients and the proper one.
const OTHER_FILES: usize = 64;

/// Bytes of memory that a process may have more afterwards, beside a tenth.
const SLACK: u64 = 16 << 20;

/// Health is asked for once a second, each time on a new connection, and has so long to answer.
const HEALTH: Duration = Duration::from_secs(5);

/// Makes one attack after the other beside a proper client, and looks whether that notices and whether the server lets go.
///
/// Each attack has three parts: while it lasts, hostile clients open again what the server closes; then they only hold what they
/// have until the server ends it, at most as long as the limit; then they are gone.
///
/// # Errors
/// As [`crate::run`]. A server that does not stand it is not an error but a report with failures.
pub async fn hostile(
    plan: &HostilePlan,
    on_step: impl Fn(&Step),
) -> Result<HostileReport, LoadError> {
    plan.check()?;
    let means = Means::new(plan).await?;
    if !plan.load.warm_up.is_zero() {
        proper(plan, Length::Duration(plan.load.warm_up)).await?;
    }
    let mut attacks = Vec::new();
    for (index, &attack) in plan.attacks.iter().enumerate() {
        on_step(&Step {
            round: index + 1,
            rounds: plan.attacks.len(),
            name: plan.target.name.clone(),
            beside: Some(format!("{} x {attack}", plan.connections(attack))),
        });
        attacks.push(make(plan, &means, attack).await?);
    }
    Ok(HostileReport::new(
        plan.target.request.url().to_string(),
        attacks,
    ))
}

async fn make(
    plan: &HostilePlan,
    means: &Means,
    attack: Attack,
) -> Result<AttackReport, LoadError> {
    let connections = plan.connections(attack);
    let calm = Length::Duration(plan.calm);
    let before = proper(plan, calm).await?;
    let watch = plan.pid.map(Watch::start).transpose()?;

    let health = health(means)?;
    let field = Arc::new(Field::new(means.address, plan.hold_limit));
    let crowd = Crowd::start(attack, means, &field, connections)?;
    let meanwhile = proper(plan, plan.load.length).await?;
    field.end();
    let ending = Drive::start(&client()?, &plan.target.request, &plan.load, None)?;
    let scrapes = crowd.gone().await?;
    let ending = ending.stop().await?;
    let after = proper(plan, calm).await?;

    let mut report = AttackReport {
        attack,
        asked: means.asked(attack),
        hostile_connections: connections,
        hold_limit_seconds: plan.hold_limit.as_secs_f64(),
        before,
        meanwhile,
        ending,
        after,
        health: health.stop().await?,
        connections: (attack != Attack::Scrapes).then(|| field.connections.held()),
        streams: matches!(attack, Attack::HeldStreams | Attack::StoppedReaders)
            .then(|| field.streams.held()),
        scrapes,
        usage: None,
        failures: Vec::new(),
    };
    report.failures = report.judge();
    if let Some(watch) = watch {
        let rest = Rest {
            slack: SLACK,
            patience: plan.rest,
        };
        report.usage = watch.settled(&rest, &mut report.failures).await;
    }
    Ok(report)
}

/// A client for each stretch of load: dropped, it closes its connections.
async fn proper(plan: &HostilePlan, length: Length) -> Result<Measurement, LoadError> {
    drive(&client()?, &plan.target.request, &plan.load, length).await
}

/// Probes of the server's health.
fn health(means: &Means) -> Result<Drive, LoadError> {
    let fresh = Client::builder()
        .no_proxy()
        .pool_max_idle_per_host(0)
        .build()?;
    let load = Load {
        connections: HEALTH.as_secs() as usize + 1,
        rate: Some(1.0),
        timeout: HEALTH,
        ..Load::default()
    };
    Drive::start(&fresh, &means.health, &load, None)
}
