//! The smallest radius at which an attack succeeds, image by image.

use std::collections::BTreeMap;

use crate::{
    Attack, AttackError, Epsilon, Evaluated, Norm, Observer, Samples, Status, Victim,
    evaluate_batch,
};

/// Searches, for every image, the smallest radius at which an attack succeeds: bisection over the radii
/// `k * largest / 2^halvings`, from 1 to the whole. What comes back is the adversarial of the smallest radius that
/// succeeded, with the queries of the whole search, or that nothing was found at the largest radius.
///
/// Bisection takes for granted that an attack which succeeds at a radius succeeds at every larger one, which is true of balls
/// and nearly so of attacks; a found adversarial that is closer than its radius narrows the search further.
///
/// # Errors
/// When the samples do not fit the victim, or the victim fails.
pub async fn smallest_eps<V: Victim, A: Attack, O: Observer>(
    victim: &V,
    samples: &Samples,
    largest: Epsilon,
    halvings: u32,
    attack_at: impl Fn(Epsilon) -> A + Sync,
    observer: &O,
) -> Result<Vec<Evaluated>, AttackError> {
    let steps = 1u32 << halvings.min(MOST_HALVINGS);
    let unit = largest.value() / steps as f32;
    let attack = attack_at(largest);
    let norm = attack.threat().norm;
    let mut best = evaluate_batch(victim, samples, &attack, observer).await?;
    // The radii, in units, at which nothing is found and at which something is.
    let mut brackets: Vec<(u32, u32)> = best
        .iter()
        .map(|evaluated| (0, reach(evaluated, norm, unit, steps)))
        .collect();
    loop {
        let mut rows_at: BTreeMap<u32, Vec<usize>> = BTreeMap::new();
        for (row, (&(fails, succeeds), evaluated)) in brackets.iter().zip(&best).enumerate() {
            let found = evaluated.record.outcome == Status::AdversarialFound;
            if found && succeeds - fails > 1 {
                rows_at.entry((fails + succeeds) / 2).or_default().push(row);
            }
        }
        if rows_at.is_empty() {
            return Ok(best);
        }
        for (radius, rows) in rows_at {
            let eps = largest.times(radius as f32 / steps as f32);
            let part = samples.rows(&rows);
            let answers = evaluate_batch(victim, &part, &attack_at(eps), observer).await?;
            for (row, answer) in rows.into_iter().zip(answers) {
                let (Some(best), Some(bracket)) = (best.get_mut(row), brackets.get_mut(row)) else {
                    continue;
                };
                if answer.record.outcome == Status::AdversarialFound {
                    bracket.1 = reach(&answer, norm, unit, radius).max(bracket.0 + 1);
                    keep(best, answer);
                } else {
                    bracket.0 = radius;
                    spend(best, &answer);
                }
            }
        }
    }
}

/// Finer than single precision resolves radii.
const MOST_HALVINGS: u32 = 20;

/// The smallest radius, in units, whose ball holds the adversarial: at most the one asked for.
fn reach(evaluated: &Evaluated, norm: Norm, unit: f32, asked: u32) -> u32 {
    let distance = evaluated.record.distance(norm);
    let units = distance.map_or(f32::INFINITY, |distance| (distance / unit).ceil());
    if units < asked as f32 {
        (units as u32).max(1)
    } else {
        asked
    }
}

/// Takes the closer adversarial, and adds up what both cost.
fn keep(best: &mut Evaluated, closer: Evaluated) {
    let before = std::mem::replace(best, closer);
    spend(best, &before);
}

fn spend(best: &mut Evaluated, other: &Evaluated) {
    best.record.gradient_evaluations += other.record.gradient_evaluations;
    best.record.forward_evaluations += other.record.forward_evaluations;
    best.record.zero_gradient |= other.record.zero_gradient;
}
