//! `LeakyRelu`: ONNX operator specification, section "LeakyRelu"; y = x where x >= 0, and alpha x elsewhere.

use super::{Gradients, Rule, same_shape};
use crate::{emitter::Emitter, node::Node};

pub(super) const RULE: Rule = Rule {
    operator: "LeakyRelu",
    shape: same_shape,
    gradient: Some(gradient),
};

/// dx = dy where x > 0, and alpha dy elsewhere: a steep line, clipped to both slopes. The line is that of y where y has the sign
/// of x, which leaves the runtime its fusion of convolution and activation.
fn gradient(node: &Node<'_>, emit: &mut Emitter, dy: &str) -> Result<Gradients, String> {
    let alpha = node.float("alpha").unwrap_or(0.01);
    let x = if alpha >= 0.0 {
        node.output()
    } else {
        node.require_input(0)?
    };
    let steep = emit.float(if alpha <= 1.0 { 1e30 } else { -1e30 });
    let (low, high) = (emit.float(alpha.min(1.0)), emit.float(alpha.max(1.0)));
    let line = emit.node("Mul", &[x, &steep], []);
    let slope = emit.node("Clip", &[&line, &low, &high], []);
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
        fn gradient_is_the_difference_quotient(alpha in 0.1..0.9f32, seed: u64) {
            for alpha in [None, Some(0.0), Some(alpha), Some(-alpha), Some(2.0 * alpha + 0.5)] {
                let alpha = alpha.map(|alpha| AttributeProto::float("alpha", alpha));
                elementwise::check("LeakyRelu", alpha.as_slice(), 18, seed);
            }
        }
    }

    #[test]
    fn the_slope_is_right_far_from_zero() {
        elementwise::check_far(
            "LeakyRelu",
            &[AttributeProto::float("alpha", 0.25)],
            [0.25, 1.0],
        );
    }
}
