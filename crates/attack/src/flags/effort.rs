//! Attacks that had less effort than they are meant to have.

use super::Flag;
use crate::{AttackKind, Evaluation, Parameters, Threat};

/// Those that had fewer steps, queries or restarts than their default, which is that of their paper
/// where it has one, or steps too short to get anywhere or too long to look inside the ball.
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
    let reach = |step_size: Option<f32>, steps: usize| step_size.map(|size| size * steps as f32);
    let used = parameters
        .step_size
        .zip(reach(parameters.step_size, parameters.steps));
    let usual = reach(default.step_size, default.steps);
    let short = used.filter(|(_, reach)| {
        *reach < parameters.eps.value() && usual.is_none_or(|usual| *reach < usual)
    });
    let short = short.map(|(step_size, _)| Flag::ShortSteps {
        attack,
        steps: parameters.steps,
        step_size,
        eps: parameters.eps,
    });
    let long = parameters.step_size.filter(|size| {
        let ball = 2.0 * parameters.eps.value();
        parameters.steps > 1 && *size > ball && default.step_size.is_none_or(|usual| *size > usual)
    });
    let long = long.map(|step_size| Flag::LongSteps {
        attack,
        step_size,
        eps: parameters.eps,
    });
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
    .chain(short)
    .chain(long)
    .collect()
}
