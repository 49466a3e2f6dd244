//! Smoothing by a Gaussian, zeros being assumed beyond the edges.

use crate::InputSpec;

/// Pixels to each side.
const REACH: usize = 7;
const DEVIATION: f64 = 3.0;

pub(super) fn smooth(input: InputSpec, image: &[f32]) -> Vec<f32> {
    let weight = |offset: usize| (-((offset as f64).powi(2)) / (2.0 * DEVIATION * DEVIATION)).exp();
    let total = weight(0) + 2.0 * (1..=REACH).map(weight).sum::<f64>();
    // One axis after the other: the Gaussian is a product.
    let along = |image: &[f32], stride: usize, size: usize| -> Vec<f32> {
        (0..image.len())
            .map(|index| {
                let place = index / stride % size;
                let first = place.saturating_sub(REACH);
                let last = (place + REACH).min(size - 1);
                let sum = (first..=last).map(|other| {
                    let from = index - place * stride + other * stride;
                    let value = image.get(from).copied().unwrap_or(0.0);
                    weight(place.abs_diff(other)) * f64::from(value)
                });
                (sum.sum::<f64>() / total) as f32
            })
            .collect()
    };
    along(&along(image, 1, input.width), input.width, input.height)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_single_value_becomes_the_kernel_and_a_plain_keeps_its_middle() {
        let input = InputSpec {
            channels: 2,
            height: 31,
            width: 31,
        };
        let mut point = vec![0.0; input.values()];
        point[31 * 31 + 15 * 31 + 15] = 1.0;
        let smoothed = smooth(input, &point);
        assert!((smoothed.iter().map(|&v| f64::from(v)).sum::<f64>() - 1.0).abs() < 1e-5);
        assert!(smoothed[..31 * 31].iter().all(|&value| value == 0.0));
        let at = |row: usize, column: usize| f64::from(smoothed[31 * 31 + row * 31 + column]);
        assert!((at(15, 18) / at(15, 15) - (-0.5f64).exp()).abs() < 1e-5);
        assert_eq!(at(15, 23), 0.0);
        let plain = smooth(input, &vec![1.0; input.values()]);
        assert!((plain[15 * 31 + 15] - 1.0).abs() < 1e-6);
    }
}
