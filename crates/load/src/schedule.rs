use std::{
    sync::{
        Arc, Weak,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread,
    time::Duration,
};

use tokio::{sync::Semaphore, time::Instant};

use crate::Length;

/// What requests get that are due before the end, or under way.
pub(crate) const GRACE: Duration = Duration::from_secs(5);

/// When requests are to be sent.
pub(crate) struct Schedule {
    start: Instant,
    end: Option<Instant>,
    total: Option<u64>,
    /// Requests that were handed out.
    taken: AtomicU64,
    stopped: AtomicBool,
    open: Option<Open>,
}

/// A constant rate: the `n`th request is due at `start + n / rate`.
struct Open {
    rate: f64,
    /// One permit for each request that is due.
    due: Semaphore,
    workers: usize,
}

impl Schedule {
    /// Starts now. `workers` ask it for requests.
    pub fn start(rate: Option<f64>, length: Option<Length>, workers: usize) -> Arc<Self> {
        let start = Instant::now();
        let (end, mut total) = match length {
            Some(Length::Duration(duration)) => (Some(start + duration), None),
            Some(Length::Requests(total)) => (None, Some(total)),
            None => (None, None),
        };
        if let (Some(rate), Some(Length::Duration(duration))) = (rate, length) {
            total = Some((rate * duration.as_secs_f64()).ceil() as u64);
        }
        let open = rate.map(|rate| Open {
            rate,
            due: Semaphore::new(0),
            workers,
        });
        let schedule = Arc::new(Self {
            start,
            end,
            total,
            taken: AtomicU64::new(0),
            stopped: AtomicBool::new(false),
            open,
        });
        if schedule.open.is_some() {
            let weak = Arc::downgrade(&schedule);
            thread::spawn(move || pace(&weak));
        }
        schedule
    }

    /// No request is handed out any more.
    pub fn stop(&self) {
        self.stopped.store(true, Ordering::Relaxed);
    }

    pub fn started(&self) -> Instant {
        self.start
    }

    pub fn end(&self) -> Option<Instant> {
        self.end
    }

    /// Waits until a request is due and answers when it was to be sent; none when it is over.
    pub async fn next(&self) -> Option<Instant> {
        if let Some(open) = &self.open {
            open.due.acquire().await.ok()?.forget();
        }
        if self.over() {
            return None;
        }
        let index = self.taken.fetch_add(1, Ordering::Relaxed);
        if self.total.is_some_and(|total| index >= total) {
            return None;
        }
        Some(match &self.open {
            Some(open) => self.due(open, index),
            None => Instant::now(),
        })
    }

    /// When those were to be sent that were due before the end, and for which no connection became free.
    pub fn left_over(&self) -> impl Iterator<Item = Instant> {
        let taken = self.taken.load(Ordering::Relaxed);
        self.open.iter().flat_map(move |open| {
            (taken..self.total.unwrap_or_default()).map(|index| self.due(open, index))
        })
    }

    fn over(&self) -> bool {
        // At a constant rate `total` says what is due before the end, and those get their grace.
        let grace = self.open.as_ref().map_or(Duration::ZERO, |_| GRACE);
        self.stopped.load(Ordering::Relaxed)
            || self.end.is_some_and(|end| Instant::now() >= end + grace)
    }

    fn due(&self, open: &Open, index: u64) -> Instant {
        self.start + Duration::from_secs_f64(index as f64 / open.rate)
    }
}

/// Tokio's timer is a millisecond coarse, which is longer than many an answer takes: hence a thread of its own.
fn pace(schedule: &Weak<Schedule>) {
    let mut issued = 0;
    loop {
        let Some(schedule) = schedule.upgrade() else {
            return;
        };
        let Some(open) = &schedule.open else {
            return;
        };
        let total = schedule.total.unwrap_or(u64::MAX);
        if schedule.over() || issued >= total {
            // Wakes the workers, which find that it is over.
            open.due.add_permits(open.workers);
            return;
        }
        let elapsed = schedule.start.elapsed().as_secs_f64();
        let due = ((elapsed * open.rate).floor() as u64 + 1).min(total);
        open.due
            .add_permits(usize::try_from(due.saturating_sub(issued)).unwrap_or_default());
        issued = due.max(issued);
        let next = schedule.due(open, issued);
        drop(schedule);
        thread::sleep(
            next.saturating_duration_since(Instant::now())
                .min(LONGEST_SLEEP),
        );
    }
}

/// So that a stop is seen soon.
const LONGEST_SLEEP: Duration = Duration::from_millis(20);
