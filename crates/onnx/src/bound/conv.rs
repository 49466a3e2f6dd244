//! `Conv`: ONNX operator specification, section "Conv", with constant weights.

use super::{
    Passage, Rule,
    affine::{Affine, constant_inputs, count},
    interval::Bounds,
};
use crate::node::Node;

pub(super) const RULE: Rule = Rule {
    operators: &["Conv"],
    bound: |node, bounds| affine(node)?.interval(node, bounds),
    passage: |_| Passage::Affine(|node, bounds| affine(node)?.error(node, bounds)),
};

fn affine(node: &Node<'_>) -> Result<Affine, String> {
    constant_inputs(node, &[(1, "weight"), (2, "bias")])?;
    let [out, per_group, kernel @ ..] = node.require_shape(1)? else {
        return Err("its weight has no channels".into());
    };
    let groups = u64::try_from(node.int("group").unwrap_or(1))
        .unwrap_or(1)
        .max(1);
    let out = count(std::slice::from_ref(out))?;
    let (cells, inputs) = (count(kernel)?, count(std::slice::from_ref(per_group))?);
    Ok(Affine {
        input: 0,
        forward: cells.saturating_mul(inputs).saturating_add(1),
        backward: cells.saturating_mul(out / groups),
        spread,
    })
}

fn spread(node: &Node<'_>, bounds: &mut Bounds, x: &str, share: f32) -> Result<String, String> {
    let weight = bounds.one("Abs", node.require_input(1)?);
    let mut replaced = vec![(0, x), (1, &weight)];
    let bias = node.input(2).map(|bias| {
        let bias = bounds.one("Abs", bias);
        bounds.scaled(&bias, share)
    });
    replaced.extend(bias.as_deref().map(|bias| (2, bias)));
    Ok(bounds.again(node, &replaced))
}
