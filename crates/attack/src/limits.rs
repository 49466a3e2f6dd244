use crate::{AttackKind, Epsilon, InputSpec, Norm};

/// How much attack may be asked for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Limits {
    /// The largest L-inf radius; 1 is the whole box.
    pub max_eps_linf: f32,
    /// The largest L2 radius.
    pub max_eps_l2: f32,
    /// The largest L1 radius.
    pub max_eps_l1: f32,
    /// The most steps per restart.
    pub max_steps: usize,
    /// The most restarts.
    pub max_restarts: usize,
    /// The most queries of an attack without gradients.
    pub max_queries: usize,
}

impl Limits {
    /// The limits for images of one shape: radii up to the diameter of the box (1 in L-inf, the square root of the number
    /// of values in L2, their number in L1), 1000 steps, 100 restarts,
    /// 20000 queries.
    pub fn for_input(input: InputSpec) -> Self {
        Self {
            max_eps_linf: 1.0,
            max_eps_l2: (input.values() as f32).sqrt(),
            max_eps_l1: input.values() as f32,
            max_steps: 1000,
            max_restarts: 100,
            max_queries: 20_000,
        }
    }

    pub(crate) fn max_eps(&self, norm: Norm) -> f32 {
        match norm {
            Norm::Linf => self.max_eps_linf,
            Norm::L2 => self.max_eps_l2,
            Norm::L1 => self.max_eps_l1,
        }
    }
}

/// Why an attack configuration is refused.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum ConfigError {
    /// The ball is larger than allowed.
    #[error(
        "eps {eps} is over the limit of {limit} for {norm}: pixels are in [0, 1], so write eps in pixel units, such as 8/255"
    )]
    Eps {
        /// The radius asked for.
        eps: Epsilon,
        /// The norm of the ball.
        norm: Norm,
        /// The largest radius allowed.
        limit: f32,
    },
    /// Too few or too many steps.
    #[error("steps {steps} is outside 1 to {limit}: 20 to 100 are usual")]
    Steps {
        /// The steps asked for.
        steps: usize,
        /// The most allowed.
        limit: usize,
    },
    /// A step that goes nowhere.
    #[error(
        "step_size {0} is not over 0: write one such as 2/255, or leave it out for 2.5 eps / steps"
    )]
    StepSize(Epsilon),
    /// Too few or too many restarts.
    #[error("restarts {restarts} is outside 1 to {limit}: 1 to 10 are usual")]
    Restarts {
        /// The restarts asked for.
        restarts: usize,
        /// The most allowed.
        limit: usize,
    },
    /// The attack is made for other norms.
    #[error("{attack} is not made for {norm}: use {norms}, or another attack", norms = list(.norms))]
    Norm {
        /// The attack.
        attack: AttackKind,
        /// The norm asked for.
        norm: Norm,
        /// Those it is made for.
        norms: Vec<Norm>,
    },
    /// The attack has no such thing.
    #[error(
        "{attack} has no {field}, so {field} {value} has no meaning for it: leave it out; {attack} takes {takes}", takes = takes_list(.takes)
    )]
    NotForAttack {
        /// The attack.
        attack: AttackKind,
        /// `steps`, `step_size`, `restarts`, `objective` or `variants`.
        field: &'static str,
        /// What was asked for.
        value: String,
        /// What it takes, beside `norm`, `eps` and `seed`.
        takes: Vec<&'static str>,
    },
}

fn list(norms: &[Norm]) -> String {
    let names: Vec<String> = norms.iter().map(Norm::to_string).collect();
    names.join(" or ")
}

fn takes_list(takes: &[&'static str]) -> String {
    let all = ["norm", "eps"].iter().chain(takes).chain(&["seed"]);
    all.copied().collect::<Vec<_>>().join(", ")
}
