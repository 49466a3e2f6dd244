//! How a hand writes a shape: it misses the knots a little and joins them by curves.
use rand::{Rng, seq::IndexedRandom};
use rand_chacha::ChaCha8Rng;

use super::{
    Point, bell,
    shapes::{GLYPHS, Knot},
};

/// How far a knot is missed, as a standard deviation in units of the square.
const SHAKE: f32 = 0.045;
/// Straight pieces per curve from one knot to the next.
const PIECES: usize = 8;

/// One way of writing `class`, as strokes of straight pieces in about the unit square. `class` is a digit; there is
/// nothing to write for any other number.
pub(super) fn write(class: usize, rng: &mut ChaCha8Rng) -> Vec<Vec<Point>> {
    let Some(glyph) = GLYPHS.get(class).and_then(|ways| ways.choose(rng)) else {
        return Vec::new();
    };
    let steadiness = SHAKE * rng.random_range(0.4f32..1.4);
    glyph
        .iter()
        .map(|stroke| {
            let shaken: Vec<Knot> = stroke
                .iter()
                .map(|knot| {
                    let shift = Point {
                        x: bell(rng) * steadiness,
                        y: bell(rng) * steadiness,
                    };
                    Knot {
                        at: knot.at.map(shift, |a, b| a + b),
                        corner: knot.corner,
                    }
                })
                .collect();
            trace(&shaken)
        })
        .collect()
}

/// The curve through `knots`: smooth between corners.
fn trace(knots: &[Knot]) -> Vec<Point> {
    let mut points: Vec<Point> = knots.first().map(|knot| knot.at).into_iter().collect();
    for (index, pair) in knots.windows(2).enumerate() {
        let [from, to] = pair else { continue };
        // Beyond an end or a corner the curve goes on as if mirrored there.
        let before = match index.checked_sub(1).and_then(|index| knots.get(index)) {
            Some(knot) if !from.corner => knot.at,
            _ => from.at.map(to.at, |from, to| 2.0 * from - to),
        };
        let after = match knots.get(index + 2) {
            Some(knot) if !to.corner => knot.at,
            _ => to.at.map(from.at, |to, from| 2.0 * to - from),
        };
        points.extend(
            (1..=PIECES).map(|k| spline([before, from.at, to.at, after], k as f32 / PIECES as f32)),
        );
    }
    points
}

/// The place at `t` in `[0, 1]` between the second and the third knot of a centripetal Catmull-Rom spline (Yuksel et al.,
/// "On the Parameterization of Catmull-Rom Curves", 2009), evaluated by the scheme of Barry and Goldman. Unlike the
/// uniform spline it neither overshoots nor loops where knots are unevenly spaced.
fn spline(knots: [Point; 4], t: f32) -> Point {
    let [a, b, c, d] = knots;
    let step = |from: Point, to: Point| from.distance(to).sqrt().max(1e-3);
    let t0 = -step(a, b);
    let t2 = step(b, c);
    let t3 = t2 + step(c, d);
    let t = t * t2;
    let between = |p: Point, tp: f32, q: Point, tq: f32| {
        p.map(q, |p, q| (p * (tq - t) + q * (t - tp)) / (tq - tp))
    };
    let (ab, bc, cd) = (
        between(a, t0, b, 0.0),
        between(b, 0.0, c, t2),
        between(c, t2, d, t3),
    );
    between(between(ab, t0, bc, t2), 0.0, between(bc, 0.0, cd, t3), t2)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digits::shapes::c;

    #[test]
    fn curves_go_through_their_knots() {
        for stroke in GLYPHS
            .iter()
            .flat_map(|ways| ways.iter())
            .flat_map(|glyph| glyph.iter())
        {
            let points = trace(stroke);
            assert_eq!(points.len(), (stroke.len() - 1) * PIECES + 1);
            for (knot, point) in stroke.iter().zip(points.iter().step_by(PIECES)) {
                assert!(knot.at.distance(*point) < 1e-4, "{:?} {point:?}", knot.at);
            }
        }
    }

    #[test]
    fn a_stroke_of_corners_is_straight_between_them() {
        for point in trace(&[c(0.0, 0.0), c(1.0, 0.5)]) {
            assert!((point.y - point.x / 2.0).abs() < 1e-5, "{point:?}");
        }
    }

    #[test]
    fn knots_at_one_place_give_no_infinities() {
        let place = Point { x: 0.5, y: 0.5 };
        let middle = spline([place; 4], 0.5);
        assert!(middle.distance(place) < 1e-5, "{middle:?}");
    }
}
