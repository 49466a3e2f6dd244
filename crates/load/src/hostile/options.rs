use std::time::Duration;

use reqwest::{Request, Url};

use super::{Attack, HostilePlan, means::get};
use crate::{
    Length, Load, LoadError, Target,
    args::{count, seconds},
};

/// What a command line says about hostile clients.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct HostileOptions {
    /// Seconds for which the server may let a hostile client hold a connection or stream
    #[arg(long, default_value = "120", value_parser = seconds, value_name = "SECONDS")]
    hold_limit: Duration,
    /// Connections of hostile clients [default: 32 in `held-streams`, 520 in `heads` and `idle-http2`, 100 in
    /// `stopped-readers`, 200 in `scrapes`]
    #[arg(long, value_parser = count, value_name = "N")]
    hostile_connections: Option<usize>,
    /// Key that hostile clients send as bearer token [default: none, whatever --key is]
    #[arg(long, value_name = "KEY")]
    hostile_key: Option<String>,
}

/// How long the proper client is measured before and after an attack, at most.
const CALM: Duration = Duration::from_secs(5);

impl HostileOptions {
    /// The plan for attacks on a server at `base`. `attack` is asked for by clients that do not read.
    pub fn plan(
        &self,
        attacks: Vec<Attack>,
        target: Target,
        base: Url,
        load: Load,
        attack: Option<Request>,
    ) -> Result<HostilePlan, LoadError> {
        let plan = HostilePlan::new(target, base)?;
        let bundle = get(&plan.base, &["docs", "swagger-ui-bundle.js"])?;
        Ok(HostilePlan {
            key: self.hostile_key.clone(),
            attacks,
            connections: self.hostile_connections,
            calm: match load.length {
                Length::Duration(duration) => duration.min(CALM),
                Length::Requests(_) => CALM,
            },
            hold_limit: self.hold_limit,
            load: Load {
                connections: load.rate.map_or(1, |_| load.connections),
                ..load
            },
            large: plan
                .large
                .into_iter()
                .chain([bundle])
                .chain(attack)
                .collect(),
            ..plan
        })
    }
}
