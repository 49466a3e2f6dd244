//! `HardSigmoid`: ONNX operator specification, section "HardSigmoid"; y = min(max(alpha x + beta, 0), 1).

use super::{Gradients, Rule, same_shape};
use crate::{emitter::Emitter, node::Node, proto::AttributeProto};

pub(super) const RULE: Rule = Rule {
    operator: "HardSigmoid",
    shape: same_shape,
    gradient: Some(gradient),
};

/// dx = dy alpha where 0 < y < 1.
fn gradient(node: &Node<'_>, emit: &mut Emitter, dy: &str) -> Result<Gradients, String> {
    let alpha = emit.float(node.float("alpha").unwrap_or(0.2));
    let half = emit.float(0.5);
    let offset = emit.node("Sub", &[node.output(), &half], []);
    let inside = within(emit, &offset);
    let scaled = emit.node("Mul", &[dy, &alpha], []);
    Ok(vec![(0, emit.node("Mul", &[&scaled, &inside], []))])
}

/// One where a number from -1/2 to 1/2 is neither: a steep hard sigmoid, exactly zero at both ends.
pub(super) fn within(emit: &mut Emitter, offset: &str) -> String {
    let distance = emit.node("Abs", &[offset], []);
    let steep = [
        AttributeProto::float("alpha", -1e30),
        AttributeProto::float("beta", 0.5e30),
    ];
    emit.node("HardSigmoid", &[&distance], steep)
}

#[cfg(test)]
mod tests {
    use super::super::elementwise;
    use crate::proto::AttributeProto;
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(crate::reference::cases(16))]
        #[test]
        fn gradient_is_the_difference_quotient(alpha in -1.0..1.0f32, beta in -0.5..1.5f32, default: bool, seed: u64) {
            let slope = [AttributeProto::float("alpha", alpha), AttributeProto::float("beta", beta)];
            elementwise::check("HardSigmoid", if default { &[] } else { &slope }, 18, seed);
        }
    }

    #[test]
    fn the_slope_is_right_far_from_zero() {
        elementwise::check_far("HardSigmoid", &[], [0.0, 0.0]);
    }
}
