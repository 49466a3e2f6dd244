//! The connections that clients hold: how many, and for how long without a request.
mod accept;
mod stream;

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use axum::http::Version;
use futures::task::AtomicWaker;

pub(crate) use self::accept::Acceptor;
use crate::metrics::Metrics;

/// A connection without a request is younger than that while its first head is on its way.
const ARRIVING: Duration = Duration::from_millis(500);

/// How long a client may keep a connection without a request.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Patience {
    /// From the first byte of a head to its last; from the start for the first one.
    pub header: Duration,
    /// Between two requests.
    pub idle: Duration,
}

/// Why the server closes a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cut {
    /// Its head did not come in time.
    Header,
    /// It was not used.
    Idle,
    /// Its answers were not taken.
    Stalled,
    /// It makes room for others, who are more in number than may be.
    Crowded,
}

impl Cut {
    pub const ALL: [Self; 4] = [Self::Header, Self::Idle, Self::Stalled, Self::Crowded];

    pub fn name(self) -> &'static str {
        match self {
            Self::Header => "header_timeout",
            Self::Idle => "idle",
            Self::Stalled => "stalled",
            Self::Crowded => "crowded",
        }
    }
}

/// All connections of a server.
pub(crate) struct Connections {
    limit: usize,
    patience: Patience,
    metrics: Arc<Metrics>,
    open: Mutex<Open>,
}

#[derive(Default)]
struct Open {
    next: u64,
    all: HashMap<u64, Arc<Connection>>,
}

/// One connection.
pub(crate) struct Connection {
    cut: AtomicBool,
    task: AtomicWaker,
    /// Requests whose answers are not all sent.
    requests: AtomicUsize,
    use_: Mutex<Use>,
    /// What the bodies of its requests take.
    bytes: AtomicUsize,
    metrics: Arc<Metrics>,
}

/// What a connection is used for.
struct Use {
    /// When it was accepted, or the last request ended.
    since: Instant,
    /// When the first byte of the next head came.
    heard: Option<Instant>,
    /// That of its requests, once there was one.
    version: Option<Version>,
}

/// A connection's entry among all. Dropping it removes the entry.
pub(crate) struct Place {
    id: u64,
    connections: Arc<Connections>,
    connection: Arc<Connection>,
}

impl Connections {
    pub fn new(limit: usize, patience: Patience, metrics: Arc<Metrics>) -> Self {
        Self {
            limit,
            patience,
            metrics,
            open: Mutex::default(),
        }
    }

    /// A place for a new connection. Where there is none, one that waits for a request is closed: the oldest that never sent one, else
    /// the one whose last was longest ago.
    pub fn enter(self: &Arc<Self>) -> Option<Place> {
        let mut open = self.open();
        let staying = |open: &Open| open.all.values().filter(|one| !one.is_cut()).count();
        if open.all.len() >= self.limit && staying(&open) >= self.limit {
            let now = Instant::now();
            let longest = open
                .all
                .values()
                .filter_map(|one| Some((one.rank(now)?, one)))
                .max_by_key(|(rank, _)| *rank);
            longest?.1.cut(Cut::Crowded);
        }
        let id = open.next;
        open.next += 1;
        let connection = Arc::new(Connection::new(Arc::clone(&self.metrics)));
        open.all.insert(id, Arc::clone(&connection));
        self.metrics.connections(open.all.len());
        Some(Place {
            id,
            connections: Arc::clone(self),
            connection,
        })
    }

    /// Closes what was held too long without a request.
    pub fn sweep(&self) {
        let now = Instant::now();
        for connection in self.open().all.values() {
            if let Some(cut) = connection.overdue(now, &self.patience) {
                connection.cut(cut);
            }
        }
    }

