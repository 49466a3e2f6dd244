use serde::{Deserialize, Serialize};

use crate::{
    Attack, AttackError, Objective, Parameters, Pgd, SampleSource, Samples, Threat, Victim, ball,
    boundary::{dual_length, length},
    evaluate::with_prediction,
    hyperplane,
    logits::predicted,
    query::Queries,
    rng, sample_source,
};

/// Halvings of the interval in which the reachable rise lies; single precision has no use for more.
const HALVINGS: usize = 60;

/// How far a loss is linear within a ball: what its gradient at the clean image predicts, against what one step and an iterative
/// attack make of it.
///
/// To first order, the loss rises by `eps ||gradient||_q` at most, `1/p + 1/q = 1` (Lemma 1 of Simon-Gabriel et al. 2019). Where one
/// step falls short of what is predicted inside the box and the attack does not, the loss is curved within the ball, and its gradient at
/// the clean image says little about its adversarials.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Linearity {
    /// The iterative attack whose ball and objective were looked at.
    #[serde(flatten)]
    pub parameters: Parameters,
    /// The number of images looked at: all but those whose clean logits are not finite.
    pub images: usize,
    /// The mean of every value over the images.
    pub mean: Rise,
    /// Gradients computed.
    pub gradient_evaluations: u64,
    /// One record per image looked at, in their order.
    pub samples: Vec<LinearityRecord>,
}

/// The loss of one image.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct LinearityRecord {
    /// The sample's id.
    pub id: u64,
    /// How it rises.
    #[serde(flatten)]
    pub rise: Rise,
}

/// A loss and how it rises, in the units of the objective at the model's own logit scale.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Rise {
    /// The loss of the clean image.
    pub loss: f64,
    /// The length of its gradient in the dual norm: L1 for L-inf, L2 for L2, L-inf for L1.
    pub dual_norm: f64,
    /// The rise that the gradient predicts within the ball, `eps * dual_norm`.
    pub predicted: f64,
    /// The rise that it predicts within ball and box together: less than `predicted` where the box binds.
    pub predicted_in_box: f64,
    /// The rise at the very point for which it predicts that, one step from the clean image.
    pub one_step: f64,
    /// The largest rise that the iterative attack sees, going on when the image is misclassified; 0 where there was none.
    pub iterated: f64,
    /// The cosine between the gradients at the clean image and one step from it; absent where one of them is zero. In means, over
    /// the images that have one.
    pub cosine: Option<f64>,
}

/// Compares, within the ball of `pgd` around every sample and for its objective, the rise of the loss that the gradient predicts with
/// that after one step and with the largest that `pgd` sees. Images misclassified as they are count like all others; images whose
/// clean logits are not finite are left out.
///
/// The step goes to the maximum of the linear loss over ball and box: `x + eps U_p(gradient)` where that lies in the box.
///
/// Takes `2 + restarts * (steps + 1)` gradients per image. Neither the batch size of `pgd` nor the order of the samples changes a
/// result.
///
/// # Errors
/// When the samples cannot be read or do not fit the victim, or the victim fails.
pub async fn linearity<V: Victim, S: SampleSource>(
    victim: &V,
    samples: &S,
    pgd: &Pgd,
) -> Result<Linearity, AttackError> {
    sample_source::check(victim, samples)?;
    let queries = Queries::new(victim, pgd.max_batch);
    let mut records = Vec::with_capacity(samples.len());
    let batch = pgd.max_batch.clamp(1, sample_source::BLOCK);
    for start in (0..samples.len()).step_by(batch) {
        let mut part = samples.block(start..start + batch)?;
        part.check(victim)?;
        let rises = match rises(&queries, victim.classes(), &part, pgd).await {
            Err(AttackError::NotFinite { .. }) => {
                part = part.rows(&with_prediction(victim, &part).await?);
                rises(&queries, victim.classes(), &part, pgd).await?
            }
            rises => rises?,
        };
        let ids = part.ids.iter().zip(rises);
        records.extend(ids.map(|(&id, rise)| LinearityRecord { id, rise }));
    }
    let each = pgd.restarts as u64 * (pgd.steps as u64 + 1) + 2;
    Ok(Linearity {
        parameters: pgd.parameters(),
        images: records.len(),
        mean: mean(&records),
        gradient_evaluations: each * records.len() as u64,
        samples: records,
    })
}

