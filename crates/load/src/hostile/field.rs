//! What hostile clients hold, and for how long.
use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use serde::{Deserialize, Serialize};
use tokio::{
    net::{TcpSocket, TcpStream},
    sync::watch,
    time::{Instant, sleep, timeout},
};

/// What became of connections, or streams, that clients held.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Held {
    /// Those that were opened, again after the server closed one.
    pub opened: u64,
    /// The most at once.
    pub most: u64,
    /// Attempts that led to no connection.
    pub refused: u64,
    /// Those that the server ended.
    pub ended: u64,
    /// Those that it did not end within the limit.
    pub outlived: u64,
    /// How long the one was held that was held longest.
    pub longest_seconds: f64,
    /// The answers that the server gave them, by status, as far as they were read.
    pub statuses: BTreeMap<u16, u64>,
}

/// An attack in progress.
pub(super) struct Field {
    address: SocketAddr,
    /// How long the server may let something be held.
    pub limit: Duration,
    pub connections: Ledger,
    pub streams: Ledger,
    over: watch::Sender<bool>,
}

/// Counts what is held.
#[derive(Default)]
pub(super) struct Ledger(Mutex<Entries>);

#[derive(Default)]
struct Entries {
    now: u64,
    held: Held,
}

/// One connection or stream, from its opening until it is dropped.
pub(super) struct Hold<'a> {
    ledger: &'a Ledger,
    since: Instant,
    end: End,
}

enum End {
    /// The client let it go.
    LetGo,
    /// The server ended it.
    Ended,
    /// It outlived the limit.
    Outlived,
}

/// Before something is opened again.
const PAUSE: Duration = Duration::from_millis(500);

/// How long a connection may take to come about.
const CONNECT: Duration = Duration::from_secs(10);

impl Field {
    pub fn new(address: SocketAddr, limit: Duration) -> Self {
        Self {
            address,
            limit,
            connections: Ledger::default(),
            streams: Ledger::default(),
            over: watch::Sender::new(false),
        }
    }

    /// From now on nothing is opened; what is held stays.
    pub fn end(&self) {
        self.over.send_replace(true);
    }

    pub fn is_over(&self) -> bool {
        *self.over.borrow()
    }

    /// None when the attack is over before `future` is ready.
    pub async fn until_over<T>(&self, future: impl Future<Output = T>) -> Option<T> {
        let mut over = self.over.subscribe();
        tokio::select! {
            biased;
            _ = over.wait_for(|over| *over) => None,
            value = future => Some(value),
        }
    }

    /// Between two attempts.
    pub async fn pause(&self) {
        self.until_over(sleep(PAUSE)).await;
    }

    /// A new connection, with a buffer of so many bytes for what comes.
    pub async fn connect(&self, receive_buffer: Option<u32>) -> Option<TcpStream> {
        let connect = async {
            let socket = match self.address {
                SocketAddr::V4(_) => TcpSocket::new_v4()?,
                SocketAddr::V6(_) => TcpSocket::new_v6()?,
            };
            if let Some(bytes) = receive_buffer {
                socket.set_recv_buffer_size(bytes)?;
            }
            socket.connect(self.address).await
        };
        let connected = self.until_over(timeout(CONNECT, connect)).await?;
        let stream = connected.ok().and_then(Result::ok);
        if stream.is_none() {
            self.connections.entries().held.refused += 1;
        }
        stream
    }
}

impl Ledger {
    pub fn open(&self) -> Hold<'_> {
        let mut entries = self.entries();
        entries.now += 1;
        entries.held.opened += 1;
        entries.held.most = entries.held.most.max(entries.now);
        Hold {
            ledger: self,
            since: Instant::now(),
            end: End::LetGo,
        }
    }

    /// Holds something until the server ends it, which is when `end` is ready, or until the limit.
    pub async fn hold(&self, limit: Duration, end: impl Future<Output = ()>) {
        let hold = self.open();
        match timeout(limit, end).await {
            Ok(()) => hold.ended(),
            Err(_) => hold.outlived(),
        }
    }

    pub fn answered(&self, status: u16) {
        *self.entries().held.statuses.entry(status).or_default() += 1;
    }

    pub fn held(&self) -> Held {
        self.entries().held.clone()
    }

    fn entries(&self) -> MutexGuard<'_, Entries> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Hold<'_> {
    pub fn ended(mut self) {
        self.end = End::Ended;
    }

    pub fn outlived(mut self) {
        self.end = End::Outlived;
    }
}

impl Drop for Hold<'_> {
    fn drop(&mut self) {
        let mut entries = self.ledger.entries();
        entries.now -= 1;
        let held = &mut entries.held;
        match self.end {
            End::LetGo => {}
            End::Ended => held.ended += 1,
            End::Outlived => held.outlived += 1,
        }
        held.longest_seconds = held.longest_seconds.max(self.since.elapsed().as_secs_f64());
    }
}
