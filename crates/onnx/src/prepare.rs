use std::collections::{HashMap, HashSet};

use crate::{
    Error, GradientInfo, Model, Obstacle, contradiction, edit,
    interface::{self, Interface},
    model::is_onnx_domain,
    order,
    proto::{DataType, GraphProto, ValueInfoProto},
    rename,
    shape::{self, Dim, Facts},
    upgrade,
};

/// Names of the gradient graph that a model's own tensors must leave free.
fn reserved() -> impl Iterator<Item = &'static str> {
    GradientInfo::INPUTS.into_iter().chain(["loss", "gradient"])
}

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
    // What no runtime would load is no use to differentiate, and everything behind it would be in the way as well.
    let contradictions = contradiction::attributes(&graph);
    if !contradictions.is_empty() {
        return Err(Error::NotDifferentiable(contradictions));
    }
    let mut obstacles = upgrade::upgrade(&mut graph, opset);
    interface::name_batch(&mut graph);

    let facts = Facts::of(&graph);
    let contradictions = contradiction::inputs(&graph, &facts);
    if !contradictions.is_empty() {
        // An attribute that is missing leaves out the input that it would have become.
        let named: HashSet<String> = obstacles.iter().map(|own| own.node.clone()).collect();
        let more = contradictions.into_iter();
        obstacles.extend(more.filter(|own| !named.contains(&own.node)));
        return Err(Error::NotDifferentiable(obstacles));
    }
    let interface = Interface::of(&graph, &facts)?;
    let features = interface.features.as_ref().map(|features| &features.name);
    let ports = [&interface.image, &interface.logits].into_iter();
    let ports: Vec<_> = ports.chain(features).collect();
    if let Some(taken) = reserved().find(|name| ports.iter().any(|port| port == name)) {
        return Err(Error::Interface(format!(
            "a tensor at which the gradient graph is asked is called `{taken}`, which is a name of the gradient graph; rename it"
        )));
    }
    graph.output = outputs(&interface);
    edit::prune(&mut graph);
    free(&mut graph, &reserved().collect::<Vec<_>>());

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

/// The part of a model that leads to its logits, where it returns their softmax; `None` where it returns logits.
///
/// # Errors
/// As [`differentiate`](crate::differentiate), where the model is no image classifier.
pub fn without_softmax(model: &Model) -> Result<Option<Model>, Error> {
    let Prepared {
        graph, interface, ..
    } = prepare(model.graph().clone(), model.opset())?;
    if interface.probabilities.is_none() {
        return Ok(None);
    }
    let mut proto = model.to_proto();
    for import in &mut proto.opset_import {
        if is_onnx_domain(&import.domain) {
            import.version = import.version.max(upgrade::TARGET);
        }
    }
    proto.graph = Some(graph);
    Ok(Some(Model::from_proto(proto)?))
}

/// Logits, and features where there are some.
fn outputs(interface: &Interface) -> Vec<ValueInfoProto> {
    let matrix = |name: &str, size: u64| {
        shape::value_info(
            name,
            DataType::Float,
            &[interface.batch(), Dim::Known(size)],
        )
    };
    let features = interface.features.as_ref();
    [matrix(&interface.logits, interface.classes)]
        .into_iter()
        .chain(features.map(|features| matrix(&features.name, features.size)))
        .collect()
}

/// Renames the model's own tensors that bear reserved names; returns the new ones.
pub(crate) fn free(graph: &mut GraphProto, reserved: &[&str]) -> HashMap<String, String> {
    let mut taken = edit::names(graph);
    let names: Vec<&str> = reserved
        .iter()
        .copied()
        .filter(|name| taken.contains(*name))
        .collect();
    let names: HashMap<String, String> = names
        .into_iter()
        .map(|name| {
            let free = edit::fresh(&mut taken, &format!("model.{name}"));
            (name.to_string(), free)
        })
        .collect();
    rename::tensors(graph, &names);
    for node in &mut graph.node {
        if let Some(free) = names.get(&node.name) {
            node.name.clone_from(free);
        }
    }
    names
}
