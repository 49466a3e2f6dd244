//! `Swish`: ONNX operator specification, section "Swish"; y = x sigmoid(alpha x).

use super::{Gradients, Rule, same_shape};
use crate::{emitter::Emitter, node::Node};

pub(super) const RULE: Rule = Rule {
    operator: "Swish",
    shape: same_shape,
    gradient: Some(gradient),
};

/// dx = dy s (1 + z (1 - s)) with z = alpha x and s = sigmoid(z). Where the second term has vanished, z is clipped, so that it is
/// no factor of a sigmoid that a runtime rounds to something above zero.
fn gradient(node: &Node<'_>, emit: &mut Emitter, dy: &str) -> Result<Gradients, String> {
    let alpha = emit.float(node.float("alpha").unwrap_or(1.0));
    let (low, high, one) = (emit.float(-30.0), emit.float(30.0), emit.float(1.0));
    let z = emit.node("Mul", &[node.require_input(0)?, &alpha], []);
    let z = emit.node("Clip", &[&z, &low, &high], []);
    let s = emit.node("Sigmoid", &[&z], []);
    let rest = emit.node("Sub", &[&one, &s], []);
    let rest = emit.node("Mul", &[&z, &rest], []);
    let rest = emit.node("Add", &[&one, &rest], []);
    let slope = emit.node("Mul", &[&s, &rest], []);
    Ok(vec![(0, emit.node("Mul", &[dy, &slope], []))])
}

#[cfg(test)]
mod tests {
    use super::super::elementwise;
    use crate::proto::AttributeProto;
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(crate::reference::cases(8))]
        #[test]
        fn gradient_is_the_difference_quotient(alpha in -2.0..2.0f32, seed: u64) {
            elementwise::check("Swish", &[AttributeProto::float("alpha", alpha)], 24, seed);
            elementwise::check("Swish", &[], 24, seed);
        }
    }

    #[test]
    fn the_slope_is_right_far_from_zero() {
        elementwise::check_far("Swish", &[], [0.0, 1.0]);
    }
}
