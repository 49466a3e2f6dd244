//! L1 balls.

use rand::Rng;
use rand_distr::{Distribution, Exp1};

use super::moved;
use crate::Distances;

/// Share of the values that a step moves.
const STEEPEST: f64 = 0.01;

/// Halvings of the interval in which the threshold lies; single precision has no use for more.
const HALVINGS: usize = 60;

/// Moves `point` to the nearest one (in L2) of the intersection of ball and box: all changes are shortened by the same threshold
/// and cut at the box (Croce & Hein 2021), which clipping a projection to the ball alone would not give.
pub(super) fn project(epsilon: f64, origin: &[f32], point: &mut [f32]) {
    let inside = point.iter().all(|value| (0.0..=1.0).contains(value));
    if inside && Distances::between(origin, point.iter()).l1 <= epsilon {
        return;
    }
    let change = |centre: f32, value: f32, threshold: f64| {
        let centre = f64::from(centre);
        let change = f64::from(value) - centre;
        let shortened = (change.abs() - threshold).max(0.0).copysign(change);
        shortened.clamp(-centre, 1.0 - centre)
    };
    let length = |point: &[f32], threshold: f64| {
        let changes = origin.iter().zip(point);
        changes
            .map(|(&centre, &value)| change(centre, value, threshold).abs())
            .sum::<f64>()
    };
    let (mut low, mut high) = (0.0, 0.0);
    if length(point, 0.0) > epsilon {
        high = Distances::between(origin, point.iter()).linf;
        for _ in 0..HALVINGS {
            let middle = (low + high) / 2.0;
            if length(point, middle) > epsilon {
                low = middle;
            } else {
                high = middle;
            }
        }
    }
    for (value, &centre) in point.iter_mut().zip(origin) {
        *value = moved(centre, change(centre, *value, high));
    }
}

/// Uniform in the ball's volume: directions from exponential variables with random signs, radii as in any number of dimensions.
pub(super) fn random(epsilon: f32, origin: &[f32], rng: &mut impl Rng) -> Vec<f32> {
    let mut direction: Vec<f64> = Vec::with_capacity(origin.len());
    for _ in origin {
        let length: f64 = Exp1.sample(rng);
        direction.push(if rng.random() { length } else { -length });
    }
    let length: f64 = direction.iter().map(|d| d.abs()).sum();
    let radius = f64::from(epsilon) * rng.random::<f64>().powf(1.0 / origin.len().max(1) as f64);
    let scale = if length > 0.0 { radius / length } else { 0.0 };
    let point = origin.iter().zip(&direction);
    point
        .map(|(&centre, &d)| (f64::from(centre) + scale * d) as f32)
        .collect()
}

/// Shares a move of length `size` among the steepest values; those that the box already holds are passed over. Values of the
/// gradient that are not finite count as zero.
pub(super) fn step(size: f32, gradient: &[f32], point: &mut [f32]) {
    let mut steep: Vec<(usize, f32)> = gradient
        .iter()
        .zip(point.iter())
        .enumerate()
        .filter(|&(_, (&slope, &value))| {
            let free = if slope > 0.0 {
                value < 1.0
            } else {
                value > 0.0
            };
            slope != 0.0 && slope.is_finite() && free
        })
        .map(|(index, (&slope, _))| (index, slope))
        .collect();
    steep.sort_by(|a, b| b.1.abs().total_cmp(&a.1.abs()).then(a.0.cmp(&b.0)));
    let count = (STEEPEST * gradient.len() as f64).ceil().max(1.0) as usize;
    steep.truncate(count);
    let each = size / steep.len().max(1) as f32;
    for (index, slope) in steep {
        if let Some(value) = point.get_mut(index) {
            *value += each.copysign(slope);
        }
    }
}