impl Linearity {
    /// The mean of every value over the records.
    pub fn mean_of(records: &[LinearityRecord]) -> Rise {
        mean(records)
    }
}

async fn rises<V: Victim>(
    queries: &Queries<'_, V>,
    classes: usize,
    samples: &Samples,
    pgd: &Pgd,
) -> Result<Vec<Rise>, AttackError> {
    let origins = samples.flat();
    let goals = samples.goals().into_iter().zip(&samples.labels);
    let objectives: Vec<Objective> = goals
        .map(|(goal, &label)| goal.objective(pgd.objective, label, classes))
        .collect();
    let here = queries.slopes(&rows(&origins), &objectives).await?;
    for (&id, slope) in samples.ids.iter().zip(&here) {
        if predicted(&slope.logits).is_none() {
            return Err(AttackError::not_finite(id, &slope.logits));
        }
    }
    let stepped: Vec<Vec<f32>> = origins
        .iter()
        .zip(&here)
        .map(|(origin, slope)| steepest(pgd.threat, origin, &slope.gradient))
        .collect();
    let there = queries.slopes(&rows(&stepped), &objectives).await?;
    let highest = highest(queries, samples, &origins, &objectives, pgd).await?;

    let points = origins.iter().zip(&stepped);
    let slopes = here.iter().zip(&there);
    let losses = objectives.iter().zip(highest);
    let rises = points.zip(slopes).zip(losses).map(
        |(((origin, stepped), (here, there)), (objective, highest))| {
            let gradient = finite(&here.gradient);
            let loss = bounded(objective.value(&here.logits));
            let dual_norm = dual_length(pgd.threat.norm, &gradient);
            let change = stepped.iter().zip(origin);
            let change = change.map(|(&to, &from)| f64::from(to) - f64::from(from));
            Rise {
                loss,
                dual_norm,
                predicted: f64::from(pgd.threat.epsilon.value()) * dual_norm,
                predicted_in_box: gradient
                    .iter()
                    .zip(change)
                    .map(|(&g, d)| f64::from(g) * d)
                    .sum(),
                one_step: bounded(objective.value(&there.logits) - loss),
                iterated: bounded((highest - loss).max(0.0)),
                cosine: cosine(&gradient, &finite(&there.gradient)),
            }
        },
    );
    Ok(rises.collect())
}

/// The highest loss of each image on the way of `pgd`.
async fn highest<V: Victim>(
    queries: &Queries<'_, V>,
    samples: &Samples,
    origins: &[Vec<f32>],
    objectives: &[Objective],
    pgd: &Pgd,
) -> Result<Vec<f64>, AttackError> {
    let threat = pgd.threat;
    let mut highest = vec![f64::NEG_INFINITY; origins.len()];
    for restart in 0..pgd.restarts {
        let mut points: Vec<Vec<f32>> = origins
            .iter()
            .zip(&samples.ids)
            .map(|(origin, &id)| match pgd.random_start || restart > 0 {
                true => {
                    let mut rng = rng::stream(pgd.seed, id, restart as u64);
                    ball::random_start(threat, origin, &mut rng)
                }
                false => origin.clone(),
            })
            .collect();
        for step in 0..=pgd.steps {
            let slopes = queries.slopes(&rows(&points), objectives).await?;
            let losses = objectives.iter().zip(&slopes);
            let losses = losses.map(|(objective, slope)| objective.value(&slope.logits));
            for (highest, loss) in highest.iter_mut().zip(losses) {
                *highest = highest.max(loss);
            }
            if step == pgd.steps {
                break;
            }
            for ((point, origin), slope) in points.iter_mut().zip(origins).zip(&slopes) {
                ball::step(
                    threat.norm,
                    pgd.resolved_step_size(),
                    &slope.gradient,
                    point,
                );
                ball::project(threat, origin, point);
            }
        }
    }
    Ok(highest)
}

