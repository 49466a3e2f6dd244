use std::sync::{Arc, OnceLock};

use tokio::sync::Notify;

use super::{Connection, Cut, Full, InFlight, Share, table::Table};

/// A request under way; a request extension. It ends with the last of its owners: those who work on it and the bytes of its answer.
pub(crate) struct Held {
    id: u64,
    in_flight: Arc<InFlight>,
    connection: Arc<Connection>,
    given_up: Arc<GivenUp>,
    refused: Option<Full>,
}

/// Whether a body is still waited for.
#[derive(Default)]
pub(super) struct GivenUp {
    cut: OnceLock<Cut>,
    wake: Notify,
}

impl GivenUp {
    pub fn because(&self, cut: Cut) {
        let _ = self.cut.set(cut);
        self.wake.notify_one();
    }

    pub fn cut(&self) -> Option<Cut> {
        self.cut.get().copied()
    }

    async fn reason(&self) -> Cut {
        loop {
            self.wake.notified().await;
            if let Some(cut) = self.cut() {
                return cut;
            }
        }
    }
}

impl Held {
    pub(super) fn new(
        in_flight: &Arc<InFlight>,
        connection: Arc<Connection>,
        refused: Option<Full>,
        table: &mut Table,
    ) -> Self {
        let given_up = Arc::new(GivenUp::default());
        Self {
            id: table.insert(
                Arc::clone(&connection),
                Arc::clone(&given_up),
                refused.is_none(),
            ),
            in_flight: Arc::clone(in_flight),
            connection,
            given_up,
            refused,
        }
    }

    /// Why there is no room for it to wait for its client.
    pub fn refused(&self) -> Option<&Full> {
        self.refused.as_ref()
    }

    /// The body is waited for from now on.
    pub fn arrive(&self) {
        let limits = &self.in_flight.limits;
        self.in_flight.table().arrive(self.id, limits);
    }

    /// So many bytes of the body have come, and so many of them are kept.
    ///
    /// # Errors
    /// When there is no room for them.
    pub fn arrived(&self, came: usize, kept: usize, share: Option<&Share>) -> Result<(), Full> {
        let limits = &self.in_flight.limits;
        let mut table = self.in_flight.table();
        table.arrived(self.id, (came, kept), share, limits)
    }

    /// The body is there: the request takes a place among those that are worked on.
    ///
    /// # Errors
    /// When there is none.
    pub fn work(&self, share: Option<&Share>) -> Result<(), Full> {
        let limits = &self.in_flight.limits;
        self.in_flight.table().work(self.id, share, limits)
    }

    /// The answer is there, of so many bytes if that is known.
    pub(super) fn send(&self, bytes: Option<usize>) {
        let limits = &self.in_flight.limits;
        self.in_flight.table().send(self.id, bytes, limits);
    }

    /// What was sent before is taken, and so many bytes are sent next.
    pub(super) fn sent(&self, bytes: usize) {
        let limits = &self.in_flight.limits;
        self.in_flight.table().sent(self.id, bytes, limits);
    }

    /// There is nothing to send yet.
    pub(super) fn wait(&self) {
        self.in_flight.table().wait(self.id);
    }

    /// Whether its body is not all there.
    pub fn is_arriving(&self) -> bool {
        self.in_flight.table().is_arriving(self.id)
    }

    /// Resolves once nobody waits for the rest of its body, with the reason.
    pub async fn given_up(&self) -> Full {
        let limits = &self.in_flight.limits;
        match self.given_up.reason().await {
            Cut::Crowded => Full::GivenUp,
            Cut::Stalled | Cut::Header | Cut::Idle => Full::Stalled {
                stall: limits.stall,
                rate: limits.rate,
            },
        }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.in_flight.table().remove(self.id);
        self.connection.end();
    }
}
