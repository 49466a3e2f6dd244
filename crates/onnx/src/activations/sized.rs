//! Operators whose output is as large as the values of an input say.
use std::collections::HashSet;

use super::flatten;
use crate::{
    Error,
    model::is_onnx_domain,
    node::Node,
    order, printable,
    printable::shortened,
    proto::{GraphProto, NodeProto},
    shape::{Dim, Facts},
};

/// By operator, the inputs whose values decide how large its output is, or how often it is computed.
const SIZED: &[(&str, &[usize])] = &[
    ("AffineGrid", &[1]),
    ("BlackmanWindow", &[0]),
    ("CenterCropPad", &[1]),
    ("Col2Im", &[1]),
    ("ConstantOfShape", &[0]),
    ("DFT", &[1]),
    ("Expand", &[1]),
    ("HammingWindow", &[0]),
    ("HannWindow", &[0]),
    ("Loop", &[0]),
    ("MaxUnpool", &[2]),
    ("OneHot", &[1]),
    ("Pad", &[1]),
    ("Range", &[0, 1, 2]),
    ("Resize", &[2, 3]),
    ("Tile", &[1]),
    ("Upsample", &[1]),
];

/// Steps of a loop.
const MAX_STEPS: i64 = 1 << 20;

/// Operators whose output has as many elements as values of their input fulfil something.
const COUNTING: &[&str] = &["Compress", "NonMaxSuppression", "NonZero", "Unique"];

/// Refuses a graph in which the pixels of an image decide how large a tensor is.
pub(super) fn check(graph: &GraphProto) -> Result<(), Error> {
    let mut pixels: HashSet<&str> = graph
        .input
        .iter()
        .map(|input| input.name.as_str())
        .collect();
    // Tensors whose shapes depend on pixels, not only their values.
    let mut shapes: HashSet<&str> = HashSet::new();
    for node in &graph.node {
        let own = is_onnx_domain(&node.domain);
        let operator = if own { node.op_type.as_str() } else { "" };
        let read = order::reads(node);
        let by_shape = read.iter().any(|name| shapes.contains(name));
        let by_value = read.iter().any(|name| pixels.contains(name));
        let sizes = SIZED.iter().find(|(name, _)| *name == operator);
        let mut inputs = sizes.map_or(&[][..], |(_, inputs)| inputs).iter();
        let decided = inputs.any(|&input| {
            let name = node.input.get(input);
            name.is_some_and(|name| pixels.contains(name.as_str()))
        });
        if decided {
            return Err(refusal(node));
        }
        let outputs = || node.output.iter().map(String::as_str);
        let from_shape = matches!(operator, "Shape" | "Size");
        if by_value && (!from_shape || by_shape) {
            pixels.extend(outputs());
        }
        if (by_shape && !from_shape) || (by_value && COUNTING.contains(&operator)) {
            shapes.extend(outputs());
        }
    }
    Ok(())
}

/// Refuses loops of more steps than any network needs; those whose number is not known are left.
pub(super) fn check_steps(graph: &GraphProto, facts: &Facts<'_>) -> Result<(), Error> {
    for proto in &graph.node {
        let node = Node::new(proto, facts);
        let steps = match proto.op_type.as_str() {
            "Loop" if node.is_onnx() => node.integers(0),
            _ => None,
        };
        let steps = steps.and_then(|steps| steps.first().copied()).unwrap_or(0);
        if steps > MAX_STEPS {
            return Err(Error::TooMany {
                whose: format!(
                    "node `{}` (Loop)",
                    printable(&shortened(order::label(proto)))
                ),
                what: "steps",
                count: steps.unsigned_abs(),
                limit: MAX_STEPS.unsigned_abs(),
            });
        }
    }
    Ok(())
}

/// Refuses loops that carry a tensor whose shape is another one after a step.
pub(super) fn check_growth(graph: &GraphProto, facts: &Facts<'_>) -> Result<(), Error> {
    for proto in &graph.node {
        if proto.domain != flatten::DOMAIN || proto.op_type != flatten::CARRIED {
            continue;
        }
        let node = Node::new(proto, facts);
        let (Some(after), Some(before)) = (node.shape(0), node.shape(1)) else {
            continue;
        };
        let differs = |(a, b): (&Dim, &Dim)| {
            let (a, b) = (a.known(), b.known());
            a.is_some() && b.is_some() && a != b
        };
        if after.len() != before.len() || after.iter().zip(before).any(differs) {
            return Err(Error::Grows {
                tensor: printable(&shortened(order::label(proto))).into_owned(),
                before: crate::shape::display(before),
                after: crate::shape::display(after),
            });
        }
    }
    Ok(())
}

fn refusal(node: &NodeProto) -> Error {
    Error::DataDependent {
        node: printable(&shortened(order::label(node))).into_owned(),
        operator: printable(&shortened(&node.op_type)).into_owned(),
    }
}

/// The shape of the first output of operators that have no rule elsewhere.
pub(super) fn shape(node: &Node<'_>) -> Option<Vec<Dim>> {
    let known = |size: i64| u64::try_from(size).ok().map(Dim::Known);
    if node.proto.domain == flatten::DOMAIN && node.proto.op_type == flatten::CARRIED {
        return node.shape(0).map(<[Dim]>::to_vec);
    }
    if node.proto.domain == flatten::DOMAIN {
        let steps = node.integers(0).and_then(|steps| known(*steps.first()?));
        let mut shape = vec![steps.unwrap_or(Dim::Known(1))];
        shape.extend_from_slice(node.shape(1)?);
        return Some(shape);
    }
    if !node.is_onnx() {
        return None;
    }
    match node.proto.op_type.as_str() {
        "RandomNormal" | "RandomUniform" => node
            .ints("shape")?
            .iter()
            .map(|&size| known(size))
            .collect(),
        "Bernoulli" | "EyeLike" | "RandomNormalLike" | "RandomUniformLike" => {
            Some(node.shape(0)?.to_vec())
        }
        "OneHot" => {
            let depth = known(*node.integers(1)?.first()?)?;
            let mut shape = node.shape(0)?.to_vec();
            shape.push(depth);
            Some(shape)
        }
        "BlackmanWindow" | "HammingWindow" | "HannWindow" => {
            Some(vec![known(*node.integers(0)?.first()?)?])
        }
        _ => None,
    }
}
