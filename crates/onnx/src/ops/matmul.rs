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

/// A factor as a matrix, or a stack of them.
struct Factor {
    name: String,
    shape: Vec<Dim>,
    /// The axis that a vector was given for it.
    added: Option<i64>,
}

impl Factor {
    /// A vector on the left is a row, on the right a column.
    fn of(node: &Node<'_>, emit: &mut Emitter, input: usize) -> Result<Self, String> {
        let (name, shape) = (node.require_input(input)?, node.require_shape(input)?);
        Ok(match shape {
            [] => return Err(format!("input {input} is a scalar")),
            [size] => {
                let added = input as i64;
                let axis = emit.ints(&[added]);
                let mut shape = vec![size.clone()];
                shape.insert(input, Dim::Known(1));
                Self {
                    name: emit.node("Unsqueeze", &[name, &axis], []),
                    shape,
                    added: Some(added),
                }
            }
            _ => Self {
                name: name.into(),
                shape: shape.to_vec(),
                added: None,
            },
        })
    }

    fn is_vector(&self) -> bool {
        self.added.is_some()
    }
}

/// da = dy b^T, db = a^T dy, summed over the axes along which a or b was stretched.
fn gradient(node: &Node<'_>, emit: &mut Emitter, dy: &str) -> Result<Gradients, String> {
    let factors = [Factor::of(node, emit, 0)?, Factor::of(node, emit, 1)?];
    let [a, b] = &factors;
    let mut output = node.require_output_shape()?.to_vec();
    let mut missing = Vec::new();
    if b.is_vector() {
        output.push(Dim::Known(1));
        missing.push(-1);
    }
    if a.is_vector() {
        output.insert(output.len().saturating_sub(1), Dim::Known(1));
        missing.push(-2);
    }
    let dy = if missing.is_empty() {
        dy.to_string()
    } else {
        let missing = emit.ints(&missing);
        emit.node("Unsqueeze", &[dy, &missing], [])
    };
    let flat = factors.iter().all(|factor| factor.shape.len() == 2);

    let mut gradients = Vec::new();
    for (input, own) in factors.iter().enumerate() {
        if !node.wants(input) {
            continue;
        }
        let gradient = match (input, flat) {
            (0, true) => emit.node("Gemm", &[&dy, &b.name], [AttributeProto::int("transB", 1)]),
            (_, true) => emit.node("Gemm", &[&a.name, &dy], [AttributeProto::int("transA", 1)]),
            (0, false) => {
                let turned = transpose(emit, &b.name, b.shape.len());
                emit.node("MatMul", &[&dy, &turned], [])
            }
            (_, false) => {
                let turned = transpose(emit, &a.name, a.shape.len());
                emit.node("MatMul", &[&turned, &dy], [])
            }
        };
        // The batch of the result, and the matrix of the factor.
        let (Some((batch, _)), Some((_, matrix))) = (
            output.split_last_chunk::<2>(),
            own.shape.split_last_chunk::<2>(),
        ) else {
            return Err("the shape of its result has no matrix".into());
        };
        let from = [batch, matrix].concat();
        let mut gradient = broadcast::reduce_to(emit, gradient, &from, &own.name, &own.shape)?;
        if let Some(added) = own.added {
            let added = emit.ints(&[added]);
            gradient = emit.node("Squeeze", &[&gradient, &added], []);
        }
        gradients.push((input, gradient));
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

fn infer(node: &Node<'_>) -> Option<Vec<Dim>> {
    // The axes that are multiplied over are left out; a vector has no other.
    let (batch_a, rows) = match node.shape(0)? {
        [batch @ .., rows, _] => (batch, Some(rows)),
        [_] => (&[][..], None),
        [] => return None,
    };
    let (batch_b, columns) = match node.shape(1)? {
        [batch @ .., _, columns] => (batch, Some(columns)),
        [_] => (&[][..], None),
        [] => return None,
    };
    let mut shape = if batch_a.is_empty() && batch_b.is_empty() {
        vec![]
    } else {
        shape::broadcast(node.output(), &[batch_a, batch_b])?
    };
    shape.extend(rows.into_iter().chain(columns).cloned());
    Some(shape)
}

#[cfg(test)]
mod tests {
    use crate::{proto::AttributeProto, reference::net::Net};
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
        fn vectors_are_rows_on_the_left_and_columns_on_the_right(left: bool, seed: u64) {
            let mut net = Net::new([3, 2, 4, 4], seed);
            let vector = net.weights(&[4]);
            let y = if left { net.op("MatMul", &[&vector, "image"], []) } else { net.op("MatMul", &["image", &vector], []) };
            net.check(&y, seed);
        }

        #[test]
        fn vectors_may_depend_on_the_image(other in 0..3usize, left: bool, seed: u64) {
            // One image: a vector has no batch.
            let mut net = Net::fixed([1, 1, 2, 2], seed);
            let list = net.ints(&[-1]);
            let vector = net.op("Reshape", &["image", &list], []);
            let shape = match (left, other) {
                (_, 0) => vec![4],
                (true, 1) => vec![1, 4],
                (false, 1) => vec![4, 1],
                (true, _) => vec![1, 1, 4],
                (false, _) => vec![1, 4, 1],
            };
            let shape = net.ints(&shape);
            let bent = net.op("Tanh", &["image"], []);
            let other = net.op("Reshape", &[&bent, &shape], []);
            let y = if left { net.op("MatMul", &[&other, &vector], []) } else { net.op("MatMul", &[&vector, &other], []) };
            let row = net.ints(&[1, -1]);
            let y = net.op("Reshape", &[&y, &row], []);
            net.check(&y, seed);
        }

        #[test]
        fn attention_weighs_values_by_products_of_queries_and_keys(stretched: bool, seed: u64) {
            let mut net = Net::new([3, 2, 3, 4], seed);
            let parts = [0; 3].map(|_| {
                let weight = net.weights(&[4, 4]);
                net.op("MatMul", &["image", &weight], [])
            });
            let [queries, mut keys, values] = parts;
            if stretched {
                // One set of keys for all heads.
                keys = net.axes_op("ReduceMean", &keys, &[1], true);
            }
            let turned = net.op("Transpose", &[&keys], [AttributeProto::ints("perm", [0, 1, 3, 2])]);
            let products = net.op("MatMul", &[&queries, &turned], []);
            let weights = net.op("Softmax", &[&products], []);
            let y = net.op("MatMul", &[&weights, &values], []);
            net.check(&y, seed);
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
