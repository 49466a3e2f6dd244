//! Operators that move elements and change none: ONNX operator specification, sections of their names.

use super::{
    Passage, Rule,
    affine::constant_inputs,
    interval::{Bounds, Interval},
};
use crate::{node::Node, proto::DataType};

pub(super) const RULE: Rule = Rule {
    operators: &[
        "Concat",
        "DepthToSpace",
        "Flatten",
        "Identity",
        "Reshape",
        "Slice",
        "SpaceToDepth",
        "Squeeze",
        "Transpose",
        "Unsqueeze",
    ],
    bound: each,
    passage: |_| Passage::Exact,
};

pub(super) const PAD: Rule = Rule {
    operators: &["Pad"],
    bound: |node, bounds| {
        constant_inputs(node, &[(2, "padding value")])?;
        each(node, bounds)
    },
    passage: |node| match node.string("mode").unwrap_or("constant") {
        "constant" => Passage::Exact,
        // Elements are repeated, and their gradients summed.
        _ => Passage::Cut,
    },
};

/// Elements are repeated, and their gradients summed.
pub(super) const EXPAND: Rule = Rule {
    operators: &["Expand"],
    bound: each,
    passage: |_| Passage::Cut,
};

/// In inference it is the identity.
pub(super) const DROPOUT: Rule = Rule {
    operators: &["Dropout"],
    bound: |node, bounds| {
        let training = node.stored(2).and_then(|tensor| tensor.to_i64s());
        if node.input(2).is_some() && training.is_none_or(|flags| flags != [0]) {
            return Err("it is in training mode, or may be; export the model for inference".into());
        }
        bounds.input(node, 0)
    },
    passage: |_| Passage::Exact,
};

pub(super) const CAST: Rule = Rule {
    operators: &["Cast"],
    bound: |node, bounds| {
        match node.int("to") == Some(DataType::Float as i64) {
        true => bounds.input(node, 0),
        false => Err(
            "it changes to another type than float32, in which alone there are bounds; export the model in float32".into(),
        ),
    }
    },
    passage: |_| Passage::Exact,
};

/// All lower ends are moved as the elements are, and all upper ends.
fn each(node: &Node<'_>, bounds: &mut Bounds) -> Result<Interval, String> {
    let mut ends: [Vec<(usize, String)>; 2] = [vec![], vec![]];
    for index in 0..node.proto.input.len() {
        if node.wants(index) {
            let x = bounds.input(node, index)?;
            ends[0].push((index, x.lower));
            ends[1].push((index, x.upper));
        }
    }
    let [lower, upper] = ends.map(|ends| {
        let ends: Vec<(usize, &str)> = ends
            .iter()
            .map(|(index, name)| (*index, name.as_str()))
            .collect();
        bounds.again(node, &ends)
    });
    Ok(Interval { lower, upper })
}
