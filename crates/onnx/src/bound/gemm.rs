//! `Gemm`: ONNX operator specification, section "Gemm"; y = alpha A' B' + beta C, with one constant factor.

use super::{
    Passage, Rule,
    affine::{Affine, constant_inputs},
    interval::Bounds,
};
use crate::{node::Node, proto::AttributeProto};

pub(super) const RULE: Rule = Rule {
    operators: &["Gemm"],
    bound: |node, bounds| affine(node)?.interval(node, bounds),
    passage: |_| Passage::Affine(|node, bounds| affine(node)?.error(node, bounds)),
};

fn affine(node: &Node<'_>) -> Result<Affine, String> {
    constant_inputs(node, &[(1, "second factor"), (2, "bias")])?;
    if node.flag("transA") {
        return Err("it transposes images against features; export the model with transA 0".into());
    }
    let [rows, columns] = node.require_shape(1)? else {
        return Err("its second factor is no matrix".into());
    };
    let size = |dim: &crate::Dim| dim.known().ok_or("the size of its weight is not known");
    let sizes = [size(rows)?, size(columns)?];
    let [forward, backward] = match node.flag("transB") {
        true => [sizes[1], sizes[0]],
        false => sizes,
    };
    Ok(Affine {
        input: 0,
        forward: forward.saturating_add(2),
        backward,
        spread,
    })
}

fn spread(node: &Node<'_>, bounds: &mut Bounds, x: &str, share: f32) -> Result<String, String> {
    let weight = bounds.one("Abs", node.require_input(1)?);
    let bias = node.input(2).map(|bias| bounds.one("Abs", bias));
    let inputs: Vec<&str> = [x, &weight].into_iter().chain(bias.as_deref()).collect();
    let factor = |name: &str| node.float(name).unwrap_or(1.0).abs();
    let attributes = [
        AttributeProto::float("alpha", factor("alpha")),
        AttributeProto::float("beta", factor("beta") * share),
        AttributeProto::int("transB", node.flag("transB").into()),
    ];
    Ok(bounds.emit.node("Gemm", &inputs, attributes))
}
