use std::{
    fmt, fs,
    path::{Path, PathBuf},
    time::Duration,
};

use clap::ValueEnum;
use reqwest::{Request, Url};
use serde::Serialize;

use crate::{
    Ask, Attack, Beside, HostilePlan, HostileReport, Image, Length, Load, LoadError, OverloadPlan,
    OverloadReport, Plan, Raw, Report, Step, Target, VanishPlan, VanishReport,
    drive::client,
    hostile::{HostileOptions, hostile},
    overload,
    plan::named,
    process, run, vanish,
};

/// What a command line says about a load.
#[derive(Clone, Debug, clap::Args)]
pub struct LoadArgs {
    /// Servers as [NAME=]http://HOST:PORT; several take turns. `raw` posts to the path given here
    #[arg(required = true, value_name = "TARGET")]
    targets: Vec<String>,
    /// What is measured
    #[arg(long, value_enum, default_value_t = Scenario::Latency)]
    scenario: Scenario,
    /// What is asked
    #[arg(long, value_enum, default_value_t = Kind::Predict)]
    request: Kind,
    /// The image file that `predict`, `attack` and `infer` send
    #[arg(long, value_name = "FILE", required_unless_present = "body")]
    image: Option<PathBuf>,
    /// How often the image is in one request
    #[arg(long, default_value_t = 1, value_parser = count, value_name = "N")]
    images: usize,
    /// The model [default: the server's]
    #[arg(long)]
    model: Option<String>,
    /// A parameter of `predict` or `attack`, such as `steps=20`; may be repeated
    #[arg(long = "param", value_parser = parameter, value_name = "NAME=VALUE")]
    parameters: Vec<(String, String)>,
    /// The file that `raw` sends
    #[arg(long, value_name = "FILE", required_if_eq("request", "raw"))]
    body: Option<PathBuf>,
    /// What `raw` says its file is
    #[arg(long, default_value = "application/octet-stream")]
    content_type: String,
    /// Connections that each wait for one answer; with --rate, requests under way at once, at most
    #[arg(long, default_value_t = 8, value_parser = count, value_name = "N")]
    connections: usize,
    /// Requests a second, sent whether or not the server keeps up; latencies count from when they were to be sent [default: as
    /// many as the connections can have answered]
    #[arg(long)]
    rate: Option<f64>,
    /// Seconds of load before each measurement that are not counted
    #[arg(long, default_value = "2", value_parser = seconds, value_name = "SECONDS")]
    warm_up: Duration,
    /// Seconds of each measurement
    #[arg(long, default_value = "10", value_parser = seconds, value_name = "SECONDS")]
    duration: Duration,
    /// Requests of each measurement, instead of --duration
    #[arg(long, conflicts_with = "duration", value_name = "N")]
    requests: Option<u64>,
    /// How often all targets take their turns; the table has the medians
    #[arg(long, default_value_t = 1, value_parser = count, value_name = "N")]
    rounds: usize,
    /// Seconds after which a request is given up
    #[arg(long, default_value = "30", value_parser = seconds, value_name = "SECONDS")]
    timeout: Duration,
    /// Key that is sent as bearer token
    #[arg(long, env = "BUCKLER_API_KEY", hide_env_values = true)]
    key: Option<String>,
    /// The server's process, to watch its memory
    #[arg(long)]
    pid: Option<u32>,
    /// Measure also beside so many connections that attack with the same image
    #[arg(long, value_name = "N")]
    attacks: Option<usize>,
    /// How often the image is in each of these attacks
    #[arg(long, default_value_t = 1, value_parser = count, requires = "attacks", value_name = "N")]
    attack_images: usize,
    /// A parameter of these attacks; may be repeated
    #[arg(long = "attack-param", value_parser = parameter, requires = "attacks", value_name = "NAME=VALUE")]
    attack_parameters: Vec<(String, String)>,
    /// Requests under way at once, at most, in `overload`: more than the server allows
    #[arg(long, default_value_t = 600, value_parser = count, value_name = "N")]
    overload_connections: usize,
    /// Clients of `vanish`
    #[arg(long, default_value_t = 1000, value_parser = count, value_name = "N")]
    clients: usize,
    #[command(flatten)]
    hostile: HostileOptions,
}

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Scenario {
    /// Throughput and latencies
    Latency,
    /// Ten times what the server can answer: does it refuse properly, and is it as before afterwards?
    Overload,
    /// Clients that close their connection at a random moment: is the server as before afterwards?
    Vanish,
    /// Clients that open requests of HTTP/2 and send no body, or a byte now and then, beside a proper client
    HeldStreams,
    /// Clients that send heads of HTTP/1.1 and no body, beside a proper client
    Heads,
    /// Clients that open connections of HTTP/2 and fall silent, beside a proper client
    IdleHttp2,
    /// Clients that ask for large answers and never read, beside a proper client
    StoppedReaders,
    /// Clients that read /metrics in parallel, beside a proper client
    Scrapes,
    /// The five above, one after the other
    Hostile,
}

