//! `MatMul`: ONNX operator specification, section "MatMul"; products of the last two axes, the others broadcast.

use super::{Gradients, Rule, broadcast};
use crate::{
    emitter::Emitter,
    node::Node,
    proto::AttributeProto,
    shape::{self, Dim, Fact},
};

pub(super) const RULE: Rule = Rule {
    operator: "MatMul",
    shape: |node| infer(node).map(Fact::of_shape),
    gradient: Some(gradient),
};

/// da = dy b^T, db = a^T dy, summed over the axes along which a or b was stretched.
fn gradient(node: &Node<'_>, emit: &mut Emitter, dy: &str) -> Result<Gradients, String> {
    let (a, b) = (node.require_input(0)?, node.require_input(1)?);
    let ranks = [node.require_shape(0)?.len(), node.require_shape(1)?.len()];
    if ranks.iter().any(|rank| *rank < 2) {
        return Err("one of its inputs is a vector, and there is a rule for matrices alone; reshape it to a matrix".into());
    }
    let mut gradients = Vec::new();
    for (input, [left, right]) in [(0, [dy, b]), (1, [a, dy])] {
        if !node.wants(input) {
            continue;
        }
        let gradient = if ranks == [2, 2] {
            let turned = if input == 0 { "transB" } else { "transA" };
            emit.node("Gemm", &[left, right], [AttributeProto::int(turned, 1)])
        } else if input == 0 {
            let turned = transpose(emit, right, ranks[1]);
            emit.node("MatMul", &[left, &turned], [])
        } else {
            let turned = transpose(emit, left, ranks[0]);
            emit.node("MatMul", &[&turned, right], [])
        };
        gradients.push((input, sum_stretched(node, emit, gradient, input)?));
    }
    Ok(gradients)
}

/// Swaps the last two axes.
fn transpose(emit: &mut Emitter, tensor: &str, rank: usize) -> String {
    let mut perm: Vec<i64> = (0..rank as i64).collect();
    if let [.., a, b] = perm.as_mut_slice() {
        std::mem::swap(a, b);
    }
    emit.node("Transpose", &[tensor], [AttributeProto::ints("perm", perm)])
}

/// Sums over those of the leading axes that broadcasting added or stretched.
fn sum_stretched(
    node: &Node<'_>,
    emit: &mut Emitter,
    gradient: String,
    input: usize,
) -> Result<String, String> {
    let target = node.require_shape(input)?;
    let output = node.require_output_shape()?;
    let (Some((batch, _)), Some((_, matrix))) = (
        output.split_last_chunk::<2>(),
        target.split_last_chunk::<2>(),
    ) else {
        return Ok(gradient);
    };
    let from = [batch, matrix].concat();
    broadcast::reduce_to(emit, gradient, &from, node.require_input(input)?, target)
}

fn infer(node: &Node<'_>) -> Option<Vec<Dim>> {
    let (batch_a, [rows, _]) = node.shape(0)?.split_last_chunk::<2>()?;
    let (batch_b, [_, columns]) = node.shape(1)?.split_last_chunk::<2>()?;
    let mut shape = if batch_a.is_empty() && batch_b.is_empty() {
        vec![]
    } else {
        shape::broadcast(node.output(), &[batch_a, batch_b])?
    };
    shape.extend([rows.clone(), columns.clone()]);
    Some(shape)
}

#[cfg(test)]
mod tests {
    use crate::reference::net::Net;
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(crate::reference::cases(24))]
        #[test]
        fn gradient_is_the_difference_quotient(
            weight in prop::sample::select(vec![vec![4, 2], vec![1, 4, 2], vec![2, 4, 2], vec![1, 1, 4, 2]]), seed: u64,
        ) {
            let mut net = Net::new([3, 2, 3, 4], seed);
            let weight = net.weights(&weight);
            let y = net.op("MatMul", &["image", &weight], []);
            net.check(&y, seed);
        }

        #[test]
        fn the_left_side_may_be_the_constant(
            weight in prop::sample::select(vec![vec![2, 3], vec![2, 2, 3], vec![1, 1, 2, 3]]), seed: u64,
        ) {
            let mut net = Net::new([3, 2, 3, 4], seed);
            let weight = net.weights(&weight);
            let y = net.op("MatMul", &[&weight, "image"], []);
            net.check(&y, seed);
        }

        #[test]
        fn both_sides_may_depend_on_the_image_and_be_stretched(seed: u64) {
            let mut net = Net::new([3, 2, 3, 3], seed);
            let mean = net.axes_op("ReduceMean", "image", &[1], true);
            let left = net.op("MatMul", &["image", &mean], []);
            let right = net.op("MatMul", &[&mean, &left], []);
            net.check(&right, seed);
        }

        #[test]
        fn matrices_multiply_as_matrices(seed: u64) {
            let mut net = Net::new([3, 2, 2, 1], seed);
            let flat = net.op("Flatten", &["image"], []);
            let weight = net.weights(&[4, 5]);
            let y = net.op("MatMul", &[&flat, &weight], []);
            let y = net.op("Sigmoid", &[&y], []);
            net.check(&y, seed);
        }
    }
}
