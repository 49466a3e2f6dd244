use serde::{Deserialize, Serialize};

use crate::{Norm, Threat};

/// How far a perturbed image is from the clean one, in pixel units.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Distances {
    /// The largest change of any one value.
    pub linf: f64,
    /// The Euclidean length of the change.
    pub l2: f64,
    /// The sum of the absolute changes.
    pub l1: f64,
    /// The number of values that changed (an RGB pixel has three).
    pub l0: usize,
}

impl Distances {
    /// The distances between two images of one shape, value by value, summed in double precision.
    pub fn between<'a>(
        clean: impl IntoIterator<Item = &'a f32>,
        perturbed: impl IntoIterator<Item = &'a f32>,
    ) -> Self {
        let pairs = clean.into_iter().zip(perturbed);
        Self::of(pairs.map(|(&a, &b)| f64::from(b) - f64::from(a)))
    }

    /// Like [`Distances::between`], for a perturbed image that is saved with 8 bits a value: what is compared are its grey
    /// levels as the fractions of 255 that they stand for, and so are the values of the clean image that are grey levels
    /// themselves.
    pub(crate) fn between_levels<'a>(
        clean: impl IntoIterator<Item = &'a f32>,
        rounded: impl IntoIterator<Item = &'a f32>,
    ) -> Self {
        let pairs = clean.into_iter().zip(rounded);
        Self::of(pairs.map(|(&clean, &rounded)| {
            let [from, to] = [clean, rounded].map(|value| (value * 255.0).round());
            if from / 255.0 == clean {
                f64::from(to - from) / 255.0
            } else {
                f64::from(to) / 255.0 - f64::from(clean)
            }
        }))
    }

    fn of(changes: impl Iterator<Item = f64>) -> Self {
        let mut distances = Distances::default();
        let mut squares = 0.0;
        for change in changes {
            let change = change.abs();
            // A NaN must not pass for "no change", as it would through `f64::max`.
            if change > distances.linf || change.is_nan() {
                distances.linf = change;
            }
            squares += change * change;
            distances.l1 += change;
            distances.l0 += usize::from(change != 0.0);
        }
        distances.l2 = squares.sqrt();
        distances
    }

    /// The distance in `norm`.
    pub fn in_norm(&self, norm: Norm) -> f64 {
        match norm {
            Norm::Linf => self.linf,
            Norm::L2 => self.l2,
            Norm::L1 => self.l1,
        }
    }

    /// Whether the perturbation stays inside the ball of `threat`, give or take `tolerance`. With a tolerance of 0, no
    /// value's change in single precision exceeds the radius either.
    pub fn within(&self, threat: Threat, tolerance: f64) -> bool {
        self.in_norm(threat.norm) <= f64::from(threat.epsilon.value()) + tolerance
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_norm_follows_its_definition() {
        let distances = Distances::between(&[0.0, 0.5, 0.25, 1.0], &[0.5, 0.5, 0.5, 0.5]);
        assert_eq!(distances.linf, 0.5);
        assert_eq!(distances.l1, 1.25);
        assert_eq!(distances.l2, 0.75);
        assert_eq!(distances.l0, 3);
    }

    #[test]
    fn grey_levels_are_compared_as_fractions_of_255() {
        let level = |level: u8| f32::from(level) / 255.0;
        for from in 0..=247 {
            let distances = Distances::between_levels(&[level(from)], &[level(from + 8)]);
            assert_eq!(distances.linf, 8.0 / 255.0);
            assert_eq!((distances.l2, distances.l0), (8.0 / 255.0, 1));
        }
        let distances = Distances::between_levels(&[0.3], &[level(80)]);
        let expected = 80.0 / 255.0 - f64::from(0.3f32);
        assert_eq!(distances.linf, expected);
    }

    #[test]
    fn a_nan_is_inside_no_ball() {
        for norm in [Norm::Linf, Norm::L2, Norm::L1] {
            let threat = Threat {
                norm,
                epsilon: "1".parse().unwrap(),
            };
            let distances = Distances::between(&[0.5, 0.5], &[f32::NAN, 0.5]);
            assert!(!distances.within(threat, 1e-6), "{norm}");
        }
    }
}
