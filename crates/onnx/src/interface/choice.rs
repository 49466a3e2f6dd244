//! Which of a model's outputs holds the logits.
use std::collections::HashSet;

use super::{
    View, Wanted,
    features::producer,
    is_float, kind,
    probabilities::{before_softmax, without_ones},
};
use crate::{
    Error, edit,
    model::is_onnx_domain,
    order,
    proto::{DataType, ValueInfoProto},
    shape::{self, Dim},
};

/// More classes than this are not a classifier's.
const MAX_CLASSES: u64 = 1 << 20;

/// Outputs that are looked at: a hostile file could have any number.
const MAX_OUTPUTS: usize = 64;

/// Outputs that an error lists.
const MAX_LISTED: usize = 20;

/// Layers with weights: what comes before one is a feature of what comes after.
const LEARNED: &[&str] = &["Gemm", "MatMul", "Conv", "ConvTranspose", "Einsum"];

/// What keeps logits logits, up to a scale.
const SCALING: &[&str] = &[
    "Add",
    "Cast",
    "Div",
    "Dropout",
    "Flatten",
    "Identity",
    "Mul",
    "Reshape",
    "Squeeze",
    "Sub",
    "Transpose",
    "Unsqueeze",
];

/// Parts of names that exporters give to logits or probabilities.
const CLASS_NAMES: &[&str] = &[
    "logit", "output", "prob", "score", "class", "cls", "pred", "softmax",
];

/// Parts of names that they give to other tensors.
const OTHER_NAMES: &[&str] = &[
    "embed",
    "feat",
    "landmark",
    "heatmap",
    "reconstr",
    "offset",
    "teacher",
    "attribute",
    "varian",
    "stddev",
    "log_var",
    "logvar",
    "uncert",
    "gate",
    "capsule",
    "pool",
    "hidden",
    "aux",
    "repr",
    "latent",
    "proj",
    "box",
    "mask",
    "loss",
    "attention",
];

/// The output with the logits.
pub(super) struct Choice<'a> {
    pub output: &'a str,
    pub classes: u64,
    /// Why that one.
    pub reason: String,
    pub assumptions: Vec<String>,
}

struct Candidate<'a> {
    output: &'a str,
    /// The tensor of which it is the softmax, or itself, under the name that it first has.
    logits: &'a str,
    /// Whether it is the softmax.
    soft: bool,
    classes: u64,
}

/// Chooses as [`inspect`](super::inspect) says; `images` is the first axis of the input.
pub(super) fn choose<'a>(
    view: &View<'a>,
    images: Option<&Dim>,
    wanted: &Wanted,
) -> Result<Choice<'a>, Error> {
    let outputs = || view.graph.output.iter().take(MAX_OUTPUTS);
    let chosen = |candidate: &Candidate<'a>, reason: &str| Choice {
        output: candidate.output,
        classes: candidate.classes,
        reason: reason.into(),
        assumptions: vec![],
    };
    let refused = |output: &ValueInfoProto, reason: String| {
        Error::Interface(format!(
            "output `{}` is not logits [batch, classes]: {reason}; the outputs are {}",
            output.name,
            list(view)
        ))
    };
    if let Some(name) = &wanted.output {
        let output = view.graph.output.iter().find(|output| output.name == *name);
        let output = output.ok_or_else(|| {
            Error::Interface(format!(
                "the model has no output `{}`; its outputs are {}",
                name.escape_debug(),
                list(view)
            ))
        })?;
        let candidate = candidate(view, output, images).map_err(|why| refused(output, why))?;
        return Ok(chosen(&candidate, "chosen by name"));
    }
    if let Some(output) = outputs().find(|output| output.name == "logits") {
        let candidate = candidate(view, output, images).map_err(|why| refused(output, why))?;
        return Ok(chosen(&candidate, "called `logits`"));
    }
    let tried: Vec<_> = outputs()
        .map(|output| candidate(view, output, images))
        .collect();
    if let ([Err(why)], Some(output)) = (tried.as_slice(), outputs().next()) {
        return Err(refused(output, why.clone()));
    }
    let mut candidates: Vec<Candidate<'a>> = Vec::new();
    for candidate in tried.into_iter().flatten() {
        // Logits and their softmax are one choice, and the logits are the better output.
        let twin = candidates
            .iter_mut()
            .find(|known| known.logits == candidate.logits);
        match twin {
            Some(known) if known.soft && !candidate.soft => *known = candidate,
            Some(_) => (),
            None => candidates.push(candidate),
        }
    }
    let all: Vec<&Candidate<'a>> = candidates.iter().collect();
    if all.is_empty() {
        return Err(Error::Interface(format!(
            "the model has no output `logits`, and no other float32 output of shape [batch, classes]; the outputs are {}",
            list(view)
        )));
    }
    let (best, reason) = narrow(view, &all, wanted)?;
    let others: Vec<String> = all
        .iter()
        .filter(|other| other.output != best.output)
        .map(|other| format!("`{}`", other.output))
        .collect();
    let mut choice = chosen(best, &reason);
    if others.is_empty() && rank(best.output) == 0 {
        choice.assumptions.push(format!(
            "output `{}` is taken for the logits, since there is no other of shape [batch, classes]: its name is that of something else",
            best.output
        ));
    }
    if !others.is_empty() {
        choice.assumptions.push(format!(
            "the logits are taken from output `{}` ({reason}), not from {}; `output` on the card chooses another",
            best.output,
            others.join(", ")
        ));
    }
    Ok(choice)
}

