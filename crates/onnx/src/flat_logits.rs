use std::collections::HashMap;

use crate::{
    Model, edit,
    interface::kind,
    model::is_onnx_domain,
    node::Node,
    proto::{AttributeProto, DataType, GraphProto, NodeProto, ValueInfoProto},
    rename,
    shape::{self, Dim, Facts},
};

/// More axes than these are no classifier's logits.
const MOST_AXES: usize = 8;

/// The model with logits `[batch, classes]` instead of `[batch, classes, 1, 1]`, such as convolutions and poolings leave behind;
/// `None` where it has a float output of two axes, or none of that kind.
///
/// The axes of size 1 are dropped in front of a softmax at the end, where there is one.
pub fn flat_logits(model: &Model) -> Option<Model> {
    let mut graph = model.graph().clone();
    edit::drop_stored_inputs(&mut graph);
    edit::store_constants(&mut graph);
    let unstated = if model.opset() < 13 { 1 } else { -1 };
    let (position, flat, softmax) = find(&graph, unstated)?;
    let name = graph.output.get(position)?.name.clone();
    let mut taken = edit::names(&graph);
    let mut flatten = NodeProto {
        op_type: "Flatten".into(),
        ..NodeProto::default()
    };
    if let Some(node) = softmax.and_then(|index| graph.node.get_mut(index)) {
        let fresh = edit::fresh(&mut taken, &format!("{name}.flat"));
        flatten.input.clone_from(&node.input);
        flatten.output = vec![fresh.clone()];
        node.input = vec![fresh];
        node.attribute = vec![AttributeProto::int("axis", 1)];
        graph.node.insert(softmax?, flatten);
    } else {
        let fresh = edit::fresh(&mut taken, &format!("{name}.unflat"));
        rename::tensors(&mut graph, &HashMap::from([(name.clone(), fresh.clone())]));
        flatten.input = vec![fresh];
        flatten.output = vec![name.clone()];
        graph.node.push(flatten);
    }
    graph.value_info.clear();
    *graph.output.get_mut(position)? = shape::value_info(&name, DataType::Float, &flat);
    let mut proto = model.to_proto();
    proto.graph = Some(graph);
    Model::from_proto(proto).ok()
}

/// The output, its shape without the axes of size 1, and the softmax over the classes from which it comes; `unstated` is the
/// axis of a softmax that states none.
fn find(graph: &GraphProto, unstated: i64) -> Option<(usize, [Dim; 2], Option<usize>)> {
    let facts = Facts::of(graph);
    let shape_of = |output: &ValueInfoProto| {
        let declared = shape::declared(output);
        declared.or_else(|| facts.shape(&output.name).map(<[Dim]>::to_vec))
    };
    let floats = graph.output.iter().enumerate();
    let floats: Vec<(usize, Vec<Dim>)> = floats
        .filter(|(_, output)| kind(output) == DataType::Float)
        .filter_map(|(position, output)| Some((position, shape_of(output)?)))
        .collect();
    if floats.iter().any(|(_, shape)| shape.len() == 2) {
        return None;
    }
    floats.into_iter().find_map(|(position, shape)| {
        let [batch, classes, ones @ ..] = shape.as_slice() else {
            return None;
        };
        let fits = (1..=MOST_AXES - 2).contains(&ones.len())
            && ones.iter().all(|one| *one == Dim::Known(1))
            && classes.known().is_some_and(|classes| classes >= 2);
        let name = &graph.output.get(position)?.name;
        let producer = graph
            .node
            .iter()
            .position(|node| node.output.first() == Some(name))?;
        let node = graph.node.get(producer)?;
        let over_classes = |axis: i64| axis == 1 || axis + shape.len() as i64 == 1;
        let softmax = node.op_type == "Softmax"
            && is_onnx_domain(&node.domain)
            && over_classes(Node::new(node, &facts).int("axis").unwrap_or(unstated));
        fits.then(|| {
            let flat = [batch.clone(), classes.clone()];
            (position, flat, softmax.then_some(producer))
        })
    })
}
