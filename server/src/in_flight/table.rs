use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

use super::{Connection, Cut, Full, Limits, STILL, held::GivenUp};

/// What a key may have under way.
#[derive(Clone, Debug)]
pub(crate) struct Share {
    pub key: Arc<str>,
    pub requests: usize,
    pub bytes: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// Nobody waits for the client.
    Work,
    Arrive,
    Send,
}

pub(super) struct Entry {
    given_up: Arc<GivenUp>,
    connection: Arc<Connection>,
    phase: Phase,
    /// The last progress of the client.
    since: Instant,
    /// When it will have fallen too far behind.
    due: Instant,
    bytes: usize,
    /// Whether it has a place among the requests that are worked on.
    placed: bool,
    /// Whether it counts among those that there may be; not if it is refused or given up, and answered at once.
    counted: bool,
    key: Option<Arc<str>>,
}

#[derive(Default)]
struct Used {
    requests: usize,
    bytes: usize,
}

#[derive(Default)]
pub(super) struct Table {
    next: u64,
    entries: HashMap<u64, Entry>,
    /// Entries that count.
    counted: usize,
    used: Used,
    keys: HashMap<Arc<str>, Used>,
}

impl Entry {
    /// How far the client has fallen behind, if it is waited for: a body by what should have come of it, an answer by how long nothing of
    /// it was taken.
    fn behind(&self, now: Instant, limits: &Limits) -> Option<Duration> {
        match self.phase {
            Phase::Work => None,
            Phase::Arrive => Some((now + limits.stall).saturating_duration_since(self.due)),
            Phase::Send => Some(now.saturating_duration_since(self.since)),
        }
    }
}

impl Table {
    /// Makes room for a further request of a connection.
    pub fn admit(&mut self, connection: &Connection, limits: &Limits) -> Result<(), Full> {
        let now = Instant::now();
        let (made, full) = if self.counted >= limits.waiting {
            let made = self.make_room(now, limits, connection.requests(), Connection::requests);
            (made, Full::Requests(limits.requests))
        } else if self.used.bytes >= limits.bytes {
            let made = self.make_room(now, limits, connection.bytes(), Connection::bytes);
            (made, Full::Bytes(limits.bytes))
        } else {
            return Ok(());
        };
        made.then_some(()).ok_or(full)
    }

    /// Gives up a request that waits for its client: one of the connection that holds most, if that is more than the `own` of whoever needs
    /// the room, or else the one that has fallen behind most. `false` if there is none.
    fn make_room(
        &mut self,
        now: Instant,
        limits: &Limits,
        own: usize,
        held: fn(&Connection) -> usize,
    ) -> bool {
        let waiting = self.entries.iter().filter(|(_, entry)| entry.counted);
        let most = waiting
            .filter_map(|(id, entry)| Some((*id, entry, entry.behind(now, limits)?)))
            .max_by_key(|(_, entry, behind)| (held(&entry.connection), *behind));
        let greedy = most.filter(|(_, entry, _)| held(&entry.connection) > own);
        let id = greedy.map(|(id, ..)| id);
        let id = id.or_else(|| self.slowest(now, limits));
        if let Some(id) = id {
            self.give_up(id, Cut::Crowded);
        }
        id.is_some()
    }

    pub fn insert(
        &mut self,
        connection: Arc<Connection>,
        given_up: Arc<GivenUp>,
        counted: bool,
    ) -> u64 {
        self.counted += usize::from(counted);
        let id = self.next;
        self.next += 1;
        let now = Instant::now();
        self.entries.insert(
            id,
            Entry {
                given_up,
                connection,
                phase: Phase::Work,
                since: now,
                due: now,
                bytes: 0,
                placed: false,
                counted,
                key: None,
            },
        );
        id
    }

    pub fn remove(&mut self, id: u64) {
        self.release(id);
        let entry = self.entries.remove(&id);
        self.counted -= usize::from(entry.is_some_and(|entry| entry.counted));
    }

    /// Takes back whatever a request was given.
    fn release(&mut self, id: u64) {
        let Some(entry) = self.entries.get_mut(&id) else {
            return;
        };
        let bytes = std::mem::take(&mut entry.bytes);
        let requests = usize::from(std::mem::take(&mut entry.placed));
        let key = entry.key.take();
        entry.connection.release_bytes(bytes);
        self.used.bytes = self.used.bytes.saturating_sub(bytes);
        self.used.requests = self.used.requests.saturating_sub(requests);
        let Some(key) = key else { return };
        if let Some(used) = self.keys.get_mut(&key) {
            used.bytes = used.bytes.saturating_sub(bytes);
            used.requests = used.requests.saturating_sub(requests);
        }
    }

    pub fn arrive(&mut self, id: u64, limits: &Limits) {
        let now = Instant::now();
        if let Some(entry) = self.entries.get_mut(&id) {
            entry.phase = Phase::Arrive;
            entry.since = now;
            entry.due = now + limits.stall;
        }
    }

