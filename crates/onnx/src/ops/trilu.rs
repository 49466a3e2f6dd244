//! `Trilu`: ONNX operator specification, section "Trilu"; the upper or lower triangle of matrices, zeros elsewhere.

use super::{Gradients, Rule, same_shape};
use crate::{emitter::Emitter, node::Node, proto::AttributeProto};

pub(super) const RULE: Rule = Rule {
    operator: "Trilu",
    shape: same_shape,
    gradient: Some(gradient),
};

/// dx is the same triangle of dy.
fn gradient(node: &Node<'_>, emit: &mut Emitter, dy: &str) -> Result<Gradients, String> {
    let upper = AttributeProto::int("upper", node.int("upper").unwrap_or(1));
    let inputs = [Some(dy), node.input(1)];
    let inputs: Vec<&str> = inputs.into_iter().flatten().collect();
    Ok(vec![(0, emit.node("Trilu", &inputs, [upper]))])
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
        fn gradient_is_the_difference_quotient(upper in prop::option::of(0..2i64), k in prop::option::of(-3i64..4), seed: u64) {
            let mut net = Net::new([3, 2, 3, 4], seed);
            let k = k.map_or_else(String::new, |k| net.store(TensorProto::int64s("", &[], &[k])));
            let upper: Vec<_> = upper.map(|upper| AttributeProto::int("upper", upper)).into_iter().collect();
            let y = net.op("Trilu", &["image", &k], upper);
            let joined = net.op("Concat", &["image", &y], [AttributeProto::int("axis", 1)]);
            net.check(&joined, seed);
        }
    }
}
