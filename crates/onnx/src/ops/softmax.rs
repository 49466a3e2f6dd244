//! `Softmax` and `LogSoftmax`: ONNX operator specification, sections of those names (from opset 13 on: along one axis).

use super::{Gradients, Rule, same_shape};
use crate::{emitter::Emitter, node::Node, proto::AttributeProto};

pub(super) const RULE: Rule = Rule {
    operator: "Softmax",
    shape: same_shape,
    gradient: Some(gradient),
};

pub(super) const LOG: Rule = Rule {
    operator: "LogSoftmax",
    shape: same_shape,
    gradient: Some(log),
};

/// dx = y (dy - sum(dy y)), the sum along the axis.
fn gradient(node: &Node<'_>, emit: &mut Emitter, dy: &str) -> Result<Gradients, String> {
    let product = emit.node("Mul", &[dy, node.output()], []);
    let sum = sum(node, emit, &product);
    let centred = emit.node("Sub", &[dy, &sum], []);
    Ok(vec![(0, emit.node("Mul", &[node.output(), &centred], []))])
}

/// dx = dy - exp(y) sum(dy), the sum along the axis.
fn log(node: &Node<'_>, emit: &mut Emitter, dy: &str) -> Result<Gradients, String> {
    let sum = sum(node, emit, dy);
    let softmax = emit.node("Exp", &[node.output()], []);
    let product = emit.node("Mul", &[&softmax, &sum], []);
    Ok(vec![(0, emit.node("Sub", &[dy, &product], []))])
}

fn sum(node: &Node<'_>, emit: &mut Emitter, tensor: &str) -> String {
    let axis = emit.ints(&[node.int("axis").unwrap_or(-1)]);
    let keep = AttributeProto::int("keepdims", 1);
    emit.node("ReduceSum", &[tensor, &axis], [keep])
}

#[cfg(test)]
mod tests {
    use crate::{proto::AttributeProto, reference::net::Net};
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(crate::reference::cases(12))]
        #[test]
        fn gradient_is_the_difference_quotient(
            operator in prop::sample::select(vec!["Softmax", "LogSoftmax"]),
            axis in prop::option::of(prop::sample::select(vec![-3i64, -1, 1, 2])), seed: u64,
        ) {
            let mut net = Net::new([3, 2, 3, 4], seed);
            let axis = axis.map(|axis| AttributeProto::int("axis", axis));
            let y = net.op(operator, &["image"], axis.into_iter().collect::<Vec<_>>());
            net.check(&y, seed);
        }
    }
}
