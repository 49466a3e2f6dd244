//! An image made smaller, somewhere on black, and the gradient at it as one at the image.

use rand::Rng;

use crate::InputSpec;

/// The smallest size, as a share of the image's.
const SMALLEST: f64 = 0.9;

/// Where a row or column of the result comes from: two of the image, and the share of the second; black where there are none.
type Source = Option<(usize, usize, f32)>;

pub(super) struct Warp {
    rows: Vec<Source>,
    columns: Vec<Source>,
}

impl Warp {
    /// Between nine tenths of the size and the size, both axes alike; bilinear.
    pub(super) fn random(input: InputSpec, rng: &mut impl Rng) -> Self {
        let share = rng.random_range(SMALLEST..1.0);
        let mut axis = |size: usize| {
            let small = ((share * size as f64) as usize).clamp(1, size.max(1));
            let first = rng.random_range(0..=size - small);
            sources(size, small, first)
        };
        Self {
            rows: axis(input.height),
            columns: axis(input.width),
        }
    }

    pub(super) fn apply(&self, input: InputSpec, image: &[f32]) -> Vec<f32> {
        let mut result = vec![0.0; image.len()];
        self.each(input, |to, from, weight| {
            if let (Some(to), Some(from)) = (result.get_mut(to), image.get(from)) {
                *to += weight * from;
            }
        });
        result
    }

    /// The transposed map.
    pub(super) fn pull_back(&self, input: InputSpec, gradient: &[f32]) -> Vec<f32> {
        let mut result = vec![0.0; gradient.len()];
        self.each(input, |to, from, weight| {
            if let (Some(to), Some(from)) = (gradient.get(to), result.get_mut(from)) {
                *from += weight * to;
            }
        });
        result
    }

    /// Every pair of a value of the result and one of the image, with the weight of the one in the other.
    fn each(&self, input: InputSpec, mut visit: impl FnMut(usize, usize, f32)) {
        let pair = |source: &Source| source.map(|(a, b, share)| [(a, 1.0 - share), (b, share)]);
        for channel in 0..input.channels {
            for (row, from_rows) in self.rows.iter().enumerate() {
                for (column, from_columns) in self.columns.iter().enumerate() {
                    let (Some(from_rows), Some(from_columns)) =
                        (pair(from_rows), pair(from_columns))
                    else {
                        continue;
                    };
                    let index = |row: usize, column: usize| {
                        (channel * input.height + row) * input.width + column
                    };
                    for (from_row, a) in from_rows {
                        for (from_column, b) in from_columns {
                            if a * b != 0.0 {
                                visit(index(row, column), index(from_row, from_column), a * b);
                            }
                        }
                    }
                }
            }
        }
    }
}

fn sources(size: usize, small: usize, first: usize) -> Vec<Source> {
    let place = |index: usize| {
        let inside = index.checked_sub(first).filter(|inside| *inside < small)?;
        let at = (inside as f64 + 0.5) * size as f64 / small as f64 - 0.5;
        let at = at.clamp(0.0, size as f64 - 1.0);
        let low = at as usize;
        Some((low, (low + 1).min(size - 1), (at - low as f64) as f32))
    };
    (0..size).map(place).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn the_gradient_goes_back_by_the_transposed_map(height in 1usize..15, width in 1usize..15, seed: u64) {
            let input = InputSpec { channels: 2, height, width };
            let mut rng = rng::stream(seed, 0, 0);
            let warp = Warp::random(input, &mut rng);
            let mut draw = || -> Vec<f32> { (0..input.values()).map(|_| rand::Rng::random(&mut rng)).collect() };
            let (image, gradient) = (draw(), draw());
            let product = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(&a, &b)| f64::from(a * b)).sum::<f64>();
            let forward = product(&warp.apply(input, &image), &gradient);
            let backward = product(&image, &warp.pull_back(input, &gradient));
            prop_assert!((forward - backward).abs() < 1e-4 * forward.abs().max(1.0));
        }
    }

    #[test]
    fn a_white_image_becomes_a_smaller_one_on_black() {
        let input = InputSpec {
            channels: 1,
            height: 40,
            width: 40,
        };
        let warp = Warp::random(input, &mut rng::stream(1, 2, 3));
        let result = warp.apply(input, &vec![1.0; 1600]);
        assert!(result.iter().all(|&v| v == 0.0 || (v - 1.0).abs() < 1e-6));
        let white = result.iter().filter(|&&v| v > 0.5).count();
        assert!((36 * 36..1600).contains(&white), "{white}");
    }
}
