use std::collections::{HashMap, HashSet};

use crate::{
    Error, Obstacle, contradiction, edit,
    interface::Interface,
    model::is_onnx_domain,
    order,
    proto::{
        GraphProto,
        tensor_shape_proto::{Dimension, dimension},
        type_proto,
    },
    rename,
    shape::Facts,
    upgrade,
};

/// Names of the gradient graph that a model's own tensors must leave free.
pub(crate) const RESERVED: [&str; 5] = ["label", "objective", "cotangent", "loss", "gradient"];

/// What comes before differentiation: the part of the graph that leads to the logits, in the form of the current operator set,
/// with constants stored and the reserved names free.
pub(crate) struct Prepared {
    pub graph: GraphProto,
    pub interface: Interface,
    /// Nodes that would not be valid in the gradient graph.
    pub obstacles: Vec<Obstacle>,
}

pub(crate) fn prepare(mut graph: GraphProto, opset: i64) -> Result<Prepared, Error> {
    if opset < upgrade::OLDEST {
        return Err(Error::Interface(format!(
            "the model is written in operator set {opset}; the oldest supported one is {}: convert the model (Python: \
             `onnx.version_converter.convert_version(model, {})`)",
            upgrade::OLDEST,
            upgrade::TARGET
        )));
    }
    edit::drop_stored_inputs(&mut graph);
    edit::store_constants(&mut graph);
    refuse(contradiction::attributes(&graph))?;
    let mut obstacles = upgrade::upgrade(&mut graph, opset);
    name_batch(&mut graph);

    let facts = Facts::of(&graph);
    refuse(contradiction::shapes(&graph, &facts))?;
    let interface = Interface::of(&graph, &facts)?;
    let ports = [interface.image.as_str(), interface.logits.as_str()];
    if let Some(taken) = RESERVED.iter().find(|name| ports.contains(*name)) {
        return Err(Error::Interface(format!(
            "the model's input or output is called `{taken}`, which is a name of the gradient graph; rename it"
        )));
    }
    graph
        .output
        .retain(|output| output.name == interface.logits);
    edit::prune(&mut graph);
    free_reserved(&mut graph);

    let alive: HashSet<&str> = graph.node.iter().map(order::label).collect();
    obstacles.retain(|obstacle| alive.contains(obstacle.node.as_str()));
    let foreign = graph
        .node
        .iter()
        .filter(|node| !is_onnx_domain(&node.domain));
    obstacles.extend(foreign.map(|node| Obstacle {
        node: order::label(node).into(),
        operator: format!("{}.{}", node.domain, node.op_type),
        reason: format!(
            "operators of domain `{}` are not ONNX's own; export the model without them, or before the runtime optimised it",
            node.domain
        ),
    }));
    let flow = graph
        .node
        .iter()
        .filter(|node| ["If", "Loop", "Scan"].contains(&node.op_type.as_str()));
    obstacles.extend(flow.map(|node| Obstacle {
        node: order::label(node).into(),
        operator: node.op_type.clone(),
        reason: "control flow is not supported; export the model with it resolved".into(),
    }));
    Ok(Prepared {
        graph,
        interface,
        obstacles,
    })
}

/// What no runtime would load is no use to differentiate, and everything behind it would be in the way as well.
fn refuse(contradictions: Vec<Obstacle>) -> Result<(), Error> {
    match contradictions.is_empty() {
        true => Ok(()),
        false => Err(Error::NotDifferentiable(contradictions)),
    }
}

/// Gives the first axis of the inputs a name where it has neither name nor size.
fn name_batch(graph: &mut GraphProto) {
    let dims = |dim: &Dimension| dim.value == Some(dimension::Value::DimParam("batch".into()));
    for input in &mut graph.input {
        let Some(type_proto::Value::TensorType(tensor)) =
            input.r#type.as_mut().and_then(|kind| kind.value.as_mut())
        else {
            continue;
        };
        let Some(shape) = &mut tensor.shape else {
            continue;
        };
        let taken = shape.dim.iter().any(dims);
        if let Some(first) = shape.dim.first_mut().filter(|_| !taken) {
            let open = match &first.value {
                None => true,
                Some(dimension::Value::DimParam(name)) => name.is_empty() || name.starts_with('?'),
                Some(dimension::Value::DimValue(size)) => *size < 0,
            };
            if open {
                first.value = Some(dimension::Value::DimParam("batch".into()));
            }
        }
    }
}

/// Renames the model's own intermediate tensors where they bear reserved names.
fn free_reserved(graph: &mut GraphProto) {
    let mut taken = edit::names(graph);
    let reserved = RESERVED
        .iter()
        .filter(|name| taken.contains(**name))
        .map(|name| name.to_string());
    let reserved: Vec<String> = reserved.collect();
    let names: HashMap<String, String> = reserved
        .into_iter()
        .map(|name| {
            let free = edit::fresh(&mut taken, &format!("model.{name}"));
            (name, free)
        })
        .collect();
    rename::tensors(graph, &names);
    for node in &mut graph.node {
        if let Some(free) = names.get(&node.name) {
            node.name.clone_from(free);
        }
    }
}