    fn open(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Connection {
    pub fn new(metrics: Arc<Metrics>) -> Self {
        Self {
            cut: AtomicBool::new(false),
            task: AtomicWaker::new(),
            requests: AtomicUsize::new(0),
            use_: Mutex::new(Use {
                since: Instant::now(),
                heard: None,
                version: None,
            }),
            bytes: AtomicUsize::new(0),
            metrics,
        }
    }

    /// A head has come.
    pub fn begin(&self, version: Version) {
        let mut use_ = self.use_();
        self.requests.fetch_add(1, Ordering::Relaxed);
        use_.heard = None;
        use_.version = Some(version);
    }

    /// The last byte of an answer is sent, or nobody waits for it any more.
    pub fn end(&self) {
        let mut use_ = self.use_();
        if self.requests.fetch_sub(1, Ordering::Relaxed) == 1 {
            use_.since = Instant::now();
        }
    }

    /// Requests whose answers are not all sent.
    pub fn requests(&self) -> usize {
        self.requests.load(Ordering::Relaxed)
    }

    pub fn bytes(&self) -> usize {
        self.bytes.load(Ordering::Relaxed)
    }

    pub fn take_bytes(&self, bytes: usize) {
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    pub fn release_bytes(&self, bytes: usize) {
        self.bytes.fetch_sub(bytes, Ordering::Relaxed);
    }

    /// Has the connection closed by the task that serves it.
    pub fn cut(&self, cut: Cut) {
        if !self.cut.swap(true, Ordering::AcqRel) {
            self.metrics.cut(cut);
            tracing::debug!(reason = cut.name(), "a connection is closed");
            self.task.wake();
        }
    }

    fn is_cut(&self) -> bool {
        self.cut.load(Ordering::Acquire)
    }

    /// Bytes have come.
    fn heard(&self) {
        if self.requests() == 0 {
            self.use_().heard.get_or_insert_with(Instant::now);
        }
    }

    /// How readily it makes room for others; not at all while it has a request.
    fn rank(&self, now: Instant) -> Option<(bool, Duration)> {
        let use_ = self.use_();
        let idle = now.saturating_duration_since(use_.since);
        let never = use_.version.is_none() && idle > ARRIVING;
        (self.requests() == 0 && !self.is_cut()).then_some((never, idle))
    }

    fn overdue(&self, now: Instant, patience: &Patience) -> Option<Cut> {
        if self.requests() > 0 {
            return None;
        }
        let use_ = self.use_();
        let head = match use_.version {
            None => Some(use_.since),
            // Between two requests its frames need not be a head's: it may answer pings.
            Some(Version::HTTP_2) => None,
            Some(_) => use_.heard,
        };
        let over = |since, limit| now.saturating_duration_since(since) > limit;
        match head {
            Some(since) => over(since, patience.header).then_some(Cut::Header),
            None => over(use_.since, patience.idle).then_some(Cut::Idle),
        }
    }

    fn use_(&self) -> MutexGuard<'_, Use> {
        self.use_.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut open = self.connections.open();
        open.all.remove(&self.id);
        self.connections.metrics.connections(open.all.len());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Patience = Patience {
        header: Duration::from_secs(10),
        idle: Duration::from_secs(60),
    };

    fn connections(limit: usize) -> Arc<Connections> {
        let metrics = Arc::new(Metrics::new().unwrap());
        Arc::new(Connections::new(limit, PATIENCE, metrics))
    }

    fn aged(connection: &Connection, seconds: u64) {
        connection.use_().since -= Duration::from_secs(seconds);
    }

    #[test]
    fn the_first_head_is_waited_for_from_the_start_and_later_ones_from_their_first_byte() {
        let connections = connections(9);
        let place = connections.enter().unwrap();
        let connection = &place.connection;
        let at =
            |seconds| connection.overdue(Instant::now() + Duration::from_secs(seconds), &PATIENCE);
        assert_eq!((at(9), at(11)), (None, Some(Cut::Header)));
        connection.begin(Version::HTTP_11);
        assert_eq!(at(1000), None);
        connection.end();
        assert_eq!((at(59), at(61)), (None, Some(Cut::Idle)));
        connection.heard();
        assert_eq!((at(9), at(11)), (None, Some(Cut::Header)));
        connection.begin(Version::HTTP_2);
        connection.end();
        connection.heard();
        assert_eq!((at(59), at(61)), (None, Some(Cut::Idle)));
    }

    #[test]
    fn who_never_asked_makes_room_first_then_who_asked_longest_ago_and_never_who_waits() {
        let connections = connections(3);
        let [busy, old, silent] = [(); 3].map(|()| connections.enter().unwrap());
        for place in [&busy, &old] {
            place.connection.begin(Version::HTTP_11);
        }
        old.connection.end();
        aged(&old.connection, 50);
        aged(&silent.connection, 1);
        let cut = || [&busy, &old, &silent].map(|place| place.connection.is_cut());
        let first = connections.enter().unwrap();
        assert_eq!(cut(), [false, false, true]);
        let second = connections.enter().unwrap();
        assert_eq!(cut(), [false, true, true]);
        for place in [&first, &second] {
            place.connection.begin(Version::HTTP_11);
        }
        assert!(connections.enter().is_none());
        drop(second);
        assert!(connections.enter().is_some());
        assert!(!busy.connection.is_cut());
    }
}
