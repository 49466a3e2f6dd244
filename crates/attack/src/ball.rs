//! The geometry of a threat model on one image, given as a flat slice of values: projection, random starts, steps.

mod l1;

use rand::Rng;
use rand_distr::{Distribution, StandardNormal};

use crate::{Distances, Norm, Threat};

/// Lengths that are sums over all values stay this much below the radius, relative to it: in whichever order somebody
/// adds them up again, in single precision (pairwise) too, they do not exceed it.
const LENGTH_MARGIN: f64 = 1e-6;

/// Moves `point` into the ball around `origin`, then into the box `[0, 1]`. Every adversarial within a radius comes from
/// here.
///
/// `origin` lies in the box, so the second step only shortens the perturbation and the result is in both sets exactly:
/// no value is further than the radius in L-inf, in single precision or in any other, and no length in L2 or L1 exceeds
/// the radius. Points that are in both already are left as they are, bit by bit, but for lengths within
/// [`LENGTH_MARGIN`] of the radius. A value that is NaN becomes that of `origin`.
pub(crate) fn project(threat: Threat, origin: &[f32], point: &mut [f32]) {
    for (value, &centre) in point.iter_mut().zip(origin) {
        *value = match value.is_nan() {
            true => centre,
            false => value.clamp(f32::MIN, f32::MAX),
        };
    }
    let epsilon = f64::from(threat.epsilon.value());
    let longest = epsilon * (1.0 - LENGTH_MARGIN);
    match threat.norm {
        Norm::Linf => {
            for (value, &centre) in point.iter_mut().zip(origin) {
                let change = f64::from(*value) - f64::from(centre);
                if change.abs() > epsilon {
                    *value = moved(centre, epsilon.copysign(change));
                }
            }
        }
        Norm::L1 => l1::project(longest, origin, point),
        Norm::L2 => {
            let length = Distances::between(origin, point.iter()).l2;
            if length > longest {
                for (value, &centre) in point.iter_mut().zip(origin) {
                    let change = f64::from(*value) - f64::from(centre);
                    *value = moved(centre, change * (longest / length));
                }
            }
        }
    }
    for value in point {
        *value = value.clamp(0.0, 1.0);
    }
}

/// `centre + reach`, rounded towards `centre`: rounded to nearest, a value could be further than `reach`, and the errors of
/// many values could add up to a point outside the ball.
fn moved(centre: f32, reach: f64) -> f32 {
    let moved = (f64::from(centre) + reach) as f32;
    if (f64::from(moved) - f64::from(centre)).abs() <= reach.abs() {
        moved
    } else if moved > centre {
        moved.next_down()
    } else {
        moved.next_up()
    }
}

/// A random point of the ball, projected into the box: uniform per value for L-inf; for L2 in a random direction at a distance
/// uniform up to the radius; uniform in the ball's volume for L1.
///
/// Almost all of an L2 ball's volume lies at its edge, and steps that start there in a random direction end up to 0.7 points of accuracy
/// weaker than from points at all distances (`docs/results/attacks.md`).
pub(crate) fn random_start(threat: Threat, origin: &[f32], rng: &mut impl Rng) -> Vec<f32> {
    let epsilon = threat.epsilon.value();
    let mut point: Vec<f32> = match threat.norm {
        Norm::Linf => origin
            .iter()
            .map(|&centre| centre + epsilon * rng.random_range(-1.0f32..=1.0))
            .collect(),
        Norm::L2 => {
            let direction: Vec<f64> = origin.iter().map(|_| StandardNormal.sample(rng)).collect();
            let length = direction.iter().map(|d| d * d).sum::<f64>().sqrt();
            let radius = f64::from(epsilon) * rng.random::<f64>();
            let scale = if length > 0.0 { radius / length } else { 0.0 };
            origin
                .iter()
                .zip(&direction)
                .map(|(&centre, &d)| (f64::from(centre) + scale * d) as f32)
                .collect()
        }
        Norm::L1 => l1::random(epsilon, origin, rng),
    };
    project(threat, origin, &mut point);
    point
}

/// A random point at the edge of the ball, projected into the box: some value at the full radius for L-inf, a random direction for
/// L2, and the point of [`random_start`] for L1.
pub(crate) fn edge_start(threat: Threat, origin: &[f32], rng: &mut impl Rng) -> Vec<f32> {
    let drawn: Vec<f64> = match threat.norm {
        Norm::Linf => origin
            .iter()
            .map(|_| rng.random_range(-1.0..=1.0))
            .collect(),
        Norm::L2 => origin.iter().map(|_| StandardNormal.sample(rng)).collect(),
        Norm::L1 => return random_start(threat, origin, rng),
    };
    let length = match threat.norm {
        Norm::Linf => drawn.iter().fold(0.0f64, |most, d| most.max(d.abs())),
        _ => drawn.iter().map(|d| d * d).sum::<f64>().sqrt(),
    };
    let scale = f64::from(threat.epsilon.value()) / length.max(f64::MIN_POSITIVE);
    let mut point: Vec<f32> = origin
        .iter()
        .zip(&drawn)
        .map(|(&centre, &d)| (f64::from(centre) + scale * d) as f32)
        .collect();
    project(threat, origin, &mut point);
    point
}

