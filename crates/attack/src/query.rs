//! Queries on many rows, split into batches, with every answer's shape checked.

use ndarray::{Array4, ArrayBase, Data, RemoveAxis};

use crate::{AttackError, InputSpec, Objective, Victim, VictimError};

/// A victim that is asked at most `max_batch` rows at a time.
pub(crate) struct Queries<'v, V> {
    victim: &'v V,
    max_batch: usize,
}

/// The answer to a gradient query on one row.
pub(crate) struct Slope {
    /// One per class.
    pub logits: Vec<f32>,
    /// One per pixel value; 0 where the victim's is not finite.
    pub gradient: Vec<f32>,
    /// The number of those that are not finite.
    pub non_finite: usize,
}

impl Slope {
    /// Gradients are NaN or infinite where a function has no slope, such as a square root at zero: what is known of the
    /// other values is still worth following.
    fn new(logits: Vec<f32>, mut gradient: Vec<f32>) -> Self {
        let mut non_finite = 0;
        for slope in &mut gradient {
            if !slope.is_finite() {
                *slope = 0.0;
                non_finite += 1;
            }
        }
        Self {
            logits,
            gradient,
            non_finite,
        }
    }
}

impl<'v, V: Victim> Queries<'v, V> {
    pub(crate) fn new(victim: &'v V, max_batch: usize) -> Self {
        Self {
            victim,
            max_batch: max_batch.max(1),
        }
    }

    /// The logits of every row.
    pub(crate) async fn logits(&self, rows: &[&[f32]]) -> Result<Vec<Vec<f32>>, AttackError> {
        let classes = self.victim.classes();
        let mut answers = Vec::with_capacity(rows.len());
        for part in rows.chunks(self.max_batch) {
            let images = batch(self.victim.input(), part)?;
            let logits = self.victim.logits(images).await?;
            answers.extend(split("logits", &logits, &[part.len(), classes])?);
        }
        Ok(answers)
    }

    /// The features of every row.
    pub(crate) async fn features(&self, rows: &[&[f32]]) -> Result<Vec<Vec<f32>>, AttackError> {
        let features = self.victim.features().ok_or(VictimError::NoFeatures)?;
        let mut answers = Vec::with_capacity(rows.len());
        for part in rows.chunks(self.max_batch) {
            let images = batch(self.victim.input(), part)?;
            let answer = self.victim.features_of(images).await?;
            answers.extend(split("features", &answer, &[part.len(), features])?);
        }
        Ok(answers)
    }

    /// The logits and the objective's gradient of every row. All gradients that attacks see come from here.
    pub(crate) async fn slopes(
        &self,
        rows: &[&[f32]],
        objectives: &[Objective],
    ) -> Result<Vec<Slope>, AttackError> {
        let classes = self.victim.classes();
        let mut answers = Vec::with_capacity(rows.len());
        for (part, objectives) in rows
            .chunks(self.max_batch)
            .zip(objectives.chunks(self.max_batch))
        {
            let images = batch(self.victim.input(), part)?;
            let shape = images.shape().to_vec();
            let answer = self.victim.gradient(images, objectives.to_vec()).await?;
            let logits = split("logits", &answer.logits, &[part.len(), classes])?;
            let gradients = split("a gradient", &answer.input, &shape)?;
            answers.extend(
                logits
                    .into_iter()
                    .zip(gradients)
                    .map(|(logits, gradient)| Slope::new(logits, gradient)),
            );
        }
        Ok(answers)
    }
}

fn batch(input: InputSpec, rows: &[&[f32]]) -> Result<Array4<f32>, VictimError> {
    let values = rows.concat();
    let got = values.len();
    let shape = (rows.len(), input.channels, input.height, input.width);
    Array4::from_shape_vec(shape, values).map_err(|_| VictimError::Query {
        what: "images",
        expected: format!("{} values each", input.values()),
        got: format!("{got} values in {} images", rows.len()),
    })
}

fn split<S: Data<Elem = f32>, D: RemoveAxis>(
    what: &'static str,
    answer: &ArrayBase<S, D>,
    expected: &[usize],
) -> Result<Vec<Vec<f32>>, AttackError> {
    if answer.shape() != expected {
        return Err(AttackError::Answer {
            what,
            expected: expected.to_vec(),
            got: answer.shape().to_vec(),
        });
    }
    // In logical order, whatever the memory layout of the answer.
    Ok(answer
        .outer_iter()
        .map(|row| row.iter().copied().collect())
        .collect())
}
