/// What is left of 1 when every number that can come up was looked at, by rounding.
const NEGLIGIBLE: f64 = 1e-18;

/// The Poisson number of mean `mean`, 0 or more, that belongs to `uniform` in `[0, 1)`: by inversion, the numbers looked
/// at from the most probable one outwards, so that the work grows with the standard deviation and not with the mean.
pub(super) fn poisson(mean: f64, uniform: f64) -> f64 {
    if mean <= 0.0 {
        return 0.0;
    }
    let mode = mean.floor();
    let most = libm::exp(mode * libm::log(mean) - mean - libm::lgamma(mode + 1.0));
    let (mut above, mut above_weight) = (mode, most);
    let (mut below, mut below_weight) = (mode, most);
    let mut left = uniform - most;
    while left >= 0.0 {
        above += 1.0;
        above_weight *= mean / above;
        left -= above_weight;
        if left < 0.0 {
            return above;
        }
        if below > 0.0 {
            below_weight *= below / mean;
            below -= 1.0;
            left -= below_weight;
            if left < 0.0 {
                return below;
            }
        }
        if above_weight < NEGLIGIBLE && (below <= 0.0 || below_weight < NEGLIGIBLE) {
            break;
        }
    }
    mode
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every part of the unit interval belongs to a number, and as much of it as the number is probable.
    #[test]
    fn numbers_come_up_as_often_as_they_are_probable() {
        let steps = 200_000;
        for mean in [0.01, 0.7, 3.0, 12.5, 60.0, 500.0] {
            let mut counts = vec![0.0; 1000];
            for step in 0..steps {
                let drawn = poisson(mean, (f64::from(step) + 0.5) / f64::from(steps));
                counts[drawn as usize] += 1.0 / f64::from(steps);
            }
            let mut log_factorial = 0.0;
            for (k, count) in counts.iter().enumerate() {
                log_factorial += (k.max(1) as f64).ln();
                let expected = (k as f64 * f64::ln(mean) - mean - log_factorial).exp();
                assert!(
                    (count - expected).abs() < 2e-5,
                    "{mean}: {k}: {count} {expected}"
                );
            }
        }
    }

    #[test]
    fn darkness_has_no_quanta_and_the_end_of_the_interval_ends() {
        assert_eq!(poisson(0.0, 0.5), 0.0);
        for mean in [1e-9, 0.5, 3.0, 500.0] {
            let last = poisson(mean, 1.0 - f64::EPSILON / 2.0);
            assert!(
                last < mean + 12.0 * f64::sqrt(mean) + 20.0,
                "{mean}: {last}"
            );
        }
    }
}
