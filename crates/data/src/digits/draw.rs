//! The pen: strokes in pixel coordinates to a grey image.
use std::{f32::consts::TAU, ops::Range};

use rand::Rng;
use rand_chacha::ChaCha8Rng;

use super::Point;

/// Rows and columns of an image.
pub(super) const SIDE: usize = 28;
/// Half the width of the pen in pixels.
const RADIUS: Range<f32> = 0.9..1.65;
/// How much the pressure changes the radius along a stroke, relatively.
const PRESSURE: f32 = 0.18;
/// The weight of the neighbours on either side in the blur.
const BLUR: Range<f32> = 0.0..0.14;
/// The noise of one image is uniform in plus or minus a number from this range, in units of full white.
const NOISE: Range<f32> = 0.0..0.05;

/// Draws `strokes` on black with full white in the middle of the line.
pub(super) fn draw(strokes: &[Vec<Point>], rng: &mut ChaCha8Rng) -> [u8; SIDE * SIDE] {
    let mut canvas = Canvas::default();
    let radius = rng.random_range(RADIUS);
    for stroke in strokes {
        let swing = rng.random_range(0.2f32..1.0) * TAU / stroke.len().max(1) as f32;
        let phase = rng.random_range(0.0..TAU);
        let width =
            |index: usize| radius * (1.0 + PRESSURE * libm::sinf(phase + swing * index as f32));
        for (index, pair) in stroke.windows(2).enumerate() {
            if let &[from, to] = pair {
                canvas.line(from, to, [width(index), width(index + 1)]);
            }
        }
    }
    canvas.blur(rng.random_range(BLUR));
    let noise = rng.random_range(NOISE);
    // The blur greys thin lines, which full contrast is wanted for: white begins a little below the brightest pixel.
    let white = 0.8 * canvas.0.iter().flatten().copied().fold(0.1, f32::max);
    let mut bytes = canvas.0.into_iter().flatten().map(|ink| {
        let value = ink / white + noise * rng.random_range(-1.0f32..1.0);
        (value.clamp(0.0, 1.0) * 255.0 + 0.5) as u8
    });
    std::array::from_fn(|_| bytes.next().unwrap_or(0))
}

/// How much of every pixel is covered, row by row, in `[0, 1]`.
#[derive(Default)]
struct Canvas([[f32; SIDE]; SIDE]);

impl Canvas {
    /// A line with round ends; `radii` are half its width at the two. Where lines cross, the ink does not add up.
    fn line(&mut self, from: Point, to: Point, radii: [f32; 2]) {
        let reach = radii[0].max(radii[1]) + 0.5;
        let along = to.map(from, |to, from| to - from);
        let length = (along.x * along.x + along.y * along.y).max(1e-9);
        let (rows, columns) = (span(from.y, to.y, reach), span(from.x, to.x, reach));
        for (y, row) in self
            .0
            .iter_mut()
            .enumerate()
            .take(rows.end)
            .skip(rows.start)
        {
            for (x, ink) in row
                .iter_mut()
                .enumerate()
                .take(columns.end)
                .skip(columns.start)
            {
                let centre = Point {
                    x: x as f32 + 0.5,
                    y: y as f32 + 0.5,
                };
                let offset = centre.map(from, |centre, from| centre - from);
                let t = ((offset.x * along.x + offset.y * along.y) / length).clamp(0.0, 1.0);
                let nearest = from.map(to, |from, to| from + t * (to - from));
                let radius = radii[0] + t * (radii[1] - radii[0]);
                *ink = ink.max((radius + 0.5 - centre.distance(nearest)).clamp(0.0, 1.0));
            }
        }
    }

    /// Mixes every pixel with its neighbours of weight `weight` on either side, first along rows, then along columns.
    fn blur(&mut self, weight: f32) {
        for _ in 0..2 {
            // Blurring the rows of the transposed image twice leaves it upright again.
            let source = std::mem::take(&mut self.0);
            for (x, row) in source.iter().enumerate() {
                for y in 0..SIDE {
                    let at = |y: Option<usize>| y.and_then(|y| row.get(y)).copied().unwrap_or(0.0);
                    let sides = at(y.checked_sub(1)) + at(Some(y + 1));
                    self.0[y][x] = (1.0 - 2.0 * weight) * at(Some(y)) + weight * sides;
                }
            }
        }
    }
}

/// The pixels along one axis that a line from `a` to `b` can touch at a distance of `reach`.
fn span(a: f32, b: f32, reach: f32) -> Range<usize> {
    // A cast to an unsigned number stops at 0.
    let start = (a.min(b) - reach) as usize;
    let end = ((a.max(b) + reach) as usize + 1).min(SIDE);
    start.min(end)..end
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ink(canvas: &Canvas) -> f32 {
        canvas.0.iter().flatten().sum()
    }

    #[test]
    fn a_line_covers_its_area() {
        for angle in 0..12 {
            let (sine, cosine) = (angle as f32 * TAU / 12.0).sin_cos();
            let mut canvas = Canvas::default();
            let from = Point {
                x: 14.2 - 8.0 * cosine,
                y: 13.9 - 8.0 * sine,
            };
            let to = Point {
                x: 14.2 + 8.0 * cosine,
                y: 13.9 + 8.0 * sine,
            };
            canvas.line(from, to, [1.5, 1.5]);
            let area = 16.0 * 3.0 + TAU / 2.0 * 1.5 * 1.5;
            assert!(
                (ink(&canvas) - area).abs() < 0.04 * area,
                "{angle}: {} {area}",
                ink(&canvas)
            );
        }
    }

    #[test]
    fn a_line_is_white_in_the_middle_and_leaves_the_rest_black() {
        let mut canvas = Canvas::default();
        canvas.line(
            Point { x: 4.0, y: 10.5 },
            Point { x: 20.0, y: 10.5 },
            [1.0, 1.0],
        );
        assert_eq!(canvas.0[10][12], 1.0);
        assert_eq!(canvas.0[13][12], 0.0);
        assert_eq!(canvas.0[10][22], 0.0);
    }

    #[test]
    fn lines_beyond_the_border_are_cut_off() {
        let mut canvas = Canvas::default();
        canvas.line(
            Point { x: -50.0, y: -9.0 },
            Point { x: -1.0, y: 90.0 },
            [1.0, 2.0],
        );
        canvas.line(
            Point { x: 40.0, y: 40.0 },
            Point { x: 90.0, y: 40.0 },
            [1.0, 2.0],
        );
        assert_eq!(ink(&canvas), 0.0);
        canvas.line(
            Point { x: -50.0, y: 5.0 },
            Point { x: 90.0, y: 5.0 },
            [1.0, 1.0],
        );
        assert_eq!(ink(&canvas), 56.0);
    }

    #[test]
    fn blur_spreads_ink_evenly_and_loses_none() {
        let mut canvas = Canvas::default();
        canvas.0[10][20] = 1.0;
        canvas.blur(0.1);
        assert!((ink(&canvas) - 1.0).abs() < 1e-6);
        assert!((canvas.0[10][20] - 0.64).abs() < 1e-6);
        for (y, x) in [(9, 20), (11, 20), (10, 19), (10, 21)] {
            assert!((canvas.0[y][x] - 0.08).abs() < 1e-6);
        }
    }
}
