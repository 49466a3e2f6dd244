//! Operators that grow with their input: ONNX operator specification, sections of their names. Each end goes to an end.

use super::{
    Passage, Rule,
    affine::constant_inputs,
    interval::{Bounds, Interval},
    relax, rounding,
};
use crate::node::Node;

/// Whose results are elements of their input, or constants, and so are not rounded.
pub(super) const EXACT: Rule = Rule {
    operators: &["GlobalMaxPool", "MaxPool", "ReduceMax", "ReduceMin"],
    bound: |node, bounds| {
        if node.has_output(1) {
            return Err("it returns places beside maxima; export the model without them".into());
        }
        ends(node, bounds)
    },
    passage: |_| Passage::Cut,
};

/// Two lines that meet at zero, or one.
pub(super) const RECTIFIERS: Rule = Rule {
    operators: &["Clip", "LeakyRelu", "Relu"],
    bound: |node, bounds| {
        constant_inputs(node, &[(1, "lower bound"), (2, "upper bound")])?;
        grows(node, "alpha")?;
        let y = ends(node, bounds)?;
        Ok(match node.proto.op_type.as_str() {
            "LeakyRelu" => bounds.stepped(&y),
            _ => y,
        })
    },
    passage: |node| match relax::slope(node) {
        Some(_) => Passage::Relaxed(relax::rectifier),
        None => Passage::Cut,
    },
};

/// What runtimes compute by polynomials.
pub(super) const CURVES: Rule = Rule {
    operators: &[
        "Elu",
        "Exp",
        "HardSigmoid",
        "Sigmoid",
        "Softplus",
        "Sqrt",
        "Tanh",
    ],
    bound: |node, bounds| {
        grows(node, "alpha")?;
        let y = ends(node, bounds)?;
        let relative = bounds.outward(&y, rounding::KERNEL);
        if ["Exp", "Sqrt"].contains(&node.proto.op_type.as_str()) {
            return Ok(relative);
        }
        let slack = bounds.emit.float(rounding::KERNEL);
        Ok(Interval::new(
            bounds.two("Sub", &relative.lower, &slack),
            bounds.two("Add", &relative.upper, &slack),
        ))
    },
    passage: |_| Passage::Cut,
};

fn ends(node: &Node<'_>, bounds: &mut Bounds) -> Result<Interval, String> {
    let x = bounds.input(node, 0)?;
    Ok(x.map(|end| bounds.again(node, &[(0, end)])))
}

/// Refuses slopes that fall.
fn grows(node: &Node<'_>, attribute: &str) -> Result<(), String> {
    match node.float(attribute) {
        Some(slope) if slope < 0.0 => Err(format!(
            "its {attribute} is {slope}, with which it does not grow with its input; there are bounds from 0 on"
        )),
        _ => Ok(()),
    }
}
