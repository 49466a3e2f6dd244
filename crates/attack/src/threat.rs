use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::Epsilon;

/// The norm that bounds a perturbation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "lowercase")]
pub enum Norm {
    /// The largest change of any one pixel value.
    #[default]
    Linf,
    /// The Euclidean length of the change over all pixel values of an image.
    L2,
    /// The sum of the absolute changes of all pixel values of an image.
    L1,
}

impl Threat {
    /// The default length of one of so many steps: together they cross the ball's diameter, and a quarter more.
    pub(crate) fn step_size(self, steps: usize) -> f32 {
        2.5 * self.epsilon.value() / steps.max(1) as f32
    }
}

impl fmt::Display for Norm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Norm::Linf => "linf",
            Norm::L2 => "l2",
            Norm::L1 => "l1",
        })
    }
}

/// The text names no norm.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown norm `{0}`: use `linf`, `l2` or `l1`")]
pub struct ParseNormError(String);

impl FromStr for Norm {
    type Err = ParseNormError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.to_ascii_lowercase().as_str() {
            "linf" => Ok(Norm::Linf),
            "l2" => Ok(Norm::L2),
            "l1" => Ok(Norm::L1),
            _ => Err(ParseNormError(text.to_owned())),
        }
    }
}

/// What an adversary may do: move an image by at most `epsilon` in `norm`, staying inside `[0, 1]`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Threat {
    /// The norm of the ball.
    pub norm: Norm,
    /// The radius of the ball.
    #[serde(rename = "eps")]
    pub epsilon: Epsilon,
}
