mod bounds;
mod certification;
mod smoothed;
mod tally;

use rand_distr::{Distribution, StandardNormal};
use serde::{Deserialize, Serialize};

use self::tally::Tally;
pub use self::{
    certification::{Certification, Certified},
    smoothed::{Smoothed, SmoothedPrediction},
};
use crate::{
    AttackError, Samples, Victim,
    logits::predicted,
    pgd::DEFAULT_MAX_BATCH,
    query::Queries,
    rng::{self, Purpose},
};

/// Randomised smoothing (Cohen, Rosenfeld and Kolter 2019): the class that a model most often gives an image under Gaussian noise,
/// and a radius within which, in L2, no perturbation changes it.
///
/// The noise has standard deviation `sigma` in pixel units and is added to the image without clipping, as the theorem has it: the
/// model sees values outside `[0, 1]`. The certificate is about the smoothed classifier, not about the model itself, and each fails with
/// probability `alpha` at most, over the noise drawn.
///
/// A model that was not trained on noise of that size certifies little: it is wrong on most noisy images, and what it gets wrong or
/// is unsure of has no radius.
///
/// The noise of an image depends on the seed, its id and the number of the draw alone; the draws that select a class, those that
/// estimate its probability and those of a prediction have nothing in common.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Smoothing {
    /// Standard deviation of the noise in pixel units, finite and over 0. More gives larger radii and fewer right answers.
    pub sigma: f64,
    /// Draws that select the class to certify, at least 1.
    pub n0: usize,
    /// Draws that estimate its probability, or predict; at least 1. The radius is `sigma * Phi^-1(alpha^(1/n))` at most, and there
    /// is none at all below `log2(1/alpha)` draws.
    pub n: usize,
    /// The probability that a certificate, or a predicted class, is wrong: over 0 and below 1.
    pub alpha: f64,
    /// The seed of the noise.
    pub seed: u64,
    /// Rows per query at most. Changes no result.
    #[serde(skip, default = "max_batch")]
    pub max_batch: usize,
}

fn max_batch() -> usize {
    DEFAULT_MAX_BATCH
}

/// How far noise has been drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SmoothingProgress {
    /// Noisy images classified, over all images.
    pub done: u64,
    /// Noisy images to classify.
    pub draws: u64,
}

impl Smoothing {
    /// 100 draws to select a class and 10 000 to estimate its probability, alpha 0.001, seed 0. The paper has 100 000 of the latter,
    /// which cost ten times as much and raise the largest possible radius from 3.2 to 3.8 `sigma`.
    pub fn new(sigma: f64) -> Self {
        Self {
            sigma,
            n0: 100,
            n: 10_000,
            alpha: 0.001,
            seed: 0,
            max_batch: DEFAULT_MAX_BATCH,
        }
    }

    /// Checks the parameters.
    ///
    /// # Errors
    /// When one is outside its range.
    pub fn check(&self) -> Result<(), SmoothingError> {
        if !(self.sigma.is_finite() && self.sigma > 0.0) {
            return Err(SmoothingError::Sigma(self.sigma));
        }
        if !(self.alpha > 0.0 && self.alpha < 1.0) {
            return Err(SmoothingError::Alpha(self.alpha));
        }
        for (name, draws, usual) in [("n0", self.n0, 100), ("n", self.n, 10_000)] {
            if draws == 0 {
                return Err(SmoothingError::Draws { name, draws, usual });
            }
        }
        Ok(())
    }

    /// The paper's CERTIFY on every sample, in their order: `n0 + n` forward passes each.
    ///
    /// # Errors
    /// When a parameter is outside its range, the samples do not fit the victim, or it fails.
    pub async fn certify<V: Victim>(
        &self,
        victim: &V,
        samples: &Samples,
        on_progress: impl Fn(SmoothingProgress) + Send + Sync,
    ) -> Result<Vec<Smoothed>, AttackError> {
        self.check()?;
        samples.check(victim)?;
        let images = samples.len() as u64;
        let (n0, n) = (self.n0 as u64, self.n as u64);
        let progress = |done| {
            on_progress(SmoothingProgress {
                done,
                draws: images.saturating_mul(n0.saturating_add(n)),
            });
        };
        let selections = self
            .tallies(victim, samples, (Purpose::Selection, n0), progress)
            .await?;
        let progress = |done| progress(images.saturating_mul(n0).saturating_add(done));
        let estimations = self
            .tallies(victim, samples, (Purpose::Estimation, n), progress)
            .await?;
        let known = samples.ids.iter().zip(&samples.labels);
        let tallies = selections.into_iter().zip(estimations);
        Ok(known
            .zip(tallies)
            .map(|((&id, &label), (selection, estimation))| {
                Smoothed::new(self, (id, label), selection, estimation)
            })
            .collect())
    }

