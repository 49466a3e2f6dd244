use serde::{Deserialize, Serialize};

use crate::{
    AnyAttack, Apgd, Attack, AttackKind, AutoAttack, CarliniWagner, ConfigError, DeepFool, Epsilon,
    Fab, FeatureAttack, Fgsm, Limits, Mim, MultiTargeted, Norm, ObjectiveKind, Parameters, Pgd,
    Spsa, Square, Threat, Variants, Version, lenient,
};

/// An attack as somebody wrote it: on the command line, in a form, a query string, JSON or a file, under the same names
/// everywhere. Numbers may be numbers or text; unknown names are refused.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AttackConfig {
    /// Which attack; `pgd` by default.
    pub attack: AttackKind,
    /// The norm of the ball; `linf` by default, `l2` for `cw`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub norm: Option<Norm>,
    /// The radius of the ball in pixel units; `8/255` by default for `linf`, `128/255` for `l2`, `12` for `l1`.
    #[serde(
        deserialize_with = "lenient::eps",
        skip_serializing_if = "Option::is_none"
    )]
    pub eps: Option<Epsilon>,
    /// Steps per restart, or queries of attacks without gradients; by default as many as each attack's paper has, and 20 for
    /// `pgd`, `mim` and `multi-targeted`, 50 for `feature`.
    #[serde(
        deserialize_with = "lenient::steps",
        skip_serializing_if = "Option::is_none"
    )]
    pub steps: Option<usize>,
    /// The length of a step in pixel units; `2.5 eps / steps` by default, `1/255` for `feature`.
    #[serde(
        deserialize_with = "lenient::step_size",
        skip_serializing_if = "Option::is_none"
    )]
    pub step_size: Option<Epsilon>,
    /// Restarts at most; 1 by default. Each restart of `feature` has a source image of its own: 100 by default.
    #[serde(
        deserialize_with = "lenient::restarts",
        skip_serializing_if = "Option::is_none"
    )]
    pub restarts: Option<usize>,
    /// The loss to climb; `cross_entropy` by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub objective: Option<ObjectiveKind>,
    /// The variants of `mim`; none by default.
    #[serde(
        deserialize_with = "lenient::variants",
        skip_serializing_if = "Option::is_none"
    )]
    pub variants: Option<Variants>,
    /// The seed of all that is drawn; 0 by default.
    #[serde(deserialize_with = "lenient::seed")]
    pub seed: u64,
}

impl AttackKind {
    /// The attack's parameters when nothing is set but the ball: those of its paper where it has some.
    pub(crate) fn defaults(self, threat: Threat) -> Parameters {
        let config = AttackConfig {
            attack: self,
            ..AttackConfig::default()
        };
        config.attack(threat).parameters()
    }
}

impl AttackConfig {
    /// The perturbations to search, the defaults filled in.
    pub fn threat(&self) -> Threat {
        let default = self.attack.norms().first().copied();
        let norm = self.norm.or(default).unwrap_or_default();
        let epsilon = self.eps.unwrap_or(match norm {
            Norm::Linf => Epsilon::fraction_of_255(8),
            Norm::L2 => Epsilon::fraction_of_255(128),
            Norm::L1 => Epsilon::whole(12),
        });
        Threat { norm, epsilon }
    }

    /// The attack to run, with every default filled in.
    ///
    /// # Errors
    /// When a value is outside `limits` or has no meaning for the attack.
    pub fn validate(&self, limits: &Limits) -> Result<AnyAttack, ConfigError> {
        let threat = self.threat();
        let norms = self.attack.norms();
        if !norms.contains(&threat.norm) {
            return Err(ConfigError::Norm {
                attack: self.attack,
                norm: threat.norm,
                norms: norms.to_vec(),
            });
        }
        let limit = limits.max_eps(threat.norm);
        if threat.epsilon.value() > limit {
            return Err(ConfigError::Eps {
                eps: threat.epsilon,
                norm: threat.norm,
                limit,
            });
        }
        self.check_fields()?;
        self.check_effort(limits)?;
        Ok(self.attack(threat))
    }

    /// Without what has no meaning for the attack, and the names of what was left out: for a configuration that several
    /// attacks share.
    pub fn fitted(self) -> (Self, Vec<&'static str>) {
        let takes = self.attack.takes();
        let left_out = self.foreign().into_iter().map(|(field, _)| field);
        let left_out = left_out.collect();
        let fitted = Self {
            steps: self.steps.filter(|_| takes.steps),
            step_size: self.step_size.filter(|_| takes.step_size),
            restarts: self.restarts.filter(|_| takes.restarts),
            objective: self.objective.filter(|_| takes.objective),
            variants: self.variants.filter(|_| takes.variants),
            ..self
        };
        (fitted, left_out)
    }

    /// Refuses what has no meaning for the attack.
    fn check_fields(&self) -> Result<(), ConfigError> {
        match self.foreign().into_iter().next() {
            Some((field, value)) => Err(ConfigError::NotForAttack {
                attack: self.attack,
                field,
                value,
                takes: self.attack.takes().names(),
            }),
            None => Ok(()),
        }
    }

