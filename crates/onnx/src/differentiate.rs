//! The gradient graph of a classifier.
use std::collections::{HashMap, HashSet};

use crate::{
    Error, GradientInfo, Model, Obstacle, edit,
    emitter::{Emitter, LARGEST_CONSTANTS},
    interface::{Interface, Origin, Reading, Wanted},
    model::is_onnx_domain,
    node::Node,
    objective, ops,
    order::{self, label},
    prepare::{Prepared, classifier_graph, prepare},
    proto::{DataType, GraphProto, NodeProto},
    rename,
    shape::{self, Facts},
};

/// Results that depend on an input's shape alone.
const SHAPE_ALONE: &[&str] = &["RandomNormalLike", "RandomUniformLike", "Shape", "Size"];

/// Results that are constant almost everywhere, or no numbers.
const FLAT: &[&str] = &[
    "And",
    "ArgMax",
    "ArgMin",
    "Ceil",
    "Equal",
    "Floor",
    "Greater",
    "GreaterOrEqual",
    "IsInf",
    "IsNaN",
    "Less",
    "LessOrEqual",
    "NonZero",
    "Not",
    "OneHot",
    "Or",
    "QuantizeLinear",
    "DynamicQuantizeLinear",
    "Round",
    "Sign",
    "Xor",
];

/// Makes the gradient graph of a classifier: one forward and one backward pass, in ONNX's own operators.
///
/// Inputs of the result, beside the model's image: `label` int64 `[batch]`; `objective` float `[batch, objectives]`, a weight for
/// each of [`GradientInfo::objectives`]; `cotangent` float `[batch, classes]`; `target` int64 `[batch]`, from four classes on;
/// `probabilities` float `[batch, classes]`; and where the model has features, `source_features` float `[batch, features]`.
/// Outputs: the logits `[batch, classes]`, `loss` `[batch]`, `gradient`, the derivative of each row's loss with respect to its
/// image, and the features `[batch, features]` where there are some. With logits z, label y and target t, the loss of a row is
/// the sum of `<cotangent, z>` and, times their weights,
///
/// * `cross_entropy`: `-log softmax(z)_y`;
/// * `margin`: `max_{i != y} z_i - z_y`;
/// * `dlr`, from three classes on: `margin / (z_(1) - z_(3) + 1e-12)`, with `z_(j)` the j-th largest logit;
/// * `targeted_dlr`, from four classes on: `(z_t - z_y) / (z_(1) - (z_(3) + z_(4)) / 2 + 1e-12)`;
/// * `kl`: `sum_i p_i log(p_i / softmax(z)_i)`, with p the `probabilities`;
/// * `feature_distance`: `1 - <f, s> / (||f|| ||s||)`, with f the features and s the `source_features`.
///
/// Targeted cross-entropy and margin are the untargeted ones with the target as label and a negative weight.
/// The logits are those that [`inspect`](crate::inspect) finds; a softmax at the model's end is left out, and they are then what
/// goes into it.
/// [`GradientInfo`] in the metadata says from which model the graph was made, and names all this.
///
/// The operator set is that of the model, and at least 18.
///
/// # Errors
/// [`Error::Interface`] when the model is no image classifier (one float input of 2 to 4 axes, logits `[batch, classes]` of at
/// least two classes); [`Error::NotDifferentiable`] with all nodes that stand in the way.
pub fn differentiate(model: &Model) -> Result<Model, Error> {
    let interface = Interface::find(model, &Wanted::default(), true)?;
    let form = classifier_graph(model, &interface)?;
    let origin = interface.origin(model, None);
    differentiate_for(form.as_ref().unwrap_or(model), &origin)
}

