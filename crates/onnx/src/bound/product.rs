//! `Mul` and `Div`: ONNX operator specification, sections of those names, with broadcasting.

use super::{
    Passage, Rule,
    affine::Affine,
    interval::{Bounds, Interval},
    square, sum,
};
use crate::node::Node;

pub(super) const RULE: Rule = Rule {
    operators: &["Mul", "Div"],
    bound,
    passage: |node| match affine(node).is_some() && !sum::stretches(node) {
        true => Passage::Affine(|node, bounds| match affine(node) {
            Some(affine) => affine.error(node, bounds),
            None => Err("neither operand is a constant".into()),
        }),
        false => Passage::Cut,
    },
};

/// A constant factor or divisor.
fn affine(node: &Node<'_>) -> Option<Affine> {
    let input = match [node.wants(0), node.wants(1)] {
        [true, false] => 0,
        [false, true] if node.proto.op_type == "Mul" => 1,
        _ => return None,
    };
    Some(Affine {
        input,
        forward: 1,
        backward: 1,
        spread: |node, bounds, x, _| {
            let input = usize::from(!node.wants(0));
            let factor = bounds.one("Abs", node.require_input(1 - input)?);
            Ok(bounds.again(node, &[(input, x), (1 - input, &factor)]))
        },
    })
}

fn bound(node: &Node<'_>, bounds: &mut Bounds) -> Result<Interval, String> {
    if let Some(affine) = affine(node) {
        return affine.interval(node, bounds);
    }
    let (a, b) = (bounds.input(node, 0)?, bounds.input(node, 1)?);
    match node.proto.op_type.as_str() {
        "Mul" if a == b => Ok(square::interval(bounds, &a)),
        "Mul" => Ok(extremes(bounds, "Mul", &a, &b)),
        _ => Ok(quotient(bounds, &a, &b)),
    }
}

/// A product or quotient is extreme where both operands are.
fn extremes(bounds: &mut Bounds, operator: &str, a: &Interval, b: &Interval) -> Interval {
    let corners = [
        (&a.lower, &b.lower),
        (&a.lower, &b.upper),
        (&a.upper, &b.lower),
        (&a.upper, &b.upper),
    ];
    let corners = corners.map(|(a, b)| bounds.two(operator, a, b));
    let corners: Vec<&str> = corners.iter().map(String::as_str).collect();
    let [lower, upper] = ["Min", "Max"].map(|operator| bounds.emit.node(operator, &corners, []));
    bounds.stepped(&Interval::new(lower, upper))
}

/// Without bounds where the divisor may be zero.
pub(super) fn quotient(bounds: &mut Bounds, a: &Interval, b: &Interval) -> Interval {
    let within = extremes(bounds, "Div", a, b);
    let zero = bounds.emit.float(0.0);
    let positive = bounds.two("Greater", &b.lower, &zero);
    let negative = bounds.two("Less", &b.upper, &zero);
    let safe = bounds.two("Or", &positive, &negative);
    let [below, above] = [f32::NEG_INFINITY, f32::INFINITY].map(|end| bounds.emit.float(end));
    let mut choose = |inside: &str, end: &str| bounds.emit.node("Where", &[&safe, inside, end], []);
    Interval::new(choose(&within.lower, &below), choose(&within.upper, &above))
}
