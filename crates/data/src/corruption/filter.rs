//! Blurs with the borders of the libraries the published files were made with.

/// What lies beyond the first and the last value of a row `abcd`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Border {
    /// `aaa abcd ddd`: scikit-image's and ImageMagick's default.
    Nearest,
    /// `dcb abcd cba`: OpenCV's default, `BORDER_REFLECT_101`.
    Mirror,
    /// `cba abcd dcb`: SciPy's `reflect`.
    Symmetric,
}

impl Border {
    /// Which of `length` values, at least one, is seen at `at`.
    pub(super) fn index(self, at: isize, length: usize) -> usize {
        let last = length as isize - 1;
        let seen = match self {
            Border::Nearest => at.clamp(0, last),
            Border::Mirror => {
                let folded = at.rem_euclid((2 * last).max(1));
                folded.min(2 * last - folded).max(0)
            }
            Border::Symmetric => {
                let folded = at.rem_euclid(2 * length as isize);
                folded.min(2 * last + 1 - folded)
            }
        };
        seen.unsigned_abs()
    }
}

/// A weight of the pixel so many rows below and columns to the right.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Tap {
    pub(super) down: isize,
    pub(super) right: isize,
    pub(super) weight: f32,
}

/// Every pixel as the weighted sum of those around it.
pub(super) fn correlate(plane: &[f32], width: usize, taps: &[Tap], border: Border) -> Vec<f32> {
    let height = plane.len() / width.max(1);
    let reach = taps
        .iter()
        .map(|tap| tap.down.unsigned_abs().max(tap.right.unsigned_abs()))
        .max()
        .unwrap_or(0);
    let wide = width + 2 * reach;
    let signed = reach as isize;
    let mut padded = Vec::with_capacity((height + 2 * reach) * wide);
    for y in -signed..height as isize + signed {
        let row = border.index(y, height) * width;
        let columns = -signed..width as isize + signed;
        padded.extend(columns.map(|x| plane[row + border.index(x, width)]));
    }
    let mut sums = vec![0.0; plane.len()];
    for tap in taps {
        let down = reach.saturating_add_signed(tap.down);
        let right = reach.saturating_add_signed(tap.right);
        let rows = padded.chunks_exact(wide).skip(down);
        for (sums, row) in sums.chunks_exact_mut(width).zip(rows) {
            for (sum, value) in sums.iter_mut().zip(&row[right..]) {
                *sum += tap.weight * value;
            }
        }
    }
    sums
}

/// Weights that sum to one, proportional to a Gaussian's of `sigma` at these distances.
pub(super) fn gaussian_weights(sigma: f64, distances: impl Iterator<Item = f64>) -> Vec<f32> {
    let weights: Vec<f64> = distances
        .map(|distance| libm::exp(-0.5 * distance * distance / (sigma * sigma)))
        .collect();
    let sum: f64 = weights.iter().sum();
    weights
        .into_iter()
        .map(|weight| (weight / sum) as f32)
        .collect()
}

/// SciPy's Gaussian filter, cut off at `truncate` standard deviations. Without a deviation the plane stays as it is.
pub(super) fn gaussian(
    plane: &[f32],
    width: usize,
    sigma: f64,
    truncate: f64,
    border: Border,
) -> Vec<f32> {
    if sigma <= 0.0 {
        return plane.to_vec();
    }
    let height = plane.len() / width.max(1);
    let reach = (truncate * sigma + 0.5) as isize;
    let kernel = gaussian_weights(sigma, (-reach..=reach).map(|offset| offset as f64));
    let down = blur_columns(plane, width, &folded(&kernel, height, border));
    let turned = transposed(&down, width);
    let across = blur_columns(&turned, height, &folded(&kernel, width, border));
    transposed(&across, height)
}

/// The weights of the values that one value of a filtered row is made of: those from `start` on.
struct Weights {
    start: usize,
    weights: Vec<f32>,
}

