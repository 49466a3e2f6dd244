//! An attack and its options in one word: `pgd`, `square:queries=5000`, `pgd:steps=50:step_size=2/255`.

use std::{fmt, str::FromStr};

use super::AttackConfig;
use crate::{AttackKind, ParseAttackError};

/// What belongs to a threat model, which attacks are compared in, and not to one attack.
const SHARED: &str = "eps";

/// An attack with options of its own, which go before those that several attacks share.
///
/// Written as the attack's name and `:NAME=VALUE` for each option, with the names of [`AttackConfig`]; those of `square`
/// include `queries`, which are its steps. Variants are joined by `+`. Displayed as it was written, without blanks.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct AttackSpec {
    attack: AttackKind,
    /// Names and values, in the order in which they were written.
    written: Vec<(&'static str, String)>,
    /// The same, read.
    own: AttackConfig,
}

/// The text is not an attack with options.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParseSpecError {
    /// There is no such attack.
    #[error(transparent)]
    Attack(#[from] ParseAttackError),
    /// An option without name or value.
    #[error(
        "`{text}` in `{spec}` is not an option: write NAME=VALUE, such as `{example}`, and `:` between options"
    )]
    Form {
        /// What stands where an option should.
        text: String,
        /// The whole.
        spec: String,
        /// An option of the attack.
        example: String,
    },
    /// There is no such option.
    #[error(
        "`{spec}`: {attack} has no option `{name}`; {nearest}it takes {takes}", takes = .takes.join(", "),
        nearest = .nearest.map(|name| format!("did you mean `{name}`? ")).unwrap_or_default()
    )]
    Unknown {
        /// The whole.
        spec: String,
        /// The attack.
        attack: AttackKind,
        /// The name.
        name: String,
        /// The option that is spelled most like it, if one is.
        nearest: Option<&'static str>,
        /// The names of its options.
        takes: Vec<&'static str>,
    },
    /// The radius is not an option of one attack.
    #[error("`{0}`: `eps` is not an option of one attack: radii are set for all attacks together")]
    Eps(String),
    /// An option stands twice.
    #[error("`{spec}` sets `{name}` twice: leave one of them out")]
    Twice {
        /// The whole.
        spec: String,
        /// The option.
        name: &'static str,
    },
    /// An option has no such value.
    #[error("`{spec}`: {reason}")]
    Value {
        /// The whole.
        spec: String,
        /// What is wrong with the value, and what is allowed.
        reason: String,
    },
}

impl AttackSpec {
    /// The attack.
    pub fn attack(&self) -> AttackKind {
        self.attack
    }

    /// The configuration `shared` for this attack, with its own options in place of the shared ones. The radius is that of
    /// `shared`.
    pub fn over(&self, shared: AttackConfig) -> AttackConfig {
        let own = &self.own;
        let sets_seed = self.written.iter().any(|(name, _)| *name == "seed");
        AttackConfig {
            attack: self.attack,
            norm: own.norm.or(shared.norm),
            eps: shared.eps,
            steps: own.steps.or(shared.steps),
            step_size: own.step_size.or(shared.step_size),
            restarts: own.restarts.or(shared.restarts),
            objective: own.objective.or(shared.objective),
            variants: own.variants.or(shared.variants),
            seed: if sets_seed { own.seed } else { shared.seed },
        }
    }

    /// The names of the attack's options.
    fn names(attack: AttackKind) -> Vec<&'static str> {
        let queries = (attack == AttackKind::Square).then_some("queries");
        let settings = attack.settings().into_iter();
        let settings = settings.chain(queries);
        ["norm"]
            .into_iter()
            .chain(settings)
            .chain(["seed"])
            .collect()
    }
}

impl From<AttackKind> for AttackSpec {
    /// The attack without options of its own.
    fn from(attack: AttackKind) -> Self {
        Self {
            attack,
            ..Self::default()
        }
    }
}

impl fmt::Display for AttackSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.attack)?;
        for (name, value) in &self.written {
            write!(f, ":{name}={value}")?;
        }
        Ok(())
    }
}

