//! `Softmax`: ONNX operator specification, section "Softmax" (from opset 13 on: along one axis).

use super::{Gradients, Rule, same_shape};
use crate::{emitter::Emitter, node::Node, proto::AttributeProto};

pub(super) const RULE: Rule = Rule {
    operator: "Softmax",
    shape: same_shape,
    gradient: Some(gradient),
};

/// dx = y (dy - sum(dy y)), the sum along the axis.
fn gradient(node: &Node<'_>, emit: &mut Emitter, dy: &str) -> Result<Gradients, String> {
    let axis = emit.ints(&[node.int("axis").unwrap_or(-1)]);
    let product = emit.node("Mul", &[dy, node.output()], []);
    let sum = emit.node(
        "ReduceSum",
        &[&product, &axis],
        [AttributeProto::int("keepdims", 1)],
    );
    let centred = emit.node("Sub", &[dy, &sum], []);
    Ok(vec![(0, emit.node("Mul", &[node.output(), &centred], []))])
}

#[cfg(test)]
mod tests {
    use crate::{proto::AttributeProto, reference::net::Net};
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(crate::reference::cases(12))]
        #[test]
        fn gradient_is_the_difference_quotient(axis in prop::option::of(prop::sample::select(vec![-3i64, -1, 1, 2])), seed: u64) {
            let mut net = Net::new([3, 2, 3, 4], seed);
            let axis = axis.map(|axis| AttributeProto::int("axis", axis));
            let y = net.op("Softmax", &["image"], axis.into_iter().collect::<Vec<_>>());
            net.check(&y, seed);
        }
    }
}
