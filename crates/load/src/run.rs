use std::fmt;

use reqwest::Client;

use crate::{
    Length, Load, LoadError, Measurement, Plan, Report, Series, Target,
    drive::{Drive, check, client, drive},
    process::Watch,
};

/// Where a run stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// From 1.
    pub round: usize,
    /// How many there are.
    pub rounds: usize,
    /// Whose turn it is.
    pub name: String,
    /// What other connections ask meanwhile.
    pub beside: Option<String>,
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "round {} of {}: {}", self.round, self.rounds, self.name)?;
        match &self.beside {
            Some(beside) => write!(f, ", beside {beside}"),
            None => Ok(()),
        }
    }
}

/// Measures what the plan says, the targets in turns: first, second, ..., first, second, ...; one with load beside is measured
/// without it and then with it.
///
/// # Errors
/// When the plan makes no sense, when a target refuses its first request or does not answer it, or when the process to be watched
/// is not there.
pub async fn run(plan: &Plan, on_step: impl Fn(&Step)) -> Result<Report, LoadError> {
    plan.load.check()?;
    if plan.targets.is_empty() || plan.rounds == 0 {
        return Err(LoadError::Plan(
            "nothing to measure: give at least one target and one round".to_owned(),
        ));
    }
    let client = client()?;
    for target in &plan.targets {
        check(&client, &target.request, plan.load.timeout).await?;
        if let Some(beside) = &target.beside {
            check(&client, &beside.request, plan.load.timeout).await?;
        }
    }
    let watch = plan.pid.map(Watch::start).transpose()?;
    let mut turns: Vec<(&Target, Series)> = plan.targets.iter().flat_map(turns).collect();
    for round in 1..=plan.rounds {
        for (target, series) in &mut turns {
            on_step(&Step {
                round,
                rounds: plan.rounds,
                name: series.name.clone(),
                beside: series.beside.clone(),
            });
            let (measured, beside) = match series.beside {
                Some(_) => turn_beside(&client, target, &plan.load).await?,
                None => (turn(&client, target, &plan.load).await?, None),
            };
            series.add(measured, beside);
        }
    }
    Ok(Report {
        series: turns.into_iter().map(|(_, series)| series).collect(),
        usage: watch.map(|watch| watch.usage()).transpose()?,
    })
}

/// One without and, where there is load beside, one with it.
fn turns(target: &Target) -> Vec<(&Target, Series)> {
    let beside = target.beside.as_ref().map(|beside| {
        let path = beside.request.url().path();
        format!("{} x {path}", beside.connections)
    });
    let series = |beside| Series {
        name: target.name.clone(),
        url: target.request.url().to_string(),
        beside,
        rounds: Vec::new(),
        rounds_beside: Vec::new(),
        per_second: 0.0,
        latency_ms: None,
    };
    let with = beside.map(|beside| (target, series(Some(beside))));
    std::iter::once((target, series(None)))
        .chain(with)
        .collect()
}

async fn turn(client: &Client, target: &Target, load: &Load) -> Result<Measurement, LoadError> {
    if !load.warm_up.is_zero() {
        drive(
            client,
            &target.request,
            load,
            Length::Duration(load.warm_up),
        )
        .await?;
    }
    drive(client, &target.request, load, load.length).await
}

async fn turn_beside(
    client: &Client,
    target: &Target,
    load: &Load,
) -> Result<(Measurement, Option<Measurement>), LoadError> {
    let Some(beside) = &target.beside else {
        return Ok((turn(client, target, load).await?, None));
    };
    let closed = Load {
        connections: beside.connections,
        rate: None,
        ..load.clone()
    };
    let background = Drive::start(client, &beside.request, &closed, None)?;
    let measured = turn(client, target, load).await?;
    Ok((measured, Some(background.stop().await?)))
}
