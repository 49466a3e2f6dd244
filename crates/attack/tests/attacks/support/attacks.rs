//! All attacks, with little effort.

use buckler_attack::{
    AnyAttack, Attack, AttackConfig, AttackKind, Epsilon, FeatureAttack, Limits, Mim, Norm,
    Samples, Spsa, Square, Variants, Victim,
};

use super::SMALL;

/// A radius at which some images break and others hold.
pub fn epsilon(norm: Norm) -> &'static str {
    match norm {
        Norm::Linf => "0.03",
        Norm::L2 => "0.15",
        Norm::L1 => "0.8",
    }
}

/// Every attack in every norm it is made for, with less effort than usual, prepared on the samples it is to be run on.
pub async fn all(victim: &impl Victim, samples: &Samples) -> Vec<AnyAttack> {
    all_within(victim, samples, |norm| epsilon(norm).parse().unwrap()).await
}

/// The same with other radii.
pub async fn all_within(
    victim: &impl Victim,
    samples: &Samples,
    radius: impl Fn(Norm) -> Epsilon,
) -> Vec<AnyAttack> {
    let limits = Limits::for_input(SMALL);
    let norms = AttackKind::ALL.into_iter().flat_map(|kind| {
        let norms = kind.norms().iter();
        norms.map(move |&norm| (kind, norm))
    });
    let mut attacks = Vec::new();
    let one_class = samples.labels.windows(2).all(|pair| pair[0] == pair[1]);
    for (kind, norm) in norms {
        // It takes images of other classes.
        if kind == AttackKind::Feature && one_class {
            continue;
        }
        let config = AttackConfig {
            attack: kind,
            norm: Some(norm),
            eps: Some(radius(norm)),
            seed: 7,
            ..AttackConfig::default()
        };
        let attack = match config.validate(&limits).unwrap() {
            AnyAttack::Spsa(spsa) => AnyAttack::Spsa(Spsa {
                steps: 10,
                pairs: 70,
                ..spsa
            }),
            AnyAttack::Square(square) => AnyAttack::Square(Square {
                queries: 300,
                ..square
            }),
            AnyAttack::Mim(mim) => AnyAttack::Mim(Mim {
                variants: "ni,di,ti".parse::<Variants>().unwrap(),
                ..mim
            }),
            AnyAttack::Feature(feature) => AnyAttack::Feature(FeatureAttack {
                restarts: 8,
                ..feature
            }),
            attack => attack,
        };
        attacks.push(attack.prepare(victim, samples).await.unwrap());
    }
    attacks
}
