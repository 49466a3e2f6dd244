use std::{io, path::PathBuf, time::Duration};

use axum::http::HeaderValue;

use super::Config;

/// Why a configuration is refused.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("the configuration `{}` cannot be read: {source}", .path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The file holds something that is no setting.
    #[error("the configuration `{}` is not understood: {source}", .path.display())]
    Parse {
        /// The file.
        path: PathBuf,
        /// Where and why.
        source: Box<toml::de::Error>,
    },
    /// Nothing could ever be answered.
    #[error(
        "`{setting}` is 0, so that no request could ever be answered: set it to {usual}, as it is by default"
    )]
    Zero {
        /// The setting.
        setting: &'static str,
        /// A sensible value.
        usual: u64,
    },
    /// It would take more than a machine has, or overflow.
    #[error(
        "`{setting}` is {value}, over the limit of {limit}: choose less; {usual} is the default"
    )]
    TooLarge {
        /// The setting.
        setting: &'static str,
        /// Its value.
        value: u64,
        /// The most that is possible.
        limit: u64,
        /// A sensible value.
        usual: u64,
    },
    /// No body could be read.
    #[error(
        "`max_bytes_in_flight` is {in_flight}, less than the {body} bytes that one body may have (`max_body_bytes`): raise the first or \
         lower the second"
    )]
    BodyOverAll {
        /// The limit of all.
        in_flight: usize,
        /// That of one.
        body: usize,
    },
    /// Attacks could not be answered before the server is gone.
    #[error("`{setting}` is {} s, over the limit of {limit} s: choose less", .value.as_secs_f64())]
    TooLong {
        /// The setting.
        setting: &'static str,
        /// Its value.
        value: Duration,
        /// In seconds.
        limit: u64,
    },
    /// No page has such an origin.
    #[error(
        "`cors_origins` has `{0}`, which is no origin: write a scheme and a host, such as `https://example.org`"
    )]
    Origin(String),
}

/// A week: what is longer is a mistake, and would overflow the clock.
const LONGEST: u64 = 7 * 24 * 3600;

