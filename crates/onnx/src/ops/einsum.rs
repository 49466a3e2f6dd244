//! `Einsum`: ONNX operator specification, section "Einsum"; sums of products over named axes, without ellipses and diagonals.

use std::collections::HashMap;

use super::{Gradients, Rule};
use crate::{
    emitter::Emitter,
    node::Node,
    proto::AttributeProto,
    shape::{Dim, Fact},
};

pub(super) const RULE: Rule = Rule {
    operator: "Einsum",
    shape: |node| infer(node).map(Fact::of_shape),
    gradient: Some(gradient),
};

/// Equations are searched again and again.
const LONGEST_EQUATION: usize = 1 << 10;

/// The axes of each input, and those of the output.
struct Equation {
    inputs: Vec<String>,
    output: String,
}

impl Equation {
    fn of(node: &Node<'_>) -> Result<Self, String> {
        let text = node.string("equation").ok_or("its equation is missing")?;
        if text.len() > LONGEST_EQUATION {
            return Err(format!(
                "its equation has {} characters, and the limit is {LONGEST_EQUATION}",
                text.len()
            ));
        }
        let text: String = text.chars().filter(|c| !c.is_whitespace()).collect();
        let (inputs, output) = match text.split_once("->") {
            Some((inputs, output)) => (inputs, Some(output)),
            None => (text.as_str(), None),
        };
        let inputs: Vec<String> = inputs.split(',').map(String::from).collect();
        // Without an output, it has the axes that occur once, in alphabetical order.
        let output = output.map_or_else(
            || {
                let all = inputs.concat();
                let mut once: Vec<char> = all
                    .chars()
                    .filter(|axis| all.matches(*axis).count() == 1)
                    .collect();
                once.sort_unstable();
                once.into_iter().collect()
            },
            String::from,
        );
        for term in inputs.iter().chain([&output]) {
            let distinct = |(index, axis): (usize, char)| {
                axis.is_ascii_alphabetic() && !term.chars().take(index).any(|other| other == axis)
            };
            if !term.chars().enumerate().all(distinct) {
                return Err(format!(
                    "equation `{text}` has an ellipsis or a diagonal, for which there is no gradient rule; spell the axes out"
                ));
            }
        }
        if inputs.len() != node.proto.input.len() {
            return Err(format!(
                "equation `{text}` is not one of {} inputs",
                node.proto.input.len()
            ));
        }
        Ok(Self { inputs, output })
    }

    /// The size of each axis; all that bear a name have the same.
    fn sizes<'a>(&self, node: &Node<'a>) -> Result<HashMap<char, &'a Dim>, String> {
        let mut sizes = HashMap::new();
        for (input, term) in self.inputs.iter().enumerate() {
            let shape = node.require_shape(input)?;
            if shape.len() != term.len() {
                return Err(format!(
                    "input {input} has {} axes, and `{term}` names {}",
                    shape.len(),
                    term.len()
                ));
            }
            for (axis, dim) in term.chars().zip(shape) {
                let known = *sizes.entry(axis).or_insert(dim);
                if known != dim {
                    return Err(format!(
                        "axis `{axis}` has size {known} and size {dim}; make both the same"
                    ));
                }
            }
        }
        Ok(sizes)
    }
}

/// The gradient of an input has its axes, and sums dy times the other inputs over all others.
fn gradient(node: &Node<'_>, emit: &mut Emitter, dy: &str) -> Result<Gradients, String> {
    let equation = Equation::of(node)?;
    equation.sizes(node)?;
    let mut gradients = Vec::new();
    for (input, own) in equation.inputs.iter().enumerate() {
        if !node.wants(input) {
            continue;
        }
        let (mut terms, mut factors) = (vec![equation.output.as_str()], vec![dy]);
        for (other, term) in equation.inputs.iter().enumerate() {
            if other != input {
                terms.push(term);
                factors.push(node.require_input(other)?);
            }
        }
        if let Some(axis) = own
            .chars()
            .find(|axis| !terms.iter().any(|term| term.contains(*axis)))
        {
            return Err(format!(
                "axis `{axis}` is in input {input} alone and summed over, for which there is no gradient rule; use ReduceSum"
            ));
        }
        let text = AttributeProto::string("equation", &format!("{}->{own}", terms.join(",")));
        gradients.push((input, emit.node("Einsum", &factors, [text])));
    }
    Ok(gradients)
}

fn infer(node: &Node<'_>) -> Option<Vec<Dim>> {
    let equation = Equation::of(node).ok()?;
    let sizes = equation.sizes(node).ok()?;
    let axes = equation.output.chars();
    axes.map(|axis| sizes.get(&axis).map(|dim| (*dim).clone()))
        .collect()
}

#[cfg(test)]
mod tests {
    use crate::{check, proto::AttributeProto, reference::net::Net};
    use proptest::prelude::*;

    fn equation(text: &str) -> [AttributeProto; 1] {
        [AttributeProto::string("equation", text)]
    }

    proptest! {
        #![proptest_config(crate::reference::cases(24))]
        #[test]
        fn gradient_is_the_difference_quotient(
            (text, weight) in prop::sample::select(vec![
                ("bhid,bhjd->bhij", vec![]),
                ("bhid , bhjd -> bjhi", vec![]),
                ("bhij,bhjd->bhid", vec![]),
                ("bchw,ck->bkhw", vec![2usize, 4]),
                ("bchw,wk", vec![3, 5]),
                ("bchw->bwhc", vec![1]),
                ("bchw,chw->bh", vec![2, 3, 3]),
            ]),
            seed: u64,
        ) {
            let mut net = Net::new([3, 2, 3, 3], seed);
            let y = match weight.as_slice() {
                [] => {
                    let other = net.op("Tanh", &["image"], []);
                    net.op("Einsum", &["image", &other], equation(text))
                }
                [1] => net.op("Einsum", &["image"], equation(text)),
                dims => {
                    let weight = net.weights(dims);
                    net.op("Einsum", &["image", &weight], equation(text))
                }
            };
            net.check(&y, seed);
        }
    }

    #[test]
    fn what_has_no_rule_is_refused_with_the_equation() {
        for (text, reason) in [
            ("...w->...", "ellipsis"),
            ("bchh->bch", "diagonal"),
            ("bchw->bch", "ReduceSum"),
        ] {
            let mut net = Net::new([1, 2, 2, 2], 1);
            let y = net.op("Einsum", &["image"], equation(text));
            let pooled = net.op("GlobalAveragePool", &[&y], []);
            let logits = net.op("Flatten", &[&pooled], []);
            let shape = [crate::Dim::Symbol("n".into()), crate::Dim::Known(2)];
            let obstacles = check(&net.finish(&logits, Some(&shape))).unwrap_err();
            assert!(
                obstacles
                    .iter()
                    .any(|o| o.operator == "Einsum" && o.reason.contains(reason)),
                "{obstacles:?}"
            );
        }
    }
}
