use std::env;
use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use buckler_runtime::{Provider, cache_folder};
use buckler_server::{Config, Tls};
use tokio::net::{TcpListener, lookup_host};
use tokio::runtime::Runtime;
#[cfg(unix)]
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::output::Output;

/// Serve a folder of models over HTTP
///
/// The folder holds NAME/VERSION/model.onnx; of several versions the highest that works is served, and changes are followed
/// while the server runs. A flag wins over the environment, that over the file of --config, and that over the default. Keys with
/// scopes come from the file; BUCKLER_API_KEY is one more with all of them.
#[derive(clap::Args)]
#[command(
    after_help = "Example:\n  buckler serve --models models --bind 127.0.0.1:8080\n  curl -F image=@seven.png 'http://127.0.0.1:8080/attack?eps=0.3'"
)]
pub struct Args {
    /// Settings in a TOML file
    #[arg(long, value_name = "FILE", env = "BUCKLER_CONFIG")]
    config: Option<PathBuf>,
    /// Folder of models [default: models]
    #[arg(long, env = "BUCKLER_MODELS")]
    models: Option<PathBuf>,
    /// Address to listen on [default: 127.0.0.1:8080]
    #[arg(long, env = "BUCKLER_BIND")]
    bind: Option<String>,
    /// Model that requests without one get [default: the first by name]
    #[arg(long, env = "BUCKLER_DEFAULT_MODEL")]
    default_model: Option<String>,
    /// Where models are run: cpu, cuda or cuda:N [default: cpu]
    #[arg(long, env = "BUCKLER_PROVIDER")]
    provider: Option<Provider>,
    /// Threads for one run of a model [default: the processors that this process may use]
    #[arg(long, env = "BUCKLER_THREADS")]
    threads: Option<usize>,
    /// Rows in one batch at most [default: 16]
    #[arg(long, env = "BUCKLER_MAX_BATCH")]
    max_batch: Option<usize>,
    /// Seconds that one request may take [default: 60]
    #[arg(long, value_name = "SECONDS", env = "BUCKLER_REQUEST_TIMEOUT", value_parser = seconds)]
    request_timeout: Option<Duration>,
    /// Rows that the attack of one request may ask a model for [default: 20000]
    #[arg(long, env = "BUCKLER_MAX_COST")]
    max_cost: Option<u64>,
    /// Attacks at the same time [default: 64]
    #[arg(long, env = "BUCKLER_MAX_ATTACKS")]
    max_attacks: Option<usize>,
    /// Seconds between two looks at the folder of models, 0 for none [default: 5]
    #[arg(long, value_name = "SECONDS", env = "BUCKLER_RELOAD_INTERVAL", value_parser = seconds)]
    reload_interval: Option<Duration>,
    /// Seconds of saying that the server is not ready before it takes no more connections [default: 0]
    #[arg(long, value_name = "SECONDS", env = "BUCKLER_DRAIN", value_parser = seconds)]
    drain: Option<Duration>,
    /// Seconds that requests under way may then take to end [default: 30]
    #[arg(long, value_name = "SECONDS", env = "BUCKLER_GRACE", value_parser = seconds)]
    grace: Option<Duration>,
    /// Origins whose pages may call the server from a browser
    #[arg(
        long,
        value_name = "ORIGIN",
        env = "BUCKLER_CORS_ORIGINS",
        value_delimiter = ','
    )]
    cors_origins: Option<Vec<String>>,
    /// Answer attacks without a key even where other machines can reach the server
    #[arg(long, env = "BUCKLER_INSECURE_ATTACKS")]
    insecure_attacks: bool,
    /// Certificate for encrypted connections, a PEM file
    #[arg(
        long,
        value_name = "FILE",
        env = "BUCKLER_TLS_CERTIFICATE",
        requires = "tls_key"
    )]
    tls_certificate: Option<PathBuf>,
    /// Private key of the certificate, a PEM file
    #[arg(
        long,
        value_name = "FILE",
        env = "BUCKLER_TLS_KEY",
        requires = "tls_certificate"
    )]
    tls_key: Option<PathBuf>,
}

pub fn run(args: Args, _: Output) -> Result<()> {
    serve(&Runtime::new()?, args.settings()?)
}

impl Args {
    fn settings(self) -> Result<Config> {
        let file = match &self.config {
            Some(path) => Config::read(path)?,
            None => Config::default(),
        };
        let cache = || Some(cache_folder()?.join("gradients"));
        let tls = self.tls_certificate.zip(self.tls_key);
        let tls = tls.map(|(certificate, key)| Tls { certificate, key });
        let mut config = Config {
            models: self.models.unwrap_or(file.models),
            bind: self.bind.unwrap_or(file.bind),
            default_model: self.default_model.or(file.default_model),
            request_timeout: self.request_timeout.unwrap_or(file.request_timeout),
            max_cost: self.max_cost.unwrap_or(file.max_cost),
            max_attacks: self.max_attacks.unwrap_or(file.max_attacks),
            reload_interval: self.reload_interval.unwrap_or(file.reload_interval),
            drain: self.drain.unwrap_or(file.drain),
            grace: self.grace.unwrap_or(file.grace),
            cors_origins: self.cors_origins.unwrap_or(file.cors_origins),
            insecure_attacks: self.insecure_attacks || file.insecure_attacks,
            tls: tls.or(file.tls),
            gradient_cache: file.gradient_cache.or_else(cache),
            ..file
        };
        config.load.provider = self.provider.unwrap_or(config.load.provider);
        config.load.threads = self.threads.unwrap_or(config.load.threads);
        config.load.max_batch = self.max_batch.unwrap_or(config.load.max_batch);
        // Not a flag: whoever lists the processes would see it.
        Ok(match api_key(env::var_os(API_KEY))? {
            Some(key) => config.with_key(&key),
            None => config,
        })
    }
}

