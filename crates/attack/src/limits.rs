use crate::{Epsilon, InputSpec, Norm};

/// How much attack may be asked for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Limits {
    /// The largest L-inf radius; 1 is the whole box.
    pub max_eps_linf: f32,
    /// The largest L2 radius.
    pub max_eps_l2: f32,
    /// The most steps per restart.
    pub max_steps: usize,
    /// The most restarts.
    pub max_restarts: usize,
}

impl Limits {
    /// The limits for images of one shape: radii up to the diameter of the box (1 in L-inf, the square root of the number
    /// of values in L2), 1000 steps, 100 restarts.
    pub fn for_input(input: InputSpec) -> Self {
        Self {
            max_eps_linf: 1.0,
            max_eps_l2: (input.values() as f32).sqrt(),
            max_steps: 1000,
            max_restarts: 100,
        }
    }

    pub(crate) fn max_eps(&self, norm: Norm) -> f32 {
        match norm {
            Norm::Linf => self.max_eps_linf,
            Norm::L2 => self.max_eps_l2,
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
    /// FGSM is one step of eps from the clean image.
    #[error(
        "fgsm takes one step of eps from the clean image, so {field} {value} has no meaning for it: leave {field} out, or use attack `pgd`"
    )]
    NotForFgsm {
        /// `steps`, `step_size` or `restarts`.
        field: &'static str,
        /// What was asked for.
        value: String,
    },
}
