use std::{num::NonZero, sync::Arc, time::Duration};

use governor::{DefaultDirectRateLimiter, Quota, clock::Clock};

use super::Key;
use crate::attacks::seconds;

/// On whose account a request is answered.
#[derive(Clone, Debug)]
pub(crate) struct Tenant {
    /// The key's name.
    pub name: Arc<str>,
    budget: Option<Arc<Budget>>,
}

#[derive(Debug)]
struct Budget {
    per_minute: NonZero<u32>,
    limiter: DefaultDirectRateLimiter,
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

impl Tenant {
    pub fn of(key: &Key) -> Self {
        let budget = key.attack_evaluations_per_minute.map(|per_minute| {
            let limiter = DefaultDirectRateLimiter::direct(Quota::per_minute(per_minute));
            Arc::new(Budget {
                per_minute,
                limiter,
            })
        });
        Self {
            name: key.name.as_str().into(),
            budget,
        }
    }

    /// Whoever needs no key.
    pub fn anonymous() -> Self {
        Self {
            name: "anonymous".into(),
            budget: None,
        }
    }

    /// Takes the price of an attack from the budget. It is not given back if the attack asks less.
    pub fn charge_attack(&self, evaluations: u64) -> Result<(), OverBudget> {
        let Some(Budget {
            per_minute,
            limiter,
        }) = self.budget.as_deref()
        else {
            return Ok(());
        };
        let (cost, budget) = (evaluations, *per_minute);
        let never = OverBudget::Never { cost, budget };
        let Some(cells) = NonZero::new(u32::try_from(cost).map_err(|_| never)?) else {
            return Ok(());
        };
        let charged = limiter.check_n(cells).map_err(|_| never)?;
        charged.map_err(|until| OverBudget::Wait {
            cost,
            budget,
            retry: until.wait_time_from(limiter.clock().now()),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_budget_is_spent_whole_or_not_at_all() {
        let mut key = Key::new("a", "x");
        key.attack_evaluations_per_minute = NonZero::new(100);
        let tenant = Tenant::of(&key);
        let same = tenant.clone();
        assert_eq!(tenant.charge_attack(60), Ok(()));
        let Err(OverBudget::Wait { retry, .. }) = same.charge_attack(60) else {
            panic!("the clone has a budget of its own");
        };
        // Twenty are missing, at a hundred per minute.
        assert!((11..=12).contains(&seconds(retry)), "{retry:?}");
        assert_eq!(tenant.charge_attack(40), Ok(()));
        for cost in [101, u64::MAX] {
            let never = OverBudget::Never {
                cost,
                budget: NonZero::new(100).unwrap(),
            };
            assert_eq!(tenant.charge_attack(cost), Err(never));
        }
        assert_eq!(tenant.charge_attack(0), Ok(()));
        assert_eq!(Tenant::anonymous().charge_attack(u64::MAX), Ok(()));
    }
}
