//! `ReduceL1`, `ReduceL2` and `ReduceSumSquare`: ONNX operator specification, sections of those names, with the axes as an input.

use super::{Gradients, Rule, reduce};
use crate::{emitter::Emitter, node::Node};

/// Below it the squares of a float32 vector lose their digits: 2^-63, the root of the smallest normal number.
const SHORTEST: f32 = 1.084_202_2e-19;

/// dx = dy sign(x).
pub(super) const L1: Rule = Rule {
    operator: "ReduceL1",
    shape: reduce::infer,
    gradient: Some(|node, emit, dy| {
        let dy = reduce::with_reduced_axes(node, emit, dy);
        let sign = emit.node("Sign", &[node.require_input(0)?], []);
        Ok(vec![(0, emit.node("Mul", &[&sign, &dy], []))])
    }),
};

pub(super) const L2: Rule = Rule {
    operator: "ReduceL2",
    shape: reduce::infer,
    gradient: Some(l2),
};

/// dx = 2 x dy.
pub(super) const SUM_SQUARE: Rule = Rule {
    operator: "ReduceSumSquare",
    shape: reduce::infer,
    gradient: Some(|node, emit, dy| {
        let dy = reduce::with_reduced_axes(node, emit, dy);
        let two = emit.float(2.0);
        let twice = emit.node("Mul", &[&dy, &two], []);
        Ok(vec![(
            0,
            emit.node("Mul", &[node.require_input(0)?, &twice], []),
        )])
    }),
};

/// dx = dy x / y, and zero at zero. The quotient comes first: it is never more than 1.
fn l2(node: &Node<'_>, emit: &mut Emitter, dy: &str) -> Result<Gradients, String> {
    let y = reduce::with_reduced_axes(node, emit, node.output());
    let dy = reduce::with_reduced_axes(node, emit, dy);
    let shortest = emit.float(SHORTEST);
    let length = emit.node("Max", &[&y, &shortest], []);
    let direction = emit.node("Div", &[node.require_input(0)?, &length], []);
    Ok(vec![(0, emit.node("Mul", &[&direction, &dy], []))])
}

#[cfg(test)]
mod tests {
    use super::reduce::tests::{check, check_old, check_without_axes, some_axes};
    use crate::reference::net::Net;
    use proptest::prelude::*;

    const OPERATORS: [&str; 3] = ["ReduceL1", "ReduceL2", "ReduceSumSquare"];

    proptest! {
        #![proptest_config(crate::reference::cases(16))]
        #[test]
        fn gradient_is_the_difference_quotient(axes in some_axes(), keep: bool, unknown: [bool; 2], seed: u64) {
            for operator in OPERATORS {
                check(operator, &axes, keep, unknown, seed);
                check_old(operator, &axes, keep, seed);
            }
        }

        #[test]
        fn without_axes_all_are_reduced_or_none(none: bool, empty: bool, keep: bool, unknown: bool, seed: u64) {
            for operator in OPERATORS {
                check_without_axes(operator, none, empty, keep, unknown, seed);
            }
        }
    }

    #[test]
    fn the_gradient_at_zero_is_zero() {
        for operator in OPERATORS {
            let mut net = Net::new([1, 2, 1, 2], 3);
            let y = net.axes_op(operator, "image", &[3], false);
            let gradient = net.gradient_at(&y, &[0.0, 0.0, 0.0, 0.7], &[1.0, -2.0, 0.5]);
            assert_eq!(gradient[..3], [0.0; 3], "{operator}");
            assert!(gradient[3] != 0.0, "{operator}");
        }
    }
}
