use std::{collections::BTreeMap, fmt};

use serde::{Deserialize, Serialize};

use crate::{AttackKind, Epsilon, Norm, ObjectiveKind, Threat};

/// Everything that names a number: which attack, how large a ball, how much effort, which seed.
///
/// Displayed as one line for cards and reports:
/// `pgd linf eps=8/255 steps=20 step_size=0.003922 restarts=1 objective=cross_entropy seed=0`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(from = "Written")]
pub struct Parameters {
    /// The attack's name.
    pub attack: String,
    /// The norm of the ball.
    pub norm: Norm,
    /// The radius of the ball as it was written, such as `8/255`.
    pub eps: Epsilon,
    /// The radius of the ball as a number, in pixel units.
    pub eps_value: f32,
    /// Steps per restart; queries, for attacks that take no gradient.
    pub steps: usize,
    /// The length of a step, in pixel units and in the norm of the ball; absent where the attack chooses it as it goes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step_size: Option<f32>,
    /// Restarts at most; images that are broken take no further ones.
    pub restarts: usize,
    /// The loss that is climbed; absent where the attack has one of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub objective: Option<ObjectiveKind>,
    /// The seed of all that is drawn.
    pub seed: u64,
    /// What this attack alone has, by the names of its paper.
    #[serde(default, skip_serializing_if = "Options::is_empty")]
    #[cfg_attr(feature = "schema", schema(value_type = BTreeMap<String, f64>))]
    pub options: Options,
}

impl Parameters {
    /// The attack, unless it is none of the crate's own.
    pub fn kind(&self) -> Option<AttackKind> {
        self.attack.parse().ok()
    }

    /// Those that every attack has; one restart, and nothing else.
    pub(crate) fn new(attack: &str, threat: Threat, steps: usize, seed: u64) -> Self {
        Self {
            attack: attack.to_owned(),
            norm: threat.norm,
            eps: threat.epsilon,
            eps_value: threat.epsilon.value(),
            steps,
            step_size: None,
            restarts: 1,
            objective: None,
            seed,
            options: Options::new(),
        }
    }
}

/// Parameters as they stand in a report.
#[derive(Deserialize)]
struct Written {
    attack: String,
    norm: Norm,
    eps: Epsilon,
    eps_value: f32,
    steps: usize,
    #[serde(default)]
    step_size: Option<f32>,
    restarts: usize,
    #[serde(default)]
    objective: Option<ObjectiveKind>,
    seed: u64,
    #[serde(default)]
    options: Options,
}

impl From<Written> for Parameters {
    /// Old reports give the number of AutoAttack's stages as its restarts.
    fn from(written: Written) -> Self {
        let mut parameters = Self {
            attack: written.attack,
            norm: written.norm,
            eps: written.eps,
            eps_value: written.eps_value,
            steps: written.steps,
            step_size: written.step_size,
            restarts: written.restarts,
            objective: written.objective,
            seed: written.seed,
            options: written.options,
        };
        let kind = parameters.kind().filter(|kind| kind.is_several());
        if let Some(kind) = kind.filter(|_| !parameters.options.contains_key(STAGES)) {
            let threat = Threat {
                norm: parameters.norm,
                epsilon: parameters.eps,
            };
            let default = kind.defaults(threat);
            (parameters.restarts, parameters.options) = (default.restarts, default.options);
        }
        parameters
    }
}

/// The option that gives the number of attacks that an attack consists of.
pub(crate) const STAGES: &str = "stages";

/// Further numbers of an attack.
pub type Options = BTreeMap<String, f64>;

impl fmt::Display for Parameters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} {} eps={} steps={}",
            self.attack, self.norm, self.eps, self.steps
        )?;
        if let Some(size) = self.step_size {
            write!(f, " step_size={}", four_digits(size))?;
        }
        write!(f, " restarts={}", self.restarts)?;
        if let Some(objective) = self.objective {
            write!(f, " objective={objective}")?;
        }
        for (name, value) in &self.options {
            write!(f, " {name}={value}")?;
        }
        write!(f, " seed={}", self.seed)
    }
}

/// Four significant digits, without trailing zeros.
fn four_digits(value: f32) -> String {
    let rounded = format!("{value:.3e}");
    rounded
        .parse::<f64>()
        .map_or(rounded, |number| number.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn old_reports_on_autoattack_are_read_as_what_they_mean() {
        for (kind, stages) in [
            (AttackKind::Autoattack, 4),
            (AttackKind::AutoattackPlus, 6),
            (AttackKind::AutoattackRand, 2),
        ] {
            let json = format!(
                r#"{{"attack":"{kind}","norm":"linf","eps":"0.3","eps_value":0.3,"steps":100,"restarts":{stages},"seed":2}}"#
            );
            let read: Parameters = serde_json::from_str(&json).unwrap();
            let threat = Threat {
                norm: Norm::Linf,
                epsilon: "0.3".parse().unwrap(),
            };
            let seeded = Parameters {
                seed: 2,
                ..kind.defaults(threat)
            };
            assert_eq!(read, seeded);
            let again = serde_json::to_string(&read).unwrap();
            assert_eq!(serde_json::from_str::<Parameters>(&again).unwrap(), read);
        }
    }

    #[test]
    fn step_sizes_keep_four_significant_digits() {
        assert_eq!(four_digits(2.5 * 8.0 / 255.0 / 20.0), "0.003922");
        assert_eq!(four_digits(0.0625), "0.0625");
        assert_eq!(four_digits(0.0), "0");
    }
}
