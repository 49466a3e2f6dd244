//! `BatchNormalization`: ONNX operator specification, section "BatchNormalization", in inference;
//! y = (x - mean) scale / sqrt(variance + epsilon) + bias, channel by channel.

use super::{Gradients, Rule, same_shape};
use crate::{emitter::Emitter, node::Node};

pub(super) const RULE: Rule = Rule {
    operator: "BatchNormalization",
    shape: same_shape,
    gradient: Some(gradient),
};

/// dx = dy scale / sqrt(variance + epsilon).
fn gradient(node: &Node<'_>, emit: &mut Emitter, dy: &str) -> Result<Gradients, String> {
    node.constant_inputs(&[(1, "scale"), (2, "bias"), (3, "mean"), (4, "variance")])?;
    if node.flag("training_mode") || (1..5).any(|output| node.has_output(output)) {
        return Err("it is in training mode; export the model for inference".into());
    }
    if node.int("spatial") == Some(0) {
        return Err("spatial 0 (statistics for each pixel) has no gradient rule; export the model with opset 9 or later".into());
    }
    let rank = node.require_shape(0)?.len();
    let epsilon = emit.float(node.float("epsilon").unwrap_or(1e-5));
    let shifted = emit.node("Add", &[node.require_input(4)?, &epsilon], []);
    let deviation = emit.node("Sqrt", &[&shifted], []);
    let factor = emit.node("Div", &[node.require_input(1)?, &deviation], []);
    // Channels are axis 1: [channels, 1...] aligns with it from the end.
    let mut sizes = vec![1; rank.saturating_sub(1).max(1)];
    if let Some(first) = sizes.first_mut() {
        *first = -1;
    }
    let sizes = emit.ints(&sizes);
    let factor = emit.node("Reshape", &[&factor, &sizes], []);
    Ok(vec![(0, emit.node("Mul", &[dy, &factor], []))])
}

#[cfg(test)]
mod tests {
    use crate::{proto::AttributeProto, reference::net::Net};
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(crate::reference::cases(12))]
        #[test]
        fn gradient_is_the_difference_quotient(epsilon in 1e-5..0.5f32, flat: bool, seed: u64) {
            let mut net = Net::new([3, 3, 2, 2], seed);
            let x = if flat { net.op("Flatten", &["image"], []) } else { "image".into() };
            let channels = if flat { 12 } else { 3 };
            let [scale, bias, mean] = [0; 3].map(|_| net.weights(&[channels]));
            let variance = net.positive(&[channels]);
            let epsilon = AttributeProto::float("epsilon", epsilon);
            let y = net.op("BatchNormalization", &[&x, &scale, &bias, &mean, &variance], [epsilon]);
            net.check(&y, seed);
        }
    }
}
