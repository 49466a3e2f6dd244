//! What the attacks of a key may ask the models.
use std::{
    num::NonZero,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use crate::attacks::seconds;

/// Evaluations for each minute, which come back steadily and are never more than a minute's.
#[derive(Debug)]
pub(crate) struct Budget {
    per_minute: NonZero<u32>,
    left: Mutex<Left>,
}

#[derive(Debug)]
struct Left {
    evaluations: f64,
    at: Instant,
}

/// Why an attack is not paid for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum OverBudget {
    #[error(
        "the request costs {cost} evaluations, more than are left now of the key's {budget} per minute: try again in {} s, or ask \
         for fewer",
        seconds(*.retry)
    )]
    Wait {
        cost: u64,
        budget: NonZero<u32>,
        retry: Duration,
    },
    #[error(
        "the request costs {cost} evaluations, and the key has {budget} per minute: ask for fewer images, steps, restarts or draws"
    )]
    Never { cost: u64, budget: NonZero<u32> },
}

impl Budget {
    pub fn new(per_minute: NonZero<u32>) -> Self {
        Self {
            per_minute,
            left: Mutex::new(Left {
                evaluations: f64::from(per_minute.get()),
                at: Instant::now(),
            }),
        }
    }

    fn take(&self, cost: u64) -> Result<(), OverBudget> {
        let budget = self.per_minute;
        if cost > u64::from(budget.get()) {
            return Err(OverBudget::Never { cost, budget });
        }
        let missing = self.change(|left| {
            let missing = cost as f64 - left;
            let taken = if missing > 0.0 { 0.0 } else { cost as f64 };
            (left - taken, missing)
        });
        if missing <= 0.0 {
            return Ok(());
        }
        let retry = Duration::from_secs_f64(missing * 60.0 / f64::from(budget.get()));
        Err(OverBudget::Wait {
            cost,
            budget,
            retry,
        })
    }

    fn give_back(&self, evaluations: u64) {
        self.change(|left| (left + evaluations as f64, ()));
    }

    /// Brings what is left up to date, and changes it.
    fn change<T>(&self, change: impl FnOnce(f64) -> (f64, T)) -> T {
        let most = f64::from(self.per_minute.get());
        let mut left = self.left.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        let back = now.saturating_duration_since(left.at).as_secs_f64() * most / 60.0;
        let (changed, result) = change((left.evaluations + back).min(most));
        left.evaluations = changed.min(most);
        left.at = now;
        result
    }
}

/// What was paid for an attack. Dropping it gives back what the attack did not ask.
#[derive(Debug)]
pub(crate) struct Payment {
    budget: Option<Arc<Budget>>,
    paid: u64,
    asked: AtomicU64,
}

impl Payment {
    pub fn new(budget: Option<Arc<Budget>>, cost: u64) -> Result<Self, OverBudget> {
        if let Some(budget) = &budget {
            budget.take(cost)?;
        }
        Ok(Self {
            budget,
            paid: cost,
            asked: AtomicU64::new(0),
        })
    }

    /// Notes rows that the attack has asked for.
    pub fn spend(&self, rows: u64) {
        self.asked.fetch_add(rows, Ordering::Relaxed);
    }
}

impl Drop for Payment {
    fn drop(&mut self) {
        let left = self.paid.saturating_sub(*self.asked.get_mut());
        if let Some(budget) = &self.budget {
            budget.give_back(left);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn budget(per_minute: u32) -> Arc<Budget> {
        Arc::new(Budget::new(NonZero::new(per_minute).unwrap()))
    }

    fn pay(budget: &Arc<Budget>, cost: u64) -> Result<Payment, OverBudget> {
        Payment::new(Some(Arc::clone(budget)), cost)
    }

    #[test]
    fn a_price_is_taken_whole_or_not_at_all() {
        let budget = budget(100);
        let first = pay(&budget, 60).unwrap();
        let Err(OverBudget::Wait { retry, .. }) = pay(&budget, 60) else {
            panic!("it is paid twice");
        };
        // Twenty are missing, at a hundred per minute.
        assert!((11..=12).contains(&seconds(retry)), "{retry:?}");
        let second = pay(&budget, 40).unwrap();
        for cost in [101, u64::MAX] {
            let never = OverBudget::Never {
                cost,
                budget: NonZero::new(100).unwrap(),
            };
            assert_eq!(pay(&budget, cost).unwrap_err(), never);
        }
        pay(&budget, 0).unwrap();
        drop((first, second));
        assert!(Payment::new(None, u64::MAX).is_ok());
    }

    #[test]
    fn what_was_not_asked_is_given_back_and_no_more() {
        let budget = budget(100);
        for _ in 0..5 {
            pay(&budget, 100).unwrap();
        }
        let some = pay(&budget, 100).unwrap();
        some.spend(70);
        drop(some);
        pay(&budget, 29).unwrap();
        let over = pay(&budget, 30).unwrap();
        over.spend(1000);
        drop(over);
        assert!(matches!(pay(&budget, 30), Err(OverBudget::Wait { .. })));
    }
}
