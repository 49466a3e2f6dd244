use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::{
    AnyAttack, ConfigError, Epsilon, Fgsm, Limits, Norm, ObjectiveKind, Pgd, Threat, lenient,
};

/// Which attack.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AttackKind {
    /// One step of eps from the clean image.
    Fgsm,
    /// Projected gradient descent.
    #[default]
    Pgd,
}

impl fmt::Display for AttackKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            AttackKind::Fgsm => "fgsm",
            AttackKind::Pgd => "pgd",
        })
    }
}

/// The text names no attack.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown attack `{0}`: use `fgsm` or `pgd`")]
pub struct ParseAttackError(String);

impl FromStr for AttackKind {
    type Err = ParseAttackError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.to_ascii_lowercase().as_str() {
            "fgsm" => Ok(AttackKind::Fgsm),
            "pgd" => Ok(AttackKind::Pgd),
            _ => Err(ParseAttackError(text.to_owned())),
        }
    }
}

/// An attack as somebody wrote it: on the command line, in a form, a query string, JSON or a file, under the same names
/// everywhere. Numbers may be numbers or text; unknown names are refused.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AttackConfig {
    /// Which attack; `pgd` by default.
    pub attack: AttackKind,
    /// The norm of the ball; `linf` by default.
    pub norm: Norm,
    /// The radius of the ball in pixel units; `8/255` by default for `linf`, `128/255` for `l2`.
    #[serde(
        deserialize_with = "lenient::eps",
        skip_serializing_if = "Option::is_none"
    )]
    pub eps: Option<Epsilon>,
    /// Steps per restart; 20 by default. Not for `fgsm`.
    #[serde(
        deserialize_with = "lenient::steps",
        skip_serializing_if = "Option::is_none"
    )]
    pub steps: Option<usize>,
    /// The length of a step in pixel units; `2.5 eps / steps` by default. Not for `fgsm`.
    #[serde(
        deserialize_with = "lenient::step_size",
        skip_serializing_if = "Option::is_none"
    )]
    pub step_size: Option<Epsilon>,
    /// Restarts at most; 1 by default. Not for `fgsm`.
    #[serde(
        deserialize_with = "lenient::restarts",
        skip_serializing_if = "Option::is_none"
    )]
    pub restarts: Option<usize>,
    /// The loss to climb; `cross_entropy` by default.
    pub objective: ObjectiveKind,
    /// The seed of the random starts; 0 by default. `fgsm` draws nothing.
    #[serde(deserialize_with = "lenient::seed")]
    pub seed: u64,
}

impl AttackConfig {
    /// The perturbations to search, the default radius filled in.
    pub fn threat(&self) -> Threat {
        let epsilon = self.eps.unwrap_or(match self.norm {
            Norm::Linf => Epsilon::fraction_of_255(8),
            Norm::L2 => Epsilon::fraction_of_255(128),
        });
        Threat {
            norm: self.norm,
            epsilon,
        }
    }

    /// The attack to run, with every default filled in.
    ///
    /// # Errors
    /// When a value is outside `limits` or has no meaning for the attack.
    pub fn validate(&self, limits: &Limits) -> Result<AnyAttack, ConfigError> {
        let threat = self.threat();
        let limit = limits.max_eps(threat.norm);
        if threat.epsilon.value() > limit {
            return Err(ConfigError::Eps {
                eps: threat.epsilon,
                norm: threat.norm,
                limit,
            });
        }
        match self.attack {
            AttackKind::Fgsm => self.fgsm(threat).map(AnyAttack::Fgsm),
            AttackKind::Pgd => self.pgd(threat, limits).map(AnyAttack::Pgd),
        }
    }

    fn fgsm(&self, threat: Threat) -> Result<Fgsm, ConfigError> {
        let refuse = |field, value: String| Err(ConfigError::NotForFgsm { field, value });
        match (self.steps, self.step_size, self.restarts) {
            (Some(steps), _, _) if steps != 1 => refuse("steps", steps.to_string()),
            (_, Some(size), _) if size != threat.epsilon => refuse("step_size", size.to_string()),
            (_, _, Some(restarts)) if restarts != 1 => refuse("restarts", restarts.to_string()),
            _ => Ok(Fgsm {
                objective: self.objective,
                ..Fgsm::new(threat)
            }),
        }
    }

