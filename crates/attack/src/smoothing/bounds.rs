//! Confidence in binomial proportions.

use statrs::{
    distribution::{ContinuousCDF, Normal},
    function::beta::beta_reg,
};

/// Halvings of `[0, 1]`: more than a number next to 1 can tell apart.
const HALVINGS: usize = 64;

/// The one-sided lower confidence bound of Clopper and Pearson (1934): the largest probability under which at least `hits` of
/// `draws` are no likelier than `alpha`.
///
/// By halving, the lower end of the interval being the answer: iterations that only come near it, from either side, miss it by 1e-4
/// of its distance from 1 where nearly all of a million draws hit.
pub(super) fn lower_bound(hits: u64, draws: u64, alpha: f64) -> f64 {
    let (mut low, mut high) = (0.0, 1.0);
    for _ in 0..HALVINGS {
        let middle = f64::midpoint(low, high);
        if at_least(hits, draws, middle) <= alpha {
            low = middle;
        } else {
            high = middle;
        }
    }
    low
}

/// The probability of a lead as large as that of `first` over `second`, either way, where both are equally likely.
pub(super) fn two_sided(first: u64, second: u64) -> f64 {
    (2.0 * at_least(first.max(second), first + second, 0.5)).min(1.0)
}

/// The quantile function of the standard normal distribution; `probability` is inside `(0, 1)`.
pub(super) fn normal_quantile(probability: f64) -> f64 {
    Normal::standard().inverse_cdf(probability)
}

/// The probability of at least `hits` in `draws`, each with `probability` in `(0, 1)`.
fn at_least(hits: u64, draws: u64, probability: f64) -> f64 {
    match hits {
        0 => 1.0,
        hits if hits > draws => 0.0,
        hits if hits == draws => (draws as f64 * probability.ln()).exp(),
        hits => beta_reg(hits as f64, (draws - hits + 1) as f64, probability),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The tail of the binomial distribution, term by term.
    fn summed(hits: u64, draws: u64, probability: f64) -> f64 {
        let (p, q) = (probability.ln(), (-probability).ln_1p());
        let mut choose = 0.0f64;
        let mut sum = 0.0;
        for k in 0..=draws {
            if k >= hits {
                sum += (choose + k as f64 * p + (draws - k) as f64 * q).exp();
            }
            choose += ((draws - k) as f64).ln() - ((k + 1) as f64).ln();
        }
        sum
    }

    #[test]
    fn all_hits_and_one_hit_have_closed_forms() {
        for alpha in [0.05, 1e-3, 1e-9] {
            for n in [1u64, 10, 1000, 100_000, 1_000_000] {
                let all = 1.0 - lower_bound(n, n, alpha);
                let expected = -(alpha.ln() / n as f64).exp_m1();
                assert!((all / expected - 1.0).abs() < 1e-9, "{n} of {n}: {all}");
                let one = lower_bound(1, n, alpha);
                let expected = -((-alpha).ln_1p() / n as f64).exp_m1();
                let resolution = (-64.0f64).exp2();
                let error = (one - expected).abs();
                assert!(
                    error < 1e-9 * expected + 2.0 * resolution,
                    "1 of {n}: {one:e}"
                );
                assert!(lower_bound(0, n, alpha) < 1e-18);
            }
        }
    }

    #[test]
    fn at_nearly_all_of_many_draws_the_bound_is_exact() {
        for n in [100_000u64, 1_000_000] {
            for misses in [1u64, 2, 10] {
                let bound = lower_bound(n - misses, n, 0.001);
                // The same tail by the misses, of which there are few: P(at most `misses` of them).
                let miss = 1.0 - bound;
                let mut term = n as f64 * bound.ln();
                let mut tail = term.exp();
                for k in 1..=misses {
                    term += ((n - k + 1) as f64 / k as f64).ln() + miss.ln() - bound.ln();
                    tail += term.exp();
                }
                assert!(
                    (tail / 0.001 - 1.0).abs() < 1e-7,
                    "{misses} of {n}: {tail:e}"
                );
            }
        }
    }

    #[test]
    fn a_lead_is_judged_from_both_sides() {
        assert_eq!(two_sided(0, 0), 1.0);
        assert_eq!(two_sided(5, 5), 1.0);
        assert!((two_sided(10, 0) - 2.0 / 1024.0).abs() < 1e-15);
        assert!((two_sided(9, 1) - 22.0 / 1024.0).abs() < 1e-15);
        assert_eq!(two_sided(1, 9), two_sided(9, 1));
    }

    #[test]
    fn quantiles_of_the_normal_distribution_are_the_tabulated_ones() {
        for (probability, quantile) in [
            (0.5, 0.0),
            (0.841_344_746_068_542_9, 1.0),
            (0.9, 1.281_551_565_544_600_5),
            (0.999, 3.090_232_306_167_813_5),
            (0.999_999, 4.753_424_308_822_899),
        ] {
            let error = normal_quantile(probability) - quantile;
            assert!(error.abs() < 1e-9, "{probability}: {error:e}");
        }
    }

    proptest! {
        #[test]
        fn under_the_bound_as_many_hits_are_exactly_as_likely_as_alpha(
            draws in 1u64..2000, share in 0.0f64..1.0, alpha in 1e-6f64..0.5,
        ) {
            let hits = 1 + (share * draws as f64) as u64;
            let bound = lower_bound(hits, draws, alpha);
            prop_assert!(bound < hits as f64 / draws as f64 || alpha > 0.3);
            let tail = summed(hits, draws, bound);
            prop_assert!((tail / alpha - 1.0).abs() < 1e-8, "{tail:e} {alpha:e}");
        }

        #[test]
        fn more_hits_and_less_caution_raise_the_bound(
            draws in 2u64..500, share in 0.0f64..1.0, alpha in 1e-6f64..0.2,
        ) {
            let hits = 1 + (share * (draws - 1) as f64) as u64;
            let bound = lower_bound(hits, draws, alpha);
            prop_assert!(lower_bound(hits - 1, draws, alpha) < bound);
            prop_assert!(lower_bound(hits, draws, alpha / 2.0) < bound);
        }
    }
}