impl Config {
    /// Checks what would otherwise show itself only in requests.
    ///
    /// # Errors
    /// The first setting that makes no sense.
    pub fn check(&self) -> Result<(), ConfigError> {
        // Value, default, and what is a mistake above: more than a machine has. What an attack may cost takes no memory, and times
        // have a limit of their own.
        let any = u64::MAX;
        let counts = [
            (
                "max_body_bytes",
                self.max_body_bytes as u64,
                10 << 20,
                1 << 32,
            ),
            ("max_images", self.max_images as u64, 16, 1 << 16),
            ("max_steps", self.max_steps as u64, 1000, any),
            ("max_restarts", self.max_restarts as u64, 50, any),
            ("max_cost", self.max_cost, 20_000, any),
            ("max_attacks", self.max_attacks as u64, 64, 1 << 20),
            ("max_requests", self.max_requests as u64, 512, 1 << 20),
            (
                "max_bytes_in_flight",
                self.max_bytes_in_flight as u64,
                256 << 20,
                1 << 40,
            ),
            (
                "max_connections",
                self.max_connections as u64,
                4096,
                1 << 20,
            ),
            ("max_streams", self.max_streams.into(), 100, 1 << 16),
            (
                "request_timeout",
                self.request_timeout.as_nanos() as u64,
                60,
                any,
            ),
            (
                "header_timeout",
                self.header_timeout.as_nanos() as u64,
                10,
                any,
            ),
            ("idle_timeout", self.idle_timeout.as_nanos() as u64, 75, any),
            (
                "stall_timeout",
                self.stall_timeout.as_nanos() as u64,
                10,
                any,
            ),
            ("engine.threads", self.load.threads as u64, 1, 1024),
            ("engine.max_batch", self.load.max_batch as u64, 16, 4096),
            (
                "engine.load_timeout",
                self.load.load_timeout.as_nanos() as u64,
                300,
                any,
            ),
            (
                "engine.queue_bytes",
                self.load.queue_bytes as u64,
                256 << 20,
                1 << 40,
            ),
            (
                "image.max_bytes",
                self.image.max_bytes as u64,
                10 << 20,
                1 << 32,
            ),
            (
                "image.max_pixels",
                self.image.max_pixels,
                16_000_000,
                1 << 32,
            ),
            (
                "image.max_side",
                self.image.max_side.into(),
                16_384,
                1 << 20,
            ),
            ("image.max_alloc", self.image.max_alloc, 256 << 20, 1 << 40),
        ];
        for (setting, value, usual, limit) in counts {
            match value {
                0 => return Err(ConfigError::Zero { setting, usual }),
                value if value > limit => {
                    return Err(ConfigError::TooLarge {
                        setting,
                        value,
                        limit,
                        usual,
                    });
                }
                _ => (),
            }
        }
        if self.max_bytes_in_flight < self.max_body_bytes {
            return Err(ConfigError::BodyOverAll {
                in_flight: self.max_bytes_in_flight,
                body: self.max_body_bytes,
            });
        }
        for (setting, value) in [
            ("request_timeout", self.request_timeout),
            ("header_timeout", self.header_timeout),
            ("idle_timeout", self.idle_timeout),
            ("stall_timeout", self.stall_timeout),
            ("reload_interval", self.reload_interval),
            ("drain", self.drain),
            ("grace", self.grace),
            ("engine.load_timeout", self.load.load_timeout),
        ] {
            if value > Duration::from_secs(LONGEST) {
                return Err(ConfigError::TooLong {
                    setting,
                    value,
                    limit: LONGEST,
                });
            }
        }
        for origin in &self.cors_origins {
            let host = origin
                .strip_prefix("https://")
                .or(origin.strip_prefix("http://"));
            let plain =
                host.is_some_and(|host| !host.is_empty() && !host.contains(['/', '*', ' ']));
            if !plain || HeaderValue::from_str(origin).is_err() {
                return Err(ConfigError::Origin(origin.clone()));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Config, String> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        let config = Config::read(file.path()).map_err(|error| error.to_string())?;
        config.check().map_err(|error| error.to_string())?;
        Ok(config)
    }

    #[test]
    fn a_file_gives_what_it_names_and_leaves_the_rest() {
        let config = read(
            "models = \"m\"\nrequest_timeout = 2.5\ncors_origins = [\"https://a.example\"]\n\
             [engine]\nthreads = 3\n[image]\nmax_side = 100\n[tls]\ncertificate = \"c\"\nkey = \"k\"\n",
        )
        .unwrap();
        assert_eq!(config.request_timeout, Duration::from_millis(2500));
        assert_eq!((config.load.threads, config.load.max_batch), (3, 16));
        assert_eq!(
            (config.image.max_side, config.image.max_bytes),
            (100, 10 << 20)
        );
        assert_eq!(config.max_images, 16);
        read("").unwrap();
    }

    #[test]
    fn what_makes_no_sense_is_refused_by_name() {
        for (text, parts) in [
            ("max_step = 3", vec!["max_step", "unknown field"]),
            ("request_timeout = 0", vec!["request_timeout", "60"]),
            ("request_timeout = -1", vec!["-1", "seconds"]),
            ("grace = 1e9", vec!["grace", "604800"]),
            ("idle_timeout = 0", vec!["idle_timeout", "75"]),
            ("stall_timeout = 1e7", vec!["stall_timeout", "604800"]),
            ("min_rate = 0", vec!["min_rate", "nonzero"]),
            ("max_streams = 0", vec!["max_streams", "100"]),
            ("max_connections = 0", vec!["max_connections", "4096"]),
            (
                "max_bytes_in_flight = 1000",
                vec!["max_bytes_in_flight", "1000", "10485760"],
            ),
            ("max_requests = 0", vec!["max_requests", "512"]),
            (
                "max_body_bytes = 9223372036854775807",
                vec![
                    "`max_body_bytes` is 9223372036854775807",
                    "limit of 4294967296",
                ],
            ),
            ("[engine]\nthreads = 100000", vec!["engine.threads", "1024"]),
            (
                "[engine]\nmax_batch = 1000000000",
                vec!["engine.max_batch", "4096"],
            ),
            ("max_requests = 2000000", vec!["max_requests", "1048576"]),
            (
                "[image]\nmax_alloc = 9000000000000",
                vec!["image.max_alloc"],
            ),
            ("[engine]\nthreads = 0", vec!["engine.threads"]),
            ("[engine]\nwatch = 1", vec!["watch", "unknown field"]),
            ("[image]\nmax_side = 0", vec!["image.max_side", "16384"]),
            ("cors_origins = [\"*\"]", vec!["`*`", "https://"]),
            ("cors_origins = [\"https://a/b\"]", vec!["https://a/b"]),
            ("[tls]\nkey = \"k\"", vec!["certificate"]),
            ("models = 3", vec!["models"]),
        ] {
            let error = read(text).unwrap_err();
            assert!(
                parts.iter().all(|part| error.contains(part)),
                "{text}: {error}"
            );
        }
        let error = Config::read("nowhere.toml".as_ref())
            .unwrap_err()
            .to_string();
        assert!(error.contains("nowhere.toml"), "{error}");
    }
}
