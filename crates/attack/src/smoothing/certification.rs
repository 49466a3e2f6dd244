use serde::{Deserialize, Serialize};

use super::{Smoothed, Smoothing};

/// How much of a data set a smoothed classifier certifies.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Certification {
    /// `sigma`, `n0`, `n`, `alpha`, `seed`.
    #[serde(flatten)]
    pub smoothing: Smoothing,
    /// The number of images.
    pub images: usize,
    /// The share of images whose smoothed class is right.
    pub accuracy: f64,
    /// The share of images without a smoothed class.
    pub abstained: f64,
    /// The mean over all images of the radius where the class is right, and of 0 elsewhere (Zhai et al. 2020).
    pub average_certified_radius: f64,
    /// Certified accuracy over radius: a falling step, with one entry for each radius that some image has, in ascending order.
    pub curve: Vec<Certified>,
    /// Forward passes.
    pub forward_evaluations: u64,
    /// One record per image, in their order.
    pub samples: Vec<Smoothed>,
}

/// A point of the curve.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Certified {
    /// In L2 and pixel units.
    pub radius: f64,
    /// The share of all images that are right with at least that radius.
    pub accuracy: f64,
}

impl Certification {
    /// Counts what `smoothing` certified. Shares of no images are 0.
    pub fn new(smoothing: &Smoothing, samples: Vec<Smoothed>) -> Self {
        let images = samples.len();
        let of_all = |sum: f64| sum / images.max(1) as f64;
        let share = |count: usize| of_all(count as f64);
        let mut radii = right(&samples);
        radii.sort_by(f64::total_cmp);
        let mut curve: Vec<Certified> = Vec::new();
        for (smaller, &radius) in radii.iter().enumerate() {
            if curve.last().is_none_or(|last| last.radius < radius) {
                curve.push(Certified {
                    radius,
                    accuracy: share(radii.len() - smaller),
                });
            }
        }
        Self {
            smoothing: smoothing.clone(),
            images,
            accuracy: share(radii.len()),
            abstained: share(samples.iter().filter(|s| s.class.is_none()).count()),
            average_certified_radius: of_all(radii.iter().sum()),
            curve,
            forward_evaluations: samples.iter().map(|s| s.forward_evaluations).sum(),
            samples,
        }
    }

    /// The share of images that are right with at least this radius.
    pub fn accuracy_at(&self, radius: f64) -> f64 {
        let next = self.curve.partition_point(|point| point.radius < radius);
        self.curve.get(next).map_or(0.0, |point| point.accuracy)
    }
}

/// The radii of the images that are right.
fn right(samples: &[Smoothed]) -> Vec<f64> {
    let right = samples.iter().filter(|sample| sample.is_right());
    right.map(|sample| sample.radius).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::smoothing::tally::Tally;

    /// An image of class 0 with so many of 100 draws of class 0.
    fn image(id: u64, hits: u64) -> Smoothed {
        let tally = Tally {
            counts: vec![hits, 100 - hits],
            not_finite: 0,
        };
        Smoothed::new(&smoothing(), (id, 0), tally.clone(), tally)
    }

    fn smoothing() -> Smoothing {
        Smoothing {
            n0: 100,
            n: 100,
            ..Smoothing::new(0.5)
        }
    }

    #[test]
    fn the_curve_falls_by_each_image_at_its_own_radius() {
        let samples: Vec<Smoothed> = [100, 90, 90, 0, 52].map(|hits| image(hits, hits)).into();
        let [large, small] = [samples[0].radius, samples[1].radius];
        assert!(large > small && small > 0.0);
        // Certified as the wrong class, with a radius that does not count; and not certified at all.
        assert!(samples[3].class == Some(1) && samples[3].radius == large);
        assert!(samples[4].class.is_none() && samples[4].radius == 0.0);
        let all = Certification::new(&smoothing(), samples);
        assert_eq!((all.accuracy, all.abstained), (0.6, 0.2));
        assert_eq!(all.curve.len(), 2);
        let mean = (large + 2.0 * small) / 5.0;
        assert!((all.average_certified_radius - mean).abs() < 1e-12);
        for (radius, accuracy) in [
            (0.0, 0.6),
            (small, 0.6),
            (small.next_up(), 0.2),
            (large, 0.2),
            (large.next_up(), 0.0),
        ] {
            assert_eq!(all.accuracy_at(radius), accuracy, "{radius}");
        }
        assert_eq!(all.forward_evaluations, 1000);
    }

    #[test]
    fn a_certification_survives_a_round_trip_and_names_its_parameters() {
        let all = Certification::new(&smoothing(), vec![image(1, 97)]);
        let json = serde_json::to_value(&all).unwrap();
        for name in ["sigma", "n0", "n", "alpha", "seed", "curve", "samples"] {
            assert!(json.get(name).is_some(), "{name}");
        }
        assert_eq!(serde_json::from_value::<Certification>(json).unwrap(), all);
    }

    #[test]
    fn of_no_images_nothing_is_certified() {
        let none = Certification::new(&smoothing(), vec![]);
        assert_eq!((none.accuracy, none.abstained), (0.0, 0.0));
        assert_eq!(none.accuracy_at(0.0), 0.0);
    }
}
