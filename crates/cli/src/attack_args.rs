use buckler_attack::{AttackConfig, AttackKind, Epsilon, Norm, ObjectiveKind};
use clap::Args;

/// An attack as flags; the same names as in the server's requests.
#[derive(Args, Clone)]
pub struct AttackArgs {
    /// `fgsm` or `pgd`
    #[arg(long, default_value = "pgd")]
    pub attack: AttackKind,
    /// Norm of the ball: `linf` or `l2`
    #[arg(long, default_value = "linf")]
    pub norm: Norm,
    /// Gradient steps [default: 20]
    #[arg(long)]
    pub steps: Option<usize>,
    /// Length of a step, such as `2/255` [default: 2.5 eps / steps]
    #[arg(long)]
    pub step_size: Option<Epsilon>,
    /// Runs from new random starts on what is not fooled yet [default: 1]
    #[arg(long)]
    pub restarts: Option<usize>,
    /// What the attack climbs: `cross_entropy` or `margin`
    #[arg(long, default_value = "cross_entropy")]
    pub objective: ObjectiveKind,
    /// Seed of the random starts
    #[arg(long, default_value_t = 0)]
    pub seed: u64,
}

impl AttackArgs {
    /// With the radius, which some commands take several of.
    pub fn config(&self, eps: Option<Epsilon>) -> AttackConfig {
        AttackConfig {
            attack: self.attack,
            norm: self.norm,
            eps,
            steps: self.steps,
            step_size: self.step_size,
            restarts: self.restarts,
            objective: self.objective,
            seed: self.seed,
        }
    }
}