    /// The paper's PREDICT on every sample, in their order: `n` forward passes each. Abstains from a class when, had it and the
    /// runner-up been equally likely, such a lead would have been seen with probability over `alpha`.
    ///
    /// # Errors
    /// As [`Smoothing::certify`].
    pub async fn predict<V: Victim>(
        &self,
        victim: &V,
        samples: &Samples,
        on_progress: impl Fn(SmoothingProgress) + Send + Sync,
    ) -> Result<Vec<SmoothedPrediction>, AttackError> {
        self.check()?;
        samples.check(victim)?;
        let n = self.n as u64;
        let draws = n.saturating_mul(samples.len() as u64);
        let progress = |done| on_progress(SmoothingProgress { done, draws });
        let tallies = self
            .tallies(victim, samples, (Purpose::Prediction, n), progress)
            .await?;
        let tallies = samples.ids.iter().zip(tallies);
        Ok(tallies
            .map(|(&id, tally)| SmoothedPrediction::new(self.alpha, id, tally))
            .collect())
    }

    /// The classes of so many noisy copies of each image. A batch holds copies of as many images as it takes to fill it.
    async fn tallies<V: Victim>(
        &self,
        victim: &V,
        samples: &Samples,
        (purpose, draws): (Purpose, u64),
        on_progress: impl Fn(u64),
    ) -> Result<Vec<Tally>, AttackError> {
        let queries = Queries::new(victim, self.max_batch);
        let mut tallies = vec![Tally::new(victim.classes()); samples.len()];
        let total = draws.saturating_mul(samples.len() as u64);
        let mut done = 0;
        while done < total {
            let batch = done..total.min(done.saturating_add(self.max_batch.max(1) as u64));
            done = batch.end;
            let places: Vec<(usize, u64)> = batch
                .map(|draw| ((draw / draws) as usize, draw % draws))
                .collect();
            let copies: Vec<Vec<f32>> = places
                .iter()
                .map(|&(row, index)| self.noisy(samples, row, purpose, index))
                .collect();
            let rows: Vec<&[f32]> = copies.iter().map(Vec::as_slice).collect();
            let logits = queries.logits(&rows).await?;
            for (&(row, _), logits) in places.iter().zip(&logits) {
                if let Some(tally) = tallies.get_mut(row) {
                    tally.add(predicted(logits));
                }
            }
            on_progress(done);
        }
        Ok(tallies)
    }

    /// An image with the noise of one draw.
    fn noisy(&self, samples: &Samples, row: usize, purpose: Purpose, index: u64) -> Vec<f32> {
        let id = samples.ids.get(row).copied().unwrap_or_default();
        let mut rng = rng::stream_for(purpose, self.seed, id, index);
        let image = samples.images.outer_iter().nth(row);
        image
            .iter()
            .flatten()
            .map(|&value| {
                let noise: f64 = StandardNormal.sample(&mut rng);
                (f64::from(value) + self.sigma * noise) as f32
            })
            .collect()
    }
}

/// Why a smoothed classifier makes no sense.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
pub enum SmoothingError {
    /// No noise, or no finite one.
    #[error(
        "sigma {0} is not a finite number over 0: write the noise's standard deviation in pixel units, such as 0.25"
    )]
    Sigma(f64),
    /// No probability of being wrong, or certainty.
    #[error("alpha {0} is not over 0 and below 1: 0.001 is usual")]
    Alpha(f64),
    /// Nothing would be drawn.
    #[error("{name} {draws} is below 1: {usual} is usual")]
    Draws {
        /// `n0` or `n`.
        name: &'static str,
        /// The number of draws.
        draws: usize,
        /// A sensible number.
        usual: usize,
    },
}