/// Moves `point` by `size` in the direction that raises a linear loss the most within the norm's unit ball: the sign of
/// the gradient for L-inf, the gradient over its length for L2 (Lemma 1 of Simon-Gabriel et al. 2019: the dual norm); for L1,
/// that would be a single value, and the move is shared among the steepest hundredth of all (Tramer & Boneh 2019).
///
/// Values of the gradient that are not finite count as zero. Answers `false`, and leaves `point`, when nothing is left.
pub(crate) fn step(norm: Norm, size: f32, gradient: &[f32], point: &mut [f32]) -> bool {
    let finite = |&g: &f32| if g.is_finite() { g } else { 0.0 };
    let length = gradient
        .iter()
        .map(|g| f64::from(finite(g)).powi(2))
        .sum::<f64>()
        .sqrt();
    if length == 0.0 {
        return false;
    }
    if norm == Norm::L1 {
        l1::step(size, gradient, point);
        return true;
    }
    for (value, slope) in point.iter_mut().zip(gradient.iter().map(finite)) {
        *value += match norm {
            Norm::Linf if slope == 0.0 => 0.0,
            Norm::Linf => size.copysign(slope),
            Norm::L2 | Norm::L1 => (f64::from(size) * f64::from(slope) / length) as f32,
        };
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Epsilon, rng};
    use proptest::prelude::*;
    use rand::Rng;

    fn threat(norm: Norm, epsilon: f32) -> Threat {
        Threat {
            norm,
            epsilon: Epsilon::new(epsilon).unwrap(),
        }
    }

    fn norms() -> impl Strategy<Value = Norm> {
        prop_oneof![Just(Norm::Linf), Just(Norm::L2), Just(Norm::L1)]
    }

    /// Radii from below one unit in the last place of a pixel up to more than the whole box.
    fn radii() -> impl Strategy<Value = f32> {
        prop_oneof![Just(0.0f32), 1e-9f32..1e-5, 1e-5f32..1e-2, 1e-2f32..2.0]
    }

    fn images() -> impl Strategy<Value = (Vec<f32>, Vec<f32>)> {
        (1usize..300).prop_flat_map(|values| {
            (
                prop::collection::vec(0.0f32..=1.0, values),
                prop::collection::vec(-1.5f32..2.5, values),
            )
        })
    }

    proptest! {
        #[test]
        fn projection_lands_in_ball_and_box_and_is_idempotent(
            norm in norms(), epsilon in radii(), (origin, mut point) in images(),
        ) {
            let threat = threat(norm, epsilon);
            project(threat, &origin, &mut point);
            prop_assert!(point.iter().all(|v| (0.0..=1.0).contains(v)));
            prop_assert!(Distances::between(&origin, &point).within(threat, 0.0));
            let once = point.clone();
            project(threat, &origin, &mut point);
            prop_assert_eq!(once, point);
        }

        #[test]
        fn points_inside_stay_where_they_are(
            norm in norms(), epsilon in 1e-3f32..1.0, (origin, mut point) in images(), inward in 0.0f32..0.99,
        ) {
            project(threat(norm, epsilon), &origin, &mut point);
            for (value, &centre) in point.iter_mut().zip(&origin) {
                *value = (centre + inward * (*value - centre)).clamp(0.0, 1.0);
            }
            let before = point.clone();
            project(threat(norm, epsilon), &origin, &mut point);
            prop_assert_eq!(before, point);
        }

        #[test]
        fn random_starts_lie_in_ball_and_box(
            norm in norms(), epsilon in radii(), (origin, _) in images(), seed in any::<u64>(),
        ) {
            let threat = threat(norm, epsilon);
            let start = random_start(threat, &origin, &mut rng::stream(seed, 1, 0));
            prop_assert!(start.iter().all(|v| (0.0..=1.0).contains(v)));
            prop_assert!(Distances::between(&origin, &start).within(threat, 0.0));
        }

        #[test]
        fn a_step_has_its_size_and_raises_the_linear_loss_by_the_dual_norm(
            norm in norms(), size in 1e-3f32..1.0, gradient in prop::collection::vec(-3.0f32..3.0, 2..50),
        ) {
            let origin = vec![0.5; gradient.len()];
            let mut point = origin.clone();
            prop_assume!(gradient.iter().any(|&g| g != 0.0));
            prop_assert!(step(norm, size, &gradient, &mut point));
            let moved = Distances::between(&origin, &point).in_norm(norm);
            prop_assert!((moved - f64::from(size)).abs() < 1e-5);
            let gain: f64 = point.iter().zip(&origin).zip(&gradient)
                .map(|((&x, &o), &g)| f64::from(x - o) * f64::from(g)).sum();
            let zero = vec![0.0; gradient.len()];
            let lengths = Distances::between(&zero, &gradient);
            let dual = match norm { Norm::Linf => lengths.l1, Norm::L2 => lengths.l2, Norm::L1 => lengths.linf };
            prop_assert!((gain - f64::from(size) * dual).abs() < 1e-3 * (1.0 + gain.abs()));
        }
    }

    #[test]
    fn a_large_image_with_aligned_rounding_errors_still_lands_in_the_ball() {
        // Every value wants to move 0.6 units in its last place: rounding to nearest would overshoot by two thirds.
        let values = 3 * 224 * 224;
        let origin = vec![0.75f32; values];
        let ulp = f64::from(0.75f32.next_up()) - 0.75;
        let epsilon = (0.6 * ulp * (values as f64).sqrt()) as f32;
        let mut point = vec![0.9f32; values];
        let threat = threat(Norm::L2, epsilon);
        project(threat, &origin, &mut point);
        assert!(Distances::between(&origin, &point).within(threat, 0.0));
    }

    #[test]
    fn an_l_inf_ball_holds_in_single_precision_whatever_the_rounding() {
        let mut checked = 0;
        for epsilon in ["1/255", "8/255", "0.031", "0.2", "0.3", "1e-6", "1"] {
            let threat = Threat {
                norm: Norm::Linf,
                epsilon: epsilon.parse().unwrap(),
            };
            let radius = threat.epsilon.value();
            for level in 0u16..=1020 {
                let centre = f32::from(level) / 1020.0;
                for far in [-2.0f32, 2.0, f32::MAX, f32::INFINITY, f32::NEG_INFINITY] {
                    let mut point = [far];
                    project(threat, &[centre], &mut point);
                    let change = (point[0] - centre).abs();
                    assert!(change <= radius, "{change} from {centre}, eps {epsilon}");
                    // The edge, or that of the box, to the resolution of a pixel near 1.
                    let reach = if far > 0.0 { 1.0 - centre } else { centre };
                    assert!(change >= radius.min(reach) - f32::EPSILON);
                    checked += 1;
                }
            }
        }
        assert_eq!(checked, 7 * 1021 * 5);
    }

    #[test]
    fn a_length_holds_when_it_is_added_up_again_in_single_precision() {
        let origin: Vec<f32> = (0u16..3072).map(|i| f32::from(i % 256) / 255.0).collect();
        for norm in [Norm::L2, Norm::L1] {
            for radius in ["1e-3", "0.5", "1", "128/255"] {
                let epsilon: Epsilon = radius.parse().unwrap();
                let mut rng = rng::stream(1, 2, 3);
                let mut point: Vec<f32> = (0..3072).map(|_| rng.random_range(-1.0..2.0)).collect();
                project(Threat { norm, epsilon }, &origin, &mut point);
                let changes = point.iter().zip(&origin).map(|(a, b)| (a - b).abs());
                let terms: Vec<f32> = match norm {
                    Norm::L2 => changes.map(|d| d * d).collect(),
                    _ => changes.collect(),
                };
                let sum = pairwise(&terms);
                let length = if norm == Norm::L2 { sum.sqrt() } else { sum };
                assert!(length <= epsilon.value(), "{length} > {radius} in {norm}");
            }
        }
    }

    fn pairwise(terms: &[f32]) -> f32 {
        match terms.len() {
            0..=8 => terms.iter().sum(),
            count => {
                let (a, b) = terms.split_at(count / 2);
                pairwise(a) + pairwise(b)
            }
        }
    }

    #[test]
    fn no_nan_gets_through_the_projection() {
        for norm in [Norm::Linf, Norm::L2, Norm::L1] {
            let mut point = [f32::NAN, 0.9, f32::INFINITY];
            project(threat(norm, 0.1), &[0.25, 0.5, 0.75], &mut point);
            assert_eq!(point[0], 0.25, "{norm}");
            assert!(point.iter().all(|value| value.is_finite()), "{norm}");
        }
    }

    #[test]
    fn nothing_to_climb_is_reported_and_moves_nothing() {
        for norm in [Norm::Linf, Norm::L2, Norm::L1] {
            for gradient in [[0.0, 0.0], [f32::NAN, 0.0], [-0.0, f32::INFINITY]] {
                let mut point = [0.25, 0.75];
                assert!(!step(norm, 0.1, &gradient, &mut point));
                assert_eq!(point, [0.25, 0.75]);
            }
        }
    }

    #[test]
    fn l2_starts_lie_at_all_distances_alike() {
        let threat = threat(Norm::L2, 0.2);
        let origin = [0.5f32; 30];
        let inner = (0..4000)
            .filter(|&id| {
                let start = random_start(threat, &origin, &mut rng::stream(0, id, 0));
                Distances::between(&origin, &start).l2 < 0.1
            })
            .count();
        assert!((1870..2130).contains(&inner), "{inner} of 4000");
    }
}
