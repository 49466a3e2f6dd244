//! `ThresholdedRelu`: ONNX operator specification, section "ThresholdedRelu"; y = x where x > alpha, and 0 elsewhere.

use super::{Gradients, Rule, same_shape};
use crate::{emitter::Emitter, node::Node, proto::AttributeProto};

pub(super) const RULE: Rule = Rule {
    operator: "ThresholdedRelu",
    shape: same_shape,
    gradient: Some(gradient),
};

/// dx = dy where x > alpha, which y > 0 tells unless alpha is negative.
fn gradient(node: &Node<'_>, emit: &mut Emitter, dy: &str) -> Result<Gradients, String> {
    let alpha = node.float("alpha").unwrap_or(1.0);
    let height = if alpha >= 0.0 {
        node.output().into()
    } else {
        let alpha = emit.float(alpha);
        emit.node("Sub", &[node.require_input(0)?, &alpha], [])
    };
    let steep = [
        AttributeProto::float("alpha", 1e30),
        AttributeProto::float("beta", 0.0),
    ];
    let mask = emit.node("HardSigmoid", &[&height], steep);
    Ok(vec![(0, emit.node("Mul", &[dy, &mask], []))])
}

#[cfg(test)]
mod tests {
    use super::super::elementwise;
    use crate::proto::AttributeProto;
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(crate::reference::cases(8))]
        #[test]
        fn gradient_is_the_difference_quotient(alpha in 0.1..2.0f32, seed: u64) {
            for alpha in [None, Some(0.0), Some(alpha), Some(-alpha)] {
                let alpha = alpha.map(|alpha| AttributeProto::float("alpha", alpha));
                elementwise::check("ThresholdedRelu", alpha.as_slice(), 12, seed);
            }
        }
    }

    #[test]
    fn the_slope_is_right_far_from_zero() {
        elementwise::check_far("ThresholdedRelu", &[], [0.0, 1.0]);
    }
}