/// One of several candidates, with the reason.
fn narrow<'c, 'a>(
    view: &View<'a>,
    all: &[&'c Candidate<'a>],
    wanted: &Wanted,
) -> Result<(&'c Candidate<'a>, String), Error> {
    if let [only] = all {
        return Ok((only, "the only one of shape [batch, classes]".into()));
    }
    let mut left = all.to_vec();
    // Others would contradict what is known.
    if let Some(classes) = wanted.classes {
        let wide = |candidate: &&Candidate<'a>| candidate.classes == classes as u64;
        let fitting: Vec<_> = left.iter().copied().filter(wide).collect();
        match fitting.as_slice() {
            [only] => {
                let reason = format!("the only one with as many classes as are named, {classes}");
                return Ok((only, reason));
            }
            [] => (),
            _ => left = fitting,
        }
    }
    if let [only] = joined(view, &left).as_slice() {
        let reason = "others of as many classes are put together in it".into();
        return Ok((only, reason));
    }
    let last: Vec<_> = left
        .iter()
        .copied()
        .filter(|one| !left.iter().any(|other| yields(view, one, other)))
        .collect();
    if let [only] = last.as_slice() {
        let reason = "the other outputs lead to it or are computed from it".into();
        return Ok((only, reason));
    }
    if !last.is_empty() {
        left = last;
    }
    let rank = |candidate: &&Candidate<'a>| rank(candidate.output);
    let highest = left.iter().map(rank).max();
    let named: Vec<_> = left
        .iter()
        .copied()
        .filter(|candidate| Some(rank(candidate)) == highest)
        .collect();
    match named.as_slice() {
        [only] => Ok((only, "by its name".into())),
        [first, others @ ..] if others.iter().all(|other| other.classes == first.classes) => Ok((
            first,
            format!("the first of several with {} classes", first.classes),
        )),
        _ => Err(Error::AmbiguousOutput(list(view))),
    }
}

/// Higher for what sounds like logits.
fn rank(name: &str) -> u8 {
    let name = name.to_lowercase();
    let has = |parts: &[&str]| parts.iter().any(|part| name.contains(part));
    match (has(OTHER_NAMES), has(CLASS_NAMES)) {
        (true, _) => 0,
        (false, false) => 1,
        (false, true) => 2,
    }
}

/// Whether one candidate is not the logits since another is: a feature that leads to it, or something computed from it such as
/// its largest values.
fn yields(view: &View<'_>, one: &Candidate<'_>, other: &Candidate<'_>) -> bool {
    matches!(way(view, one, other), Some(Way::ToLogits))
        || matches!(way(view, other, one), Some(Way::FromLogits))
}

/// The candidates that are made of two others or more which do not lead to each other, as an ensemble is of its heads.
fn joined<'c, 'a>(view: &View<'a>, all: &[&'c Candidate<'a>]) -> Vec<&'c Candidate<'a>> {
    // Of each, which others it is computed from.
    let made_of: Vec<Vec<bool>> = all
        .iter()
        .map(|one| {
            let needed = edit::needed(view.graph, [one.logits]);
            let of = |other: &&Candidate<'_>| {
                other.logits != one.logits
                    && other.classes == one.classes
                    && needed.contains(other.logits)
            };
            all.iter().map(of).collect()
        })
        .collect();
    let is_made_of = |one: usize, other: usize| {
        let row = made_of.get(one).and_then(|row| row.get(other));
        row.copied().unwrap_or(false)
    };
    let heads = |one: usize| (0..all.len()).filter(move |&other| is_made_of(one, other));
    let joins = |one: usize| {
        heads(one).any(|a| heads(one).any(|b| a != b && !is_made_of(a, b) && !is_made_of(b, a)))
    };
    let numbered = all.iter().copied().enumerate();
    numbered
        .filter(|(one, _)| joins(*one))
        .map(|(_, candidate)| candidate)
        .collect()
}