impl FromStr for AttackSpec {
    type Err = ParseSpecError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut parts = text.split(':');
        let attack: AttackKind = parts.next().unwrap_or_default().trim().parse()?;
        let names = Self::names(attack);
        let spec = || text.to_owned();
        let mut written: Vec<(&'static str, String)> = Vec::new();
        for part in parts {
            let form = || ParseSpecError::Form {
                text: part.to_owned(),
                spec: spec(),
                example: format!("{}=1", names.get(1).unwrap_or(&"seed")),
            };
            let (name, value) = part.split_once('=').ok_or_else(form)?;
            let name = name.trim().to_ascii_lowercase().replace('-', "_");
            let value: String = value.chars().filter(|c| !c.is_whitespace()).collect();
            if name.is_empty() || value.is_empty() {
                return Err(form());
            }
            if name == SHARED {
                return Err(ParseSpecError::Eps(spec()));
            }
            let Some(&known) = names.iter().find(|known| **known == name) else {
                return Err(ParseSpecError::Unknown {
                    spec: spec(),
                    attack,
                    nearest: nearest(&name, &names),
                    name,
                    takes: names,
                });
            };
            if written
                .iter()
                .any(|(other, _)| field(other) == field(known))
            {
                return Err(ParseSpecError::Twice {
                    spec: spec(),
                    name: known,
                });
            }
            written.push((known, value.replace(',', "+")));
        }
        let mut own = AttackConfig {
            attack,
            ..AttackConfig::default()
        };
        for (name, value) in &written {
            set(&mut own, name, value).map_err(|reason| ParseSpecError::Value {
                spec: spec(),
                reason,
            })?;
        }
        Ok(Self {
            attack,
            written,
            own,
        })
    }
}

fn set(config: &mut AttackConfig, name: &str, value: &str) -> Result<(), String> {
    let count = || {
        value.parse::<usize>().map_err(|_| {
            format!("{name} `{value}` is not a whole number: write one from 1 up, such as 20")
        })
    };
    match name {
        "norm" => config.norm = Some(read(value)?),
        "steps" | "queries" => config.steps = Some(count()?),
        "restarts" => config.restarts = Some(count()?),
        "step_size" => {
            let size = value.parse().map_err(|_| {
                format!(
                    "step_size `{value}` is not a non-negative number: write a fraction such as `2/255` or a number such as `0.008`"
                )
            })?;
            config.step_size = Some(size);
        }
        "objective" => config.objective = Some(read(value)?),
        "variants" => config.variants = Some(read(value)?),
        _ => {
            config.seed = value.parse().map_err(|_| {
                format!("{name} `{value}` is not a whole number: write one from 0 up")
            })?;
        }
    }
    Ok(())
}

fn read<T: FromStr<Err: fmt::Display>>(value: &str) -> Result<T, String> {
    value.parse().map_err(|error: T::Err| error.to_string())
}

/// The field of the configuration that an option sets.
fn field(name: &str) -> &str {
    match name {
        "queries" => "steps",
        name => name,
    }
}

