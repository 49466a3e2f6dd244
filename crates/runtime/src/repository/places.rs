//! Places for loads that run at the same time.
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

/// Loads that may go on without a place.
const MAX_LATE: usize = 4;

/// How many loads run, and how many more go on that took too long to keep their place.
#[derive(Debug)]
pub(super) struct Places {
    state: Mutex<State>,
    freed: Condvar,
}

#[derive(Debug)]
struct State {
    free: usize,
    late: usize,
}

/// The place of a load, until dropped.
#[derive(Debug)]
pub(super) struct Place {
    places: Arc<Places>,
    late: bool,
}

impl Places {
    /// `count` is at least 1.
    pub fn new(count: usize) -> Arc<Self> {
        Arc::new(Self {
            state: Mutex::new(State {
                free: count.max(1),
                late: 0,
            }),
            freed: Condvar::new(),
        })
    }

    /// Waits for a place.
    pub fn wait(self: &Arc<Self>) -> Place {
        let mut state = self.state();
        while state.free == 0 {
            let waiting = self.freed.wait(state);
            state = waiting.unwrap_or_else(PoisonError::into_inner);
        }
        state.free -= 1;
        Place {
            places: Arc::clone(self),
            late: false,
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Place {
    /// Lets another load have the place of this one, which takes long; not where too many have done so.
    pub fn give_up(&mut self) {
        let mut state = self.places.state();
        if !self.late && state.late < MAX_LATE {
            self.late = true;
            state.late += 1;
            state.free += 1;
            self.places.freed.notify_one();
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut state = self.places.state();
        match self.late {
            true => state.late -= 1,
            false => state.free += 1,
        }
        self.places.freed.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_that_is_free_again_is_another_loads() {
        let places = Places::new(1);
        let place = places.wait();
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| drop(places.wait()));
            drop(place);
            waiting.join().unwrap();
        });
    }

    #[test]
    fn loads_that_take_long_make_room_up_to_a_number() {
        let places = Places::new(2);
        let mut late: Vec<Place> = Vec::new();
        for _ in 0..MAX_LATE {
            let mut place = places.wait();
            place.give_up();
            place.give_up();
            late.push(place);
        }
        let mut kept = places.wait();
        kept.give_up();
        let free = |places: &Places| places.state().free;
        assert_eq!(free(&places), 1);
        drop(kept);
        assert_eq!(free(&places), 2);
        late.clear();
        assert_eq!((free(&places), places.state().late), (2, 0));
    }
}