    /// So many bytes of a body have come, and some of them are kept.
    pub fn arrived(
        &mut self,
        id: u64,
        (came, kept): (usize, usize),
        share: Option<&Share>,
        limits: &Limits,
    ) -> Result<(), Full> {
        let now = Instant::now();
        let Some(entry) = self.entries.get_mut(&id) else {
            return Ok(());
        };
        entry.since = now;
        // Who sends fast does not earn a long pause by it.
        entry.due = (entry.due + limits.time(came)).min(now + limits.stall);
        if entry.connection.bytes() + kept > limits.connection_bytes {
            return Err(Full::ConnectionBytes(limits.connection_bytes));
        }
        if let Some(Share { key, bytes, .. }) = share {
            let used = self.keys.get(key).map_or(0, |used| used.bytes);
            if used + kept > *bytes {
                return Err(Full::KeyBytes {
                    key: Arc::clone(key),
                    limit: *bytes,
                });
            }
        }
        while self.used.bytes + kept > limits.bytes {
            let own = self
                .entries
                .get(&id)
                .map_or(0, |entry| entry.connection.bytes());
            if !self.make_room(now, limits, own + kept, Connection::bytes) {
                return Err(Full::Bytes(limits.bytes));
            }
        }
        self.take(id, share, 0, kept);
        Ok(())
    }

    /// The body is there: a place among the requests that are worked on.
    pub fn work(&mut self, id: u64, share: Option<&Share>, limits: &Limits) -> Result<(), Full> {
        if let Some(entry) = self.entries.get_mut(&id) {
            entry.phase = Phase::Work;
        }
        if let Some(Share { key, requests, .. }) = share {
            let used = self.keys.get(key).map_or(0, |used| used.requests);
            if used >= *requests {
                return Err(Full::KeyRequests {
                    key: Arc::clone(key),
                    limit: *requests,
                });
            }
        }
        if self.used.requests >= limits.requests {
            return Err(Full::Requests(limits.requests));
        }
        self.take(id, share, 1, 0);
        Ok(())
    }

    fn take(&mut self, id: u64, share: Option<&Share>, requests: usize, bytes: usize) {
        let Some(entry) = self.entries.get_mut(&id) else {
            return;
        };
        entry.bytes += bytes;
        entry.placed |= requests > 0;
        entry.connection.take_bytes(bytes);
        self.used.bytes += bytes;
        self.used.requests += requests;
        if let Some(Share { key, .. }) = share {
            entry.key = Some(Arc::clone(key));
            let used = self.keys.entry(Arc::clone(key)).or_default();
            used.bytes += bytes;
            used.requests += requests;
        }
    }

    /// An answer is there. Its bytes are counted and never too many: they exist already. Where it is not known how many there will be,
    /// the work goes on meanwhile.
    pub fn send(&mut self, id: u64, bytes: Option<usize>, limits: &Limits) {
        if let Some(bytes) = bytes {
            self.release(id);
            self.take(id, None, 0, bytes);
        }
        if let Some(entry) = self.entries.get_mut(&id) {
            entry.phase = Phase::Send;
            entry.since = Instant::now();
            entry.due = entry.since + limits.stall;
        }
    }

    /// The client took what was sent before, and so many bytes are sent next.
    pub fn sent(&mut self, id: u64, bytes: usize, limits: &Limits) {
        if let Some(entry) = self.entries.get_mut(&id) {
            entry.phase = Phase::Send;
            entry.since = Instant::now();
            entry.due = entry.since + limits.stall + limits.time(bytes);
        }
    }

    /// There is nothing to send yet.
    pub fn wait(&mut self, id: u64) {
        if let Some(entry) = self.entries.get_mut(&id) {
            entry.phase = Phase::Work;
        }
    }

    pub fn sweep(&mut self, now: Instant) {
        let overdue = self.entries.iter();
        let overdue: Vec<u64> = overdue
            .filter(|(_, entry)| entry.phase != Phase::Work && entry.due < now)
            .map(|(id, _)| *id)
            .collect();
        for id in overdue {
            self.give_up(id, Cut::Stalled);
        }
    }

    /// Closes the connection of the request that has fallen behind most.
    pub fn cut_the_slowest(&mut self, now: Instant, limits: &Limits) {
        if let Some(entry) = self
            .slowest(now, limits)
            .and_then(|id| self.entries.get(&id))
        {
            entry.connection.cut(Cut::Crowded);
        }
    }

    /// The request that has fallen behind most, if that is noticeable.
    fn slowest(&self, now: Instant, limits: &Limits) -> Option<u64> {
        let entries = self.entries.iter().filter(|(_, entry)| entry.counted);
        entries
            .filter_map(|(id, entry)| Some((entry.behind(now, limits)?, *id)))
            .filter(|(behind, _)| *behind >= STILL)
            .max()
            .map(|(_, id)| id)
    }

    pub fn is_arriving(&self, id: u64) -> bool {
        let entry = self.entries.get(&id);
        entry.is_some_and(|entry| entry.phase == Phase::Arrive)
    }

    /// Its memory is given to others at once: that it is freed is a matter of milliseconds.
    fn give_up(&mut self, id: u64, cut: Cut) {
        let Some(entry) = self.entries.get(&id) else {
            return;
        };
        let connection = Arc::clone(&entry.connection);
        let ended: Vec<u64> = match entry.phase {
            Phase::Work => return,
            Phase::Arrive => {
                entry.given_up.because(cut);
                vec![id]
            }
            Phase::Send => {
                connection.cut(cut);
                let with_it = self.entries.iter().filter(|(_, other)| {
                    other.phase == Phase::Send && Arc::ptr_eq(&other.connection, &connection)
                });
                with_it.map(|(id, _)| *id).collect()
            }
        };
        for id in ended {
            self.release(id);
            if let Some(entry) = self.entries.get_mut(&id) {
                self.counted -= usize::from(std::mem::take(&mut entry.counted));
                entry.phase = Phase::Work;
            }
        }
    }
}

#[cfg(test)]
mod tests;
