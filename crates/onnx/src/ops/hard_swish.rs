//! `HardSwish`: ONNX operator specification, section "HardSwish"; y = x h with h = min(max(x / 6 + 1/2, 0), 1).

use super::{Gradients, Rule, hard_sigmoid, same_shape};
use crate::{emitter::Emitter, node::Node, proto::AttributeProto};

pub(super) const RULE: Rule = Rule {
    operator: "HardSwish",
    shape: same_shape,
    gradient: Some(gradient),
};

/// dx = dy (h + x / 6) where 0 < h < 1, and dy h elsewhere; x / 6 is h - 1/2 there, which unlike x is not large elsewhere.
fn gradient(node: &Node<'_>, emit: &mut Emitter, dy: &str) -> Result<Gradients, String> {
    let attributes = [
        AttributeProto::float("alpha", 1.0 / 6.0),
        AttributeProto::float("beta", 0.5),
    ];
    let h = emit.node("HardSigmoid", &[node.require_input(0)?], attributes);
    let half = emit.float(0.5);
    let offset = emit.node("Sub", &[&h, &half], []);
    let inside = hard_sigmoid::within(emit, &offset);
    let part = emit.node("Mul", &[&offset, &inside], []);
    let slope = emit.node("Add", &[&h, &part], []);
    Ok(vec![(0, emit.node("Mul", &[dy, &slope], []))])
}

#[cfg(test)]
mod tests {
    use super::super::elementwise;
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(crate::reference::cases(16))]
        #[test]
        fn gradient_is_the_difference_quotient(seed: u64) {
            elementwise::check("HardSwish", &[], 18, seed);
        }
    }

    #[test]
    fn the_slope_is_right_far_from_zero() {
        elementwise::check_far("HardSwish", &[], [0.0, 1.0]);
    }
}
