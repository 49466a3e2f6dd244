use std::sync::Arc;

use buckler_attack::{Attack, Epsilon};
use metrics::{Counter, counter};

use super::Metrics;
use crate::attacks::{Attacked, Job};

/// An attack that ended without a report: it failed, ran out of time, or its client had left.
const UNANSWERED: &str = "unanswered";

/// Upper ends of the buckets for radii, in grey levels of 255.
const RADII: [(f32, &str); 4] = [
    (2.0, "le_2_255"),
    (4.0, "le_4_255"),
    (8.0, "le_8_255"),
    (16.0, "le_16_255"),
];

const LARGER: &str = "gt_16_255";

/// The attacks of one request until they are counted, which happens however they end.
pub(crate) struct Tally {
    metrics: Arc<Metrics>,
    model: String,
    attack: &'static str,
    /// For each radius.
    radii: Vec<&'static str>,
    images: usize,
}

impl Tally {
    pub fn of(metrics: &Arc<Metrics>, job: &Job) -> Self {
        let attacks = job.wanted.attacks.iter();
        Self {
            metrics: Arc::clone(metrics),
            model: job.frame.entry.name.clone(),
            attack: job.wanted.kind.name(),
            radii: attacks
                .map(|attack| bucket(attack.threat().epsilon))
                .collect(),
            images: job.images.shape().first().copied().unwrap_or(0),
        }
    }

    /// Counts the reports, image by image.
    pub fn answer(mut self, results: &[Attacked]) {
        let radii = std::mem::take(&mut self.radii);
        self.metrics.record(|| {
            for (one, radius) in results.iter().zip(radii.iter().cycle()) {
                let outcome = one.report.outcome.to_string();
                series(&self.model, self.attack, radius, outcome).increment(1);
            }
        });
    }
}

impl Drop for Tally {
    fn drop(&mut self) {
        let images = u64::try_from(self.images).unwrap_or(u64::MAX);
        self.metrics.record(|| {
            for radius in &self.radii {
                let outcome = UNANSWERED.to_owned();
                series(&self.model, self.attack, radius, outcome).increment(images);
            }
        });
    }
}

impl Metrics {
    /// Rows that attacks on a model have asked for.
    pub fn evaluations(&self, model: &str) -> Counter {
        self.record(|| counter!("buckler_attack_evaluations_total", "model" => model.to_owned()))
    }
}

fn series(model: &str, attack: &'static str, eps: &'static str, outcome: String) -> Counter {
    counter!(
        "buckler_attacks_total",
        "model" => model.to_owned(), "attack" => attack, "eps" => eps, "outcome" => outcome
    )
}

/// Radii in L2 and L1 come under the same names, as numbers.
fn bucket(eps: Epsilon) -> &'static str {
    // So that 8/255 is within its own bucket, however it was rounded.
    let levels = eps.value() * 255.0 - 1e-3;
    let mut radii = RADII.iter();
    radii
        .find(|(end, _)| levels <= *end)
        .map_or(LARGER, |(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_radius_is_in_the_bucket_that_it_names() {
        for (eps, name) in [
            ("0", "le_2_255"),
            ("2/255", "le_2_255"),
            ("8/255", "le_8_255"),
            ("0.03137255", "le_8_255"),
            ("0.0314", "le_16_255"),
            ("16/255", "le_16_255"),
            ("0.5", "gt_16_255"),
        ] {
            assert_eq!(bucket(eps.parse().unwrap()), name, "{eps}");
        }
    }
}
