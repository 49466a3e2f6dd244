//! The bounds that are asked for: of the label's logit less every other.

use super::{
    interval::Bounds,
    rounding,
    sweep::{Network, Sweep},
};
use crate::{
    emitter::LARGEST_CONSTANT,
    proto::{AttributeProto, TensorProto},
};

/// The margins `[batch, classes]` of the input `label`, the better ones of passes with and without lines.
pub(super) fn emit(
    network: &Network<'_>,
    bounds: &mut Bounds,
    logits: &str,
    classes: u64,
    lines: bool,
) -> Result<String, String> {
    if classes.saturating_mul(classes) > LARGEST_CONSTANT {
        return Err(format!(
            "it has {classes} classes, and a bound for each pair of them is computed for up to {}; leave some out",
            LARGEST_CONSTANT.isqrt()
        ));
    }
    let count = classes as i64;
    let numbers: Vec<i64> = (0..count).collect();
    let numbers = bounds
        .emit
        .constant(TensorProto::int64s("", &[1, count], &numbers));
    let one = bounds.emit.ints(&[1]);
    let label = bounds.two("Unsqueeze", "label", &one);
    let own = bounds.two("Equal", &label, &numbers);
    let label = bounds.float_of(&own);

    let identity: Vec<f32> = (0..classes * classes)
        .map(|at| if at % (classes + 1) == 0 { 1.0 } else { 0.0 })
        .collect();
    let identity = bounds.emit.floats(&[1, count, count], &identity);
    let functions = bounds.two("Unsqueeze", &label, &one);
    let functions = bounds.two("Sub", &functions, &identity);
    let shape = bounds.emit.ints(&[-1, count]);
    let seed = bounds.two("Reshape", &functions, &shape);

    let chosen = bounds.two("Mul", logits, &label);
    let keep = AttributeProto::int("keepdims", 1);
    let chosen = bounds.emit.node("ReduceSum", &[&chosen, &one], [keep]);
    let centre = bounds.two("Sub", &chosen, logits);
    let [size, other] = [&chosen, logits].map(|value| bounds.one("Abs", value));
    let size = bounds.two("Add", &size, &other);
    let slack = bounds.scaled(&size, rounding::STEP);
    let centre = bounds.two("Sub", &centre, &slack);

    let mut margins = Vec::new();
    for lines in [false, true].into_iter().take(1 + usize::from(lines)) {
        let sweep = Sweep::new(network, bounds, count, lines);
        let penalty = sweep.run(bounds, logits, seed.clone())?;
        let margin = bounds.two("Sub", &centre, &penalty);
        // The difference may be larger than what it was taken from.
        let rounded = bounds.one("Abs", &margin);
        let rounded = bounds.scaled(&rounded, rounding::STEP);
        let margin = bounds.two("Sub", &margin, &rounded);
        margins.push(bounds.finite(&margin, &penalty));
    }
    let margins: Vec<&str> = margins.iter().map(String::as_str).collect();
    let margin = bounds.emit.node("Max", &margins, []);
    let zero = bounds.emit.float(0.0);
    Ok(bounds.emit.node("Where", &[&own, &zero, &margin], []))
}