/// The name spelled most like `name`, if it is close.
fn nearest(name: &str, names: &[&'static str]) -> Option<&'static str> {
    let distance = |known: &&&'static str| strsim::damerau_levenshtein(name, known);
    let nearest = names.iter().min_by_key(distance)?;
    let close = distance(&nearest) <= 3.min(name.len() / 2 + 1)
        || nearest.starts_with(name)
        || name.starts_with(*nearest);
    close.then_some(*nearest)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{InputSpec, Limits, Norm, ObjectiveKind};

    fn config(text: &str) -> AttackConfig {
        let shared = AttackConfig {
            steps: Some(7),
            seed: 3,
            eps: Some("0.1".parse().unwrap()),
            ..AttackConfig::default()
        };
        text.parse::<AttackSpec>().unwrap().over(shared)
    }

    fn refused(text: &str) -> String {
        text.parse::<AttackSpec>().unwrap_err().to_string()
    }

    #[test]
    fn options_belong_to_the_attack_they_stand_with() {
        let pgd = config("pgd:steps=50:step_size=2/255:restarts=3:objective=margin:norm=l2");
        assert_eq!(pgd.attack, AttackKind::Pgd);
        assert_eq!((pgd.steps, pgd.restarts, pgd.seed), (Some(50), Some(3), 3));
        assert_eq!(pgd.step_size.unwrap().to_string(), "2/255");
        assert_eq!(pgd.objective, Some(ObjectiveKind::Margin));
        assert_eq!((pgd.norm, pgd.eps.unwrap().value()), (Some(Norm::L2), 0.1));
        let square = config("Square : queries = 5000 : SEED=9");
        assert_eq!((square.steps, square.seed), (Some(5000), 9));
        let shared = config("apgd-ce");
        assert_eq!((shared.steps, shared.seed), (Some(7), 3));
        let mim = config("mim:variants=ni+ti:step-size=0.01");
        assert_eq!(mim.variants.unwrap().to_string(), "ni,ti");
    }

    #[test]
    fn a_specification_is_displayed_so_that_it_reads_as_the_same() {
        for text in [
            "pgd",
            "square:queries=5000:restarts=2",
            "mim:variants=ni+di",
            "cw:steps=9",
        ] {
            let spec: AttackSpec = text.parse().unwrap();
            assert_eq!(spec.to_string(), text);
        }
        let spaced: AttackSpec = " PGD : steps = 50".parse().unwrap();
        assert_eq!(spaced.to_string(), "pgd:steps=50");
        assert_eq!(AttackSpec::from(AttackKind::Cw).to_string(), "cw");
    }

    #[test]
    fn what_is_not_an_option_is_refused_with_what_is() {
        for (text, parts) in [
            ("pdg:steps=5", ["unknown attack `pdg`", "`pgd`"]),
            (
                "pgd:stesp=5",
                ["no option `stesp`", "did you mean `steps`?"],
            ),
            (
                "square:query=5",
                ["no option `query`", "did you mean `queries`?"],
            ),
            (
                "pgd:queries=5",
                ["pgd has no option `queries`", "step_size"],
            ),
            (
                "pgd:variants=ni",
                ["no option `variants`", "it takes norm, steps"],
            ),
            (
                "fgsm:steps=5",
                ["fgsm has no option `steps`", "norm, objective, seed"],
            ),
            ("pgd:steps", ["`steps` in `pgd:steps`", "NAME=VALUE"]),
            ("pgd:", ["is not an option", "`steps=1`"]),
            ("pgd:steps=", ["`steps=` in", "NAME=VALUE"]),
            ("pgd:steps=5:steps=6", ["`steps` twice", "leave one"]),
            ("square:steps=5:queries=6", ["`queries` twice", "leave one"]),
            ("pgd:steps=many", ["steps `many`", "whole number"]),
            ("pgd:steps=-5", ["steps `-5`", "whole number"]),
            ("pgd:step_size=-1", ["step_size `-1`", "non-negative"]),
            ("pgd:norm=l3", ["l3", "linf"]),
            ("pgd:objective=loss", ["loss", "cross_entropy"]),
            ("mim:variants=xi", ["variant `xi`", "`ni`"]),
            (
                "pgd:eps=0.1",
                ["`eps` is not an option of one attack", "together"],
            ),
        ] {
            let message = refused(text);
            for part in parts {
                assert!(message.contains(part), "{text}: `{message}` lacks `{part}`");
            }
        }
    }

    #[test]
    fn values_are_checked_against_the_limits() {
        let limits = Limits::for_input(InputSpec {
            channels: 1,
            height: 8,
            width: 8,
        });
        for (text, part) in [
            ("pgd:steps=0", "steps 0"),
            ("pgd:restarts=101", "restarts 101"),
            ("pgd:step_size=0", "step_size 0"),
            ("square:queries=20001", "steps 20001"),
            ("cw:norm=linf", "cw"),
        ] {
            let error = config(text).validate(&limits).unwrap_err().to_string();
            assert!(error.contains(part), "{error}");
        }
        assert!(config("square:queries=20000").validate(&limits).is_ok());
    }
}
