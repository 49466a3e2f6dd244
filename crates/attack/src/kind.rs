use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::Norm;

/// Which attack.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "kebab-case")]
pub enum AttackKind {
    /// One step of eps from the clean image.
    Fgsm,
    /// Projected gradient descent.
    #[default]
    Pgd,
    /// The momentum iterative method, with its variants.
    Mim,
    /// Auto-PGD on the cross-entropy.
    ApgdCe,
    /// Auto-PGD on the difference of logits ratio.
    ApgdDlr,
    /// Auto-PGD on the difference of logits ratio towards nine targets.
    ApgdT,
    /// The fast adaptive boundary attack, on all classes at once.
    Fab,
    /// The fast adaptive boundary attack, towards nine targets.
    FabT,
    /// Random squares, without gradients.
    Square,
    /// Carlini and Wagner's.
    Cw,
    /// DeepFool.
    Deepfool,
    /// Projected gradient descent towards every other class.
    MultiTargeted,
    /// Features drawn towards those of images of other classes.
    Feature,
    /// Estimated gradients, from logits alone.
    Spsa,
    /// AutoAttack's standard version.
    Autoattack,
    /// AutoAttack's version with more restarts.
    AutoattackPlus,
    /// AutoAttack's version for models that draw something at random.
    AutoattackRand,
}

/// What can be set of an attack, beside the ball.
pub(crate) struct Takes {
    pub steps: bool,
    pub step_size: bool,
    pub restarts: bool,
    pub objective: bool,
    pub variants: bool,
}

impl AttackKind {
    /// All of them.
    pub const ALL: [AttackKind; 17] = [
        AttackKind::Fgsm,
        AttackKind::Pgd,
        AttackKind::Mim,
        AttackKind::ApgdCe,
        AttackKind::ApgdDlr,
        AttackKind::ApgdT,
        AttackKind::Fab,
        AttackKind::FabT,
        AttackKind::Square,
        AttackKind::Cw,
        AttackKind::Deepfool,
        AttackKind::MultiTargeted,
        AttackKind::Feature,
        AttackKind::Spsa,
        AttackKind::Autoattack,
        AttackKind::AutoattackPlus,
        AttackKind::AutoattackRand,
    ];