impl Scenario {
    /// What hostile clients do in it.
    fn attacks(self) -> Vec<Attack> {
        match self {
            Self::Latency | Self::Overload | Self::Vanish => Vec::new(),
            Self::HeldStreams => vec![Attack::HeldStreams],
            Self::Heads => vec![Attack::Heads],
            Self::IdleHttp2 => vec![Attack::IdleHttp2],
            Self::StoppedReaders => vec![Attack::StoppedReaders],
            Self::Scrapes => vec![Attack::Scrapes],
            Self::Hostile => Attack::ALL.to_vec(),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Kind {
    /// POST /predict with the image file
    Predict,
    /// POST /attack with the image file
    Attack,
    /// POST /v2/models/MODEL/infer with the image's pixels as a binary tensor
    Infer,
    /// POST to the target's path with the file of --body
    Raw,
}

/// What came out.
#[derive(Clone, Debug, Serialize)]
#[serde(untagged)]
pub enum Answer {
    /// Of `latency`.
    Latency(Report),
    /// Of `overload`.
    Overload(OverloadReport),
    /// Of `vanish`.
    Vanish(VanishReport),
    /// Of `hostile`, and of each scenario of hostile clients.
    Hostile(HostileReport),
}

impl Answer {
    /// What the server must not do, and did.
    pub fn failures(&self) -> &[String] {
        match self {
            Self::Latency(_) => &[],
            Self::Overload(report) => &report.failures,
            Self::Vanish(report) => &report.failures,
            Self::Hostile(report) => &report.failures,
        }
    }
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Self::Latency(report) => report.fmt(f),
            Self::Overload(report) => report.fmt(f),
            Self::Vanish(report) => report.fmt(f),
            Self::Hostile(report) => report.fmt(f),
        }
    }
}

/// What a server is overloaded with, as a multiple of its capacity.
const OVERLOAD: f64 = 10.0;

/// How long the capacity is looked for, at most.
const CALIBRATION: Duration = Duration::from_secs(10);

impl LoadArgs {
    /// Measures, with as many open files as the system lets the process have.
    ///
    /// # Errors
    /// When a file cannot be read, and as [`run`].
    pub async fn run(&self, on_step: impl Fn(&Step)) -> Result<Answer, LoadError> {
        process::raise_open_files();
        let ask = self.ask()?;
        let mut targets = Vec::new();
        for given in &self.targets {
            let mut target = Target::new(given, &ask, self.key.as_deref()).await?;
            if let Some(connections) = self.attacks {
                let attack = Ask::Attack(self.image(&self.attack_parameters, self.attack_images)?);
                let Target { request, .. } =
                    Target::new(given, &attack, self.key.as_deref()).await?;
                target.beside = Some(Beside {
                    request,
                    connections,
                });
            }
            targets.push(target);
        }
        match self.scenario {
            Scenario::Latency => {
                let plan = Plan {
                    rounds: self.rounds,
                    pid: self.pid,
                    ..Plan::new(targets, self.load())
                };
                Ok(Answer::Latency(run(&plan, on_step).await?))
            }
            Scenario::Overload => {
                let plan = OverloadPlan {
                    target: one(targets)?,
                    load: self.load(),
                    factor: OVERLOAD,
                    connections: self.overload_connections,
                    calibration: self.duration.min(CALIBRATION),
                    pid: self.pid,
                };
                Ok(Answer::Overload(overload(&plan).await?))
            }
            Scenario::Vanish => {
                let plan = VanishPlan {
                    target: one(targets)?,
                    clients: self.clients,
                    connections: self.connections,
                    timeout: self.timeout,
                    pid: self.pid,
                    seed: 0,
                };
                Ok(Answer::Vanish(vanish(&plan).await?))
            }
            Scenario::HeldStreams
            | Scenario::Heads
            | Scenario::IdleHttp2
            | Scenario::StoppedReaders
            | Scenario::Scrapes
            | Scenario::Hostile => {
                let target = one(targets)?;
                let plan = HostilePlan {
                    pid: self.pid,
                    ..self.hostile.plan(
                        self.scenario.attacks(),
                        target,
                        self.base()?,
                        self.load(),
                        self.unread().await?,
                    )?
                };
                Ok(Answer::Hostile(hostile(&plan, on_step).await?))
            }
        }
    }

