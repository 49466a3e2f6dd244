//! Certified bounds: a second graph that returns, for a box of images, lower bounds of the margins.

mod affine;
mod batch_normalization;
mod conv;
mod extremum;
mod gemm;
mod info;
mod interval;
mod margin;
mod mask;
mod matmul;
mod mean;
mod monotone;
mod movement;
mod product;
mod relax;
mod rounding;
mod square;
mod sum;
mod sweep;
mod tighten;
mod unfold;
mod unnormalise;

use std::collections::HashSet;

pub use self::info::{BoundInfo, Bounding, ParseBoundingError};
use self::{
    interval::{Bounds, Interval},
    relax::Relaxation,
    sweep::Network,
    unfold::Unfolded,
};
use crate::{
    Error, Model, Obstacle,
    differentiate::{active, dependent},
    edit,
    emitter::{Emitter, LARGEST_CONSTANTS},
    interface::{Interface, Origin, Wanted},
    node::Node,
    order::label,
    prepare::{Prepared, classifier_graph, free, prepare},
    proto::{DataType, GraphProto, NodeProto},
    shape::{self, Dim, Facts},
};

/// How an operator is bounded.
struct Rule {
    operators: &'static [&'static str],
    /// The interval of the result.
    bound: fn(&Node<'_>, &mut Bounds) -> Result<Interval, String>,
    /// How functions of the result become functions of what goes in.
    passage: fn(&Node<'_>) -> Passage,
}

/// How a backward pass gets through a node.
enum Passage {
    /// By its gradient, which moves elements and rounds nothing.
    Exact,
    /// By its gradient; given is what roundings may be off by, element by element of the result.
    Affine(fn(&Node<'_>, &mut Bounds) -> Result<String, String>),
    /// By lines on both sides.
    Relaxed(fn(&Node<'_>, &mut Bounds) -> Result<Relaxation, String>),
    /// Not at all: the interval of the result has to do.
    Cut,
}

const RULES: &[Rule] = &[
    batch_normalization::RULE,
    conv::RULE,
    extremum::RULE,
    gemm::RULE,
    matmul::RULE,
    mean::RULE,
    monotone::CURVES,
    monotone::EXACT,
    monotone::RECTIFIERS,
    movement::CAST,
    movement::DROPOUT,
    movement::EXPAND,
    movement::PAD,
    movement::RULE,
    product::RULE,
    square::ABS,
    square::LENGTH,
    square::NORMALIZATION,
    square::POW,
    sum::NEG,
    sum::RULE,
];

fn rule(operator: &str) -> Option<&'static Rule> {
    RULES.iter().find(|rule| rule.operators.contains(&operator))
}

/// Makes a graph of certified bounds from a classifier: lower bounds of its margins for all images of a box, in ONNX's own
/// operators.
///
/// Inputs of the result: `lower` and `upper`, both as the model's image, the ends of the box (for linf, `x - epsilon` and `x +
/// epsilon` cut to the range of pixels); `label` int64 `[batch]`. Output: `margin` `[batch, classes]`, for every class t a lower bound
/// of `z_label - z_t` over all images of the box, 0 for the label itself. An image is certified where all others are above 0. Where
/// the numbers of an image overflow, its margins are minus infinity.
///
/// Intervals are propagated first (interval bound propagation: Gowal et al. 2018), and everything affine behind the last
/// nonlinearities is taken into the margins, more than the last layer that section 3 of the paper elides. [`Bounding`] says what
/// follows. Bounds hold for the network in exact arithmetic and as float32 runtimes compute it: every affine operator widens its
/// interval by what sums of as many products may be off by. A softmax at the model's end is left out; so is the division of
/// features by their length in front of a last layer without bias, which changes no sign: margins are then in units of
/// features that are not normalised, see [`BoundInfo::unnormalised`].
///
/// # Errors
/// [`Error::Interface`] when the model is no image classifier with an open batch; [`Error::NotBounded`] with all nodes that stand
/// in the way.
pub fn bound(model: &Model, method: Bounding) -> Result<Model, Error> {
    let interface = Interface::find(model, &Wanted::default(), true).map_err(not_bounded)?;
    let form = classifier_graph(model, &interface)?;
    let origin = interface.origin(model, None);
    bound_for(form.as_ref().unwrap_or(model), &origin, method)
}

/// As [`bound`], for a model in the form of [`classifier_graph`], and perhaps of ONNX Runtime's own optimisation after it: the bounds
/// belong to the model and the choice that `origin` names.
///
/// # Errors
/// As [`bound`].
pub fn bound_for(model: &Model, origin: &Origin, method: Bounding) -> Result<Model, Error> {
    let prepared = prepare(model.graph().clone(), model.opset(), &origin.logits);
    let Prepared {
        mut graph,
        mut interface,
        obstacles,
    } = prepared.map_err(not_bounded)?;
    if !obstacles.is_empty() {
        return Err(Error::NotBounded(obstacles));
    }
    if interface.batch().known().is_some() {
        return Err(Error::Interface(format!(
            "input `{}` has a batch of fixed size, and bounds need one row for each class; export the model with a dynamic batch",
            interface.image
        )));
    }
    let freed = free(&mut graph, &["lower", "upper", "label", "margin"]);
    for port in [&mut interface.image, &mut interface.logits] {
        if let Some(new) = freed.get(port) {
            port.clone_from(new);
        }
    }
    graph
        .output
        .retain(|output| output.name == interface.logits);
    edit::prune(&mut graph);
    mask::make_finite(&mut graph);
    let dependent = dependent(&graph, &interface)?;
    let unnormalised = unnormalise::unnormalise(&mut graph, &dependent, &interface.logits);
    edit::prune(&mut graph);
    let unfolded = match method {
        Bounding::Ibp => Unfolded::default(),
        _ => unfold::unfold(&mut graph),
    };

    let mut bounds = Bounds::new(Emitter::with_prefix(edit::names(&graph), "bound"));
    let margin = {
        let facts = Facts::of(&graph);
        let dependent = active(&graph, &interface.image);
        let network = Network {
            graph: &graph,
            facts: &facts,
            active: &dependent,
            image: &interface.image,
            unfolded: &unfolded,
        };
        let image = Interval::new("lower", "upper");
        bounds.intervals.insert(interface.image.clone(), image);
        forward(&network, &mut bounds, &interface.batch(), method)?;
        let lines = method != Bounding::Ibp;
        let margin = margin::emit(
            &network,
            &mut bounds,
            &interface.logits,
            interface.classes,
            lines,
        );
        margin.map_err(|reason| {
            Error::NotBounded(vec![Obstacle {
                node: interface.logits.clone(),
                operator: "graph".into(),
                reason,
            }])
        })?
    };
    if bounds.emit.is_full() {
        return Err(Error::NotBounded(vec![Obstacle {
            node: interface.logits.clone(),
            operator: "graph".into(),
            reason: format!(
                "bounds need constants of more than {LARGEST_CONSTANTS} bytes; use a smaller network"
            ),
        }]));
    }

    let batch = interface.batch();
    let image = |name: &str| shape::value_info(name, DataType::Float, &interface.shape);
    let mut graph = assemble(graph, bounds, &interface.image);
    let margin_output = "margin".to_string();
    graph.node.push(NodeProto {
        name: margin_output.clone(),
        op_type: "Identity".into(),
        input: vec![margin],
        output: vec![margin_output.clone()],
        ..NodeProto::default()
    });
    graph.name = "bound".into();
    graph.input = vec![
        image("lower"),
        image("upper"),
        shape::value_info("label", DataType::Int64, std::slice::from_ref(&batch)),
    ];
    graph.output = vec![shape::value_info(
        &margin_output,
        DataType::Float,
        &[batch, Dim::Known(interface.classes)],
    )];
    edit::prune(&mut graph);
    let mut result = model.derived(graph)?;
    let info = BoundInfo {
        version: BoundInfo::VERSION,
        method,
        classes: interface.classes as usize,
        unnormalised,
        graph_sha256: origin.graph_sha256.clone(),
    };
    info.store(&mut result)?;
    Ok(result)
}

fn not_bounded(error: Error) -> Error {
    match error {
        Error::NotDifferentiable(obstacles) => Error::NotBounded(obstacles),
        other => other,
    }
}

/// The intervals of all tensors that depend on the image.
fn forward(
    network: &Network<'_>,
    bounds: &mut Bounds,
    batch: &Dim,
    method: Bounding,
) -> Result<(), Error> {
    let mut obstacles = Vec::new();
    // Behind something that is no affine map of the image.
    let mut curved: HashSet<&str> = HashSet::new();
    for proto in &network.graph.node {
        if !proto
            .output
            .iter()
            .any(|output| network.active.contains(output))
        {
            continue;
        }
        let node = Node::new(proto, network.facts).with_active(network.active);
        let inputs = proto
            .input
            .iter()
            .any(|input| curved.contains(input.as_str()));
        let passage = rule(&proto.op_type).map(|rule| (rule.passage)(&node));
        if inputs || matches!(passage, Some(Passage::Relaxed(_) | Passage::Cut)) {
            curved.extend(proto.output.iter().map(String::as_str));
        }
        let tight = method == Bounding::Crown && inputs;
        let found = interval(network, bounds, &node, batch, tight);
        match found {
            Ok(found) => {
                bounds.intervals.insert(node.output().into(), found);
            }
            Err(reason) => {
                obstacles.push(Obstacle {
                    node: label(proto).into(),
                    operator: proto.op_type.clone(),
                    reason,
                });
                // So that what is behind is looked at as well.
                let unknown = Interval::new("", "");
                bounds.intervals.insert(node.output().into(), unknown);
            }
        }
    }
    match obstacles.is_empty() {
        true => Ok(()),
        false => Err(Error::NotBounded(obstacles)),
    }
}

fn interval(
    network: &Network<'_>,
    bounds: &mut Bounds,
    node: &Node<'_>,
    batch: &Dim,
    tight: bool,
) -> Result<Interval, String> {
    let operator = node.proto.op_type.as_str();
    let rule = rule(operator).filter(|_| node.is_onnx()).ok_or(
        "there is no bound for this operator; export the model in terms of those that have one",
    )?;
    if node
        .proto
        .output
        .iter()
        .skip(1)
        .any(|output| !output.is_empty())
    {
        return Err("it has more than one output, for which there is no bound; export the model without the others".into());
    }
    let shape = node.require_output_shape()?;
    if shape.first() != Some(batch) {
        return Err(format!(
            "its result has shape {}, whose first axis is not the batch `{batch}`; keep images apart along the first axis",
            shape::display(shape)
        ));
    }
    affine::row(shape)?;
    let passage = (rule.passage)(node);
    if let (true, Passage::Relaxed(_)) = (tight, &passage) {
        let input = node.require_input(0)?;
        // Of two cells of a max pool, the differences of their own bounds do, for half the time of a network with two pools.
        if !network.unfolded.differences.contains(input) {
            let tighter = tighten::tighten(network, bounds, input)?;
            bounds.intervals.insert(input.into(), tighter);
        }
    }
    if matches!(passage, Passage::Relaxed(_) | Passage::Cut) {
        for index in (0..node.proto.input.len()).filter(|index| node.wants(*index)) {
            let input = bounds.input(node, index)?;
            bounds.witness(&input, node.require_shape(index)?);
        }
    }
    let mut found = (rule.bound)(node, bounds)?;
    if let Some(pool) = network.unfolded.pools.get(node.output()) {
        let pool = Node::new(pool, network.facts).with_active(network.active);
        let whole = (monotone::EXACT.bound)(&pool, bounds)?;
        found = bounds.both(&found, &whole);
    }
    Ok(found)
}

/// The network at the centre of the box, and behind it what was emitted.
fn assemble(mut graph: GraphProto, bounds: Bounds, image: &str) -> GraphProto {
    let mut centre = bounds.emit;
    let behind = std::mem::take(&mut centre.nodes);
    let sum = centre.node("Add", &["lower", "upper"], []);
    let half = centre.float(0.5);
    centre.node_named("Mul", &[&sum, &half], [], image);
    let mut nodes = centre.nodes;
    nodes.extend(std::mem::take(&mut graph.node));
    nodes.extend(behind);
    graph.node = nodes;
    graph.initializer.extend(centre.initializers);
    graph.value_info.clear();
    graph.quantization_annotation.clear();
    graph
}
