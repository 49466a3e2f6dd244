//! The shortest way onto a hyperplane inside the box (Croce & Hein 2020, "Minimally distorted adversarial examples").

use crate::Norm;

/// The shortest change d, in a norm, for which `point + d` lies in the box `[0, 1]` and `<slope, d> = gap`. Where no point of the box
/// lies on the hyperplane, the change that comes closest to it.
pub(crate) fn change(norm: Norm, point: &[f32], slope: &[f32], gap: f64) -> Vec<f64> {
    let direction = if gap < 0.0 { -1.0 } else { 1.0 };
    let values: Vec<Value> = point
        .iter()
        .zip(slope)
        .map(|(&at, &slope)| Value::new(f64::from(at), direction * f64::from(slope)))
        .collect();
    let gap = gap.abs();
    let lengths = match norm {
        Norm::Linf => even(&values, gap, |value| value.steepness, |_| 1.0),
        Norm::L2 => even(
            &values,
            gap,
            |value| value.steepness * value.steepness,
            |value| value.steepness,
        ),
        Norm::L1 => steepest_first(&values, gap),
    };
    let moves = values.iter().zip(lengths);
    moves.map(|(value, length)| value.sign * length).collect()
}

/// One value of a point.
struct Value {
    /// The direction in which it comes closer to the plane.
    sign: f64,
    steepness: f64,
    /// How far it may move.
    room: f64,
}

impl Value {
    fn new(at: f64, slope: f64) -> Self {
        let slope = if slope.is_finite() { slope } else { 0.0 };
        let (sign, room) = match slope {
            s if s > 0.0 => (1.0, 1.0 - at),
            s if s < 0.0 => (-1.0, at),
            _ => (0.0, 0.0),
        };
        Self {
            sign,
            steepness: slope.abs(),
            room: room.max(0.0),
        }
    }
}

/// Every value moves by `lambda * pace`, as far as it has room, with the smallest lambda that closes the gap; `rate` is what the
/// gap loses for each unit of lambda.
fn even(values: &[Value], gap: f64, rate: fn(&Value) -> f64, pace: fn(&Value) -> f64) -> Vec<f64> {
    // The lambda at which each has moved as far as it can.
    let mut full: Vec<(f64, &Value)> = values
        .iter()
        .filter(|value| value.steepness > 0.0)
        .map(|value| (value.room / pace(value), value))
        .collect();
    full.sort_by(|a, b| a.0.total_cmp(&b.0));
    let mut moving: f64 = full.iter().map(|(_, value)| rate(value)).sum();
    let (mut closed, mut lambda) = (0.0, 0.0);
    for (until, value) in full {
        let ahead = closed + moving * (until - lambda);
        if ahead >= gap {
            break;
        }
        (closed, lambda) = (ahead, until);
        moving -= rate(value);
    }
    if moving > 0.0 && closed < gap {
        lambda += (gap - closed) / moving;
    }
    let length = |value: &Value| match value.steepness {
        0.0 => 0.0,
        _ => (lambda * pace(value)).min(value.room),
    };
    values.iter().map(length).collect()
}

/// The steepest values move first, each as far as it can.
fn steepest_first(values: &[Value], gap: f64) -> Vec<f64> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    let steepness = |index: &usize| values.get(*index).map_or(0.0, |value| value.steepness);
    order.sort_by(|a, b| steepness(b).total_cmp(&steepness(a)).then(a.cmp(b)));
    let mut lengths = vec![0.0; values.len()];
    let mut left = gap;
    for index in order {
        let (Some(value), Some(length)) = (values.get(index), lengths.get_mut(index)) else {
            continue;
        };
        if left <= 0.0 || value.steepness == 0.0 {
            break;
        }
        *length = value.room.min(left / value.steepness);
        left -= *length * value.steepness;
    }
    lengths
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::boundary::length;
    use proptest::prelude::*;

    fn cases() -> impl Strategy<Value = (Vec<f32>, Vec<f32>, Vec<f64>)> {
        (1usize..12).prop_flat_map(|size| {
            (
                prop::collection::vec(0.0f32..=1.0, size),
                prop::collection::vec(-2.0f32..2.0, size),
                prop::collection::vec(0.0f64..=1.0, size),
            )
        })
    }

    proptest! {
        #[test]
        fn no_point_of_the_box_on_the_plane_is_closer((point, slope, other) in cases()) {
            // Another point of the box, and the plane through it.
            let product = |change: &[f64]| slope.iter().zip(change).map(|(&s, d)| f64::from(s) * d).sum::<f64>();
            let detour: Vec<f64> = other.iter().zip(&point).map(|(o, &p)| o - f64::from(p)).collect();
            let gap = product(&detour);
            for norm in [Norm::Linf, Norm::L2, Norm::L1] {
                let change = change(norm, &point, &slope, gap);
                prop_assert!((product(&change) - gap).abs() < 1e-9, "{norm}: {} of {gap}", product(&change));
                for (&at, d) in point.iter().zip(&change) {
                    prop_assert!((-1e-9..=1.0 + 1e-9).contains(&(f64::from(at) + d)));
                }
                prop_assert!(length(norm, &change) <= length(norm, &detour) + 1e-9);
            }
        }

        #[test]
        fn without_walls_the_way_is_the_gap_over_the_dual_norm((_, slope, _) in cases(), gap in -1e-3f64..1e-3) {
            let point = vec![0.5; slope.len()];
            let dual = |norm| length(norm, &slope.iter().map(|&s| f64::from(s)).collect::<Vec<_>>());
            prop_assume!(dual(Norm::Linf) > 0.1);
            for (norm, dual) in [(Norm::Linf, dual(Norm::L1)), (Norm::L2, dual(Norm::L2)), (Norm::L1, dual(Norm::Linf))] {
                let change = change(norm, &point, &slope, gap);
                prop_assert!((length(norm, &change) - gap.abs() / dual).abs() < 1e-9);
            }
        }
    }

    #[test]
    fn beyond_the_box_every_value_goes_as_far_as_it_can() {
        for norm in [Norm::Linf, Norm::L2, Norm::L1] {
            assert_eq!(
                change(norm, &[0.25, 0.5, 0.5], &[1.0, -2.0, 0.0], 9.0),
                [0.75, -0.5, 0.0]
            );
        }
    }
}
