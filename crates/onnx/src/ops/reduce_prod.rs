//! `ReduceProd`: ONNX operator specification, section "ReduceProd", with the axes as an input.

use super::{Gradients, Rule, reduce};
use crate::{
    emitter::Emitter,
    node::Node,
    proto::{AttributeProto, DataType},
};

pub(super) const RULE: Rule = Rule {
    operator: "ReduceProd",
    shape: reduce::infer,
    gradient: Some(gradient),
};

/// dx = dy times the product of all others: that of the elements that are not zero, divided by x unless it is zero itself; and
/// zero where another one is zero.
fn gradient(node: &Node<'_>, emit: &mut Emitter, dy: &str) -> Result<Gradients, String> {
    let x = node.require_input(0)?;
    let dy = reduce::with_reduced_axes(node, emit, dy);
    let (zero, one) = (emit.float(0.0), emit.float(1.0));
    let is_zero = emit.node("Equal", &[x, &zero], []);
    let divisor = emit.node("Where", &[&is_zero, &one, x], []);
    let product = reduce::reduced(node, emit, "ReduceProd", &divisor);
    let own = emit.node(
        "Cast",
        &[&is_zero],
        [AttributeProto::int("to", DataType::Float as i64)],
    );
    let zeros = reduce::reduced(node, emit, "ReduceSum", &own);
    // Both sides are small whole numbers: the one zero that there may be is the element itself.
    let alone = emit.node("Equal", &[&zeros, &own], []);
    let scaled = emit.node("Mul", &[&dy, &product], []);
    let part = emit.node("Div", &[&scaled, &divisor], []);
    Ok(vec![(0, emit.node("Where", &[&alone, &part, &zero], []))])
}

#[cfg(test)]
mod tests {
    use super::reduce::tests::{check, check_old, check_without_axes, some_axes};
    use crate::reference::net::{Net, Random, check as check_at};
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(crate::reference::cases(16))]
        #[test]
        fn gradient_is_the_difference_quotient(axes in some_axes(), keep: bool, unknown: [bool; 2], seed: u64) {
            check("ReduceProd", &axes, keep, unknown, seed);
            check_old("ReduceProd", &axes, keep, seed);
        }

        #[test]
        fn without_axes_all_are_reduced_or_none(none: bool, empty: bool, keep: bool, unknown: bool, seed: u64) {
            check_without_axes("ReduceProd", none, empty, keep, unknown, seed);
        }

        #[test]
        fn zeros_among_the_factors_are_no_divisors(zeros in prop::collection::vec(0..12usize, 0..7), seed: u64) {
            let mut net = Net::new([2, 1, 2, 3], seed);
            let y = net.axes_op("ReduceProd", "image", &[3], false);
            let mut image = Random::new(seed).tensor(&[2, 1, 2, 3], 0.2, 1.2);
            for zero in zeros {
                image.data[zero] = 0.0;
            }
            check_at(&net.classifier(&y), &image, seed);
        }
    }
}
