use serde::{Deserialize, Serialize};

use crate::recipe::check::{positive, within};

/// How the learning rate moves over a run; `t` is the position in epochs, fractions included.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Schedule {
    /// The same throughout.
    Constant {},
    /// Times `factor` at each milestone.
    Step {
        /// Epochs, counted from 0, at which the rate falls.
        milestones: Vec<f64>,
        /// What the rate is multiplied by.
        factor: f64,
    },
    /// Linear from 0 to the full rate at `peak`, then linear to 0 at the end.
    Triangular {
        /// The epoch of the full rate.
        peak: f64,
    },
    /// Linear between the points `[epoch, factor]`, which the first and the last one continue.
    Piecewise {
        /// In the order of their epochs.
        points: Vec<[f64; 2]>,
    },
    /// Half a cosine from the full rate to 0.
    Cosine {},
}

impl Default for Schedule {
    fn default() -> Self {
        Self::Constant {}
    }
}

impl Schedule {
    pub(crate) fn check(&self) -> Result<(), String> {
        match self {
            Schedule::Triangular { peak } => positive("schedule.peak", *peak),
            Schedule::Step { milestones, factor } => {
                for milestone in milestones {
                    positive("schedule.milestones: an epoch", *milestone)?;
                }
                if !milestones.is_sorted_by(|a, b| a < b) {
                    return Err(format!(
                        "schedule.milestones is {milestones:?}: every epoch must be after the one before it"
                    ));
                }
                positive("schedule.factor", *factor)?;
                within("schedule.factor", *factor, 0.0, 1.0)
            }
            Schedule::Piecewise { points } => check_points(points),
            Schedule::Constant {} | Schedule::Cosine {} => Ok(()),
        }
    }

    /// What is allowed but rarely meant, in a run of so many epochs.
    pub(crate) fn warnings(&self, epochs: f64) -> Vec<String> {
        match self {
            Schedule::Step { milestones, .. } => {
                let late: Vec<_> = milestones
                    .iter()
                    .filter(|epoch| **epoch >= epochs)
                    .collect();
                if late.is_empty() {
                    return Vec::new();
                }
                vec![format!(
                    "schedule.milestones holds {late:?}, and training.epochs is {epochs}: the learning rate does not fall there"
                )]
            }
            Schedule::Triangular { peak } if *peak >= epochs => vec![format!(
                "schedule.peak is {peak}, and training.epochs is {epochs}: the learning rate only rises"
            )],
            _ => Vec::new(),
        }
    }

    /// What the base learning rate is multiplied by at epoch `t` of `epochs`.
    pub fn factor(&self, t: f64, epochs: f64) -> f64 {
        match self {
            Schedule::Constant {} => 1.0,
            Schedule::Step { milestones, factor } => {
                let passed = milestones.iter().filter(|m| t >= **m).count();
                (0..passed).fold(1.0, |rate, _| rate * factor)
            }
            Schedule::Triangular { peak } => {
                if t < *peak {
                    t / peak
                } else {
                    ((epochs - t) / (epochs - peak)).max(0.0)
                }
            }
            Schedule::Piecewise { points } => piecewise(points, t),
            Schedule::Cosine {} => 0.5 * (1.0 + (std::f64::consts::PI * t / epochs).cos()),
        }
    }
}

fn check_points(points: &[[f64; 2]]) -> Result<(), String> {
    let wrong = |reason: &str| Err(format!("schedule.points is {points:?}: {reason}"));
    if points
        .iter()
        .flatten()
        .any(|value| !(value.is_finite() && *value >= 0.0))
    {
        return wrong("epochs and factors must be finite numbers, at least 0");
    }
    if !points.iter().any(|[_, factor]| *factor > 0.0) {
        return wrong("at least one factor must be above 0");
    }
    if !points.is_sorted_by(|a, b| a[0] <= b[0]) {
        return wrong("they must be in the order of their epochs");
    }
    Ok(())
}

fn piecewise(points: &[[f64; 2]], t: f64) -> f64 {
    let after = points.partition_point(|[epoch, _]| *epoch <= t);
    match (
        after.checked_sub(1).and_then(|i| points.get(i)),
        points.get(after),
    ) {
        (Some([t0, f0]), Some([t1, f1])) => f0 + (f1 - f0) * (t - t0) / (t1 - t0),
        (Some([_, factor]), None) | (None, Some([_, factor])) => *factor,
        (None, None) => 1.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_are_linear_between_their_points_and_level_beyond() {
        let schedule = Schedule::Piecewise {
            points: vec![[1.0, 0.0], [3.0, 1.0], [3.0, 0.5], [5.0, 0.1]],
        };
        let at = |t| schedule.factor(t, 6.0);
        assert_eq!((at(0.0), at(1.0), at(2.0)), (0.0, 0.0, 0.5));
        assert_eq!((at(3.0), at(5.0), at(6.0)), (0.5, 0.1, 0.1));
        assert!((at(4.0) - 0.3).abs() < 1e-12);
    }

    #[test]
    fn steps_fall_at_their_milestones() {
        let schedule = Schedule::Step {
            milestones: vec![2.0, 3.0],
            factor: 0.1,
        };
        let at = |t| schedule.factor(t, 4.0);
        assert_eq!((at(0.0), at(1.99), at(2.0)), (1.0, 1.0, 0.1));
        assert!((at(3.5) - 0.01).abs() < 1e-12);
    }

    #[test]
    fn the_triangle_starts_and_ends_at_zero_and_peaks_at_its_peak() {
        let schedule = Schedule::Triangular { peak: 2.0 };
        let at = |t| schedule.factor(t, 6.0);
        assert_eq!(
            (at(0.0), at(1.0), at(2.0), at(4.0), at(6.0)),
            (0.0, 0.5, 1.0, 0.5, 0.0)
        );
    }

    #[test]
    fn the_cosine_falls_from_one_through_a_half_to_zero() {
        let at = |t| Schedule::Cosine {}.factor(t, 8.0);
        assert_eq!(at(0.0), 1.0);
        assert!((at(4.0) - 0.5).abs() < 1e-12 && at(8.0).abs() < 1e-12);
    }
}
