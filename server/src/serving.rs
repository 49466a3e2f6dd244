//! The server's life: it listens, looks for changes, and ends.
use std::{
    io,
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError, atomic::Ordering},
    time::{Duration, Instant},
};

use axum_server::{Address, Handle, Server, accept::DefaultAcceptor, tls_rustls::RustlsAcceptor};
use tokio::net::TcpListener;

use crate::{
    ServerError,
    app::{self, App},
    connections::Acceptor,
    in_flight, router,
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
        tokio::spawn(in_flight::sweep(Arc::downgrade(&app))),
    ];
    let server = limited(
        axum_server::from_tcp(listener.into_std()?)?,
        app.config.max_streams,
    );
    let server = server.handle(handle);
    let acceptor = Acceptor(Arc::clone(&app));
    let served = match certificate {
        None => server.acceptor(acceptor).serve(service).await,
        Some(certificate) => {
            let tls = RustlsAcceptor::new(certificate.for_connections())
                .handshake_timeout(app.config.header_timeout);
            server.acceptor(tls.acceptor(acceptor)).serve(service).await
        }
    };
    for task in tasks {
        task.abort();
    }
    Ok(served?)
}

/// Bytes of a head, and of what HTTP/1 keeps to be written.
const HEAD: usize = 64 << 10;

/// Bytes that HTTP/2 takes in before they are asked for: of one stream, and of a connection.
const WINDOWS: [u32; 2] = [256 << 10, 1 << 20];

/// A client that does not answer a ping of HTTP/2 is gone. Seconds.
const PING: u64 = 20;

/// What one connection may hold.
fn limited(
    mut server: Server<SocketAddr, DefaultAcceptor>,
    streams: u32,
) -> Server<SocketAddr, DefaultAcceptor> {
    let [stream, connection] = WINDOWS;
    let ping = Duration::from_secs(PING);
    let builder = server.http_builder();
    // The time for a head and that without a request are other ones, which hyper does not tell apart.
    builder.http1().header_read_timeout(None).max_buf_size(HEAD);
    builder
        .http2()
        .max_concurrent_streams(streams)
        .initial_stream_window_size(stream)
        .initial_connection_window_size(connection)
        .keep_alive_interval(ping)
        .keep_alive_timeout(ping);
    server.accept_error_handler(not_accepted())
}

/// How often the log tells that connections could not be accepted.
const TOLD: Duration = Duration::from_secs(10);

/// Tells of connections that could not be accepted, which a client could else fill the log with.
fn not_accepted() -> impl Fn(Option<&SocketAddr>, &io::Error) + Send + Sync {
    let told = Mutex::new((None::<Instant>, 0_u64));
    move |client, error| {
        let mut told = told.lock().unwrap_or_else(PoisonError::into_inner);
        let (last, failed) = &mut *told;
        *failed += 1;
        if last.is_none_or(|last| last.elapsed() > TOLD) {
            let client = client.map(ToString::to_string);
            tracing::warn!(%error, failed, client, "connections could not be accepted");
            (*last, *failed) = (Some(Instant::now()), 0);
        }
    }
}

/// First says that it is not ready, then takes no more connections, then has attacks answered as they stand, and last cuts what
/// is still under way.
async fn stop<A: Address>(app: Arc<App>, handle: Handle<A>, shutdown: impl Future<Output = ()>) {
    shutdown.await;
    let (drain, grace) = (app.config.drain, app.config.grace);
    tracing::info!(?drain, ?grace, "stopping");
    app.stopping.store(true, Ordering::Relaxed);
    tokio::time::sleep(drain).await;
    app.closing.store(true, Ordering::Relaxed);
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
