//! Attacks that had less effort than they are meant to have.

use super::Flag;
use crate::{AttackKind, Evaluation, Parameters, Threat};

/// Those that had fewer steps, queries or restarts than their default, which is that of their paper where it has one.
pub(super) fn weaker_than_default(evaluations: &[&Evaluation]) -> Vec<Flag> {
    let mut flags: Vec<Flag> = Vec::new();
    for flag in evaluations.iter().flat_map(|e| shortfalls(&e.parameters)) {
        if !flags.contains(&flag) {
            flags.push(flag);
        }
    }
    flags
}

/// What the parameters have less of than the default of their attack.
pub(crate) fn shortfalls(parameters: &Parameters) -> Vec<Flag> {
    let Some(attack) = parameters.kind() else {
        return Vec::new();
    };
    let threat = Threat {
        norm: parameters.norm,
        epsilon: parameters.eps,
    };
    let default = attack.defaults(threat);
    let steps = match attack {
        AttackKind::Square => "queries",
        _ => "steps",
    };
    [
        (steps, parameters.steps, default.steps),
        ("restarts", parameters.restarts, default.restarts),
    ]
    .into_iter()
    .filter(|(_, used, default)| used < default)
    .map(|(option, used, default)| Flag::WeakerThanDefault {
        attack,
        option: option.to_owned(),
        used,
        default,
    })
    .collect()
}
