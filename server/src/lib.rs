//! The HTTP server: `POST /predict`, `POST /attack`, `POST /certify`, `GET /models`, `GET /attacks`, `GET /health`, a page at
//! `GET /`, and the API's document at `GET /openapi.json`, to be read at `GET /docs`.
//!
//! # Requests
//! Images come as `multipart/form-data` (parts named `image`), as the raw body of one image, or as JSON
//! (`{"image": "<base64 or data URI>"}` or `{"images": [...]}`, with `Content-Type: application/json`). Parameters have
//! the same names in the query string, as multipart fields and as JSON members: `model` for both endpoints, and
//! `attack`, `norm`, `eps`, `steps`, `step_size`, `restarts`, `objective`, `variants`, `seed`, `target`, `label` and
//! `return` for `/attack`. `target` and `label` take a class's name or number; `return=image` adds the adversarial image as a PNG.
//!
//! # Answers
//! `/predict` answers `{"model", "version", "sha256", "predictions": [...], "assumptions": [...]}` with one prediction per
//! image. `/attack` answers with one object for one image, and with `{"results": [...]}` for several: the attack's report
//! with `model`, `version`, `sha256`, `assumptions`, `seconds` (of the request), `cost` (gradient evaluations for this
//! image) and, if asked for, `clean_png` and `adversarial_png` (data URIs; the latter null when nothing was found). A valid request is
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
mod caller;
mod config;
mod error;
mod openapi;
mod page;
mod request;
mod router;
mod routes;

use tokio::net::TcpListener;

pub use config::Config;

use app::App;

/// Why the server did not start or stopped.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// The models' directory cannot be read, or there is no ONNX Runtime.
    #[error(transparent)]
    Runtime(#[from] buckler_runtime::RuntimeError),
    /// There is nothing to serve.
    #[error("`{0}` holds no models: put them at <name>/<version>/model.onnx below it")]
    NoModels(std::path::PathBuf),
    /// The default model does not exist.
    #[error("the default model: {0}")]
    DefaultModel(buckler_runtime::NotServed),
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
    config: Config,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> Result<(), ServerError> {
    let app = tokio::task::spawn_blocking(|| App::load(config)).await??;
    if let Ok(address) = listener.local_addr() {
        tracing::info!("listening on http://{address}");
    }
    axum::serve(listener, router::router(app))
        .with_graceful_shutdown(shutdown)
        .await?;
    Ok(())
}
