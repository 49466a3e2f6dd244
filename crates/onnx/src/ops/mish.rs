//! `Mish`: ONNX operator specification, section "Mish"; y = x tanh(softplus(x)).

use super::{Gradients, Rule, same_shape};
use crate::{emitter::Emitter, node::Node};

pub(super) const RULE: Rule = Rule {
    operator: "Mish",
    shape: same_shape,
    gradient: Some(gradient),
};

/// dx = dy (t + x sigmoid(x) (1 - t^2)) with t = tanh(softplus(x)). Where the last term has vanished, x is clipped, so that it is
/// no factor of a sigmoid or of a 1 - t^2 that a runtime rounds to something above zero.
fn gradient(node: &Node<'_>, emit: &mut Emitter, dy: &str) -> Result<Gradients, String> {
    let (low, high, one) = (emit.float(-30.0), emit.float(20.0), emit.float(1.0));
    let x = emit.node("Clip", &[node.require_input(0)?, &low, &high], []);
    let soft = emit.node("Softplus", &[&x], []);
    let t = emit.node("Tanh", &[&soft], []);
    let square = emit.node("Mul", &[&t, &t], []);
    let rest = emit.node("Sub", &[&one, &square], []);
    let sigmoid = emit.node("Sigmoid", &[&x], []);
    let product = emit.node("Mul", &[&sigmoid, &rest], []);
    let product = emit.node("Mul", &[&x, &product], []);
    let slope = emit.node("Add", &[&t, &product], []);
    Ok(vec![(0, emit.node("Mul", &[dy, &slope], []))])
}

#[cfg(test)]
mod tests {
    use super::super::elementwise;
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(crate::reference::cases(8))]
        #[test]
        fn gradient_is_the_difference_quotient(seed: u64) {
            elementwise::check("Mish", &[], 18, seed);
        }
    }

    #[test]
    fn the_slope_is_right_far_from_zero() {
        elementwise::check_far("Mish", &[], [0.0, 1.0]);
    }
}
