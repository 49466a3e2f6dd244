use buckler_attack::{
    AttackConfig, AttackKind, AttackSpec, Epsilon, Norm, ObjectiveKind, Variants,
};
use clap::Args;

/// An attack as flags; the same names as in the server's requests.
#[derive(Args, Clone)]
pub struct AttackArgs {
    /// `fgsm`, `pgd`, `mim`, `apgd-ce`, `apgd-dlr`, `apgd-t`, `fab`, `fab-t`, `square`, `cw`, `deepfool`, `multi-targeted`, `feature`
    /// (on data sets alone), `spsa`, `autoattack`, `autoattack-plus` or `autoattack-rand`; options may stand with it, such as
    /// `pgd:steps=50:step_size=2/255` or `square:queries=5000`
    #[arg(long, default_value = "pgd", value_name = "ATTACK[:OPTION=VALUE...]")]
    pub attack: AttackSpec,
    #[command(flatten)]
    pub options: AttackOptions,
}

/// What can be set of attacks, beside their radius.
#[derive(Args, Clone)]
pub struct AttackOptions {
    /// Norm of the ball: `linf`, `l2` or `l1` [default: linf, but l2 for `cw`]
    #[arg(long)]
    pub norm: Option<Norm>,
    /// Steps, or queries of `square` [default: 20 for `pgd`, `mim` and `multi-targeted`, 50 for `feature`, else as published]
    #[arg(long)]
    pub steps: Option<usize>,
    /// Length of a step, such as `2/255` [default: 2.5 eps / steps, but 1/255 for `feature`]
    #[arg(long)]
    pub step_size: Option<Epsilon>,
    /// Runs from new random starts on what is not fooled yet [default: 1, but 100 sources for `feature`]
    #[arg(long)]
    pub restarts: Option<usize>,
    /// What `fgsm`, `pgd` and `mim` climb: `cross_entropy`, `margin` or `dlr` [default: cross_entropy]
    #[arg(long)]
    pub objective: Option<ObjectiveKind>,
    /// Variants of `mim`: some of `ni,di,ti`
    #[arg(long)]
    pub variants: Option<Variants>,
    /// Seed of all that is drawn
    #[arg(long, default_value_t = 0)]
    pub seed: u64,
}

impl AttackOptions {
    /// With the attack and its radius, which some commands take several of.
    pub fn config(&self, attack: AttackKind, eps: Option<Epsilon>) -> AttackConfig {
        AttackConfig {
            attack,
            norm: self.norm,
            eps,
            steps: self.steps,
            step_size: self.step_size,
            restarts: self.restarts,
            objective: self.objective,
            variants: self.variants,
            seed: self.seed,
        }
    }
}
