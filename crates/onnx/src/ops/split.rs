//! `Split`: ONNX operator specification, section "Split"; the parts of a tensor along an axis. The only operator here with several
//! outputs that carry gradients.

use super::{Gradients, scatter, sizes};
use crate::{
    emitter::Emitter,
    node::Node,
    proto::AttributeProto,
    shape::{self, Dim, Fact},
};

/// dx has the gradients of the parts one behind the other; those that are missing are zero.
pub(crate) fn gradient(
    node: &Node<'_>,
    emit: &mut Emitter,
    arrived: &[Option<String>],
) -> Result<Gradients, String> {
    let rank = node.require_shape(0)?.len();
    let axis = sizes::axis(node.int("axis").unwrap_or(0), rank)?;
    let mut parts = Vec::new();
    for (output, gradient) in node.proto.output.iter().zip(arrived) {
        parts.push(match gradient {
            Some(gradient) => gradient.clone(),
            None if output.is_empty() => {
                return Err("one of its outputs has no name; name them all".into());
            }
            None => scatter::zeros_like(emit, output),
        });
    }
    let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
    let along = AttributeProto::int("axis", axis as i64);
    Ok(vec![(0, emit.node("Concat", &parts, [along]))])
}

/// The shapes of all outputs.
pub(crate) fn infer(node: &Node<'_>) -> Option<Vec<Fact>> {
    let shape = node.shape(0)?;
    let axis = shape::axis(node.int("axis").unwrap_or(0), shape.len())?;
    let count = node.proto.output.len();
    let sizes: Vec<Option<u64>> = match node.input(1) {
        Some(_) => match node.integers(1) {
            Some(sizes) => sizes.iter().map(|&size| u64::try_from(size).ok()).collect(),
            None => vec![None; count],
        },
        None => even(shape.get(axis)?.known(), count),
    };
    let parts = sizes.iter().zip(&node.proto.output).map(|(size, output)| {
        let mut shape = shape.to_vec();
        *shape.get_mut(axis)? = size.map_or_else(|| Dim::unknown(output, axis), Dim::Known);
        Some(Fact::of_shape(shape))
    });
    parts.collect()
}

/// As many parts of equal size; what is left over makes the last one smaller.
fn even(size: Option<u64>, count: usize) -> Vec<Option<u64>> {
    let Some((size, parts)) = size.zip(u64::try_from(count).ok().filter(|count| *count > 0)) else {
        return vec![None; count];
    };
    let part = size.div_ceil(parts);
    (0..parts)
        .map(|index| {
            let before = part.checked_mul(index)?;
            Some(part.min(size.saturating_sub(before)))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use crate::{proto::AttributeProto, reference::net::Net};
    use proptest::prelude::*;

    /// Uses the chosen ones of several parts, each in another way.
    fn check(net: &mut Net, parts: &[String], used: &[bool], seed: u64) {
        let mut joined = net.op("Flatten", &["image"], []);
        for (index, part) in parts.iter().enumerate().filter(|(index, _)| used[*index]) {
            let bent = net.op(["Tanh", "Sqrt", "Sigmoid", "Identity"][index], &[part], []);
            let flat = net.op("Flatten", &[&bent], []);
            joined = net.op(
                "Concat",
                &[&joined, &flat],
                [AttributeProto::int("axis", 1)],
            );
        }
        net.check(&joined, seed);
    }

    proptest! {
        #![proptest_config(crate::reference::cases(32))]
        #[test]
        fn gradient_is_the_difference_quotient(
            axis in 1..4usize, from_end: bool, sizes in prop::collection::vec(1..4usize, 1..5), used: [bool; 4], seed: u64,
        ) {
            let mut image = [3, 2, 2, 2];
            image[axis] = sizes.iter().sum();
            let mut net = Net::new(image, seed);
            let list: Vec<i64> = sizes.iter().map(|&size| size as i64).collect();
            let list = net.ints(&list);
            let axis = if from_end { axis as i64 - 4 } else { axis as i64 };
            let parts = net.op_with_outputs("Split", &["image", &list], [AttributeProto::int("axis", axis)], sizes.len());
            check(&mut net, &parts, &used, seed);
        }

        #[test]
        fn even_parts_leave_a_smaller_one_at_the_end((size, count) in (1..4usize, 2..5usize), used: [bool; 4], opset in 18..26i64, seed: u64) {
            // Sizes that do not divide, but leave something for the last part.
            let size = size * count - 1;
            prop_assume!(size.div_ceil(count) * (count - 1) < size);
            let mut net = Net::new([3, size, 1, 2], seed).with_opset(opset);
            let attributes = [AttributeProto::int("axis", 1), AttributeProto::int("num_outputs", count as i64)];
            let parts = net.op_with_outputs("Split", &["image"], attributes, count);
            check(&mut net, &parts, &used, seed);
        }
    }

    #[test]
    fn parts_along_an_axis_of_unknown_size_are_put_together_again() {
        let mut net = Net::new([4, 2, 1, 2], 6);
        let half = net.op("Shape", &["image"], [AttributeProto::int("end", 1)]);
        let two = net.ints(&[2]);
        let half = net.op("Div", &[&half, &two], []);
        let sizes = net.op("Concat", &[&half, &half], [AttributeProto::int("axis", 0)]);
        let parts = net.op_with_outputs("Split", &["image", &sizes], [], 2);
        let first = net.op("Tanh", &[&parts[0]], []);
        let y = net.op(
            "Concat",
            &[&parts[1], &first],
            [AttributeProto::int("axis", 0)],
        );
        net.check(&y, 6);
    }
}
