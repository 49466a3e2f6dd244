use std::{num::NonZero, sync::Arc};

use super::{
    Key,
    budget::{Budget, OverBudget, Payment},
};
use crate::{Config, in_flight::Share};

/// On whose account a request is answered.
#[derive(Clone, Debug)]
pub(crate) struct Tenant {
    /// The key's name.
    pub name: Arc<str>,
    budget: Option<Arc<Budget>>,
    share: Option<Share>,
}

impl Tenant {
    /// By default a key may have half of what the server can do under way, so that there is room for others.
    pub fn of(key: &Key, config: &Config) -> Self {
        let budget = key.attack_evaluations_per_minute;
        let budget = budget.map(|per_minute| Arc::new(Budget::new(per_minute)));
        let name: Arc<str> = key.name.as_str().into();
        let requests = key.max_requests.map(NonZero::get);
        Self {
            share: Some(Share {
                key: Arc::clone(&name),
                requests: requests.unwrap_or(config.max_requests.div_ceil(2)),
                bytes: (config.max_bytes_in_flight / 2).max(config.max_body_bytes),
            }),
            name,
            budget,
        }
    }

    /// What it may have under way of all that the server can; nothing where that is not bounded.
    pub fn share(&self) -> Option<&Share> {
        self.share.as_ref()
    }

    /// Whoever needs no key.
    pub fn anonymous() -> Self {
        Self {
            name: "anonymous".into(),
            budget: None,
            share: None,
        }
    }

    /// Takes the price of an attack from the budget. What the attack does not ask is given back when it ends.
    pub fn charge_attack(&self, evaluations: u64) -> Result<Payment, OverBudget> {
        Payment::new(self.budget.clone(), evaluations)
    }
}