/// The point of ball and box where a loss with this gradient, were it linear, would be highest.
///
/// The shortest way to a given rise is known in closed form; by halving, the rise whose way has the length of the radius.
fn steepest(threat: Threat, origin: &[f32], gradient: &[f32]) -> Vec<f32> {
    let (norm, epsilon) = (threat.norm, f64::from(threat.epsilon.value()));
    let way = |rise: f64| hyperplane::change(norm, origin, gradient, rise);
    let fits = |change: &[f64]| length(norm, change) <= epsilon * (1.0 + 1e-12);
    let mut high = epsilon * dual_length(norm, &finite(gradient));
    let mut best = way(high);
    if !fits(&best) {
        let mut low = 0.0;
        best = way(low);
        for _ in 0..HALVINGS {
            let middle = f64::midpoint(low, high);
            let change = way(middle);
            if fits(&change) {
                (low, best) = (middle, change);
            } else {
                high = middle;
            }
        }
    }
    let moved = origin.iter().zip(best);
    let mut point: Vec<f32> = moved
        .map(|(&value, change)| (f64::from(value) + change) as f32)
        .collect();
    ball::project(threat, origin, &mut point);
    point
}

fn rows(points: &[Vec<f32>]) -> Vec<&[f32]> {
    points.iter().map(Vec::as_slice).collect()
}

/// With zeros for what is not finite, as attacks take a gradient.
fn finite(gradient: &[f32]) -> Vec<f32> {
    let finite = |&g: &f32| if g.is_finite() { g } else { 0.0 };
    gradient.iter().map(finite).collect()
}

/// A number that JSON has: the loss of a logit at minus infinity is infinite.
fn bounded(value: f64) -> f64 {
    match value.is_nan() {
        true => 0.0,
        false => value.clamp(f64::from(f32::MIN), f64::from(f32::MAX)),
    }
}

fn cosine(a: &[f32], b: &[f32]) -> Option<f64> {
    let product = |a: &[f32], b: &[f32]| -> f64 {
        let pairs = a.iter().zip(b);
        pairs.map(|(&a, &b)| f64::from(a) * f64::from(b)).sum()
    };
    let lengths = (product(a, a) * product(b, b)).sqrt();
    (lengths > 0.0).then(|| (product(a, b) / lengths).clamp(-1.0, 1.0))
}

fn mean(records: &[LinearityRecord]) -> Rise {
    let mean = |of: fn(&Rise) -> Option<f64>| {
        let values = records.iter().filter_map(|record| of(&record.rise));
        let (sum, count) = values.fold((0.0, 0u32), |(sum, count), value| (sum + value, count + 1));
        (count > 0).then(|| sum / f64::from(count))
    };
    let all = |of| mean(of).unwrap_or_default();
    Rise {
        loss: all(|rise| Some(rise.loss)),
        dual_norm: all(|rise| Some(rise.dual_norm)),
        predicted: all(|rise| Some(rise.predicted)),
        predicted_in_box: all(|rise| Some(rise.predicted_in_box)),
        one_step: all(|rise| Some(rise.one_step)),
        iterated: all(|rise| Some(rise.iterated)),
        cosine: mean(|rise| rise.cosine),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Distances, Norm};
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn no_point_of_ball_and_box_is_higher_on_the_slope(
            (origin, gradient, other) in (1usize..12).prop_flat_map(|size| (
                prop::collection::vec(0.0f32..=1.0, size),
                prop::collection::vec(-2.0f32..2.0, size),
                prop::collection::vec(-0.5f32..1.5, size),
            )),
            epsilon in 0.01f32..2.0,
        ) {
            for norm in [Norm::Linf, Norm::L2, Norm::L1] {
                let threat = Threat { norm, epsilon: crate::Epsilon::new(epsilon).unwrap() };
                let mut other = other.clone();
                ball::project(threat, &origin, &mut other);
                let best = steepest(threat, &origin, &gradient);
                prop_assert!(best.iter().all(|value| (0.0..=1.0).contains(value)));
                prop_assert!(Distances::between(&origin, &best).within(threat, 1e-6));
                let height = |point: &[f32]| -> f64 {
                    point.iter().zip(&gradient).map(|(&x, &g)| f64::from(x) * f64::from(g)).sum()
                };
                prop_assert!(height(&best) >= height(&other) - 1e-5, "{norm}");
            }
        }
    }

    #[test]
    fn gradients_without_a_slope_have_no_cosine() {
        assert_eq!(cosine(&[0.0, 0.0], &[1.0, 0.0]), None);
        assert_eq!(cosine(&[2.0, 0.0], &[-1.0, 0.0]), Some(-1.0));
        let half = cosine(&[1.0, 0.0], &[1.0, 3.0f32.sqrt()]).unwrap();
        assert!((half - 0.5).abs() < 1e-7);
    }
}
