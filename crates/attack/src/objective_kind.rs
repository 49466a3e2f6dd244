use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::Objective;

/// Which loss an attack climbs; the class to leave or to reach makes it an [`Objective`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum ObjectiveKind {
    /// Cross-entropy, at the model's own logit scale. Its gradient underflows to zero on a saturated softmax.
    #[default]
    CrossEntropy,
    /// The difference of logits; invariant under scaling and shifting them.
    Margin,
    /// The difference of logits over their spread (Croce & Hein 2020): its gradient too is invariant under scaling them.
    /// With too few classes for it, the margin is climbed instead.
    Dlr,
}

impl ObjectiveKind {
    /// All of them.
    pub const ALL: [ObjectiveKind; 3] = [
        ObjectiveKind::CrossEntropy,
        ObjectiveKind::Margin,
        ObjectiveKind::Dlr,
    ];

    /// What is climbed where there are so many classes: the difference of logits ratio takes three of them, and four to reach
    /// a target.
    pub fn with_classes(self, classes: usize, targeted: bool) -> Self {
        match self {
            ObjectiveKind::Dlr if classes < 3 + usize::from(targeted) => ObjectiveKind::Margin,
            kind => kind,
        }
    }

    /// The objective that leaves `label`.
    pub fn untargeted(self, label: usize) -> Objective {
        match self {
            ObjectiveKind::CrossEntropy => Objective::CrossEntropy { label },
            ObjectiveKind::Margin => Objective::Margin { label },
            ObjectiveKind::Dlr => Objective::Dlr { label },
        }
    }

    /// The objective that leaves `label` for `target`.
    pub fn targeted(self, label: usize, target: usize) -> Objective {
        match self {
            ObjectiveKind::CrossEntropy => Objective::TargetedCrossEntropy { target },
            ObjectiveKind::Margin => Objective::TargetedMargin { target },
            ObjectiveKind::Dlr => Objective::TargetedDlr { label, target },
        }
    }
}

impl fmt::Display for ObjectiveKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            ObjectiveKind::CrossEntropy => "cross_entropy",
            ObjectiveKind::Margin => "margin",
            ObjectiveKind::Dlr => "dlr",
        })
    }
}

/// The text names no objective.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown objective `{0}`: use `cross_entropy`, `margin` or `dlr`")]
pub struct ParseObjectiveError(String);

impl FromStr for ObjectiveKind {
    type Err = ParseObjectiveError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.to_ascii_lowercase().as_str() {
            "cross_entropy" => Ok(ObjectiveKind::CrossEntropy),
            "margin" => Ok(ObjectiveKind::Margin),
            "dlr" => Ok(ObjectiveKind::Dlr),
            _ => Err(ParseObjectiveError(text.to_owned())),
        }
    }
}
