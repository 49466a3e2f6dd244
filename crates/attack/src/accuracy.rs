use ndarray::{Array4, Axis};

use crate::{
    AttackError, SampleSource, Victim, logits::predicted, pgd::DEFAULT_MAX_BATCH, query::Queries,
    sample_source,
};

/// The share of samples that a classifier gets right as they are; logits that are not finite are no answer.
///
/// # Errors
/// When there are no samples, they cannot be read or do not fit the victim, or the victim fails.
pub async fn accuracy<V: Victim, S: SampleSource>(
    victim: &V,
    samples: &S,
) -> Result<f64, AttackError> {
    sample_source::check(victim, samples)?;
    let mut right = 0;
    for start in (0..samples.len()).step_by(sample_source::BLOCK) {
        let part = samples.block(start..start + sample_source::BLOCK)?;
        part.check(victim)?;
        let predictions = predictions(victim, &part.images).await?;
        let answers = predictions.iter().zip(&part.labels);
        right += answers
            .filter(|(class, label)| **class == Some(**label))
            .count();
    }
    Ok(right as f64 / samples.len() as f64)
}

/// The class of the largest logit, the first of equals, for each of `images` `[batch, channels, height, width]`; `None` where a
/// logit is not finite.
///
/// # Errors
/// When the images do not fit the victim, or it fails.
pub async fn predictions<V: Victim>(
    victim: &V,
    images: &Array4<f32>,
) -> Result<Vec<Option<usize>>, AttackError> {
    let queries = Queries::new(victim, DEFAULT_MAX_BATCH);
    let mut classes = Vec::with_capacity(images.len_of(Axis(0)));
    for part in images.axis_chunks_iter(Axis(0), DEFAULT_MAX_BATCH) {
        let part = part.outer_iter();
        let part: Vec<Vec<f32>> = part.map(|image| image.iter().copied().collect()).collect();
        let rows: Vec<&[f32]> = part.iter().map(Vec::as_slice).collect();
        let logits = queries.logits(&rows).await?;
        classes.extend(logits.iter().map(|logits| predicted(logits)));
    }
    Ok(classes)
}
