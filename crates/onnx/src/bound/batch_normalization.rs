//! `BatchNormalization`: ONNX operator specification, section "BatchNormalization", in inference.

use super::{
    Passage, Rule,
    affine::{Affine, constant_inputs},
    interval::Bounds,
};
use crate::node::Node;

pub(super) const RULE: Rule = Rule {
    operators: &["BatchNormalization"],
    bound: |node, bounds| affine(node)?.interval(node, bounds),
    passage: |_| Passage::Affine(|node, bounds| affine(node)?.error(node, bounds)),
};

fn affine(node: &Node<'_>) -> Result<Affine, String> {
    let inputs = [(1, "scale"), (2, "bias"), (3, "mean"), (4, "variance")];
    constant_inputs(node, &inputs)?;
    if node.flag("training_mode") || (1..5).any(|output| node.has_output(output)) {
        return Err("it is in training mode; export the model for inference".into());
    }
    Ok(Affine {
        input: 0,
        forward: 4,
        backward: 4,
        spread,
    })
}

/// y = s x + (bias - s mean) with s = scale / sqrt(variance + epsilon).
fn spread(node: &Node<'_>, bounds: &mut Bounds, x: &str, share: f32) -> Result<String, String> {
    let rank = node.require_shape(0)?.len();
    let epsilon = bounds.emit.float(node.float("epsilon").unwrap_or(1e-5));
    let shifted = bounds.two("Add", node.require_input(4)?, &epsilon);
    let deviation = bounds.one("Sqrt", &shifted);
    let scale = bounds.one("Abs", node.require_input(1)?);
    let scale = bounds.two("Div", &scale, &deviation);
    let [mean, bias] = [node.require_input(3)?, node.require_input(2)?]
        .map(|constant| bounds.one("Abs", constant));
    let mean = bounds.two("Mul", &scale, &mean);
    let constant = bounds.two("Add", &mean, &bias);
    let constant = bounds.scaled(&constant, share);
    // Channels are axis 1: [channels, 1...] aligns with it from the end.
    let mut sizes = vec![1; rank.saturating_sub(1).max(1)];
    if let Some(first) = sizes.first_mut() {
        *first = -1;
    }
    let sizes = bounds.emit.ints(&sizes);
    let [scale, constant] = [scale, constant].map(|each| bounds.two("Reshape", &each, &sizes));
    let product = bounds.two("Mul", x, &scale);
    Ok(bounds.two("Add", &product, &constant))
}