    /// The name used everywhere.
    pub fn name(self) -> &'static str {
        match self {
            AttackKind::Fgsm => "fgsm",
            AttackKind::Pgd => "pgd",
            AttackKind::Mim => "mim",
            AttackKind::ApgdCe => "apgd-ce",
            AttackKind::ApgdDlr => "apgd-dlr",
            AttackKind::ApgdT => "apgd-t",
            AttackKind::Fab => "fab",
            AttackKind::FabT => "fab-t",
            AttackKind::Square => "square",
            AttackKind::Cw => "cw",
            AttackKind::Deepfool => "deepfool",
            AttackKind::MultiTargeted => "multi-targeted",
            AttackKind::Feature => "feature",
            AttackKind::Spsa => "spsa",
            AttackKind::Autoattack => "autoattack",
            AttackKind::AutoattackPlus => "autoattack-plus",
            AttackKind::AutoattackRand => "autoattack-rand",
        }
    }

    /// What it does, in a line for people.
    pub fn description(self) -> &'static str {
        match self {
            AttackKind::Fgsm => "one step along the sign of the gradient",
            AttackKind::Pgd => "projected gradient descent",
            AttackKind::Mim => "gradient descent with momentum; carries over to other models",
            AttackKind::ApgdCe => "Auto-PGD on the cross-entropy",
            AttackKind::ApgdDlr => "Auto-PGD on the difference of logits ratio",
            AttackKind::ApgdT => "Auto-PGD towards nine targets",
            AttackKind::Fab => "fast adaptive boundary: looks for the closest",
            AttackKind::FabT => "fast adaptive boundary towards nine targets",
            AttackKind::Square => "random squares, without gradients",
            AttackKind::Cw => "Carlini and Wagner: looks for the closest",
            AttackKind::Deepfool => "DeepFool: straight to the nearest boundary",
            AttackKind::MultiTargeted => "gradient descent towards every other class",
            AttackKind::Feature => "features drawn towards those of other classes",
            AttackKind::Spsa => "estimated gradients, from logits alone",
            AttackKind::Autoattack => "AutoAttack: four attacks, one after the other",
            AttackKind::AutoattackPlus => "AutoAttack with more restarts",
            AttackKind::AutoattackRand => "AutoAttack for models that draw at random",
        }
    }

    /// The names of what can be set, beside `norm`, `eps` and `seed`.
    pub fn settings(self) -> Vec<&'static str> {
        self.takes().names()
    }

    /// The norms it is made for; the first is its default.
    pub fn norms(self) -> &'static [Norm] {
        match self {
            AttackKind::Cw => &[Norm::L2],
            AttackKind::Feature => &[Norm::Linf],
            AttackKind::ApgdCe
            | AttackKind::ApgdDlr
            | AttackKind::ApgdT
            | AttackKind::Square
            | AttackKind::Deepfool
            | AttackKind::Autoattack
            | AttackKind::AutoattackPlus
            | AttackKind::AutoattackRand => &[Norm::Linf, Norm::L2],
            _ => &[Norm::Linf, Norm::L2, Norm::L1],
        }
    }

    /// Whether it looks for the closest adversarial, and not for any within the radius.
    pub fn seeks_closest(self) -> bool {
        matches!(
            self,
            AttackKind::Fab | AttackKind::FabT | AttackKind::Cw | AttackKind::Deepfool
        )
    }

    /// Whether it consists of several attacks, one after the other.
    pub(crate) fn is_several(self) -> bool {
        matches!(
            self,
            AttackKind::Autoattack | AttackKind::AutoattackPlus | AttackKind::AutoattackRand
        )
    }

    /// Whether it asks the victim for gradients; the others take logits alone.
    pub fn needs_gradients(self) -> bool {
        !matches!(self, AttackKind::Square | AttackKind::Spsa)
    }

    pub(crate) fn takes(self) -> Takes {
        let none = Takes {
            steps: false,
            step_size: false,
            restarts: false,
            objective: false,
            variants: false,
        };
        match self {
            AttackKind::Fgsm => Takes {
                objective: true,
                ..none
            },
            AttackKind::Pgd => Takes {
                steps: true,
                step_size: true,
                restarts: true,
                objective: true,
                ..none
            },
            AttackKind::Mim => Takes {
                steps: true,
                step_size: true,
                objective: true,
                variants: true,
                ..none
            },
            AttackKind::MultiTargeted | AttackKind::Feature => Takes {
                steps: true,
                step_size: true,
                restarts: true,
                ..none
            },
            AttackKind::ApgdCe
            | AttackKind::ApgdDlr
            | AttackKind::ApgdT
            | AttackKind::Fab
            | AttackKind::FabT
            | AttackKind::Square => Takes {
                steps: true,
                restarts: true,
                ..none
            },
            AttackKind::Cw | AttackKind::Deepfool | AttackKind::Spsa => Takes {
                steps: true,
                ..none
            },
            AttackKind::Autoattack | AttackKind::AutoattackPlus | AttackKind::AutoattackRand => {
                none
            }
        }
    }
}

impl Takes {
    /// The names of what can be set.
    pub(crate) fn names(&self) -> Vec<&'static str> {
        [
            ("steps", self.steps),
            ("step_size", self.step_size),
            ("restarts", self.restarts),
            ("objective", self.objective),
            ("variants", self.variants),
        ]
        .into_iter()
        .filter_map(|(name, takes)| takes.then_some(name))
        .collect()
    }
}

impl fmt::Display for AttackKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// The text names no attack.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown attack `{0}`: use {names}", names = names())]
pub struct ParseAttackError(String);

fn names() -> String {
    let names = AttackKind::ALL.map(|kind| format!("`{kind}`"));
    names.join(", ")
}

impl FromStr for AttackKind {
    type Err = ParseAttackError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let lower = text.to_ascii_lowercase();
        let mut kinds = AttackKind::ALL.into_iter();
        kinds
            .find(|kind| kind.name() == lower)
            .ok_or_else(|| ParseAttackError(text.to_owned()))
    }
}
