use crate::{
    AttackError, SampleError, Samples, Victim, logits::predicted, pgd::DEFAULT_MAX_BATCH,
    query::Queries,
};

/// The share of samples that a classifier gets right as they are; logits that are not finite are no answer.
///
/// # Errors
/// When there are no samples, they do not fit the victim, or the victim fails.
pub async fn accuracy<V: Victim>(victim: &V, samples: &Samples) -> Result<f64, AttackError> {
    if samples.is_empty() {
        return Err(SampleError::Empty.into());
    }
    samples.check(victim)?;
    let queries = Queries::new(victim, DEFAULT_MAX_BATCH);
    let mut right = 0;
    for start in (0..samples.len()).step_by(DEFAULT_MAX_BATCH) {
        let part = samples.range(start..start + DEFAULT_MAX_BATCH);
        let images: Vec<Vec<f32>> = part
            .images
            .outer_iter()
            .map(|image| image.iter().copied().collect())
            .collect();
        let rows: Vec<&[f32]> = images.iter().map(Vec::as_slice).collect();
        let logits = queries.logits(&rows).await?;
        let answers = logits.iter().zip(&part.labels);
        right += answers
            .filter(|(logits, label)| predicted(logits) == Some(**label))
            .count();
    }
    Ok(right as f64 / samples.len() as f64)
}