    /// The address below which the first target's routes are: not its own path, where that is what is asked.
    fn base(&self) -> Result<Url, LoadError> {
        let given = self.targets.first().map(String::as_str);
        let (_, mut base) = named(given.unwrap_or_default())?;
        if self.request == Kind::Raw {
            base.set_path("/");
        }
        base.set_query(None);
        Ok(base)
    }

    /// An attack whose answer holds images, where there is an image to attack.
    async fn unread(&self) -> Result<Option<Request>, LoadError> {
        if self.image.is_none() {
            return Ok(None);
        }
        let query = [("return".to_owned(), "image".to_owned())];
        let attack = Ask::Attack(self.image(&query, self.images)?);
        let request = attack.request(&client()?, &self.base()?).await?;
        Ok(Some(request))
    }

    fn load(&self) -> Load {
        Load {
            connections: self.connections,
            rate: self.rate,
            warm_up: self.warm_up,
            length: match self.requests {
                Some(requests) => Length::Requests(requests),
                None => Length::Duration(self.duration),
            },
            timeout: self.timeout,
        }
    }

    fn ask(&self) -> Result<Ask, LoadError> {
        let image = || self.image(&self.parameters, self.images);
        Ok(match self.request {
            Kind::Predict => Ask::Predict(image()?),
            Kind::Attack => Ask::Attack(image()?),
            Kind::Infer => Ask::Infer(image()?),
            Kind::Raw => Ask::Raw(Raw {
                body: self.body.as_deref().map_or(Ok(Vec::new()), read)?,
                content_type: self.content_type.clone(),
            }),
        })
    }

    fn image(&self, query: &[(String, String)], copies: usize) -> Result<Image, LoadError> {
        let Some(file) = &self.image else {
            return Err(LoadError::Plan(
                "there is no image to send: give one with --image".to_owned(),
            ));
        };
        Ok(Image {
            model: self.model.clone(),
            query: query.to_vec(),
            file: read(file)?,
            copies,
        })
    }
}

fn one(targets: Vec<Target>) -> Result<Target, LoadError> {
    let count = targets.len();
    let mut targets = targets.into_iter();
    match (targets.next(), targets.next()) {
        (Some(target), None) if target.beside.is_none() => Ok(target),
        (Some(_), None) => Err(LoadError::Plan(
            "this scenario knows no attacks beside: leave --attacks out".to_owned(),
        )),
        _ => Err(LoadError::Plan(format!(
            "this scenario is for one target, not for {count}: give them one after the other"
        ))),
    }
}

fn read(path: &Path) -> Result<Vec<u8>, LoadError> {
    fs::read(path).map_err(|source| LoadError::File {
        path: path.to_owned(),
        source,
    })
}

pub(crate) fn count(text: &str) -> Result<usize, String> {
    let count = text.parse().ok();
    count
        .filter(|&count| count > 0)
        .ok_or_else(|| format!("`{text}` is no number: write a whole one from 1 on"))
}

pub(crate) fn seconds(text: &str) -> Result<Duration, String> {
    let seconds = text.parse().ok();
    seconds
        .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
        .ok_or_else(|| format!("`{text}` is no number of seconds: write it as 10 or 0.5"))
}

fn parameter(text: &str) -> Result<(String, String), String> {
    let (name, value) = text
        .split_once('=')
        .ok_or_else(|| format!("`{text}` is no parameter: write it as NAME=VALUE"))?;
    Ok((name.to_owned(), value.to_owned()))
}
