//! `ReduceMax` and `ReduceMin`: ONNX operator specification, sections of those names, with the axes as an input.

use super::{Gradients, Rule, reduce};
use crate::{
    emitter::Emitter,
    node::Node,
    proto::{AttributeProto, DataType},
};

pub(super) const MAX: Rule = Rule {
    operator: "ReduceMax",
    shape: reduce::infer,
    gradient: Some(gradient),
};

pub(super) const MIN: Rule = Rule {
    operator: "ReduceMin",
    shape: reduce::infer,
    gradient: Some(gradient),
};

/// dy goes in equal shares to the elements that are as large (small) as the result.
fn gradient(node: &Node<'_>, emit: &mut Emitter, dy: &str) -> Result<Gradients, String> {
    let y = reduce::with_reduced_axes(node, emit, node.output());
    let dy = reduce::with_reduced_axes(node, emit, dy);
    let wins = emit.node("Equal", &[node.require_input(0)?, &y], []);
    let float = AttributeProto::int("to", DataType::Float as i64);
    let wins = emit.node("Cast", &[&wins], [float]);
    let count = reduce::reduced(node, emit, "ReduceSum", &wins);
    let share = emit.node("Div", &[&dy, &count], []);
    Ok(vec![(0, emit.node("Mul", &[&wins, &share], []))])
}

#[cfg(test)]
mod tests {
    use super::reduce::tests::{check, check_old, check_without_axes, some_axes};
    use crate::reference::net::Net;
    use proptest::prelude::*;

    const OPERATORS: [&str; 2] = ["ReduceMax", "ReduceMin"];

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
    fn those_that_tie_share_evenly() {
        for operator in OPERATORS {
            let mut net = Net::new([1, 1, 2, 3], 3);
            let y = net.axes_op(operator, "image", &[3], true);
            let at = |image: &[f64]| net.gradient_at(&y, image, &[1.0, -2.0, 0.5]);
            let share = at(&[0.5, 0.5, 0.5, 0.1, 0.9, 0.1]);
            assert!(share[0] != 0.0 && share[0] == share[1] && share[1] == share[2]);
            let (alone, two) = match operator {
                "ReduceMax" => (at(&[0.6, 0.5, 0.5, 0.9, 0.1, 0.9]), [3, 5]),
                _ => (at(&[0.4, 0.5, 0.5, 0.9, 0.1, 0.1]), [4, 5]),
            };
            assert!(
                (alone[0] - 3.0 * share[0]).abs() < 1e-12,
                "{alone:?}, {share:?}"
            );
            assert_eq!(alone[1..3], [0.0; 2]);
            assert_eq!(alone[two[0]], alone[two[1]]);
        }
    }
}
