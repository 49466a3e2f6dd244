mod check;
mod seconds;

use std::{
    fs,
    num::NonZero,
    path::{Path, PathBuf},
    time::Duration,
};

use buckler_runtime::{ImageLimits, LoadOptions};
use serde::Deserialize;

pub use self::check::ConfigError;
use crate::Key;

/// What the server serves, how, and how much of it one request may ask for. A TOML file may give any of it under the same names;
/// times are in seconds there.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// The models: `<name>/<version>/model.onnx`.
    pub models: PathBuf,
    /// The model for requests that name none; without it the first by name that can be used.
    pub default_model: Option<String>,
    /// The address to listen on, a host's name or address and a port. [`run`](crate::run) is given a listener and does not look at it.
    pub bind: String,
    /// Time between two looks at the models' directory and the certificate; a change counts once two looks saw it. 0 for none.
    #[serde(with = "seconds")]
    pub reload_interval: Duration,
    /// How models are run.
    #[serde(rename = "engine")]
    pub load: LoadOptions,
    /// Where gradient graphs that had to be made are kept for the next time; nowhere without it.
    pub gradient_cache: Option<PathBuf>,
    /// Length of a request's body, in bytes, decompressed.
    pub max_body_bytes: usize,
    /// Limits for each image.
    pub image: ImageLimits,
    /// Images in one request.
    pub max_images: usize,
    /// Steps of an attack.
    pub max_steps: usize,
    /// Restarts of an attack.
    pub max_restarts: usize,
    /// What one request may cost: the rows that its attack asks the model for at most.
    pub max_cost: u64,
    /// Attacks at the same time; more are told when to try again.
    pub max_attacks: usize,
    /// Requests that are worked on at the same time, from the last byte of their body to the first of their answer; more are told when to
    /// try again. Four times as many may arrive or be answered.
    pub max_requests: usize,
    /// What the bodies of requests may take at the same time, in bytes: of all in all, a quarter of it of one connection, half of it of one
    /// key.
    pub max_bytes_in_flight: usize,
    /// Connections at the same time; fewer where the process may not open as many files. Another one has an idle one closed.
    pub max_connections: usize,
    /// Requests at the same time on one HTTP/2 connection.
    pub max_streams: u32,
    /// How long one request may take, from its first byte to its answer. A request may ask for less.
    #[serde(with = "seconds")]
    pub request_timeout: Duration,
    /// How long a client may take to send a request's head.
    #[serde(with = "seconds")]
    pub header_timeout: Duration,
    /// How long a connection may wait for its next request.
    #[serde(with = "seconds")]
    pub idle_timeout: Duration,
    /// How far a client may fall behind `min_rate` while it sends a body or takes an answer.
    #[serde(with = "seconds")]
    pub stall_timeout: Duration,
    /// Bytes per second.
    pub min_rate: NonZero<u32>,
    /// How long the server goes on as before when it is asked to stop, but says that it is not ready, so that whoever sends it
    /// requests can look for another.
    #[serde(with = "seconds")]
    pub drain: Duration,
    /// How long requests under way may then take to end. Attacks are answered as they stand shortly before.
    #[serde(with = "seconds")]
    pub grace: Duration,
    /// The origins whose pages may call the server from a browser, such as `https://example.org`; none by default.
    pub cors_origins: Vec<String>,
    /// Who may ask; without any, everybody may.
    pub keys: Vec<Key>,
    /// Whether other machines can reach the server, which then answers no attacks without a key. [`run`](crate::run) sets it
    /// where the listener's address is not a loopback one; set it yourself behind a proxy.
    pub exposed: bool,
    /// Attacks and changes of models are answered without a key even where the server is exposed.
    pub insecure_attacks: bool,
    /// `/metrics` is for those who have a key, whatever its scopes.
    pub metrics_need_key: bool,
    /// Encrypts connections.
    pub tls: Option<Tls>,
}

/// A certificate and its key, in PEM files. They are read again when they change.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tls {
    /// The certificate, with those of its issuers behind it.
    pub certificate: PathBuf,
    /// Its private key.
    pub key: PathBuf,
}

impl Default for Config {
    /// Models in `models`, on 127.0.0.1:8080.
    fn default() -> Self {
        Self::new("models")
    }
}

impl Config {
    /// The defaults for a directory of models: a look at it every 5 seconds, bodies and images up to 10 MiB, 16 images, 1000 steps, 50
    /// restarts, a cost of 20000; 64 attacks, 512 requests, 256 MiB of bodies and 4096 connections of 100 streams at a time; 60 seconds for a
    /// request, 10 for its head, 75 until the next, 10 behind 1 KiB each second; no drain, 30 seconds of grace.
    pub fn new(models: impl Into<PathBuf>) -> Self {
        Self {
            models: models.into(),
            default_model: None,
            bind: "127.0.0.1:8080".to_owned(),
            reload_interval: Duration::from_secs(5),
            load: LoadOptions::default(),
            gradient_cache: None,
            max_body_bytes: 10 << 20,
            image: ImageLimits::default(),
            max_images: 16,
            max_steps: 1000,
            max_restarts: 50,
            max_cost: 20_000,
            max_attacks: 64,
            max_requests: 512,
            max_bytes_in_flight: 256 << 20,
            max_connections: 4096,
            max_streams: 100,
            request_timeout: Duration::from_secs(60),
            header_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(75),
            stall_timeout: Duration::from_secs(10),
            min_rate: NonZero::<u32>::MIN.saturating_add(1023),
            drain: Duration::ZERO,
            grace: Duration::from_secs(30),
            cors_origins: Vec::new(),
            keys: Vec::new(),
            exposed: false,
            insecure_attacks: false,
            metrics_need_key: false,
            tls: None,
        }
    }

    /// Reads a file.
    ///
    /// # Errors
    /// When it cannot be read, or holds something that is no setting.
    pub fn read(path: &Path) -> Result<Self, ConfigError> {
        let text = fs::read_to_string(path).map_err(|source| ConfigError::Read {
            path: path.to_owned(),
            source,
        })?;
        toml::from_str(&text).map_err(|source| ConfigError::Parse {
            path: path.to_owned(),
            source: Box::new(source),
        })
    }

    /// How many connections there may be where the process may have so many files open. What is left is for models and everything else.
    pub(crate) fn connections_within(&self, files: usize) -> usize {
        let others = (files / 4).clamp(40, 256);
        let possible = files.saturating_sub(others).max(1);
        if possible < self.max_connections {
            tracing::warn!(
                max_connections = self.max_connections,
                possible,
                files,
                "the process may not open as many files as connections are allowed: raise its limit (`ulimit -n`)"
            );
        }
        self.max_connections.min(possible)
    }

    /// With one more key, named `default`, that has all scopes.
    #[must_use]
    pub fn with_key(mut self, plain: &str) -> Self {
        self.keys.push(Key::new("default", plain));
        self
    }
}
