use std::collections::{HashMap, HashSet};

use crate::{
    Error, Model, edit,
    interface::kind,
    model::is_onnx_domain,
    order::label,
    proto::{
        GraphProto, ValueInfoProto,
        tensor_shape_proto::{Dimension, dimension},
        type_proto,
    },
    rename, reshape,
    shape::{self, Dim, Facts},
};

mod naming;

/// The symbol of the batch axis.
const BATCH: &str = "batch";

/// What the inputs and outputs of a cleaned graph are called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CleanNames {
    /// The only input.
    pub image: String,
    /// The outputs, in the order in which the graph has them; more names than outputs are fine.
    pub outputs: Vec<String>,
}

impl Default for CleanNames {
    /// `image`, and `logits` and `features`.
    fn default() -> Self {
        Self {
            image: "image".into(),
            outputs: vec!["logits".into(), "features".into()],
        }
    }
}

/// Brings an exported graph into a stable form: two exports of one network give the same bytes.
///
/// Inputs and outputs get the given names, intermediate and stored tensors names made of operator and number (`conv_0`,
/// `conv_0.weight`). The first axis of the image and of the outputs becomes the symbol `batch`. Constants are stored, shapes that
/// the graph computes become constants where they can be told, and what no output needs is dropped.
///
/// # Errors
/// [`Error::Clean`] when the graph has not exactly one input, has more outputs than names, holds subgraphs, or has the size of the
/// batch fixed inside.
pub fn clean(model: Model, names: &CleanNames) -> Result<Model, Error> {
    let (mut header, mut graph) = model.into_parts();
    edit::drop_stored_inputs(&mut graph);
    edit::store_constants(&mut graph);
    check(&graph, names)?;
    free_batch(&mut graph)?;
    let outputs = output_shapes(&graph)?;
    simplify_reshapes(&mut graph);
    drop_identities(&mut graph);
    edit::prune(&mut graph);
    naming::rename(&mut graph, names);

    for (output, shape) in graph.output.iter_mut().zip(&outputs) {
        *output = shape::value_info(&output.name, kind(output), shape);
    }
    graph.value_info.clear();
    graph.name = "classifier".into();
    graph.doc_string.clear();
    header.doc_string.clear();
    header.ir_version = header.ir_version.max(8);
    header.producer_name = "buckler".into();
    header.producer_version = env!("CARGO_PKG_VERSION").into();
    let used: HashSet<&str> = graph.node.iter().map(|node| node.domain.as_str()).collect();
    header
        .opset_import
        .retain(|import| is_onnx_domain(&import.domain) || used.contains(import.domain.as_str()));
    header.graph = Some(graph);
    Model::from_proto(header)
}

fn check(graph: &GraphProto, names: &CleanNames) -> Result<(), Error> {
    if graph.input.len() != 1 {
        return Err(Error::Clean(format!(
            "it has {} inputs; one is expected, the image",
            graph.input.len()
        )));
    }
    if graph.output.is_empty() || graph.output.len() > names.outputs.len() {
        return Err(Error::Clean(format!(
            "it has {} outputs; 1 to {} are expected: {}",
            graph.output.len(),
            names.outputs.len(),
            names.outputs.join(", ")
        )));
    }
    let wanted: HashSet<&String> = names.outputs.iter().chain([&names.image]).collect();
    if wanted.len() != names.outputs.len() + 1 {
        return Err(Error::Clean(format!(
            "the wanted names {names:?} are not all different"
        )));
    }
    let different: HashSet<&str> = graph
        .output
        .iter()
        .map(|output| output.name.as_str())
        .collect();
    if different.len() != graph.output.len() {
        return Err(Error::Clean(
            "it returns one tensor as several outputs; return it once".into(),
        ));
    }
    let holder = graph.node.iter().find(|node| {
        node.attribute
            .iter()
            .any(|a| a.g.is_some() || !a.graphs.is_empty())
    });
    match holder {
        Some(node) => Err(Error::Clean(format!(
            "node `{}` ({}) holds a subgraph",
            label(node),
            node.op_type
        ))),
        None => Ok(()),
    }
}