    fn pgd(&self, threat: Threat, limits: &Limits) -> Result<Pgd, ConfigError> {
        let defaults = Pgd::new(threat);
        let steps = self.steps.unwrap_or(defaults.steps);
        if !(1..=limits.max_steps).contains(&steps) {
            let limit = limits.max_steps;
            return Err(ConfigError::Steps { steps, limit });
        }
        if let Some(size) = self.step_size.filter(|size| size.value() <= 0.0) {
            return Err(ConfigError::StepSize(size));
        }
        let restarts = self.restarts.unwrap_or(defaults.restarts);
        if !(1..=limits.max_restarts).contains(&restarts) {
            let limit = limits.max_restarts;
            return Err(ConfigError::Restarts { restarts, limit });
        }
        Ok(Pgd {
            steps,
            step_size: self.step_size.map(Epsilon::value),
            restarts,
            objective: self.objective,
            seed: self.seed,
            ..defaults
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Attack, InputSpec};

    fn limits() -> Limits {
        Limits::for_input(InputSpec {
            channels: 3,
            height: 32,
            width: 32,
        })
    }

    fn read(json: &str) -> Result<AttackConfig, serde_json::Error> {
        serde_json::from_str(json)
    }

    fn message(json: &str) -> String {
        read(json)
            .unwrap()
            .validate(&limits())
            .unwrap_err()
            .to_string()
    }

    #[test]
    fn nothing_written_is_the_documented_default() {
        let attack = read("{}").unwrap().validate(&limits()).unwrap();
        assert_eq!(
            attack.to_string(),
            "pgd linf eps=8/255 steps=20 step_size=0.003922 restarts=1 objective=cross_entropy seed=0"
        );
        assert_eq!(attack.describe(), attack.to_string());
        let l2 = read(r#"{"norm":"l2"}"#)
            .unwrap()
            .validate(&limits())
            .unwrap();
        assert_eq!(l2.parameters().eps.to_string(), "128/255");
    }

    #[test]
    fn numbers_and_text_read_alike() {
        let numbers = r#"{"attack":"pgd","norm":"l2","eps":0.5,"steps":7,"step_size":0.125,
            "restarts":3,"objective":"margin","seed":18446744073709551615}"#;
        let text = r#"{"attack":"pgd","norm":"l2","eps":"0.5","steps":" 7 ","step_size":"0.125",
            "restarts":"3","objective":"margin","seed":"18446744073709551615"}"#;
        assert_eq!(read(numbers).unwrap(), read(text).unwrap());
        assert_eq!(
            read(numbers)
                .unwrap()
                .validate(&limits())
                .unwrap()
                .to_string(),
            "pgd l2 eps=0.5 steps=7 step_size=0.125 restarts=3 objective=margin seed=18446744073709551615"
        );
    }

    #[test]
    fn fractions_read_as_the_literature_writes_them() {
        let config = read(r#"{"eps":"4/255","step_size":"2/255"}"#).unwrap();
        assert_eq!(config.eps.unwrap().to_string(), "4/255");
        let parameters = config.validate(&limits()).unwrap().parameters();
        assert_eq!(parameters.step_size, 2.0 / 255.0);
    }

    #[test]
    fn fields_left_blank_are_not_given() {
        let blank = r#"{"eps":"","steps":"","step_size":" ","restarts":"","seed":""}"#;
        assert_eq!(read(blank).unwrap(), AttackConfig::default());
        assert_eq!(
            read(r#"{"eps":null,"steps":null}"#).unwrap(),
            AttackConfig::default()
        );
    }

    #[test]
    fn a_configuration_survives_a_round_trip() {
        let config = read(r#"{"attack":"fgsm","eps":"8/255","seed":3}"#).unwrap();
        let json = serde_json::to_string(&config).unwrap();
        assert_eq!(read(&json).unwrap(), config);
        assert!(json.contains(r#""eps":"8/255""#), "{json}");
    }

    #[test]
    fn unreadable_values_name_the_field_the_value_and_the_remedy() {
        for (json, parts) in [
            (r#"{"eps":-0.1}"#, ["eps `-0.1`", "2/255", "number"]),
            (r#"{"eps":"NaN"}"#, ["eps `NaN`", "number", "fraction"]),
            (r#"{"eps":"8/0"}"#, ["eps `8/0`", "number", "fraction"]),
            (r#"{"step_size":-1}"#, ["step_size `-1`", "2/255", "number"]),
            (r#"{"step_size":"x"}"#, ["step_size `x`", "2/255", "number"]),
            (r#"{"steps":-1}"#, ["steps `-1`", "whole number", "20"]),
            (r#"{"steps":1.5}"#, ["steps `1.5`", "whole number", "20"]),
            (
                r#"{"restarts":"many"}"#,
                ["restarts `many`", "whole number", "1"],
            ),
            (r#"{"seed":-3}"#, ["seed `-3`", "whole number", "0"]),
            (
                r#"{"attack":"deepfool"}"#,
                ["`deepfool`", "`fgsm`", "`pgd`"],
            ),
            (r#"{"norm":"l7"}"#, ["`l7`", "`linf`", "`l2`"]),
            (
                r#"{"objective":"dlr"}"#,
                ["`dlr`", "`cross_entropy`", "`margin`"],
            ),
            (r#"{"epsilon":1}"#, ["`epsilon`", "`eps`", "`steps`"]),
        ] {
            let message = read(json).unwrap_err().to_string();
            for part in parts {
                assert!(message.contains(part), "{json}: `{message}` lacks `{part}`");
            }
        }
        let message = "deepfool".parse::<AttackKind>().unwrap_err().to_string();
        assert_eq!(message, "unknown attack `deepfool`: use `fgsm` or `pgd`");
    }

    #[test]
    fn values_outside_the_limits_name_value_limit_and_remedy() {
        for (json, parts) in [
            (r#"{"eps":8}"#, ["eps 8", "limit of 1 for linf", "8/255"]),
            (
                r#"{"eps":"256/255"}"#,
                ["eps 256/255", "limit of 1 for linf", "8/255"],
            ),
            (r#"{"norm":"l2","eps":60}"#, ["eps 60", "55.4", "l2"]),
            (r#"{"steps":0}"#, ["steps 0", "1 to 1000", "usual"]),
            (r#"{"steps":1001}"#, ["steps 1001", "1 to 1000", "usual"]),
            (r#"{"step_size":0}"#, ["step_size 0", "over 0", "2/255"]),
            (r#"{"restarts":0}"#, ["restarts 0", "1 to 100", "usual"]),
            (r#"{"restarts":101}"#, ["restarts 101", "1 to 100", "usual"]),
            (
                r#"{"attack":"fgsm","steps":5}"#,
                ["steps 5", "one step", "`pgd`"],
            ),
            (
                r#"{"attack":"fgsm","step_size":0.5}"#,
                ["step_size 0.5", "one step", "`pgd`"],
            ),
            (
                r#"{"attack":"fgsm","restarts":2}"#,
                ["restarts 2", "one step", "`pgd`"],
            ),
        ] {
            let message = message(json);
            for part in parts {
                assert!(message.contains(part), "{json}: `{message}` lacks `{part}`");
            }
        }
    }
}