/// The kernel, centred on each of `length` values in turn, with what lies beyond the border folded back: a kernel much
/// longer than the row costs no more than the row squared.
fn folded(kernel: &[f32], length: usize, border: Border) -> Vec<Weights> {
    let reach = (kernel.len() / 2) as isize;
    (0..length as isize)
        .map(|centre| {
            let mut all = vec![0.0; length];
            for (offset, weight) in (-reach..).zip(kernel) {
                all[border.index(centre + offset, length)] += weight;
            }
            let start = all.iter().position(|&weight| weight != 0.0).unwrap_or(0);
            let end = all.iter().rposition(|&weight| weight != 0.0);
            all.truncate(end.map_or(0, |end| end + 1));
            Weights {
                start,
                weights: all.split_off(start.min(all.len())),
            }
        })
        .collect()
}

fn blur_columns(plane: &[f32], width: usize, rows: &[Weights]) -> Vec<f32> {
    let mut blurred = vec![0.0; plane.len()];
    for (sums, row) in blurred.chunks_exact_mut(width).zip(rows) {
        let sources = plane.chunks_exact(width).skip(row.start);
        for (source, weight) in sources.zip(&row.weights) {
            for (sum, value) in sums.iter_mut().zip(source) {
                *sum += weight * value;
            }
        }
    }
    blurred
}

fn transposed(plane: &[f32], width: usize) -> Vec<f32> {
    (0..width)
        .flat_map(|x| plane.iter().skip(x).step_by(width).copied())
        .collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn seen(border: Border) -> Vec<usize> {
        (-6..10).map(|at| border.index(at, 4)).collect()
    }

    #[test]
    fn borders_show_what_they_say() {
        let expected = [0, 0, 0, 0, 0, 0, 0, 1, 2, 3, 3, 3, 3, 3, 3, 3];
        assert_eq!(seen(Border::Nearest), expected);
        let expected = [0, 1, 2, 3, 2, 1, 0, 1, 2, 3, 2, 1, 0, 1, 2, 3];
        assert_eq!(seen(Border::Mirror), expected);
        let expected = [2, 3, 3, 2, 1, 0, 0, 1, 2, 3, 3, 2, 1, 0, 0, 1];
        assert_eq!(seen(Border::Symmetric), expected);
        for border in [Border::Nearest, Border::Mirror, Border::Symmetric] {
            assert_eq!(border.index(-7, 1), 0, "{border:?}");
        }
    }

    proptest! {
        /// The definition, pixel by pixel, also for kernels longer than the image.
        #[test]
        fn a_gaussian_is_the_weighted_mean_of_the_square_around(
            values in prop::collection::vec(0f32..1.0, 35),
            sigma in 0.05f64..6.0,
            border in prop::sample::select(vec![Border::Nearest, Border::Mirror, Border::Symmetric]),
        ) {
            let (height, width) = (5, 7);
            let blurred = gaussian(&values, width, sigma, 3.0, border);
            let reach = (3.0 * sigma + 0.5) as isize;
            let weight = |d: isize| (-0.5 * (d * d) as f64 / (sigma * sigma)).exp();
            for (at, &found) in blurred.iter().enumerate() {
                let (y, x) = ((at / width) as isize, (at % width) as isize);
                let (mut sum, mut weights) = (0.0, 0.0);
                for down in -reach..=reach {
                    for right in -reach..=reach {
                        let row = border.index(y + down, height);
                        let value = values[row * width + border.index(x + right, width)];
                        let weight = weight(down) * weight(right);
                        sum += weight * f64::from(value);
                        weights += weight;
                    }
                }
                prop_assert!((f64::from(found) - sum / weights).abs() < 1e-5);
            }
        }
    }

    #[test]
    fn a_tap_shifts_the_image_and_weighs_it() {
        let plane: Vec<f32> = (0..6).map(|value| value as f32).collect();
        let tap = Tap {
            down: 1,
            right: -1,
            weight: 2.0,
        };
        let shifted = correlate(&plane, 3, &[tap], Border::Nearest);
        assert_eq!(shifted, [6.0, 6.0, 8.0, 6.0, 6.0, 8.0]);
    }
}
