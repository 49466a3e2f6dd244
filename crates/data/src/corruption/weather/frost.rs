//! A texture of ice on glass, of this project's own making: a haze that is thicker here and thinner there, and feathers
//! of ice that grow from places anywhere into all directions, with branches at the angle of ice crystals.
use std::f64::consts::{FRAC_PI_3, TAU};

use rand::Rng;
use rand_chacha::ChaCha8Rng;

use super::super::plasma::plasma;

/// Red, green and blue of ice in full light.
const TINT: [f32; 3] = [0.86, 0.95, 1.0];
/// The haze where it is thinnest and thickest.
const HAZE: [f32; 2] = [0.1, 0.65];
/// How fast the spread of the haze decays.
const HAZE_DECAY: f64 = 1.8;
/// Feathers per image.
const FEATHERS: usize = 22;
/// The length of a feather in shares of the longer side.
const LENGTH: [f64; 2] = [0.2, 0.7];
/// How far the branches of a feather are apart, and the longest of them, in shares of its length.
const SPACING: f64 = 0.05;
const BRANCH: f64 = 0.5;
/// Half the width of a line in shares of the longer side, and at least, in pixels.
const PEN: f64 = 0.004;
const THINNEST: f64 = 0.4;
/// How bright a stem and a branch are at their root.
const STEM_INK: f64 = 1.0;
const BRANCH_INK: f64 = 0.85;

/// What the texture is multiplied with in each of the channels; grey ice is as bright as coloured one.
pub(super) fn tint(channels: usize) -> Vec<f32> {
    let [red, green, blue] = TINT;
    match channels {
        3 => TINT.to_vec(),
        channels => vec![0.299 * red + 0.587 * green + 0.114 * blue; channels],
    }
}

/// Brightness of the ice in `[0, 1]`, `height * width` values.
pub(super) fn texture(height: usize, width: usize, rng: &mut ChaCha8Rng) -> Vec<f32> {
    let [thin, thick] = HAZE;
    let haze = plasma(height, width, HAZE_DECAY, rng);
    let side = height.max(width) as f64;
    let mut canvas = Canvas {
        height,
        width,
        values: haze
            .iter()
            .map(|haze| thin + (thick - thin) * haze)
            .collect(),
        pen: (PEN * side).max(THINNEST),
    };
    for _ in 0..FEATHERS {
        let root = [height, width].map(|side| rng.random_range(0.0..side as f64));
        let angle = rng.random_range(0.0..TAU);
        let [short, long] = LENGTH;
        let length = side * rng.random_range(short..long);
        canvas.line(root, angle, length, STEM_INK);
        let (sine, cosine) = libm::sincos(angle);
        let mut share = SPACING;
        while share < 1.0 {
            let at = share * length;
            let knot = [root[0] + at * sine, root[1] + at * cosine];
            for side in [-FRAC_PI_3, FRAC_PI_3] {
                let longest = BRANCH * length * (1.0 - share);
                let length = longest * rng.random_range(0.2..1.0);
                canvas.line(knot, angle + side, length, BRANCH_INK);
            }
            share += SPACING;
        }
    }
    canvas.values
}

/// Brightness drawn upon; where lines cross, the brighter one is seen.
struct Canvas {
    height: usize,
    width: usize,
    values: Vec<f32>,
    /// Half the width of a line in pixels.
    pen: f64,
}

impl Canvas {
    /// A line from a row and a column on, that fades to half its brightness.
    fn line(&mut self, [y, x]: [f64; 2], angle: f64, length: f64, ink: f64) {
        let (sine, cosine) = libm::sincos(angle);
        let steps = (2.0 * length) as u32 + 1;
        for step in 0..=steps {
            let share = f64::from(step) / f64::from(steps);
            let at = share * length;
            self.dot(y + at * sine, x + at * cosine, ink * (1.0 - share / 2.0));
        }
    }

    /// Lightens the pixels around a place by how much of them a dot of the pen covers.
    fn dot(&mut self, y: f64, x: f64, ink: f64) {
        let reach = self.pen + 0.5;
        // A cast to an unsigned number stops at 0.
        let span = |at: f64, end: usize| {
            (at - reach).ceil() as usize..((at + reach) as usize + 1).min(end)
        };
        for row in span(y, self.height) {
            for column in span(x, self.width) {
                let (down, right) = (row as f64 - y, column as f64 - x);
                let covered = reach - (down * down + right * right).sqrt();
                let value = &mut self.values[row * self.width + column];
                *value = value.max((ink * covered.clamp(0.0, 1.0)) as f32);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;

    use super::*;

    #[test]
    fn ice_is_neither_black_nor_even_and_its_values_are_in_range() {
        for (height, width) in [(8, 8), (32, 32), (28, 40), (200, 70)] {
            for seed in 0..5 {
                let texture = texture(height, width, &mut ChaCha8Rng::seed_from_u64(seed));
                assert_eq!(texture.len(), height * width);
                assert!(texture.iter().all(|value| (HAZE[0]..=1.0).contains(value)));
                let count = texture.len() as f32;
                let mean = texture.iter().sum::<f32>() / count;
                let squares = texture.iter().map(|value| (value - mean).powi(2));
                let deviation = (squares.sum::<f32>() / count).sqrt();
                assert!((0.3..0.75).contains(&mean), "{height} {width}: {mean}");
                assert!(deviation > 0.08, "{height} {width}: {deviation}");
            }
        }
    }

    #[test]
    fn coloured_ice_is_bluish_and_grey_ice_as_bright() {
        let [red, green, blue] = tint(3)[..] else {
            panic!("three channels have three tints");
        };
        assert!(red < green && green < blue);
        let luma = 0.299 * red + 0.587 * green + 0.114 * blue;
        assert_eq!(tint(1), [luma]);
    }
}
