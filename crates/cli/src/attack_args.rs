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

    /// The configuration of one of several attacks: of these options it takes those that it knows, and its own go before
    /// them.
    pub fn fitted(&self, spec: &AttackSpec, eps: Option<Epsilon>) -> AttackConfig {
        let (shared, _) = self.config(spec.attack(), eps).fitted();
        spec.over(shared)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct One {
        #[command(flatten)]
        attack: AttackArgs,
    }

    #[derive(Parser)]
    struct Several {
        #[arg(long, value_delimiter = ',')]
        attack: Vec<AttackSpec>,
        #[command(flatten)]
        options: AttackOptions,
    }

    fn several(arguments: &[&str]) -> Vec<AttackConfig> {
        let parsed = Several::parse_from([&["test"], arguments].concat());
        let eps = "8/255".parse().ok();
        let configs = parsed.attack.iter();
        configs
            .map(|spec| parsed.options.fitted(spec, eps))
            .collect()
    }

    #[test]
    fn options_of_one_attack_leave_the_others_alone() {
        let configs = several(&[
            "--attack",
            "pgd:steps=50:step_size=2/255:restarts=3,square,mim:variants=ni+di,apgd-ce:seed=4",
            "--seed",
            "9",
        ]);
        let steps: Vec<Option<usize>> = configs.iter().map(|config| config.steps).collect();
        assert_eq!(steps, [Some(50), None, None, None]);
        let seeds: Vec<u64> = configs.iter().map(|config| config.seed).collect();
        assert_eq!(seeds, [9, 9, 9, 4]);
        assert_eq!(configs[0].restarts, Some(3));
        let variants = configs[2].variants.map(|variants| variants.to_string());
        assert_eq!(variants.as_deref(), Some("ni,di"));
    }

    #[test]
    fn shared_options_go_to_the_attacks_that_know_them_and_set_none() {
        let configs = several(&["--attack", "pgd,square:queries=700,fgsm", "--steps", "50"]);
        let steps: Vec<Option<usize>> = configs.iter().map(|config| config.steps).collect();
        assert_eq!(steps, [Some(50), Some(700), None]);
    }

    #[test]
    fn one_attack_takes_options_too_and_a_wrong_one_is_refused_with_its_name() {
        let parsed = One::parse_from(["test", "--attack", "square:queries=5000", "--seed", "3"]);
        let AttackArgs { attack, options } = &parsed.attack;
        let config = attack.over(options.config(attack.attack(), None));
        assert_eq!((config.steps, config.seed), (Some(5000), 3));
        let refused = One::try_parse_from(["test", "--attack", "pgd:stepz=5"]).err();
        let message = refused.map_or(String::new(), |error| error.to_string());
        assert!(message.contains("did you mean `steps`?"), "{message}");
    }

    #[test]
    fn attacks_written_on_the_command_line_again_read_as_the_same() {
        let written = "pgd:steps=50,square:queries=5000,mim:variants=ni+di";
        let parsed = Several::parse_from(["test", "--attack", written]);
        let again: Vec<String> = parsed.attack.iter().map(AttackSpec::to_string).collect();
        assert_eq!(again.join(","), written);
    }
}
