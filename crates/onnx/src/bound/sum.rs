//! `Add`, `Sub`, `Sum` and `Neg`: ONNX operator specification, sections of those names, with broadcasting.

use super::{
    Passage, Rule,
    interval::{Bounds, Interval},
    rounding,
};
use crate::node::Node;

pub(super) const RULE: Rule = Rule {
    operators: &["Add", "Sub", "Sum"],
    bound,
    passage: |node| match stretches(node) {
        false => Passage::Affine(error),
        // The gradient would be a sum over the axes along which the operand was stretched.
        true => Passage::Cut,
    },
};

/// Exact.
pub(super) const NEG: Rule = Rule {
    operators: &["Neg"],
    bound: |node, bounds| {
        let x = bounds.input(node, 0)?.map(|end| bounds.one("Neg", end));
        Ok(Interval::new(x.upper, x.lower))
    },
    passage: |_| Passage::Exact,
};

/// Whether an operand that depends on the image is smaller than the result.
pub(super) fn stretches(node: &Node<'_>) -> bool {
    let result = node.require_output_shape().ok();
    let mut active = (0..node.proto.input.len()).filter(|index| node.wants(*index));
    active.any(|index| result.is_none() || node.shape(index) != result)
}

/// The ends add up; those of what is taken away change places.
fn bound(node: &Node<'_>, bounds: &mut Bounds) -> Result<Interval, String> {
    let mut total = bounds.input(node, 0)?;
    let operator = match node.proto.op_type.as_str() {
        "Sub" => "Sub",
        _ => "Add",
    };
    for index in 1..node.proto.input.len() {
        let x = bounds.input(node, index)?;
        let (low, high) = match operator {
            "Sub" => (&x.upper, &x.lower),
            _ => (&x.lower, &x.upper),
        };
        let sum = Interval::new(
            bounds.two(operator, &total.lower, low),
            bounds.two(operator, &total.upper, high),
        );
        // Partial sums may come in another order, and be larger than the whole.
        if node.proto.input.len() == 2 {
            return Ok(bounds.stepped(&sum));
        }
        total = sum;
    }
    if node.proto.input.len() > 1 {
        let error = error(node, bounds)?;
        total = Interval::new(
            bounds.two("Sub", &total.lower, &error),
            bounds.two("Add", &total.upper, &error),
        );
    }
    Ok(total)
}

fn error(node: &Node<'_>, bounds: &mut Bounds) -> Result<String, String> {
    let share = rounding::share(node.proto.input.len() as u64)?;
    let mut sizes = Vec::new();
    for index in 0..node.proto.input.len() {
        let x = bounds.input(node, index)?;
        sizes.push(bounds.size(&x));
    }
    let sizes: Vec<&str> = sizes.iter().map(String::as_str).collect();
    let total = bounds.emit.node("Sum", &sizes, []);
    Ok(bounds.scaled(&total, 2.0 * share))
}
