//! `CumSum`: ONNX operator specification, section "CumSum"; sums up to each place along an axis.

use super::{Gradients, Rule, same_shape};
use crate::{emitter::Emitter, node::Node, proto::AttributeProto};

pub(super) const RULE: Rule = Rule {
    operator: "CumSum",
    shape: same_shape,
    gradient: Some(gradient),
};

/// Every place is part of the sums behind it: dx is the same sum of dy from the other end.
fn gradient(node: &Node<'_>, emit: &mut Emitter, dy: &str) -> Result<Gradients, String> {
    let attributes = [
        AttributeProto::int("exclusive", node.flag("exclusive").into()),
        AttributeProto::int("reverse", (!node.flag("reverse")).into()),
    ];
    let dx = emit.node("CumSum", &[dy, node.require_input(1)?], attributes);
    Ok(vec![(0, dx)])
}

#[cfg(test)]
mod tests {
    use crate::{
        proto::{AttributeProto, TensorProto},
        reference::net::Net,
    };
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(crate::reference::cases(16))]
        #[test]
        fn gradient_is_the_difference_quotient(axis in prop::sample::select(vec![1i64, 2, 3, -1, -3]), exclusive: bool, reverse: bool, seed: u64) {
            let mut net = Net::new([3, 2, 3, 2], seed);
            let axis = net.store(TensorProto::int64s("", &[], &[axis]));
            let y = net.op("CumSum", &["image", &axis], [
                AttributeProto::int("exclusive", exclusive.into()),
                AttributeProto::int("reverse", reverse.into()),
            ]);
            let joined = net.op("Concat", &["image", &y], [AttributeProto::int("axis", 1)]);
            net.check(&joined, seed);
        }
    }
}
