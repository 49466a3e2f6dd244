//! `AveragePool`, `GlobalAveragePool`, `ReduceMean` and `ReduceSum`: ONNX operator specification, sections of those names. Their
//! weights are positive, so that each is its own absolute value.

use super::{
    Passage, Rule,
    affine::{Affine, constant_inputs, count, row},
};
use crate::{Dim, node::Node};

pub(super) const RULE: Rule = Rule {
    operators: &[
        "AveragePool",
        "GlobalAveragePool",
        "ReduceMean",
        "ReduceSum",
    ],
    bound: |node, bounds| affine(node)?.interval(node, bounds),
    passage: |_| Passage::Affine(|node, bounds| affine(node)?.error(node, bounds)),
};

fn affine(node: &Node<'_>) -> Result<Affine, String> {
    constant_inputs(node, &[(1, "list of axes")])?;
    let forward = match node.ints("kernel_shape") {
        Some(kernel) => {
            let sizes = kernel.iter().map(|size| Dim::Known(size.unsigned_abs()));
            count(&sizes.collect::<Vec<_>>())?
        }
        None => row(node.require_shape(0)?)?,
    };
    Ok(Affine {
        input: 0,
        forward: forward.saturating_add(2),
        backward: match node.ints("kernel_shape") {
            Some(_) => forward.saturating_add(2),
            None => 2,
        },
        spread: |node, bounds, x, _| Ok(bounds.again(node, &[(0, x)])),
    })
}