/// As [`differentiate`], for a model in the form of [`classifier_graph`], and perhaps of ONNX Runtime's own optimisation after it: the
/// gradient graph belongs to the model and the choice that `origin` names.
///
/// # Errors
/// As [`differentiate`].
pub fn differentiate_for(model: &Model, origin: &Origin) -> Result<Model, Error> {
    let Prepared {
        graph,
        interface,
        obstacles,
    } = prepare(model.graph().clone(), model.opset(), &origin.logits)?;

    let mut emit = Emitter::new(edit::names(&graph));
    let seeds = objective::emit(&mut emit, &interface);
    let features = interface.features.as_ref().zip(seeds.features);
    let features = features.map(|(features, seed)| (features.name.clone(), vec![seed]));
    let mut backward = Backward {
        active: dependent(&graph, &interface)?,
        pending: [(interface.logits.clone(), vec![seeds.logits])]
            .into_iter()
            .chain(features)
            .collect(),
        obstacles: vec![],
    };
    backward.run(&graph, &mut emit);
    let known: HashSet<String> = backward
        .obstacles
        .iter()
        .map(|obstacle| obstacle.node.clone())
        .collect();
    backward.obstacles.extend(
        obstacles
            .into_iter()
            .filter(|obstacle| !known.contains(&obstacle.node)),
    );
    if !backward.obstacles.is_empty() {
        return Err(Error::NotDifferentiable(backward.obstacles));
    }
    let gradient = backward
        .total(&mut emit, &interface.image)
        .unwrap_or_else(|| {
            let shape = emit.node("Shape", &[&interface.image], []);
            emit.node("ConstantOfShape", &[&shape], [])
        });

    let mut graph = append(graph, emit);
    rename::tensors(&mut graph, &HashMap::from([(gradient, "gradient".into())]));
    graph.name = "gradient".into();
    let inputs = objective::inputs(&interface, seeds.objectives.len());
    graph.input.extend(inputs);
    let behind_logits = 1..1;
    graph.output.splice(
        behind_logits,
        [
            shape::value_info("loss", DataType::Float, &[interface.batch()]),
            shape::value_info("gradient", DataType::Float, &interface.shape),
        ],
    );
    edit::prune(&mut graph);

    let mut result = model.derived(graph)?;
    let info = GradientInfo {
        version: GradientInfo::VERSION,
        image: interface.image,
        logits: interface.logits,
        probabilities: (origin.reading == Reading::BeforeSoftmax).then(|| origin.output.clone()),
        features: interface.features.map(|features| features.name),
        objectives: seeds.objectives,
        classes: interface.classes as usize,
        graph_sha256: origin.graph_sha256.clone(),
        output: Some(origin.output.clone()),
        reading: origin.reading,
        size: origin.size,
    };
    info.store(&mut result)?;
    Ok(result)
}

/// Whether a model can be differentiated.
///
/// # Errors
/// Everything that stands in the way: nodes with the reason, and what is wrong with the model's inputs and outputs, for which
/// the operator is `graph`.
pub fn check(model: &Model) -> Result<(), Vec<Obstacle>> {
    match differentiate(model) {
        Ok(_) => Ok(()),
        Err(error) => Err(error.obstacles(model)),
    }
}

/// The tensors whose values depend on the image, the logits among them.
pub(crate) fn dependent(
    graph: &GraphProto,
    interface: &Interface,
) -> Result<HashSet<String>, Error> {
    let active = active(graph, &interface.image);
    if active.contains(&interface.logits) {
        return Ok(active);
    }
    Err(Error::Interface(format!(
        "output `{}` does not depend on input `{}`",
        interface.logits, interface.image
    )))
}

/// The tensors whose values (not just their shapes) depend on the image.
pub(crate) fn active(graph: &GraphProto, image: &str) -> HashSet<String> {
    let mut active = HashSet::from([image.to_string()]);
    for node in &graph.node {
        let cut = is_onnx_domain(&node.domain) && SHAPE_ALONE.contains(&node.op_type.as_str());
        if !cut
            && order::reads(node)
                .iter()
                .any(|tensor| active.contains(*tensor))
        {
            active.extend(
                node.output
                    .iter()
                    .filter(|output| !output.is_empty())
                    .cloned(),
            );
        }
    }
    active
}

/// The backward pass.
struct Backward {
    active: HashSet<String>,
    /// Gradients with respect to tensors, not yet summed.
    pending: HashMap<String, Vec<String>>,
    obstacles: Vec<Obstacle>,
}

