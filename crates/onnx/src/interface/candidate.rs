//! Outputs that may hold the logits.
use super::{
    View,
    features::producer,
    is_float, kind, names,
    probabilities::{before_softmax, without_ones},
    sign,
    way::depends_on_input,
};
use crate::{
    proto::ValueInfoProto,
    shape::{self, Dim},
};

/// More classes than this are not a classifier's.
const MAX_CLASSES: u64 = 1 << 20;

/// Nodes that are followed from an output backwards.
const MAX_STEPS: usize = 64;

/// An output `[batch, classes]`.
pub(super) struct Candidate<'a> {
    pub output: &'a str,
    /// The tensor of which it is the softmax, or itself, under the name that it first has.
    pub logits: &'a str,
    /// Whether it is the softmax.
    pub soft: bool,
    /// Whether it or another output is the softmax, which is what the model says of its own probabilities.
    pub answered: bool,
    pub classes: u64,
    /// Higher for what sounds like logits, 0 for what is something else by its name or by how it is computed.
    pub rank: u8,
    /// It holds lengths of differences, of which the smallest is the class.
    pub distance: bool,
}

/// Whether a tensor holds the largest values of another, in their order, through operators that keep the order.
fn is_sorted(view: &View<'_>, tensor: &str) -> bool {
    const KEEP: &[&str] = &[
        "Cast",
        "Clip",
        "Div",
        "Exp",
        "Flatten",
        "Identity",
        "LogSoftmax",
        "Mul",
        "Reshape",
        "Sigmoid",
        "Softmax",
        "Squeeze",
        "Unsqueeze",
    ];
    let mut tensor = tensor;
    for _ in 0..MAX_STEPS {
        let Some(node) = producer(view.graph, tensor) else {
            return false;
        };
        match (node.op_type.as_str(), node.input.first()) {
            ("TopK", _) => return true,
            (operator, Some(input)) if KEEP.contains(&operator) => tensor = input,
            _ => return false,
        }
    }
    false
}

/// The output as logits or probabilities, or why it cannot be them.
pub(super) fn candidate<'a>(
    view: &View<'a>,
    output: &'a ValueInfoProto,
    images: Option<&Dim>,
) -> Result<Candidate<'a>, String> {
    if !is_float(output) {
        return Err(format!("it is {}, not float32", kind(output).name()));
    }
    let shape = view
        .facts
        .shape(&output.name)
        .ok_or("its shape is not known")?;
    let (rows, classes) = match without_ones(shape)[..] {
        [rows, classes] => (rows, classes),
        [rows] if shape.len() > 1 => (rows, &Dim::Known(1)),
        _ => return Err(format!("it has shape {}", shape::display(shape))),
    };
    let classes = classes
        .known()
        .ok_or_else(|| format!("the number of classes is not a number, but `{classes}`"))?;
    if !(2..=MAX_CLASSES).contains(&classes) {
        return Err(format!(
            "it has {classes} classes; cross-entropy and margin need 2 to {MAX_CLASSES}"
        ));
    }
    if let (Some(Dim::Known(images)), Dim::Known(rows)) = (images, rows)
        && images != rows
    {
        let hint = match images {
            1 | 3 => {
                "; if the first axis of the input is that of the channels, export the model with an axis of images before it"
            }
            _ => "",
        };
        return Err(format!("it has {rows} rows for {images} images{hint}"));
    }
    if is_sorted(view, &output.name) {
        return Err(
            "it holds the largest values in their order (TopK), and another output tells whose they are: export the model without it"
                .into(),
        );
    }
    if view.graph.output.len() > 1 && !depends_on_input(view, &output.name) {
        return Err("it does not depend on the image".into());
    }
    if sign::is_negated_probabilities(view, &output.name) {
        return Err(
            "it holds probabilities or their logarithms with the sign turned round, so that the class has its smallest value: export it \
             without the negation"
                .into(),
        );
    }
    let before = before_softmax(view, &output.name);
    let distance = sign::is_distance(view, before.unwrap_or(&output.name));
    Ok(Candidate {
        rank: match distance {
            true => 0,
            false => names::rank(&output.name),
        },
        distance,
        output: &output.name,
        logits: first_name(view, before.unwrap_or(&output.name)),
        soft: before.is_some(),
        answered: before.is_some(),
        classes,
    })
}

/// The tensor of which another is a copy, perhaps with axes of size 1 more or less.
fn first_name<'a>(view: &View<'a>, tensor: &'a str) -> &'a str {
    let mut first = tensor;
    for _ in 0..MAX_STEPS {
        let Some(node) = producer(view.graph, first) else {
            break;
        };
        let copies = [
            "Identity",
            "DequantizeLinear",
            "Dropout",
            "Flatten",
            "QuantizeLinear",
            "Reshape",
            "Squeeze",
            "Unsqueeze",
        ];
        let shape = |tensor: &str| view.facts.shape(tensor).map(without_ones);
        // Of what comes out of the runtime's own quantised operators no shape is known.
        let quantizes = ["QuantizeLinear", "DequantizeLinear"].contains(&node.op_type.as_str());
        match node.input.first() {
            Some(input)
                if copies.contains(&node.op_type.as_str())
                    && (quantizes || shape(input) == shape(first)) =>
            {
                first = input;
            }
            _ => break,
        }
    }
    first
}