/// Makes the first axis of the input the symbol `batch`. Declared shapes follow where that axis was a symbol before, and are
/// dropped where it was a number, since nothing tells which of their numbers are the batch.
fn free_batch(graph: &mut GraphProto) -> Result<(), Error> {
    let declared = graph
        .input
        .first()
        .and_then(shape::declared)
        .unwrap_or_default();
    let before = declared.first().cloned();
    let before = before.ok_or_else(|| Error::Clean("its input has no batch axis".into()))?;
    let symbol = || Some(dimension::Value::DimParam(BATCH.into()));
    for info in graph
        .input
        .iter_mut()
        .chain(&mut graph.output)
        .chain(&mut graph.value_info)
    {
        let name = info.name.clone();
        for (axis, dim) in dims_mut(info).iter_mut().enumerate() {
            if let (Some(dimension::Value::DimParam(param)), Dim::Symbol(old)) =
                (&dim.value, &before)
                && param == old
            {
                dim.value = symbol();
            } else if dim.value == symbol() {
                // Another axis that happens to bear the name.
                dim.value = Some(dimension::Value::DimParam(format!("{name}.{axis}")));
            }
        }
    }
    if let Some(first) = graph
        .input
        .first_mut()
        .and_then(|input| dims_mut(input).first_mut())
    {
        first.value = symbol();
    }
    if before.known().is_some() {
        graph.value_info.clear();
        graph
            .output
            .iter_mut()
            .for_each(|output| dims_mut(output).iter_mut().for_each(|dim| dim.value = None));
    }
    Ok(())
}

fn dims_mut(info: &mut ValueInfoProto) -> &mut [Dimension] {
    match info.r#type.as_mut().and_then(|kind| kind.value.as_mut()) {
        Some(type_proto::Value::TensorType(tensor)) => tensor
            .shape
            .as_mut()
            .map_or(&mut [], |shape| &mut shape.dim),
        _ => &mut [],
    }
}

/// The shapes of the outputs, all of which begin with the batch.
fn output_shapes(graph: &GraphProto) -> Result<Vec<Vec<Dim>>, Error> {
    let facts = Facts::of(graph);
    let shapes = graph.output.iter().map(|output| {
        let shape = facts.shape(&output.name).unwrap_or_default();
        if shape.first() != Some(&Dim::Symbol(BATCH.into())) {
            return Err(Error::Clean(format!(
                "output `{}` has shape {}, and it cannot be shown that its first axis is the batch; export with a dynamic batch",
                output.name,
                shape::display(shape)
            )));
        }
        Ok(shape.to_vec())
    });
    shapes.collect()
}

/// Gives reshapes constant targets where these can be told, with 0 for axes that are kept: the runtime then keeps track of them.
fn simplify_reshapes(graph: &mut GraphProto) {
    let targets: Vec<Option<Vec<i64>>> = {
        let facts = Facts::of(graph);
        let nodes = graph.node.iter();
        nodes
            .map(|node| {
                let (data, _) = reshape::inputs(node)?;
                let output = node.output.first()?;
                reshape_target(facts.shape(data)?, facts.shape(output)?)
            })
            .collect()
    };
    reshape::retarget(graph, targets);
}

fn reshape_target(from: &[Dim], to: &[Dim]) -> Option<Vec<i64>> {
    let mut open = 0;
    let sizes = to.iter().enumerate().map(|(axis, dim)| match dim {
        Dim::Known(size) => i64::try_from(*size).ok().filter(|size| *size > 0),
        symbol if from.get(axis) == Some(symbol) => Some(0),
        _ => {
            open += 1;
            (open == 1).then_some(-1)
        }
    });
    sizes.collect()
}

/// Drops `Identity` nodes, but for those that stand between an input and an output.
fn drop_identities(graph: &mut GraphProto) {
    let mut kept = Vec::with_capacity(graph.node.len());
    for node in std::mem::take(&mut graph.node) {
        let identity = node.op_type == "Identity" && is_onnx_domain(&node.domain);
        match (identity, node.input.as_slice(), node.output.as_slice()) {
            (true, [from], [to]) => kept.push((Some((from.clone(), to.clone())), node)),
            _ => kept.push((None, node)),
        }
    }
    let mut identities = Vec::new();
    for (identity, node) in kept {
        match identity {
            Some(ends) => identities.push((ends, node)),
            None => graph.node.push(node),
        }
    }
    let produced: HashSet<String> = graph
        .node
        .iter()
        .flat_map(|node| node.output.clone())
        .collect();
    let outputs: HashSet<String> = graph
        .output
        .iter()
        .map(|output| output.name.clone())
        .collect();
    let mut replaced: HashMap<String, String> = HashMap::new();
    for ((from, to), mut node) in identities {
        // An earlier identity may have renamed this one's input.
        let from = follow(&replaced, &from);
        let (old, new) = if !outputs.contains(&to) {
            (to, from)
        } else if produced.contains(&from) && !outputs.contains(&from) {
            (from, to)
        } else {
            node.input = vec![from];
            graph.node.push(node);
            continue;
        };
        replaced.insert(old, new);
    }
    let names = replaced
        .keys()
        .map(|old| (old.clone(), follow(&replaced, old)));
    rename::tensors(graph, &names.collect());
}

/// The last of a chain of names.
fn follow(replaced: &HashMap<String, String>, name: &str) -> String {
    let mut name = name;
    while let Some(new) = replaced.get(name) {
        name = new;
    }
    name.into()
}
