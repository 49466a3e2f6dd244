use ndarray::Array3;

use crate::{
    AttackError, Distances, Outcome, Samples, Status, Threat, Victim, logits::predicted,
    query::Queries, samples::Goal,
};

/// Of distances between grey levels, for the rounding of double precision: relative to the radius.
const LEVEL_ROUNDING: f64 = 1e-12;

/// An outcome whose adversarial, if any, has been looked at again.
#[derive(Clone, Debug, PartialEq)]
pub struct Checked {
    /// The outcome; `not_found` with the image moved to `best` when the re-check demoted it.
    pub outcome: Outcome,
    /// The adversarial on a fresh forward pass.
    pub exact: Option<Inspection>,
    /// The adversarial rounded to 8 bits, on a fresh forward pass; absent after a demotion.
    pub rounded: Option<Inspection>,
    /// Why a reported adversarial does not count.
    pub demoted: Option<Demotion>,
}

/// A perturbed image, looked at again.
#[derive(Clone, Debug, PartialEq)]
pub struct Inspection {
    /// The logits of a fresh forward pass, one per class.
    pub logits: Vec<f32>,
    /// The class predicted; `None` when the logits are no answer.
    pub prediction: Option<usize>,
    /// How far the image is from the clean one.
    pub distances: Distances,
    /// Inside the ball: exactly, or for an image rounded to 8 bits as its grey levels are fractions
    /// of 255 and the radius was written. Eight grey levels are within `8/255`.
    pub within_eps: bool,
    /// Every value in `[0, 1]`.
    pub in_box: bool,
    /// Misclassified, or predicted as the target of a targeted attack.
    pub succeeds: bool,
}

/// Why a reported adversarial does not count.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
pub enum Demotion {
    /// It leaves the ball.
    #[error("the reported image is {distance} from the clean one, outside eps {epsilon}")]
    OutsideBall {
        /// Its distance in the norm of the ball.
        distance: f64,
        /// The radius.
        epsilon: f32,
    },
    /// It leaves the box.
    #[error("the reported image has values outside [0, 1]")]
    OutsideBox,
    /// A fresh forward pass takes it for what it should not be.
    #[error("on a fresh forward pass the reported image is predicted as class {prediction}")]
    NotReproduced {
        /// The class predicted.
        prediction: usize,
    },
    /// A fresh forward pass has no prediction for it.
    #[error(
        "on a fresh forward pass the logits of the reported image hold no prediction: one is NaN or infinite"
    )]
    NotFinite,
}

/// Rounds every value to a grey level, `round(255 x) / 255`, as saving an 8-bit PNG does.
pub fn round_to_8_bits(image: &Array3<f32>) -> Array3<f32> {
    image.mapv(|value| (value * 255.0).round() / 255.0)
}

/// Looks at every reported adversarial again: inside the ball, inside the box, misclassified (or taken for its target) on
/// a fresh forward pass; and once more after rounding to 8 bits. One that fails the first look is demoted to `not_found`;
/// failing the second is reported, since half a grey level may undo it or leave the ball.
///
/// `outcomes` belong to `samples` in their order. Adds the two forward passes to the outcome's count.
///
/// # Errors
/// When samples, outcomes and victim do not fit each other, or the victim fails.
pub async fn recheck<V: Victim>(
    victim: &V,
    samples: &Samples,
    threat: Threat,
    outcomes: Vec<Outcome>,
    max_batch: usize,
) -> Result<Vec<Checked>, AttackError> {
    samples.check(victim)?;
    samples.count("outcomes", outcomes.len())?;
    let flat = |image: &Array3<f32>| image.iter().copied().collect::<Vec<f32>>();
    let images: Vec<Vec<f32>> = outcomes
        .iter()
        .filter_map(|outcome| outcome.adversarial.as_ref())
        .flat_map(|image| [flat(image), flat(&round_to_8_bits(image))])
        .collect();
    let rows: Vec<&[f32]> = images.iter().map(Vec::as_slice).collect();
    let logits = Queries::new(victim, max_batch).logits(&rows).await?;

    let mut looks = images.iter().zip(logits);
    let clean = samples.images.outer_iter().zip(samples.goals());
    let mut checked = Vec::with_capacity(outcomes.len());
    for (outcome, (origin, goal)) in outcomes.into_iter().zip(clean) {
        let mut look = |rounded: bool| {
            let (image, logits) = looks.next()?;
            let (distances, radius) = if rounded {
                let radius = threat.epsilon.as_written() * (1.0 + LEVEL_ROUNDING);
                (Distances::between_levels(origin.iter(), image), radius)
            } else {
                let radius = f64::from(threat.epsilon.value());
                (Distances::between(origin.iter(), image), radius)
            };
            let within_eps = distances.in_norm(threat.norm) <= radius;
            Some(inspect(image, logits, distances, within_eps, goal))
        };
        let (exact, rounded) = match outcome.adversarial {
            Some(_) => (look(false), look(true)),
            None => (None, None),
        };
        checked.push(conclude(outcome, exact, rounded, threat));
    }
    Ok(checked)
}

fn inspect(
    image: &[f32],
    logits: Vec<f32>,
    distances: Distances,
    within_eps: bool,
    goal: Goal,
) -> Inspection {
    let prediction = predicted(&logits);
    Inspection {
        logits,
        prediction,
        distances,
        within_eps,
        in_box: image.iter().all(|value| (0.0..=1.0).contains(value)),
        succeeds: prediction.is_some_and(|class| goal.met(class)),
    }
}

fn conclude(
    mut outcome: Outcome,
    exact: Option<Inspection>,
    mut rounded: Option<Inspection>,
    threat: Threat,
) -> Checked {
    let demoted = exact.as_ref().and_then(|look| demotion(look, threat));
    if exact.is_some() {
        outcome.forward_evaluations += 2;
    }
    if demoted.is_some() {
        outcome.status = Status::NotFound;
        outcome.best = outcome.adversarial.take();
        rounded = None;
    }
    Checked {
        outcome,
        exact,
        rounded,
        demoted,
    }
}

fn demotion(look: &Inspection, threat: Threat) -> Option<Demotion> {
    match look.prediction {
        _ if !look.in_box => Some(Demotion::OutsideBox),
        _ if !look.within_eps => Some(Demotion::OutsideBall {
            distance: look.distances.in_norm(threat.norm),
            epsilon: threat.epsilon.value(),
        }),
        None => Some(Demotion::NotFinite),
        Some(prediction) if !look.succeeds => Some(Demotion::NotReproduced { prediction }),
        Some(_) => None,
    }
}
