//! Small servers of HTTP/1.1 and HTTP/2 that let their clients hold things, or do not.
use std::{
    future::{Ready, ready},
    io,
    pin::Pin,
    task::{Context, Poll, ready as poll_ready},
    time::Duration,
};

use axum::{Router, body::Body, http::StatusCode, routing::get};
use axum_server::accept::Accept;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    task::JoinHandle,
    time::{Instant, Sleep, sleep, timeout},
};

/// Streams of each connection.
pub const STREAMS: usize = 10;

/// What clients may do.
#[derive(Clone, Copy)]
pub struct Limits {
    /// How long a connection may be without any byte.
    pub idle: Duration,
    /// How long a body may take.
    pub body: Duration,
    /// Whether HTTP/2 is spoken.
    pub http2: bool,
}

impl Limits {
    pub const STRICT: Self = Self {
        idle: Duration::from_millis(800),
        body: Duration::from_millis(300),
        http2: true,
    };

    pub const NONE: Self = Self {
        idle: Duration::from_secs(600),
        body: Duration::from_secs(600),
        http2: true,
    };

    /// Reads a body, or gives it up.
    pub async fn read(self, body: Body) -> StatusCode {
        match timeout(self.body, axum::body::to_bytes(body, 1 << 20)).await {
            Ok(Ok(_)) => StatusCode::OK,
            Ok(Err(_)) => StatusCode::BAD_REQUEST,
            Err(_) => StatusCode::REQUEST_TIMEOUT,
        }
    }

    /// Routes for all attacks, beside `/`.
    pub fn routes() -> Router {
        Router::new()
            .route("/v2/health/live", get(|| ready(())))
            .route("/metrics", get(|| ready("requests 1\n")))
            .route("/openapi.json", get(|| ready("x".repeat(300_000))))
    }

    /// Serves on a free port; answers with the address, and a task to be kept.
    pub fn serve(self, routes: Router) -> (String, Serving) {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let mut server = axum_server::from_tcp(listener).unwrap();
        let streams = u32::try_from(STREAMS).unwrap();
        let builder = server.http_builder();
        builder.http2().max_concurrent_streams(streams);
        if !self.http2 {
            server = server.http1_only();
        }
        let server = server.acceptor(Idle(self.idle));
        let serving = server.serve(routes.into_make_service());
        (url, Serving(tokio::spawn(serving)))
    }
}

pub struct Serving(JoinHandle<io::Result<()>>);

impl Drop for Serving {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Closes connections without bytes.
#[derive(Clone, Copy)]
struct Idle(Duration);

struct IdleStream<S> {
    inner: S,
    limit: Duration,
    over: Pin<Box<Sleep>>,
}

impl<S, T> Accept<S, T> for Idle {
    type Stream = IdleStream<S>;
    type Service = T;
    type Future = Ready<io::Result<(Self::Stream, T)>>;

    fn accept(&self, inner: S, service: T) -> Self::Future {
        let stream = IdleStream {
            inner,
            limit: self.0,
            over: Box::pin(sleep(self.0)),
        };
        ready(Ok((stream, service)))
    }
}

impl<S> IdleStream<S> {
    fn note<T>(
        &mut self,
        context: &mut Context<'_>,
        polled: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if polled.is_ready() {
            let over = Instant::now() + self.limit;
            self.over.as_mut().reset(over);
            return polled;
        }
        poll_ready!(self.over.as_mut().poll(context));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for IdleStream<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let polled = Pin::new(&mut self.inner).poll_read(context, buffer);
        self.note(context, polled)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for IdleStream<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.inner).poll_write(context, bytes);
        self.note(context, polled)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(context)
    }
}
