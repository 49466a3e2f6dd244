//! The server's life: it listens, looks for changes, and ends.
use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use axum_server::{AddrListener, Address, Handle, Server};
use tokio::net::TcpListener;

use crate::{
    ServerError,
    app::{self, App},
    router,
    tls::Certificate,
};

/// The part of the grace that is left when attacks under way are told to end.
const RESERVE: u32 = 5;

/// Serves until `shutdown` is ready, then ends as [`Config::drain`](crate::Config::drain) and
/// [`Config::grace`](crate::Config::grace) say.
pub(crate) async fn serve(
    listener: TcpListener,
    app: Arc<App>,
    certificate: Option<Certificate>,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> Result<(), ServerError> {
    let handle = Handle::new();
    let service = router::router(Arc::clone(&app)).into_make_service();
    let tasks = [
        tokio::spawn(stop(Arc::clone(&app), handle.clone(), shutdown)),
        tokio::spawn(watch(Arc::clone(&app), certificate.clone())),
        tokio::spawn(app::keep_up(Arc::downgrade(&app))),
    ];
    let limit = app.config.header_timeout;
    let listener = listener.into_std()?;
    let served = match certificate {
        None => {
            let server = axum_server::from_tcp(listener)?;
            limited(server, limit).handle(handle).serve(service).await
        }
        Some(certificate) => {
            let server = axum_server::from_tcp_rustls(listener, certificate.for_connections())?;
            limited(server, limit).handle(handle).serve(service).await
        }
    };
    for task in tasks {
        task.abort();
    }
    Ok(served?)
}

/// A client that sends its head slowly, or never, does not hold a connection for ever.
fn limited<A: Address, Acceptor>(
    mut server: Server<A, Acceptor>,
    limit: Duration,
) -> Server<A, Acceptor>
where
    A::Listener: AddrListener<A::Stream, A>,
{
    server.http_builder().http1().header_read_timeout(limit);
    server.first_request_timeout(limit)
}

/// First says that it is not ready, then takes no more connections, then has attacks answered as they stand, and last cuts what
/// is still under way.
async fn stop<A: Address>(app: Arc<App>, handle: Handle<A>, shutdown: impl Future<Output = ()>) {
    shutdown.await;
    let (drain, grace) = (app.config.drain, app.config.grace);
    tracing::info!(?drain, ?grace, "stopping");
    app.stopping.store(true, Ordering::Relaxed);
    tokio::time::sleep(drain).await;
    handle.graceful_shutdown(Some(grace));
    tokio::time::sleep(grace - grace / RESERVE).await;
    app.hurry.store(true, Ordering::Relaxed);
}

/// Follows what changes on disk.
async fn watch(app: Arc<App>, mut certificate: Option<Certificate>) {
    let interval = app.config.reload_interval;
    if interval.is_zero() {
        return;
    }
    loop {
        tokio::time::sleep(interval).await;
        let looking = Arc::clone(&app);
        let looked = tokio::task::spawn_blocking(move || looking.repository.refresh()).await;
        match looked {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(%error, "the models' directory cannot be read"),
            Err(error) => tracing::error!(%error, "a look at the models' directory failed"),
        }
        if let Some(certificate) = &mut certificate {
            certificate.refresh();
        }
    }
}
