use serde::{Deserialize, Serialize};

/// What is minimised in training, and on which images.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Framework {
    /// `CE(x, y)`: no adversary.
    Plain,
    /// `CE(x', y)` with `x'` from PGD on CE (Madry et al. 2018).
    PgdAt,
}

impl Framework {
    /// As written in recipes and cards.
    pub fn name(self) -> &'static str {
        match self {
            Framework::Plain => "plain",
            Framework::PgdAt => "pgd-at",
        }
    }
}
