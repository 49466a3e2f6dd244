//! How the hand leans: a smooth elastic field, then an affine map, then a place on the canvas.
use std::{f32::consts::TAU, ops::Range};

use rand::Rng;
use rand_chacha::ChaCha8Rng;

use super::{Point, bell, draw::SIDE};

/// The standard deviation of the rotation in radians.
const ROTATION: f32 = 0.12;
/// The standard deviation of the shear: how far the top moves to the right per height.
const SHEAR: f32 = 0.18;
/// The mean of the shear: most hands lean to the right.
const LEAN: f32 = 0.08;
/// The width of the unit square over its height.
const ASPECT: Range<f32> = 0.52..0.88;
/// The standard deviation of one wave of the elastic field, in units of the square.
const BEND: f32 = 0.035;
/// Height or width of the posed digit, whichever is larger, in pixels.
const EXTENT: Range<f32> = 16.0..20.5;
/// The standard deviation of the digit's distance from the middle of the canvas, in pixels along either axis.
const STRAY: f32 = 1.0;
/// The room the pen needs at the border, in pixels.
const MARGIN: f32 = 3.0;

/// Bends and poses `strokes` and moves them to pixel coordinates, with room for the pen at every border.
pub(super) fn pose(mut strokes: Vec<Vec<Point>>, rng: &mut ChaCha8Rng) -> Vec<Vec<Point>> {
    let waves: [Wave; 3] = std::array::from_fn(|_| Wave::random(rng));
    let affine = Affine::random(rng);
    for point in strokes.iter_mut().flatten() {
        let bent = waves
            .iter()
            .fold(*point, |sum, wave| sum.map(wave.at(*point), |a, b| a + b));
        *point = affine.apply(bent);
    }
    let place = Placement::random(&strokes, rng);
    for point in strokes.iter_mut().flatten() {
        *point = place.apply(*point);
    }
    strokes
}

/// One term of the elastic field: a displacement that swings along one direction of the sheet.
struct Wave {
    direction: Point,
    phase: f32,
    amplitude: Point,
}

impl Wave {
    fn random(rng: &mut ChaCha8Rng) -> Self {
        // Less than one swing per digit: faster ones look like a tremor and not like a hand.
        let mut frequency = || rng.random_range(-0.7f32..0.7) * TAU;
        let direction = Point {
            x: frequency(),
            y: frequency(),
        };
        Self {
            direction,
            phase: rng.random_range(0.0..TAU),
            amplitude: Point {
                x: bell(rng) * BEND,
                y: bell(rng) * BEND,
            },
        }
    }

    /// The displacement at `point`.
    fn at(&self, point: Point) -> Point {
        let swing =
            libm::sinf(self.direction.x * point.x + self.direction.y * point.y + self.phase);
        Point {
            x: self.amplitude.x * swing,
            y: self.amplitude.y * swing,
        }
    }
}

/// A linear map about the middle of the unit square: width, then shear, then rotation.
struct Affine {
    aspect: f32,
    shear: f32,
    sine: f32,
    cosine: f32,
}

impl Affine {
    fn random(rng: &mut ChaCha8Rng) -> Self {
        let angle = bell(rng) * ROTATION;
        Self {
            aspect: rng.random_range(ASPECT),
            shear: LEAN + bell(rng) * SHEAR,
            sine: libm::sinf(angle),
            cosine: libm::cosf(angle),
        }
    }

    fn apply(&self, point: Point) -> Point {
        let y = point.y - 0.5;
        let x = (point.x - 0.5) * self.aspect - y * self.shear;
        Point {
            x: x * self.cosine - y * self.sine,
            y: x * self.sine + y * self.cosine,
        }
    }
}

/// Where the digit lies on the canvas and how large it is.
struct Placement {
    scale: f32,
    /// The middle of the digit before it is placed.
    from: Point,
    /// The middle of the digit on the canvas, in pixels.
    to: Point,
}

impl Placement {
    fn random(strokes: &[Vec<Point>], rng: &mut ChaCha8Rng) -> Self {
        let points = || strokes.iter().flatten().copied();
        let corner = |pick: fn(f32, f32) -> f32| {
            points()
                .reduce(|a, b| a.map(b, pick))
                .unwrap_or(Point { x: 0.0, y: 0.0 })
        };
        let (low, high) = (corner(f32::min), corner(f32::max));
        let size = high.map(low, |high, low| high - low);
        let scale = rng.random_range(EXTENT) / size.x.max(size.y).max(0.1);

        let middle = SIDE as f32 / 2.0;
        let mut stray = |size: f32| {
            let room = (middle - MARGIN - size * scale / 2.0).max(0.0);
            middle + (bell(rng) * STRAY).clamp(-room, room)
        };
        let to = Point {
            x: stray(size.x),
            y: stray(size.y),
        };
        Self {
            scale,
            from: low.map(high, |low, high| (low + high) / 2.0),
            to,
        }
    }

    fn apply(&self, point: Point) -> Point {
        let offset = point.map(self.from, |point, from| (point - from) * self.scale);
        offset.map(self.to, |offset, to| offset + to)
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;

    use super::*;
    use crate::digits::glyph;

    #[test]
    fn every_point_lies_on_the_canvas_with_room_for_the_pen() {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        for class in (0..10).cycle().take(500) {
            let strokes = pose(glyph::write(class, &mut rng), &mut rng);
            for Point { x, y } in strokes.into_iter().flatten() {
                let inside = MARGIN - 1e-3..SIDE as f32 - MARGIN + 1e-3;
                assert!(
                    inside.contains(&x) && inside.contains(&y),
                    "{class}: {x} {y}"
                );
            }
        }
    }
}
