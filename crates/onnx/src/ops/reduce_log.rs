//! `ReduceLogSum` and `ReduceLogSumExp`: ONNX operator specification, sections of those names, with the axes as an input.

use super::{Rule, reduce};

/// dx = dy / exp(y), where exp(y) is the sum.
pub(super) const LOG_SUM: Rule = Rule {
    operator: "ReduceLogSum",
    shape: reduce::infer,
    gradient: Some(|node, emit, dy| {
        let sum = emit.node("Exp", &[node.output()], []);
        let share = emit.node("Div", &[dy, &sum], []);
        let share = reduce::with_reduced_axes(node, emit, &share);
        Ok(vec![(0, reduce::spread(node, emit, &share)?)])
    }),
};

/// dx = dy exp(x - y), where no exponent is positive.
pub(super) const LOG_SUM_EXP: Rule = Rule {
    operator: "ReduceLogSumExp",
    shape: reduce::infer,
    gradient: Some(|node, emit, dy| {
        let y = reduce::with_reduced_axes(node, emit, node.output());
        let dy = reduce::with_reduced_axes(node, emit, dy);
        let exponent = emit.node("Sub", &[node.require_input(0)?, &y], []);
        let softmax = emit.node("Exp", &[&exponent], []);
        Ok(vec![(0, emit.node("Mul", &[&softmax, &dy], []))])
    }),
};

#[cfg(test)]
mod tests {
    use super::reduce::tests::{check, check_old, check_positive, check_without_axes, some_axes};
    use crate::reference::net::Net;
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(crate::reference::cases(16))]
        #[test]
        fn gradient_is_the_difference_quotient(axes in some_axes(), keep: bool, unknown: [bool; 2], seed: u64) {
            check("ReduceLogSumExp", &axes, keep, unknown, seed);
            check_old("ReduceLogSumExp", &axes, keep, seed);
            check_positive("ReduceLogSum", &axes, keep, unknown, seed);
        }

        #[test]
        fn without_axes_all_are_reduced_or_none(none: bool, empty: bool, keep: bool, unknown: bool, seed: u64) {
            for operator in ["ReduceLogSum", "ReduceLogSumExp"] {
                check_without_axes(operator, none, empty, keep, unknown, seed);
            }
        }
    }

    #[test]
    fn large_numbers_do_not_overflow() {
        let mut net = Net::new([1, 2, 1, 2], 3);
        let y = net.axes_op("ReduceLogSumExp", "image", &[3], false);
        let gradient = net.gradient_at(&y, &[1e200, -1e200, 1e4, 1e4], &[1.0, -2.0, 0.5]);
        assert!(gradient.iter().all(|g| g.is_finite()), "{gradient:?}");
        assert!(gradient[0] != 0.0 && gradient[1] == 0.0, "{gradient:?}");
        assert!(
            gradient[2] != 0.0 && gradient[2] == gradient[3],
            "{gradient:?}"
        );
    }
}
