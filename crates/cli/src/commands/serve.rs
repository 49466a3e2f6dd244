use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use buckler_server::Config;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;

use crate::output::Output;

/// Serve a folder of models over HTTP
///
/// The folder holds NAME/VERSION/model.onnx; of several versions the highest is served.
#[derive(clap::Args)]
#[command(
    after_help = "Example:\n  buckler serve --models models --bind 127.0.0.1:8080\n  curl -F image=@seven.png 'http://127.0.0.1:8080/attack?eps=0.3'"
)]
pub struct Args {
    /// Folder of models
    #[arg(long, env = "BUCKLER_MODELS", default_value = "models")]
    models: PathBuf,
    /// Address to listen on
    #[arg(long, env = "BUCKLER_BIND", default_value = "127.0.0.1:8080")]
    bind: SocketAddr,
    /// Model that requests without one get [default: the first by name]
    #[arg(long, env = "BUCKLER_DEFAULT_MODEL")]
    default_model: Option<String>,
}

pub fn run(args: &Args, _: Output) -> Result<()> {
    serve(
        &Runtime::new()?,
        &args.models,
        args.bind,
        args.default_model.as_deref(),
    )
}

/// Serves until Ctrl-C or SIGTERM.
pub fn serve(
    runtime: &Runtime,
    models: &Path,
    address: SocketAddr,
    default_model: Option<&str>,
) -> Result<()> {
    ensure!(
        models.is_dir(),
        "{} is no folder: give one with NAME/VERSION/model.onnx in it with --models, or make one with `buckler demo` or `buckler export`",
        models.display()
    );
    runtime.block_on(async {
        let listener = TcpListener::bind(address)
            .await
            .with_context(|| format!("cannot listen on {address}: choose another with --bind"))?;
        let config = Config {
            default_model: default_model.map(str::to_owned),
            ..Config::new(models)
        };
        buckler_server::run(listener, config, stop()).await?;
        Ok(())
    })
}

/// Resolves when the process is asked to stop.
async fn stop() {
    let interrupted = tokio::signal::ctrl_c();
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        let Ok(mut terminated) = signal(SignalKind::terminate()) else {
            let _ = interrupted.await;
            return;
        };
        tokio::select! {
            _ = interrupted => {}
            _ = terminated.recv() => {}
        }
    }
    #[cfg(not(unix))]
    {
        let _ = interrupted.await;
    }
}
