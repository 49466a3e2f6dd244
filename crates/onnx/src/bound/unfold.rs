//! Maxima as rectifiers: max(a, b) = b + max(a - b, 0), so that a max pool of non-overlapping or overlapping windows is a chain of
//! slices, differences and rectifiers, for which there are lines.

use std::collections::{HashMap, HashSet};

use super::affine;
use crate::{
    edit,
    node::Node,
    proto::{AttributeProto, GraphProto, NodeProto, TensorProto},
    shape::Facts,
};

/// Larger windows stay whole.
const MOST_CELLS: i64 = 9;

/// What was unfolded.
#[derive(Default)]
pub(super) struct Unfolded {
    /// The max pools by their outputs, since their own intervals may be the narrower ones.
    pub pools: HashMap<String, NodeProto>,
    /// What goes into the new rectifiers.
    pub differences: HashSet<String>,
}

/// Replaces the max pools of two spatial axes without padding.
pub(super) fn unfold(graph: &mut GraphProto) -> Unfolded {
    let mut taken = edit::names(graph);
    let mut constants = Vec::new();
    let mut found = Unfolded::default();
    let mut nodes = Vec::new();
    {
        let facts = Facts::of(graph);
        for proto in &graph.node {
            let unfolded = cells(&Node::new(proto, &facts)).map(|cells| {
                chain(
                    proto,
                    &cells,
                    &mut |name| edit::fresh(&mut taken, name),
                    &mut constants,
                )
            });
            match unfolded.zip(proto.output.first()) {
                Some((chain, output)) => {
                    let rectifiers = chain.iter().filter(|node| node.op_type == "Relu");
                    let inputs = rectifiers.flat_map(|node| node.input.iter().cloned());
                    found.differences.extend(inputs);
                    found.pools.insert(output.clone(), proto.clone());
                    nodes.extend(chain);
                }
                None => nodes.push(proto.clone()),
            }
        }
    }
    graph.node = nodes;
    graph.initializer.extend(constants);
    found
}

/// For each cell of the window, the starts, ends and steps of the slice that has it at every position.
fn cells(node: &Node<'_>) -> Option<Vec<[[i64; 2]; 3]>> {
    let plain = |name: &str, value: i64| {
        let values = node.ints(name).unwrap_or_default();
        values.iter().all(|own| *own == value)
    };
    let automatic = !["NOTSET", ""].contains(&node.string("auto_pad").unwrap_or("NOTSET"));
    if node.proto.op_type != "MaxPool"
        || !node.is_onnx()
        || node.has_output(1)
        || automatic
        || node.flag("ceil_mode")
        || node.flag("storage_order")
        || !plain("pads", 0)
        || !plain("dilations", 1)
    {
        return None;
    }
    let kernel: [i64; 2] = node.ints("kernel_shape")?.try_into().ok()?;
    let strides: [i64; 2] = node.ints("strides").unwrap_or(&[1, 1]).try_into().ok()?;
    let [_, _, spatial @ ..] = node.shape(0)? else {
        return None;
    };
    affine::count(spatial).ok()?;
    let size = |axis: usize| i64::try_from(spatial.get(axis)?.known()?).ok();
    let sizes = [size(0)?, size(1)?];
    let few = kernel.iter().try_fold(1i64, |a, b| a.checked_mul(*b))?;
    if !(1..=MOST_CELLS).contains(&few) || strides.iter().any(|stride| *stride < 1) {
        return None;
    }
    let positions = |axis: usize| Some((sizes.get(axis)? - kernel.get(axis)?) / strides.get(axis)?);
    let last = [positions(0)?, positions(1)?];
    if last.iter().any(|last| *last < 0) {
        return None;
    }
    let cells = (0..kernel[0]).flat_map(|row| (0..kernel[1]).map(move |column| [row, column]));
    Some(
        cells
            .map(|start| {
                let end = [0, 1].map(|axis| start[axis] + last[axis] * strides[axis] + 1);
                [start, end, strides]
            })
            .collect(),
    )
}

fn chain(
    pool: &NodeProto,
    cells: &[[[i64; 2]; 3]],
    fresh: &mut impl FnMut(&str) -> String,
    constants: &mut Vec<TensorProto>,
) -> Vec<NodeProto> {
    let output = pool.output.first().map_or("", String::as_str);
    let image = pool.input.first().map_or("", String::as_str);
    let mut nodes = Vec::new();
    let mut node = |operator: &str, inputs: &[&str], output: String| {
        nodes.push(NodeProto {
            name: output.clone(),
            op_type: operator.into(),
            input: inputs.iter().map(|input| (*input).into()).collect(),
            output: vec![output.clone()],
            attribute: Vec::<AttributeProto>::new(),
            ..NodeProto::default()
        });
        output
    };
    let axes = fresh("unfold.axes");
    constants.push(TensorProto::int64s(&axes, &[2], &[2, 3]));
    let mut parts: Vec<String> = cells
        .iter()
        .map(|cell| {
            let lists = cell.map(|list| {
                let name = fresh("unfold.places");
                constants.push(TensorProto::int64s(&name, &[2], &list));
                name
            });
            let [starts, ends, steps] = &lists;
            node(
                "Slice",
                &[image, starts, ends, &axes, steps],
                fresh("unfold.cell"),
            )
        })
        .collect();
    // Pairs first, so that no element passes more rectifiers than it has to.
    while parts.len() > 1 {
        let pairs = parts.chunks(2).map(|pair| match pair {
            [a, b] => {
                let difference = node("Sub", &[a, b], fresh("unfold.difference"));
                let positive = node("Relu", &[&difference], fresh("unfold.positive"));
                node("Add", &[b, &positive], fresh("unfold.larger"))
            }
            rest => rest.first().cloned().unwrap_or_default(),
        });
        parts = pairs.collect();
    }
    let only = parts.pop().unwrap_or_default();
    node("Identity", &[&only], output.to_string());
    nodes
}
