//! What a few queries tell about a model before any figure is measured.

use super::Flag;
use crate::{
    Attack, AttackError, Epsilon, Norm, Outcome, Pgd, Samples, Status, Threat, Victim,
    pgd::DEFAULT_MAX_BATCH, query::Queries,
};

/// Images looked at.
const IMAGES: usize = 32;

/// Forward passes compared, as in AutoAttack.
const PASSES: usize = 5;

/// Rounding of a softmax over many classes.
const SUM_TOLERANCE: f32 = 1e-4;

/// Looks at the model on the first few samples: whether it draws at random, depends on the batch or not on the image at
/// all, whether its outputs are probabilities, and, with
/// `gradients`, whether PGD breaks what it gets right in a ball that holds every image.
///
/// # Errors
/// When the samples do not fit the victim, or the victim fails.
pub async fn probe<V: Victim>(
    victim: &V,
    samples: &Samples,
    gradients: bool,
) -> Result<Vec<Flag>, AttackError> {
    samples.check(victim)?;
    let part = samples.range(0..IMAGES);
    let images = part.flat();
    let rows: Vec<&[f32]> = images.iter().map(Vec::as_slice).collect();
    let queries = Queries::new(victim, DEFAULT_MAX_BATCH);
    let first = queries.logits(&rows).await?;
    let mut differing = vec![false; rows.len()];
    for _ in 1..PASSES {
        let again = queries.logits(&rows).await?;
        for ((differs, a), b) in differing.iter_mut().zip(&first).zip(&again) {
            *differs |= differ(a, b);
        }
    }
    let mut flags = Vec::new();
    let images = rows.len();
    let differing = differing.into_iter().filter(|&differs| differs).count();
    if differing > 0 {
        flags.push(Flag::Randomised { differing, images });
    }
    if victim.depends_on_batch() {
        flags.push(Flag::DependsOnBatch);
    }
    if images > 1 && first.iter().all(|logits| Some(logits) == first.first()) {
        flags.push(Flag::SameLogits { images });
    }
    if first.iter().all(|logits| are_probabilities(logits)) {
        flags.push(Flag::Probabilities { images });
    }
    if gradients {
        flags.extend(unbounded(victim, &part).await?);
    }
    Ok(flags)
}

/// NaN does not differ from NaN.
fn differ(a: &[f32], b: &[f32]) -> bool {
    let mut pairs = a.iter().zip(b);
    pairs.any(|(a, b)| a != b && !(a.is_nan() && b.is_nan()))
}

fn are_probabilities(logits: &[f32]) -> bool {
    let sum: f32 = logits.iter().sum();
    logits.iter().all(|p| (0.0..=1.0).contains(p)) && (sum - 1.0).abs() < SUM_TOLERANCE
}

async fn unbounded<V: Victim>(victim: &V, samples: &Samples) -> Result<Vec<Flag>, AttackError> {
    let whole = Threat {
        norm: Norm::Linf,
        epsilon: Epsilon::whole(1),
    };
    let pgd = Pgd::new(whole);
    let outcomes = pgd.run(victim, samples, &()).await?;
    let attacked = outcomes.iter();
    let attacked: Vec<&Outcome> = attacked
        .filter(|outcome| outcome.status != Status::MisclassifiedClean)
        .collect();
    let (affected, clear): (Vec<&Outcome>, Vec<&Outcome>) = attacked
        .iter()
        .partition(|outcome| outcome.non_finite_gradient > 0);
    let held = |outcomes: &[&Outcome]| {
        let held = outcomes.iter().filter(|o| o.status == Status::NotFound);
        held.count()
    };
    let mut flags = Vec::new();
    if held(&clear) > 0 {
        flags.push(Flag::UnboundedAttackFails {
            held: held(&clear),
            images: attacked.len(),
        });
    }
    if !affected.is_empty() {
        flags.push(Flag::NonFiniteGradients {
            attack: pgd.describe(),
            affected: affected.len(),
            held: held(&affected),
            images: samples.len(),
            values: affected.iter().map(|o| o.non_finite_gradient).sum(),
        });
    }
    Ok(flags)
}
