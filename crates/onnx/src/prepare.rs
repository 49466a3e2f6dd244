//! What comes before differentiation: the part of a graph that leads to its logits, in one form.
use std::collections::{HashMap, HashSet};

use crate::{
    Error, GradientInfo, Model, Obstacle, contradiction, edit,
    emitter::Emitter,
    interface::{self, Interface, Reading},
    model::is_onnx_domain,
    order,
    proto::{AttributeProto, DataType, GraphProto, ValueInfoProto},
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

/// A graph with its constants stored and its nodes in the form of the current operator set, and what cannot be brought into it.
///
/// Not `strict`, nodes that contradict themselves or are too old stay as they are.
pub(crate) fn understood(
    mut graph: GraphProto,
    opset: i64,
    strict: bool,
) -> Result<(GraphProto, Vec<Obstacle>), Error> {
    if opset < upgrade::OLDEST && strict {
        return Err(Error::Interface(format!(
            "the model is written in operator set {opset}; the oldest supported one is {}: convert the model (Python: \
             `onnx.version_converter.convert_version(model, {})`)",
            upgrade::OLDEST,
            upgrade::TARGET
        )));
    }
    edit::drop_stored_inputs(&mut graph);
    edit::store_constants(&mut graph);
    // What no runtime would load cannot be differentiated, and everything after it would be in the way as well.
    let contradictions = contradiction::attributes(&graph);
    if !contradictions.is_empty() && strict {
        return Err(Error::NotDifferentiable(contradictions));
    }
    let mut obstacles = match contradictions.is_empty() && opset >= upgrade::OLDEST {
        true => upgrade::upgrade(&mut graph, opset),
        false => contradictions,
    };
    interface::name_batch(&mut graph);
    if strict {
        let facts = Facts::of(&graph);
        let contradictions = contradiction::inputs(&graph, &facts);
        if !contradictions.is_empty() {
            // An attribute that is missing leaves out the input that it would have become.
            let named: HashSet<String> = obstacles.iter().map(|own| own.node.clone()).collect();
            let more = contradictions.into_iter();
            obstacles.extend(more.filter(|own| !named.contains(&own.node)));
            return Err(Error::NotDifferentiable(obstacles));
        }
    }
    Ok((graph, obstacles))
}

/// The part of a graph that leads to the tensor `logits`, `[batch, classes]`.
pub(crate) fn prepare(graph: GraphProto, opset: i64, logits: &str) -> Result<Prepared, Error> {
    let (mut graph, mut obstacles) = understood(graph, opset, true)?;
    if reserved().any(|name| name == logits) {
        return Err(Error::Interface(format!(
            "the logits are called `{logits}`, which is a name of the gradient graph; rename them"
        )));
    }
    free(&mut graph, &reserved().collect::<Vec<_>>());
    let interface = {
        let facts = Facts::of(&graph);
        Interface::exactly(&graph, &facts, logits)?
    };
    graph.output = outputs(&interface);
    edit::prune(&mut graph);

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

/// The part of a model that leads to its logits `[batch, classes]`, as its interface says they are taken from its outputs: the only
/// output beside `features`. `None` where the model returns that and nothing else.
///
/// # Errors
/// When the interface belongs to another model.
pub fn classifier_graph(model: &Model, interface: &Interface) -> Result<Option<Model>, Error> {
    let mut graph = model.graph().clone();
    let keeps = |output: &ValueInfoProto| {
        output.name == interface.logits || Some(output.name.as_str()) == interface.features_output()
    };
    let appended = logits_name(interface) != interface.logits;
    let same = graph.output.iter().all(keeps)
        && graph
            .output
            .iter()
            .any(|output| output.name == interface.logits);
    if same && !appended {
        return Ok(None);
    }
    edit::drop_stored_inputs(&mut graph);
    let mut emit = Emitter::with_prefix(edit::names(&graph), "buckler");
    let last = logits_name(interface);
    let mut tensor = interface.logits.clone();
    if interface.flat {
        tensor = match interface.reading {
            Reading::LogOfProbabilities => emit.node("Flatten", &[&tensor], []),
            _ => {
                emit.node_named("Flatten", &[&tensor], [], &last);
                last.clone()
            }
        };
    }
    if is_renamed(interface) {
        emit.node_named("Identity", &[&tensor], [], &last);
    }
    if interface.reading == Reading::LogOfProbabilities {
        // Nothing below is told apart from zero, whose logarithm no gradient survives.
        let smallest = f32::MIN_POSITIVE;
        let positive = match model.opset() {
            ..11 => emit.node("Clip", &[&tensor], [AttributeProto::float("min", smallest)]),
            _ => {
                let smallest = emit.float(smallest);
                emit.node("Max", &[&tensor, &smallest], [])
            }
        };
        emit.node_named("Log", &[&positive], [], &last);
    }
    let matrix = [interface.batch(), Dim::Known(interface.classes)];
    let logits = shape::value_info(&last, DataType::Float, &matrix);
    let features = graph
        .output
        .iter()
        .filter(|output| output.name != interface.logits);
    let features: Vec<_> = features.filter(|output| keeps(output)).cloned().collect();
    graph.output = [logits].into_iter().chain(features).collect();
    graph.node.extend(emit.nodes);
    graph.initializer.extend(emit.initializers);
    edit::prune(&mut graph);
    let mut proto = model.to_proto();
    proto.graph = Some(graph);
    Model::from_proto(proto).map(Some)
}

/// The output of [`classifier_graph`] with the logits.
pub(crate) fn logits_name(interface: &Interface) -> String {
    let Interface { logits, .. } = interface;
    match (interface.reading, interface.flat) {
        (Reading::LogOfProbabilities, _) => format!("{logits}.buckler.log"),
        (_, true) => format!("{logits}.buckler.flat"),
        _ if is_renamed(interface) => format!("{logits}.buckler"),
        _ => logits.clone(),
    }
}

/// Whether the logits are as they should be, but for a name that gradient graphs need.
fn is_renamed(interface: &Interface) -> bool {
    let as_they_are = !interface.flat && interface.reading != Reading::LogOfProbabilities;
    as_they_are && reserved().any(|name| name == interface.logits)
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
