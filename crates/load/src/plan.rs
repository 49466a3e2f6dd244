use std::time::Duration;

use reqwest::{
    Client, Request, Url,
    header::{AUTHORIZATION, HeaderMap, HeaderValue},
};

use crate::{Ask, LoadError};

/// A server, and the request that it gets again and again.
#[derive(Debug)]
pub struct Target {
    /// The name in reports.
    pub name: String,
    /// What is sent.
    pub request: Request,
    /// What other connections ask of the same server meanwhile; it is measured without and with them.
    pub beside: Option<Beside>,
}

/// A closed loop in the background.
#[derive(Debug)]
pub struct Beside {
    /// What is sent.
    pub request: Request,
    /// How many connections send it.
    pub connections: usize,
}

/// How much is sent, and for how long.
#[derive(Clone, Debug)]
pub struct Load {
    /// Connections that wait for one answer each. In an open loop they are the most requests under way at once; a request
    /// that finds none free is late, and its latency says so.
    pub connections: usize,
    /// Requests a second, for an open loop.
    pub rate: Option<f64>,
    /// Load that is not counted, before each measurement.
    pub warm_up: Duration,
    /// When a measurement ends.
    pub length: Length,
    /// When a request is given up.
    pub timeout: Duration,
}

/// When a measurement ends. Requests that are under way or due by then get five seconds more: if they are answered in this time
/// their latency counts, but not for the throughput.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Length {
    /// After a time.
    Duration(Duration),
    /// After so many requests.
    Requests(u64),
}

impl Default for Load {
    /// Eight connections, two seconds of warm-up, ten of measurement, and half a minute for each request.
    fn default() -> Self {
        Self {
            connections: 8,
            rate: None,
            warm_up: Duration::from_secs(2),
            length: Length::Duration(Duration::from_secs(10)),
            timeout: Duration::from_secs(30),
        }
    }
}

/// What is to be measured.
#[derive(Debug)]
pub struct Plan {
    /// The servers; each gets its turn in every round.
    pub targets: Vec<Target>,
    /// The same load for each.
    pub load: Load,
    /// How often all take their turns.
    pub rounds: usize,
    /// A process whose memory is watched.
    pub pid: Option<u32>,
}

impl Plan {
    /// One round.
    pub fn new(targets: Vec<Target>, load: Load) -> Self {
        Self {
            targets,
            load,
            rounds: 1,
            pid: None,
        }
    }
}

impl Target {
    /// A target written as `[NAME=]URL`; without a name it is called by its address. `key` is sent as bearer token.
    ///
    /// # Errors
    /// When the address is none, or the server does not say what tensor its model wants.
    pub async fn new(given: &str, ask: &Ask, key: Option<&str>) -> Result<Self, LoadError> {
        let (name, url) = named(given)?;
        let mut headers = HeaderMap::new();
        if let Some(key) = key {
            headers.insert(AUTHORIZATION, bearer(key)?);
        }
        let client = Client::builder()
            .no_proxy()
            .default_headers(headers.clone())
            .build()?;
        let mut request = ask.request(&client, &url).await?;
        request.headers_mut().extend(headers);
        Ok(Self {
            name: name.to_owned(),
            request,
            beside: None,
        })
    }
}

/// A target's name and address.
pub(crate) fn named(given: &str) -> Result<(&str, Url), LoadError> {
    let broken = |reason: String| LoadError::Url {
        given: given.to_owned(),
        reason,
    };
    let (name, url) = match given.split_once('=') {
        Some((name, url)) if !name.contains(['/', ':']) => (name, url),
        _ => (given, given),
    };
    let url = Url::parse(url).map_err(|error| broken(error.to_string()))?;
    if url.scheme() != "http" || !url.has_host() {
        return Err(broken("only http:// is spoken here".to_owned()));
    }
    Ok((name, url))
}

/// A key as the value of `Authorization`.
pub(crate) fn bearer(key: &str) -> Result<HeaderValue, LoadError> {
    let mut value = HeaderValue::try_from(format!("Bearer {key}")).map_err(|_| {
        LoadError::Plan(
            "the key holds characters that no header may have: give it as it was issued".to_owned(),
        )
    })?;
    value.set_sensitive(true);
    Ok(value)
}

impl Load {
    /// # Errors
    /// When a setting makes no sense.
    pub(crate) fn check(&self) -> Result<(), LoadError> {
        let broken = |message: &str| Err(LoadError::Plan(message.to_owned()));
        if self.connections == 0 {
            return broken("0 connections send nothing: at least 1 is needed");
        }
        if self.timeout.is_zero() {
            return broken("a timeout of 0 lets nothing be answered: give some seconds");
        }
        match self.length {
            Length::Requests(0) => return broken("0 requests measure nothing: send at least 1"),
            Length::Duration(Duration::ZERO) => {
                return broken("0 seconds measure nothing: give some");
            }
            _ => {}
        }
        match self.rate {
            Some(rate) if !(rate > 0.0 && rate <= MAX_RATE) => Err(LoadError::Plan(format!(
                "{rate} requests a second are no rate: it must be above 0 and at most {MAX_RATE}"
            ))),
            _ => Ok(()),
        }
    }
}

/// Far above what one client can send.
const MAX_RATE: f64 = 1e6;
