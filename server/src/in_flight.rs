//! The requests that clients have under way: how many, how much memory their bodies take, and for how long without progress.
//!
//! A request *arrives* from its head on, is *worked* on once its body is there, and its answer is then *sent*. Only what is worked on
//! takes one of the places among all requests: a client that sends nothing takes none. Who is too slow while it sends or takes what
//! is sent is given up after a while, and much sooner where others need the room.
mod answer;
mod full;
mod held;
mod table;

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::{Duration, Instant},
};

use axum::{
    body::HttpBody,
    extract::{Request, State},
    middleware::Next,
    response::{IntoResponse, Response},
};

use self::table::Table;
pub(crate) use self::{full::Full, held::Held, table::Share};
use crate::{
    app::App,
    connections::{Connection, Cut},
    error::ApiError,
};

/// Who has fallen behind by less than that is not given up for others.
const STILL: Duration = Duration::from_secs(1);

/// How often what is overdue is looked for.
const SWEEP: Duration = Duration::from_millis(250);

/// What clients may have under way.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// Requests that are worked on.
    pub requests: usize,
    /// Requests in all, with those that arrive or are answered.
    pub waiting: usize,
    /// Bytes of bodies in all.
    pub bytes: usize,
    /// Bytes of the bodies of one connection.
    pub connection_bytes: usize,
    /// How far a client may fall behind.
    pub stall: Duration,
    /// Bytes per second at which a client that is just in time sends or reads.
    pub rate: u32,
}

impl Limits {
    /// The time that so many bytes may take.
    fn time(&self, bytes: usize) -> Duration {
        Duration::from_secs_f64(bytes as f64 / f64::from(self.rate))
    }
}

/// All requests of a server.
pub(crate) struct InFlight {
    pub limits: Limits,
    table: Mutex<Table>,
}

impl InFlight {
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            table: Mutex::default(),
        }
    }

    /// Takes note of a request, which is refused where there is no room for it, unless it is `exempt`.
    fn begin(self: &Arc<Self>, connection: Arc<Connection>, exempt: bool) -> Arc<Held> {
        let mut table = self.table();
        let refused = match exempt {
            true => None,
            false => table.admit(&connection, &self.limits).err(),
        };
        Arc::new(Held::new(self, connection, refused, &mut table))
    }

    /// Closes the connection of the client that has fallen behind most, if one has.
    pub fn cut_a_connection(&self) {
        self.table().cut_the_slowest(Instant::now(), &self.limits);
    }

    /// Gives up what is overdue.
    fn sweep(&self) {
        self.table().sweep(Instant::now());
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Takes note of every request from its head to the last byte of its answer.
pub(crate) async fn hold(
    State(app): State<Arc<App>>,
    mut request: Request,
    next: Next,
) -> Response {
    let Some(connection) = request.extensions().get::<Arc<Connection>>().cloned() else {
        return ApiError::Internal("a request without a connection".to_owned()).into_response();
    };
    connection.begin(request.version());
    // What tells how the server fares must be answered above all when it is busy.
    let exempt = matches!(
        request.uri().path(),
        "/health" | "/metrics" | "/v2/health/live" | "/v2/health/ready"
    );
    let held = app.in_flight.begin(connection, exempt);
    request.extensions_mut().insert(Arc::clone(&held));
    answer::held(held, next.run(request).await)
}

/// Answers a request for which there is no room, inside the layers that every answer passes. One with a body may still prove to need none.
pub(crate) async fn refuse(request: Request, next: Next) -> Result<Response, ApiError> {
    let held = request.extensions().get::<Arc<Held>>();
    match held.and_then(|held| held.refused()) {
        Some(full) if request.body().is_end_stream() => Err(full.clone().into()),
        _ => Ok(next.run(request).await),
    }
}

/// Gives up what clients hold too long, for as long as the server is there.
pub(crate) async fn sweep(app: Weak<App>) {
    loop {
        tokio::time::sleep(SWEEP).await;
        let Some(app) = app.upgrade() else { return };
        app.connections.sweep();
        app.in_flight.sweep();
    }
}
