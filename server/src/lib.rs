//! The HTTP server: `POST /predict`, `POST /attack`, `POST /certify`, `GET /models`, `GET /attacks`, `GET /health`, `GET /metrics`, a
//! page at `GET /`, the API's document at `GET /openapi.json`, to be read at `GET /docs`, and the Open Inference Protocol below
//! `/v2`, which has its own forms (`docs/protocol.md`).
//!
//! # Requests
//! Images come as `multipart/form-data` (parts named `image`), as the raw body of one image, or as JSON
//! (`{"image": "<base64 or data URI>"}` or `{"images": [...]}`, with `Content-Type: application/json`). Parameters have
//! the same names in the query string, as multipart fields and as JSON members; `docs/serving.md` and the API's document list them.
//!
//! # Answers
//! `/predict` answers `{"model", "version", "sha256", "predictions": [...], "assumptions": [...]}` with one prediction per
//! image. `/attack` answers with one object for one image and one radius, and with `{"results": [...]}` for several: the attack's report
//! with `model`, `version`, `sha256`, `assumptions`, `seconds` (of the request), `cost` (gradient evaluations for this image) and, if
//! asked for, `clean_png` and `adversarial_png` (data URIs; the latter null when nothing was found). A valid request is
//! answered with 200, whatever the attack's `outcome`.
//!
//! Everything else is `{"error": {"code", "message", "field"?}}`, where the message names the value, the limit and the
//! remedy.
//!
//! ```no_run
//! use buckler_server::{Config, run};
//!
//! # async fn serve() -> Result<(), Box<dyn std::error::Error>> {
//! let listener = tokio::net::TcpListener::bind("127.0.0.1:8080").await?;
//! let shutdown = async {
//!     let _ = tokio::signal::ctrl_c().await;
//! };
//! run(listener, Config::new("models"), shutdown).await?;
//! # Ok(())
//! # }
//! ```
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]
mod app;
mod attacks;
mod auth;
mod caller;
mod config;
mod connections;
mod content_encoding;
mod deadline;
mod error;
#[doc(hidden)]
pub mod fuzzing;
mod host;
mod in_flight;
mod json;
mod metrics;
mod openapi;
mod page;
mod request;
mod request_id;
mod router;
mod routes;
mod serving;
pub mod telemetry;
mod tls;
mod v2;

use tokio::net::TcpListener;

pub use auth::{Key, KeysError, Scope};
pub use config::{Config, ConfigError, Tls};
pub use tls::TlsError;

use app::App;
use tls::Certificate;

/// Why the server did not start or stopped.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// The configuration makes no sense.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// Connections cannot be encrypted.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The models' directory cannot be read, or there is no ONNX Runtime.
    #[error(transparent)]
    Runtime(#[from] buckler_runtime::RuntimeError),
    /// There is nothing to serve.
    #[error("`{0}` holds no models: put them at <name>/<version>/model.onnx below it")]
    NoModels(std::path::PathBuf),
    /// The default model does not exist.
    #[error("the default model: {0}")]
    DefaultModel(buckler_runtime::NotServed),
    /// The keys cannot be used.
    #[error(transparent)]
    Keys(#[from] KeysError),
    /// The metrics cannot be recorded.
    #[error("the metrics are not possible: {0}")]
    Metrics(#[from] metrics_exporter_prometheus::BuildError),
    /// The socket failed.
    #[error("the server's socket failed: {0}")]
    Socket(#[from] std::io::Error),
    /// A thread of the server panicked while loading.
    #[error("loading the models failed: {0}")]
    Load(#[from] tokio::task::JoinError),
}

/// Loads the models and serves them on `listener` until `shutdown` is ready; requests under way are then finished,
/// within their own deadline.
///
/// # Errors
/// When there are no models, when there is no ONNX Runtime, or when the socket fails.
pub async fn run(
    listener: TcpListener,
    mut config: Config,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> Result<(), ServerError> {
    config.check()?;
    let certificate = config.tls.as_ref().map(Certificate::read).transpose()?;
    let scheme = if certificate.is_some() {
        "https"
    } else {
        "http"
    };
    let address = listener.local_addr()?;
    config.exposed |= !address.ip().to_canonical().is_loopback();
    let app = tokio::task::spawn_blocking(|| App::load(config)).await??;
    tracing::info!("listening on {scheme}://{address}");
    serving::serve(listener, app, certificate, shutdown).await
}