/// How one tensor becomes another.
enum Way {
    /// The first is a feature of the second, or the second the first at another scale.
    ToLogits,
    /// The second is made from the first by operators without weights.
    FromLogits,
}

/// `None` where the second is not computed from the first, or in a way that tells nothing: a maximum over parts of a feature may be
/// logits, one over classes is none.
fn way(view: &View<'_>, from: &Candidate<'_>, to: &Candidate<'_>) -> Option<Way> {
    if from.logits == to.logits {
        return None;
    }
    let needed = edit::needed(view.graph, [to.logits]);
    if !needed.contains(from.logits) {
        return None;
    }
    let mut reached = HashSet::from([from.logits]);
    let (mut learned, mut scaled, mut reduced) = (false, true, false);
    for node in &view.graph.node {
        let reads = order::reads(node)
            .iter()
            .any(|tensor| reached.contains(tensor));
        let leads = node.output.iter().any(|output| needed.contains(output));
        if reads && leads {
            let before = reached.clone();
            reached.extend(node.output.iter().map(String::as_str));
            let operator = node.op_type.as_str();
            let others = order::reads(node);
            let others = others.iter().filter(|tensor| !before.contains(*tensor));
            let adds = others.clone().any(|tensor| brings(view, tensor));
            learned |= LEARNED.contains(&operator) || !is_onnx_domain(&node.domain) || adds;
            scaled &= SCALING.contains(&operator);
            let rows = |name: &String| view.facts.shape(name).map(|s| without_ones(s).len());
            reduced |= operator == "Neg"
                || operator.starts_with("Reduce") && node.output.iter().any(|o| rows(o) != Some(1));
        }
    }
    match (learned || scaled, reduced) {
        (true, _) => Some(Way::ToLogits),
        (false, true) => None,
        (false, false) => Some(Way::FromLogits),
    }
}

/// Whether a tensor brings something of its own: weights, or what else was computed from the image.
fn brings(view: &View<'_>, tensor: &str) -> bool {
    match view.facts.stored(tensor) {
        // Whole numbers of 64 bits are shapes, axes and indices.
        Some(stored) => {
            let values: i64 = stored.dims.iter().product();
            values > 1 && stored.data_type != DataType::Int64 as i32
        }
        None => depends_on_input(view, tensor),
    }
}

fn depends_on_input(view: &View<'_>, tensor: &str) -> bool {
    let needed = edit::needed(view.graph, [tensor]);
    let stored = |name: &str| view.facts.stored(name).is_some();
    let mut inputs = view.graph.input.iter().map(|input| input.name.as_str());
    inputs.any(|input| needed.contains(input) && !stored(input))
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
    for _ in 0..MAX_OUTPUTS {
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
fn candidate<'a>(
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
        return Err(format!("it has {rows} rows for {images} images"));
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
    let before = before_softmax(view, &output.name);
    Ok(Candidate {
        output: &output.name,
        logits: first_name(view, before.unwrap_or(&output.name)),
        soft: before.is_some(),
        classes,
    })
}

/// The tensor of which another is a copy, perhaps with axes of size 1 more or less.
fn first_name<'a>(view: &View<'a>, tensor: &'a str) -> &'a str {
    let mut first = tensor;
    for _ in 0..MAX_OUTPUTS {
        let Some(node) = producer(view.graph, first) else {
            break;
        };
        let copies = [
            "Identity",
            "Dropout",
            "Flatten",
            "Reshape",
            "Squeeze",
            "Unsqueeze",
        ];
        let shape = |tensor: &str| view.facts.shape(tensor).map(without_ones);
        match node.input.first() {
            Some(input)
                if copies.contains(&node.op_type.as_str()) && shape(input) == shape(first) =>
            {
                first = input;
            }
            _ => break,
        }
    }
    first
}

/// All outputs with their types and shapes.
fn list(view: &View<'_>) -> String {
    let outputs = view.outputs();
    let shown = outputs.iter().take(MAX_LISTED).map(|output| {
        let shape = output.shape.as_deref().map(shape::display);
        let shape = shape.unwrap_or_else(|| "of unknown shape".into());
        format!("`{}` {} {shape}", output.name.escape_debug(), output.dtype)
    });
    let more = outputs.len().saturating_sub(MAX_LISTED);
    let more = (more > 0).then(|| format!("and {more} more"));
    shown.chain(more).collect::<Vec<_>>().join(", ")
}