const API_KEY: &str = "BUCKLER_API_KEY";

/// The key that the environment gives, without the line end that reading it from a file leaves; an error where no request could send it.
fn api_key(value: Option<OsString>) -> Result<Option<String>> {
    let Some(value) = value else { return Ok(None) };
    let remedy = "set it to what `openssl rand -hex 32` prints, or unset it";
    let Ok(text) = value.into_string() else {
        bail!("{API_KEY} is not UTF-8: {remedy}");
    };
    let key = text.strip_suffix('\n').unwrap_or(&text);
    let key = key.strip_suffix('\r').unwrap_or(key);
    ensure!(!key.is_empty(), "{API_KEY} is empty: {remedy}");
    ensure!(
        key.bytes().all(|byte| byte.is_ascii_graphic()),
        "{API_KEY} has blanks or characters that do not print or are not ASCII, which no `Authorization` header holds: {remedy}"
    );
    Ok(Some(key.to_owned()))
}

fn seconds(text: &str) -> Result<Duration> {
    let seconds = text.parse().context("it is no number of seconds")?;
    Ok(Duration::try_from_secs_f64(seconds)?)
}

/// Serves until Ctrl-C, SIGTERM or SIGHUP.
pub fn serve(runtime: &Runtime, config: Config) -> Result<()> {
    ensure!(
        config.models.is_dir(),
        "{} is no folder: give one with NAME/VERSION/model.onnx in it with --models, or make one with `buckler demo` or `buckler export`",
        config.models.display()
    );
    let address = config.bind.clone();
    raise_file_limit();
    runtime.block_on(async {
        let signals = Signals::new().context("cannot take note of signals")?;
        let listener = listen(&address).await.with_context(|| {
            format!("cannot listen on `{address}`: choose another with --bind, such as `127.0.0.1:8080` or `localhost:8080`")
        })?;
        buckler_server::run(listener, config, stop(signals)).await?;
        Ok(())
    })
}

/// Raises the number of files that the process may have open, of which each connection is one, as far as it may itself.
fn raise_file_limit() {
    #[cfg(unix)]
    if let Err(error) = rlimit::increase_nofile_limit(u64::MAX) {
        tracing::debug!(%error, "the limit of open files is not raised");
    }
}

/// Listens on the first address of a name that can be listened on; on one of IPv4 if there is one, as clients ask for it first.
async fn listen(address: &str) -> Result<TcpListener> {
    let mut addresses: Vec<_> = lookup_host(address).await?.collect();
    addresses.sort_by_key(|address| address.is_ipv6());
    Ok(TcpListener::bind(&*addresses).await?)
}

/// The exit status of a server that was asked to stop again while it did.
const ASKED_AGAIN: i32 = 130;

/// What asks the process to stop: Ctrl-C, SIGTERM, and SIGHUP, as of a terminal that is closed.
#[cfg(unix)]
struct Signals([Signal; 3]);

#[cfg(unix)]
impl Signals {
    /// Takes note of signals from now on.
    fn new() -> Result<Self> {
        let signals = [
            signal(SignalKind::interrupt())?,
            signal(SignalKind::terminate())?,
            signal(SignalKind::hangup())?,
        ];
        Ok(Self(signals))
    }

    async fn next(&mut self) {
        let Self([interrupt, terminate, hangup]) = self;
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
            _ = hangup.recv() => {}
        }
    }
}

#[cfg(not(unix))]
struct Signals;

#[cfg(not(unix))]
impl Signals {
    fn new() -> Result<Self> {
        Ok(Self)
    }

    async fn next(&mut self) {
        let _ = tokio::signal::ctrl_c().await;
    }
}

/// Resolves when the process is asked to stop. Asked again, it ends at once.
async fn stop(mut signals: Signals) {
    signals.next().await;
    tokio::spawn(async move {
        signals.next().await;
        tracing::warn!("asked to stop again: requests under way are cut off");
        // Without the destructors of libraries whose threads still compute.
        signal_hook::low_level::exit(ASKED_AGAIN);
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_of_the_environment_is_one_that_a_request_can_send() {
        let key = |text: &str| api_key(Some(text.into()));
        assert_eq!(api_key(None).unwrap(), None);
        for text in ["s3cret+/=", "s3cret+/=\n", "s3cret+/=\r\n"] {
            assert_eq!(key(text).unwrap().as_deref(), Some("s3cret+/="));
        }
        for (text, reason) in [
            ("", "is empty"),
            ("\n", "is empty"),
            (" ", "blanks"),
            ("a b", "blanks"),
            ("a\n\n", "blanks"),
            ("clé", "not ASCII"),
            ("a\u{0}", "do not print"),
        ] {
            let error = key(text).unwrap_err().to_string();
            assert!(
                error.contains(reason) && error.contains("openssl"),
                "{error}"
            );
        }
    }

    #[test]
    fn a_host_is_listened_on_by_its_name_or_address() {
        let runtime = Runtime::new().unwrap();
        for address in ["localhost:0", "127.0.0.1:0"] {
            let listener = runtime.block_on(listen(address)).unwrap();
            let bound = listener.local_addr().unwrap();
            assert!(bound.ip().is_loopback(), "{bound}");
        }
        for address in ["localhost", "127.0.0.1:port", ":::"] {
            assert!(runtime.block_on(listen(address)).is_err(), "{address}");
        }
    }

    #[test]
    #[cfg(unix)]
    fn a_key_that_is_no_text_is_refused() {
        use std::os::unix::ffi::OsStringExt;
        let error = api_key(Some(OsString::from_vec(vec![b'a', 0xff]))).unwrap_err();
        assert!(error.to_string().contains("not UTF-8"), "{error}");
    }
}
