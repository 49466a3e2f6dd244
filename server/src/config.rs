use std::{path::PathBuf, time::Duration};

use buckler_runtime::{ImageLimits, LoadOptions};

use crate::Key;

/// What the server serves, and how much of it one request may ask for.
#[derive(Clone, Debug)]
pub struct Config {
    /// The models: `<name>/<version>/model.onnx`.
    pub models: PathBuf,
    /// The model for requests that name none; without it the first by name that can be used.
    pub default_model: Option<String>,
    /// How models are run.
    pub load: LoadOptions,
    /// Length of a request's body, in bytes.
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
    /// How long one request may take, from its first byte to its answer.
    pub request_timeout: Duration,
    /// Who may ask; without any, everybody may.
    pub keys: Vec<Key>,
    /// Whether other machines can reach the server, which then answers no attacks without a key. [`run`](crate::run) sets it
    /// where the listener's address is not a loopback one; set it yourself behind a proxy.
    pub exposed: bool,
    /// Attacks and changes of models are answered without a key even where the server is exposed.
    pub insecure_attacks: bool,
    /// `/metrics` is for those who have a key, whatever its scopes.
    pub metrics_need_key: bool,
}

impl Config {
    /// The defaults for a directory of models: bodies and images up to 10 MiB, 16 images, 1000 steps, 50 restarts, a cost
    /// of 20000, 60 seconds.
    pub fn new(models: impl Into<PathBuf>) -> Self {
        Self {
            models: models.into(),
            default_model: None,
            load: LoadOptions {
                separate_attacks: true,
                ..LoadOptions::default()
            },
            max_body_bytes: 10 << 20,
            image: ImageLimits::default(),
            max_images: 16,
            max_steps: 1000,
            max_restarts: 50,
            max_cost: 20_000,
            max_attacks: 64,
            request_timeout: Duration::from_secs(60),
            keys: Vec::new(),
            exposed: false,
            insecure_attacks: false,
            metrics_need_key: false,
        }
    }

    /// With one more key, named `default`, that has all scopes.
    #[must_use]
    pub fn with_key(mut self, plain: &str) -> Self {
        self.keys.push(Key::new("default", plain));
        self
    }
}
