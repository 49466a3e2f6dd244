use ndarray::{Array3, Array4};

use crate::{
    AnyAttack, Attack, AttackError, AttackReport, LabelSource, Observer, Samples, Victim,
    evaluate::run_and_recheck, logits::predicted, pgd::DEFAULT_MAX_BATCH, query::Queries,
    smallest_eps::bisect,
};

/// A request to attack a few images and to report on each.
#[derive(Clone, Debug, PartialEq)]
pub struct Examination {
    /// The attack, validated.
    pub attack: AnyAttack,
    /// `[batch, channels, height, width]` in `[0, 1]`.
    pub images: Array4<f32>,
    /// The class of each image; without it the prediction for the clean image is the class to leave.
    pub labels: Option<Vec<usize>>,
    /// The class every image is to be taken for; without it any other class will do.
    pub target: Option<usize>,
    /// Searches the smallest radius at which the attack succeeds, from that of the attack downwards, in so many bisections.
    pub halvings: Option<u32>,
    /// The names of the classes; those without a name go by their number.
    pub class_names: Vec<String>,
}

/// An image, attacked and reported on.
#[derive(Clone, Debug, PartialEq)]
pub struct Examined {
    /// What came of it.
    pub report: AttackReport,
    /// The adversarial image `[channels, height, width]`, if one was found; not rounded to 8 bits yet
    /// (see [`round_to_8_bits`](crate::round_to_8_bits)).
    pub adversarial: Option<Array3<f32>>,
}

/// Attacks images, re-checks what was found before and after rounding to 8 bits, and reports on each, in their order.
///
/// The random starts of an image depend on the seed and its pixels alone: the same image gives the same answer wherever
/// in whichever request it comes.
///
/// # Errors
/// When the images do not fit the victim, a label or the target does not exist, the target is an image's own label, or
/// the victim fails.
pub async fn examine<V: Victim, O: Observer>(
    victim: &V,
    request: &Examination,
    observer: &O,
) -> Result<Vec<Examined>, AttackError> {
    let (samples, source) = samples(victim, request).await?;
    let examined = attack(victim, request, &samples, source, observer).await;
    examined.map_err(|error| error.by_place(&samples.ids))
}

async fn attack<V: Victim, O: Observer>(
    victim: &V,
    request: &Examination,
    samples: &Samples,
    source: LabelSource,
    observer: &O,
) -> Result<Vec<Examined>, AttackError> {
    let attack = &request.attack;
    let (checked, min_eps): (Vec<_>, Vec<_>) = match request.halvings {
        None => {
            let checked = run_and_recheck(victim, samples, attack, observer).await?;
            checked.into_iter().map(|checked| (checked, None)).unzip()
        }
        Some(halvings) => {
            let largest = attack.threat().epsilon;
            let attack_at = |eps| attack.clone().with_epsilon(eps);
            let found = bisect(victim, samples, largest, halvings, attack_at, observer).await?;
            let found = found.into_iter();
            found
                .map(|smallest| {
                    let min_eps = smallest.min_eps();
                    (smallest.checked, min_eps)
                })
                .unzip()
        }
    };
    checked
        .into_iter()
        .zip(min_eps)
        .zip(&samples.labels)
        .map(|((mut checked, min_eps), &label)| {
            if source == LabelSource::Predicted {
                checked.outcome.forward_evaluations += 1;
            }
            let report = AttackReport::new(
                &checked,
                attack.parameters(),
                (label, source),
                request.target,
                min_eps,
                &request.class_names,
            );
            let outcome = checked.outcome;
            Ok(Examined {
                report: report
                    .ok_or_else(|| AttackError::not_finite(outcome.id, &outcome.clean_logits))?,
                adversarial: outcome.adversarial,
            })
        })
        .collect()
}

async fn samples<V: Victim>(
    victim: &V,
    request: &Examination,
) -> Result<(Samples, LabelSource), AttackError> {
    let unlabelled = Samples::new(request.images.clone(), Vec::new()).with_content_ids();
    unlabelled.check_images(victim)?;
    let (labels, source) = match &request.labels {
        Some(labels) => (labels.clone(), LabelSource::Given),
        None => (
            clean_predictions(victim, &unlabelled).await?,
            LabelSource::Predicted,
        ),
    };
    let targets = request.target.map(|target| vec![target; unlabelled.len()]);
    let samples = Samples {
        labels,
        targets,
        ..unlabelled
    };
    samples.check(victim)?;
    Ok((samples, source))
}

async fn clean_predictions<V: Victim>(
    victim: &V,
    samples: &Samples,
) -> Result<Vec<usize>, AttackError> {
    let images = samples.flat();
    let rows: Vec<&[f32]> = images.iter().map(Vec::as_slice).collect();
    let logits = Queries::new(victim, DEFAULT_MAX_BATCH)
        .logits(&rows)
        .await?;
    logits
        .iter()
        .zip(0u64..)
        .map(|(logits, place)| {
            predicted(logits).ok_or_else(|| AttackError::not_finite(place, logits))
        })
        .collect()
}