    /// What was given and has no meaning for the attack, with its value.
    fn foreign(&self) -> Vec<(&'static str, String)> {
        let takes = self.attack.takes();
        let given = [
            ("steps", takes.steps, self.steps.map(|n| n.to_string())),
            (
                "step_size",
                takes.step_size,
                self.step_size.map(|size| size.to_string()),
            ),
            (
                "restarts",
                takes.restarts,
                self.restarts.map(|n| n.to_string()),
            ),
            (
                "objective",
                takes.objective,
                self.objective.map(|objective| objective.to_string()),
            ),
            (
                "variants",
                takes.variants,
                self.variants.map(|variants| variants.to_string()),
            ),
        ];
        let foreign = given.into_iter().filter(|(_, taken, _)| !taken);
        foreign
            .filter_map(|(field, _, value)| Some((field, value?)))
            .collect()
    }

    fn check_effort(&self, limits: &Limits) -> Result<(), ConfigError> {
        let limit = match self.attack {
            AttackKind::Square => limits.max_queries,
            _ => limits.max_steps,
        };
        if let Some(steps) = self.steps.filter(|steps| !(1..=limit).contains(steps)) {
            return Err(ConfigError::Steps { steps, limit });
        }
        if let Some(size) = self.step_size.filter(|size| size.value() <= 0.0) {
            return Err(ConfigError::StepSize(size));
        }
        let limit = limits.max_restarts;
        match self
            .restarts
            .filter(|restarts| !(1..=limit).contains(restarts))
        {
            Some(restarts) => Err(ConfigError::Restarts { restarts, limit }),
            None => Ok(()),
        }
    }

    fn attack(&self, threat: Threat) -> AnyAttack {
        let seed = self.seed;
        let steps = |default| self.steps.unwrap_or(default);
        let restarts = |default| self.restarts.unwrap_or(default);
        let step_size = self.step_size.map(Epsilon::value);
        let objective = self.objective.unwrap_or_default();
        let apgd = |apgd: Apgd| {
            AnyAttack::Apgd(Apgd {
                steps: steps(apgd.steps),
                restarts: restarts(apgd.restarts),
                seed,
                ..apgd
            })
        };
        let fab = |fab: Fab| {
            AnyAttack::Fab(Fab {
                steps: steps(fab.steps),
                restarts: restarts(fab.restarts),
                seed,
                ..fab
            })
        };
        let pgd = |pgd: Pgd| Pgd {
            steps: steps(pgd.steps),
            step_size,
            restarts: restarts(pgd.restarts),
            seed,
            ..pgd
        };
        let autoattack = |version| {
            AnyAttack::AutoAttack(AutoAttack {
                version,
                seed,
                ..AutoAttack::new(threat)
            })
        };
        match self.attack {
            AttackKind::Fgsm => AnyAttack::Fgsm(Fgsm {
                objective,
                ..Fgsm::new(threat)
            }),
            AttackKind::Pgd => AnyAttack::Pgd(Pgd {
                objective,
                ..pgd(Pgd::new(threat))
            }),
            AttackKind::Mim => {
                let mim = Mim::new(threat);
                AnyAttack::Mim(Mim {
                    steps: steps(mim.steps),
                    step_size,
                    variants: self.variants.unwrap_or_default(),
                    objective,
                    seed,
                    ..mim
                })
            }
            AttackKind::ApgdCe => apgd(Apgd::new(threat, ObjectiveKind::CrossEntropy)),
            AttackKind::ApgdDlr => apgd(Apgd::new(threat, ObjectiveKind::Dlr)),
            AttackKind::ApgdT => apgd(Apgd::targeted(threat)),
            AttackKind::Fab => fab(Fab::new(threat)),
            AttackKind::FabT => fab(Fab::targeted(threat)),
            AttackKind::Square => {
                let square = Square::new(threat);
                AnyAttack::Square(Square {
                    queries: steps(square.queries),
                    restarts: restarts(square.restarts),
                    seed,
                    ..square
                })
            }
            AttackKind::Cw => {
                let cw = CarliniWagner::new(threat);
                AnyAttack::CarliniWagner(CarliniWagner {
                    steps: steps(cw.steps),
                    ..cw
                })
            }
            AttackKind::Deepfool => {
                let deepfool = DeepFool::new(threat);
                AnyAttack::DeepFool(DeepFool {
                    steps: steps(deepfool.steps),
                    ..deepfool
                })
            }
            AttackKind::MultiTargeted => AnyAttack::MultiTargeted(MultiTargeted {
                pgd: pgd(MultiTargeted::new(threat).pgd),
            }),
            AttackKind::Feature => {
                let feature = FeatureAttack::new(threat);
                AnyAttack::Feature(FeatureAttack {
                    steps: steps(feature.steps),
                    step_size: step_size.unwrap_or(feature.step_size),
                    restarts: restarts(feature.restarts),
                    seed,
                    ..feature
                })
            }
            AttackKind::Spsa => {
                let spsa = Spsa::new(threat);
                AnyAttack::Spsa(Spsa {
                    steps: steps(spsa.steps),
                    seed,
                    ..spsa
                })
            }
            AttackKind::Autoattack => autoattack(Version::Standard),
            AttackKind::AutoattackPlus => autoattack(Version::Plus),
            AttackKind::AutoattackRand => autoattack(Version::Rand),
        }
    }
}

pub use spec::{AttackSpec, ParseSpecError};

mod spec;
#[cfg(test)]
mod tests;
