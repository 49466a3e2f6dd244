//! Arithmetic on the logits of one image, in double precision and without overflow.

/// The predicted class: the largest logit, the first of equals. Minus infinity is the logit of a class that is never
/// chosen. `None` when a logit is NaN or plus infinity, or all are minus infinity: then the model has not answered.
pub(crate) fn predicted(logits: &[f32]) -> Option<usize> {
    let mut best: Option<(usize, f32)> = None;
    for (class, &logit) in logits.iter().enumerate() {
        if logit.is_nan() || logit == f32::INFINITY {
            return None;
        }
        if best.is_none_or(|(_, largest)| logit > largest) {
            best = Some((class, logit));
        }
    }
    let (class, largest) = best?;
    largest.is_finite().then_some(class)
}

/// The number of classes that can be chosen: those whose logit is not minus infinity.
pub(crate) fn possible_classes(logits: &[f32]) -> usize {
    let possible = logits.iter().filter(|&&logit| logit != f32::NEG_INFINITY);
    possible.count()
}

/// As single precision, NaN as the least value and infinities as the largest finite ones: JSON has neither.
pub(crate) fn finite(value: f64) -> f32 {
    match value {
        value if value.is_nan() => f32::MIN,
        value => (value as f32).clamp(f32::MIN, f32::MAX),
    }
}

/// The largest logit of the classes other than `class`; minus infinity when there is none.
pub(crate) fn largest_other(logits: &[f32], class: usize) -> f64 {
    logits
        .iter()
        .enumerate()
        .filter(|&(other, _)| other != class)
        .map(|(_, &logit)| f64::from(logit))
        .fold(f64::NEG_INFINITY, f64::max)
}

/// The `rank`-th largest logit of the classes that can be chosen, counted from 1; NaN when there are fewer.
pub(crate) fn ranked(logits: &[f32], rank: usize) -> f64 {
    let mut sorted = logits.to_vec();
    sorted.retain(|&logit| logit != f32::NEG_INFINITY);
    sorted.sort_unstable_by(|a, b| b.total_cmp(a));
    let ranked = rank.checked_sub(1).and_then(|index| sorted.get(index));
    ranked.map_or(f64::NAN, |&logit| logit.into())
}

/// The `count` classes of the largest logits beside `label`, the largest first; of equal ones the first.
pub(crate) fn likeliest(logits: &[f32], label: usize, count: usize) -> Vec<usize> {
    let mut classes: Vec<(usize, f32)> = logits
        .iter()
        .copied()
        .enumerate()
        .filter(|&(class, _)| class != label)
        .collect();
    classes.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
    classes
        .into_iter()
        .take(count)
        .map(|(class, _)| class)
        .collect()
}

/// The classes to attack towards: the likeliest that can be chosen. Where no other class can, the first of all, so that
/// something is tried from other points.
pub(crate) fn targets(logits: &[f32], label: usize, count: usize) -> Vec<usize> {
    let all = likeliest(logits, label, count);
    let can_be_chosen = |class: &usize| {
        let logit = logits.get(*class);
        logit.is_some_and(|&logit| logit != f32::NEG_INFINITY)
    };
    let possible: Vec<usize> = all.iter().copied().filter(can_be_chosen).collect();
    if possible.is_empty() { all } else { possible }
}

/// The logarithms of the classes' probabilities.
///
/// Shifted by the largest value (not the largest magnitude, which overflows when all logits are very negative) before
/// anything else is added, so that large logits do not swallow the differences between them.
pub(crate) fn log_softmax(logits: &[f32]) -> Vec<f64> {
    let largest: f64 = logits
        .iter()
        .copied()
        .fold(f32::NEG_INFINITY, f32::max)
        .into();
    let shifted: Vec<f64> = logits
        .iter()
        .map(|&logit| f64::from(logit) - largest)
        .collect();
    let normaliser = shifted.iter().map(|z| z.exp()).sum::<f64>().ln();
    shifted.iter().map(|z| z - normaliser).collect()
}

/// The probabilities of the classes.
pub(crate) fn softmax(logits: &[f32]) -> Vec<f32> {
    log_softmax(logits).iter().map(|z| z.exp() as f32).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_first_of_equal_logits_is_predicted_and_nan_predicts_nothing() {
        assert_eq!(predicted(&[1.0, 3.0, 3.0]), Some(1));
        assert_eq!(predicted(&[1.0, f32::NAN]), None);
        assert_eq!(predicted(&[f32::INFINITY, 0.0]), None);
        assert_eq!(predicted(&[]), None);
    }

    #[test]
    fn minus_infinity_is_the_logit_of_a_class_that_is_never_chosen() {
        const NEVER: f32 = f32::NEG_INFINITY;
        assert_eq!(predicted(&[NEVER, 1.0, NEVER, 2.0]), Some(3));
        assert_eq!(predicted(&[NEVER, NEVER]), None);
        assert_eq!(predicted(&[NEVER, f32::NAN, 1.0]), None);
        assert_eq!(softmax(&[0.0, NEVER, 0.0]), [0.5, 0.0, 0.5]);
        assert_eq!(possible_classes(&[NEVER, 1.0, NEVER, 2.0]), 2);
        assert_eq!(ranked(&[NEVER, 1.0, 2.0], 2), 1.0);
        assert!(ranked(&[NEVER, 1.0, 2.0], 3).is_nan());
        assert_eq!(targets(&[NEVER, 1.0, 3.0, 2.0], 2, 9), [3, 1]);
        assert_eq!(targets(&[NEVER, 1.0, NEVER], 1, 1), [0]);
    }

    #[test]
    fn what_has_no_place_in_json_becomes_the_extreme_finite_value() {
        let values = [f64::NAN, f64::NEG_INFINITY, f64::INFINITY, 1e300, 0.5];
        let expected = [f32::MIN, f32::MIN, f32::MAX, f32::MAX, 0.5];
        assert_eq!(values.map(finite), expected);
    }

    #[test]
    fn softmax_survives_extreme_logits() {
        assert_eq!(softmax(&[-1e30, -1e30]), [0.5, 0.5]);
        assert_eq!(softmax(&[1e30, -1e30, 0.0]), [1.0, 0.0, 0.0]);
    }

    proptest! {
        #[test]
        fn softmax_sums_to_one_and_ignores_a_shift(
            logits in prop::collection::vec(-50.0f32..50.0, 1..12),
            shift in -8i8..8,
        ) {
            let shifted: Vec<f32> = logits.iter().map(|&z| z + f32::from(shift)).collect();
            let (one, two) = (softmax(&logits), softmax(&shifted));
            prop_assert!((one.iter().sum::<f32>() - 1.0).abs() < 1e-5);
            for (a, b) in one.iter().zip(&two) {
                prop_assert!((a - b).abs() < 1e-4);
            }
        }
    }
}
