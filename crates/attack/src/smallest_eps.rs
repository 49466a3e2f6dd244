//! The smallest radius at which an attack succeeds, image by image.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{
    Attack, AttackError, Checked, Epsilon, Evaluated, Norm, Observer, Samples, Status, Victim,
    evaluate::run_and_recheck,
};

/// Finer than single precision resolves radii.
const MOST_HALVINGS: u32 = 20;

/// The smallest radius at which an attack succeeds on one image.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct MinEps {
    /// The distance of the closest adversarial found, in the attack's norm.
    pub value: f32,
    /// The same in grey levels.
    pub value_255: f32,
    /// The largest radius tried at which nothing was found; 0 where something was found at all.
    pub nothing_at: f32,
    /// Whether the search was done: else a smaller radius may still do.
    pub complete: bool,
}

/// What the search came to for one image.
pub(crate) struct Smallest {
    /// The adversarial of the smallest radius that succeeded, with the queries of the whole search; or that nothing was found at
    /// the largest radius.
    pub checked: Checked,
    /// The radii, in units, at which nothing is found and at which something is.
    bracket: (u32, u32),
    complete: bool,
    norm: Norm,
    unit: f32,
}

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
    let found = bisect(victim, samples, largest, halvings, attack_at, observer).await?;
    let checked = found.into_iter().map(|smallest| smallest.checked);
    Ok(Evaluated::all(samples, checked.collect()))
}

pub(crate) async fn bisect<V: Victim, A: Attack, O: Observer>(
    victim: &V,
    samples: &Samples,
    largest: Epsilon,
    halvings: u32,
    attack_at: impl Fn(Epsilon) -> A + Sync,
    observer: &O,
) -> Result<Vec<Smallest>, AttackError> {
    let steps = 1u32 << halvings.min(MOST_HALVINGS);
    let unit = largest.value() / steps as f32;
    let attack = attack_at(largest);
    let norm = attack.threat().norm;
    let first = run_and_recheck(victim, samples, &attack, observer).await?;
    let mut best: Vec<Smallest> = first
        .into_iter()
        .map(|checked| Smallest {
            bracket: (0, reach(&checked, norm, unit, steps)),
            complete: checked.outcome.status != Status::Incomplete,
            checked,
            norm,
            unit,
        })
        .collect();
    loop {
        let mut rows_at: BTreeMap<u32, Vec<usize>> = BTreeMap::new();
        for (row, smallest) in best.iter().enumerate() {
            if let Some(radius) = smallest.next() {
                rows_at.entry(radius).or_default().push(row);
            }
        }
        if rows_at.is_empty() {
            return Ok(best);
        }
        for (radius, rows) in rows_at {
            let eps = largest.times(radius as f32 / steps as f32);
            let part = samples.rows(&rows);
            let answers = run_and_recheck(victim, &part, &attack_at(eps), observer).await?;
            for (row, answer) in rows.into_iter().zip(answers) {
                if let Some(best) = best.get_mut(row) {
                    best.take(radius, answer);
                }
            }
        }
    }
}

impl Smallest {
    /// The smallest radius, if there is one.
    pub fn min_eps(&self) -> Option<MinEps> {
        let value = distance(&self.checked, self.norm)?;
        Some(MinEps {
            value,
            value_255: 255.0 * value,
            nothing_at: self.bracket.0 as f32 * self.unit,
            complete: self.complete,
        })
    }

    /// The radius to try next, in units.
    fn next(&self) -> Option<u32> {
        let (fails, succeeds) = self.bracket;
        let found = self.checked.outcome.status == Status::AdversarialFound;
        (found && self.complete && succeeds - fails > 1).then_some((fails + succeeds) / 2)
    }

    fn take(&mut self, radius: u32, answer: Checked) {
        match answer.outcome.status {
            Status::AdversarialFound => {
                let reach = reach(&answer, self.norm, self.unit, radius);
                self.bracket.1 = reach.max(self.bracket.0 + 1);
                let before = std::mem::replace(&mut self.checked, answer);
                self.spend(&before);
                return;
            }
            Status::Incomplete => self.complete = false,
            Status::NotFound | Status::MisclassifiedClean => self.bracket.0 = radius,
        }
        self.spend(&answer);
    }

    fn spend(&mut self, other: &Checked) {
        let (outcome, other) = (&mut self.checked.outcome, &other.outcome);
        outcome.gradient_evaluations += other.gradient_evaluations;
        outcome.forward_evaluations += other.forward_evaluations;
        outcome.steps_used += other.steps_used;
        outcome.restarts_used += other.restarts_used;
        outcome.zero_gradient |= other.zero_gradient;
        outcome.non_finite_gradient += other.non_finite_gradient;
    }
}

/// The smallest radius, in units, whose ball holds the adversarial: at most the one asked for.
fn reach(checked: &Checked, norm: Norm, unit: f32, asked: u32) -> u32 {
    let Some(distance) = distance(checked, norm) else {
        return asked;
    };
    let units = (distance / unit).ceil();
    if units >= asked as f32 {
        return asked;
    }
    let units = (units as u32).max(1);
    // The quotient is rounded: the radius may fall short of the distance.
    let falls_short = units as f32 * unit < distance;
    (units + u32::from(falls_short)).min(asked)
}

/// The adversarial's distance from the clean image.
fn distance(checked: &Checked, norm: Norm) -> Option<f32> {
    let found = checked.outcome.status == Status::AdversarialFound;
    let look = checked.exact.as_ref().filter(|_| found)?;
    Some(look.distances.in_norm(norm) as f32)
}