impl Backward {
    fn run(&mut self, graph: &GraphProto, emit: &mut Emitter) {
        let facts = Facts::of(graph);
        for proto in graph.node.iter().rev() {
            if !proto
                .output
                .iter()
                .any(|output| self.active.contains(output))
            {
                continue;
            }
            let arrived: Vec<Option<String>> = proto
                .output
                .iter()
                .map(|output| self.total(emit, output))
                .collect();
            if arrived.iter().all(Option::is_none) {
                continue;
            }
            let node = Node::new(proto, &facts).with_active(&self.active);
            let gradients = gradients(&node, emit, &arrived);
            let gradients = gradients.unwrap_or_else(|reason| {
                self.obstacles.push(Obstacle {
                    node: label(proto).into(),
                    operator: proto.op_type.clone(),
                    reason,
                });
                // Something has to arrive at the nodes in front, so that they are looked at as well.
                (0..proto.input.len())
                    .map(|input| (input, String::new()))
                    .collect()
            });
            self.add(proto, gradients);
            if emit.is_full() {
                self.obstacles.push(Obstacle {
                    node: label(proto).into(),
                    operator: proto.op_type.clone(),
                    reason: format!(
                        "up to here, the gradient graph needs constants of more than {LARGEST_CONSTANTS} bytes; use a smaller network"
                    ),
                });
                return;
            }
        }
    }

    fn add(&mut self, node: &NodeProto, gradients: ops::Gradients) {
        for (input, gradient) in gradients {
            if let Some(tensor) = node
                .input
                .get(input)
                .filter(|tensor| self.active.contains(*tensor))
            {
                self.pending
                    .entry(tensor.clone())
                    .or_default()
                    .push(gradient);
            }
        }
    }

    /// The sum of what reached a tensor.
    fn total(&mut self, emit: &mut Emitter, tensor: &str) -> Option<String> {
        let parts = self.pending.remove(tensor)?;
        Some(match parts.as_slice() {
            [one] => one.clone(),
            [a, b] => emit.node("Add", &[a, b], []),
            more => {
                let more: Vec<&str> = more.iter().map(String::as_str).collect();
                emit.node("Sum", &more, [])
            }
        })
    }
}

/// `arrived` are the gradients with respect to the outputs; those that are missing are zero.
fn gradients(
    node: &Node<'_>,
    emit: &mut Emitter,
    arrived: &[Option<String>],
) -> Result<ops::Gradients, String> {
    let operator = node.proto.op_type.as_str();
    if !node.is_onnx() {
        return Err(format!(
            "operators of domain `{}` have no gradient rule; export the model with ONNX's own operators",
            node.proto.domain
        ));
    }
    if operator == "Split" {
        return ops::split::gradient(node, emit, arrived);
    }
    let dy = match arrived {
        [Some(dy), others @ ..] if others.iter().all(Option::is_none) => dy,
        _ => {
            return Err(
                "a gradient reaches an output other than its first, for which there is no rule"
                    .into(),
            );
        }
    };
    match ops::rule(operator).and_then(|rule| rule.gradient) {
        Some(rule) => rule(node, emit, dy),
        None if FLAT.contains(&operator) => {
            Err("its result is constant almost everywhere, so that no gradient passes; take it off the way to the logits".into())
        }
        None => Err("there is no gradient rule for this operator; export the model in terms of those that have one".into()),
    }
}

/// The forward nodes with the outputs that rules asked for, and behind them what was emitted.
fn append(mut graph: GraphProto, emit: Emitter) -> GraphProto {
    let mut added: HashMap<String, Vec<(usize, String)>> = HashMap::new();
    for (first, position, name) in emit.added_outputs {
        added.entry(first).or_default().push((position, name));
    }
    for node in &mut graph.node {
        let added = node.output.first().and_then(|first| added.remove(first));
        for (position, name) in added.into_iter().flatten() {
            if node.output.len() <= position {
                node.output.resize(position + 1, String::new());
            }
            if let Some(output) = node.output.get_mut(position) {
                *output = name;
            }
        }
    }
    graph.node.extend(emit.nodes);
    graph.initializer.extend(emit.initializers);
    graph.value_info.clear();
    graph.quantization_annotation.clear();
    graph
}
