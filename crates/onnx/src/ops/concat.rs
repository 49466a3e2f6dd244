//! `Concat`: ONNX operator specification, section "Concat"; tensors one behind the other along an axis.

use super::{Gradients, Rule, sizes};
use crate::{
    emitter::Emitter,
    extent::Extent,
    node::Node,
    shape::{self, Dim, Fact},
};

pub(super) const RULE: Rule = Rule {
    operator: "Concat",
    shape: infer,
    gradient: Some(gradient),
};

/// Each input's gradient is its part of dy, cut out by bounds from the front, from the end, or counted when the graph runs.
fn gradient(node: &Node<'_>, emit: &mut Emitter, dy: &str) -> Result<Gradients, String> {
    let rank = node.require_shape(0)?.len();
    let axis = sizes::axis(node.int("axis").ok_or("its axis is missing")?, rank)?;
    let axes = emit.ints(&[axis as i64]);
    let sizes: Vec<Option<i64>> = (0..node.proto.input.len())
        .map(|input| {
            let size = node.shape(input)?.get(axis)?.known()?;
            i64::try_from(size).ok()
        })
        .collect();
    let add = |sum: Option<i64>, size: Option<i64>| sum?.checked_add(size?);
    // From each input to the end.
    let mut behind: Vec<Option<i64>> = sizes
        .iter()
        .rev()
        .scan(Some(0), |sum, size| {
            Some(std::mem::replace(sum, add(*sum, *size)))
        })
        .collect();
    behind.reverse();

    let mut gradients = Vec::new();
    let mut front = Some(0);
    let mut counted = String::new();
    for (input, (own, behind)) in sizes.into_iter().zip(behind).enumerate() {
        let next = add(front, own);
        let mut start = counted.clone();
        if next.is_none() {
            if let Some(front) = front {
                start = emit.ints(&[front]);
            }
            let size = sizes::of_axis(emit, node.require_input(input)?, axis);
            counted = emit.node("Add", &[&start, &size], []);
        }
        if node.wants(input) && own != Some(0) {
            let bounds = match (front, next, behind) {
                (Some(start), Some(end), _) => Some((start, end)),
                (Some(start), None, Some(behind)) => Some((start, from_end(behind))),
                (None, _, Some(behind)) => own
                    .and_then(|size| size.checked_add(behind))
                    .map(|size| (from_end(size), from_end(behind))),
                _ => None,
            };
            let (start, end) = match bounds {
                Some((start, end)) => (emit.ints(&[start]), emit.ints(&[end])),
                None => (start, counted.clone()),
            };
            gradients.push((input, emit.node("Slice", &[dy, &start, &end, &axes], [])));
        }
        front = next;
    }
    Ok(gradients)
}

/// The bound of a slice that has as many places behind it.
fn from_end(count: i64) -> i64 {
    if count == 0 { i64::MAX } else { -count }
}

fn infer(node: &Node<'_>) -> Option<Fact> {
    let inputs = 0..node.proto.input.len();
    let mut shape = node.shape(0)?.to_vec();
    let axis = shape::axis(node.int("axis")?, shape.len())?;
    let mut total = Some(0u64);
    for input in inputs.clone() {
        let part = node.shape(input)?;
        if part.len() != shape.len() {
            return None;
        }
        for (own, other) in shape.iter_mut().zip(part) {
            // All but the axis agree; a number tells more than a name.
            if other.known().is_some() {
                own.clone_from(other);
            }
        }
        let size = part.get(axis)?.known();
        total = total.and_then(|total| total.checked_add(size?));
    }
    let joined = match total {
        Some(size) => Dim::Known(size),
        None if node.proto.input.len() == 1 => node.shape(0)?.get(axis)?.clone(),
        None => Dim::unknown(node.output(), axis),
    };
    *shape.get_mut(axis)? = joined;
    let value = if shape.len() == 1 { list(node) } else { None };
    Some(Fact { shape, value })
}

/// The elements of lists of integers, one behind the other; those that are not followed are unknown.
fn list(node: &Node<'_>) -> Option<Vec<Extent>> {
    let inputs = 0..node.proto.input.len();
    // Otherwise nothing says that these are integers.
    inputs
        .clone()
        .find_map(|input| node.value(input).filter(|value| !value.is_empty()))?;
    let mut elements = Vec::new();
    for input in inputs {
        match node.value(input) {
            Some(value) => elements.extend_from_slice(value),
            None => {
                let count = usize::try_from(node.shape(input)?.first()?.known()?).ok()?;
                if count > shape::LONGEST_VALUE {
                    return None;
                }
                elements.resize(elements.len() + count, Extent::Unknown);
            }
        }
        if elements.len() > shape::LONGEST_VALUE {
            return None;
        }
    }
    Some(elements)
}

#[cfg(test)]
mod tests {
    use crate::{proto::AttributeProto, reference::net::Net};
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(crate::reference::cases(32))]
        #[test]
        fn gradient_is_the_difference_quotient(
            axis in prop::sample::select(vec![1i64, 2, 3, -1, -3]),
            parts in prop::collection::vec(0..4usize, 1..5),
            seed: u64,
        ) {
            // The image in several forms, and constants, which get no gradient.
            let mut net = Net::new([3, 2, 2, 2], seed);
            let mut inputs = vec!["image".to_string()];
            for part in parts {
                inputs.push(match part {
                    0 => net.weights(&[3, 2, 2, 2]),
                    1 => net.op("Tanh", &["image"], []),
                    2 => net.op("Concat", &["image", "image"], [AttributeProto::int("axis", axis)]),
                    _ => "image".into(),
                });
            }
            let turn = inputs.len() / 2;
            inputs.rotate_left(turn);
            let inputs: Vec<&str> = inputs.iter().map(String::as_str).collect();
            let y = net.op("Concat", &inputs, [AttributeProto::int("axis", axis)]);
            net.check(&y, seed);
        }

        #[test]
        fn parts_whose_size_is_a_name_are_told_apart(
            before in 0..3usize, own in 1..3usize, behind in 0..3usize, count in 0..3i64, seed: u64,
        ) {
            // The batch as the joined axis; afterwards each row takes part of the result.
            let mut net = Net::new([3, 2, 1, 2], seed);
            let rows = |net: &mut Net, count: usize| {
                let mut rows = vec![net.weights(&[count, 2, 1, 2])];
                rows.truncate(count);
                rows
            };
            let mut inputs = rows(&mut net, before);
            let middle = net.op("Sigmoid", &["image"], []);
            inputs.extend(vec![middle; own]);
            inputs.push("image".into());
            inputs.extend(rows(&mut net, behind));
            let inputs: Vec<&str> = inputs.iter().map(String::as_str).collect();
            let joined = net.op("Concat", &inputs, [AttributeProto::int("axis", 0)]);
            let batch = net.op("Shape", &["image"], [AttributeProto::int("end", 1)]);
            let start = net.ints(&[count]);
            let end = net.op("Add", &[&start, &batch], []);
            let y = net.op("Slice", &[&joined, &start, &end], []);
            net.check(&y, seed);
        }
    }
}
