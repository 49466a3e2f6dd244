//! `Tile`: ONNX operator specification, section "Tile"; a tensor repeated along its axes.

use super::{
    Gradients, Rule,
    sizes::{self, Size},
};
use crate::{
    emitter::Emitter,
    node::Node,
    proto::AttributeProto,
    shape::{Dim, Fact},
};

pub(super) const RULE: Rule = Rule {
    operator: "Tile",
    shape: |node| infer(node).map(Fact::of_shape),
    gradient: Some(gradient),
};

/// dx is the sum over the repetitions, each of which gets an axis of its own for it.
fn gradient(node: &Node<'_>, emit: &mut Emitter, dy: &str) -> Result<Gradients, String> {
    let (x, shape) = (node.require_input(0)?, node.require_shape(0)?);
    let repeats = node
        .integers(1)
        .filter(|repeats| repeats.len() == shape.len());
    let repeats = repeats.ok_or("its repeats are no constant, or not one for each axis")?;
    let mut sizes = Vec::new();
    let mut summed = Vec::new();
    for (axis, (&repeat, dim)) in repeats.iter().zip(shape).enumerate() {
        match repeat {
            1 => (),
            2.. => {
                summed.push(sizes.len() as i64);
                sizes.push(Size::Number(repeat));
            }
            // Nothing is left of x.
            _ => return Ok(vec![]),
        }
        sizes.push(Size::of(x, axis, dim));
    }
    if summed.is_empty() {
        return Ok(vec![(0, dy.into())]);
    }
    let split = sizes::reshape(emit, dy, node.require_output_shape()?, &sizes);
    let summed = emit.ints(&summed);
    let drop = AttributeProto::int("keepdims", 0);
    Ok(vec![(
        0,
        emit.node("ReduceSum", &[&split, &summed], [drop]),
    )])
}

fn infer(node: &Node<'_>) -> Option<Vec<Dim>> {
    let (shape, repeats) = (node.shape(0)?, node.value(1)?);
    if shape.len() != repeats.len() {
        return None;
    }
    let dims = shape.iter().zip(repeats).enumerate();
    dims.map(|(axis, (dim, repeat))| {
        crate::extent::Extent::from(dim)
            .times(repeat)
            .dim(node.output(), axis)
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use crate::reference::net::Net;
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(crate::reference::cases(24))]
        #[test]
        fn gradient_is_the_difference_quotient(
            image in [1..3usize, 1..3usize, 1..4usize], repeats in [1..4i64, 1..3i64, 1..4i64], seed: u64,
        ) {
            let mut net = Net::new([3, image[0], image[1], image[2]], seed);
            let repeats = net.ints(&[1, repeats[0], repeats[1], repeats[2]]);
            let y = net.op("Tile", &["image", &repeats], []);
            net.check(&y, seed);
        }

        #[test]
        fn repetitions_of_the_batch_are_summed_too(repeat in 1..4i64, seed: u64) {
            let mut net = Net::new([3, 2, 1, 2], seed);
            let repeats = net.ints(&[repeat, 2, 1, 1]);
            let many = net.op("Tile", &["image", &repeats], []);
            let weighted = net.op("Mul", &[&many, &many], []);
            let batch = net.op("Shape", &["image"], [crate::proto::AttributeProto::int("end", 1)]);
            let start = net.ints(&[0]);
            let y = net.op("Slice", &[&weighted, &start, &batch], []);
            net.check(&y, seed);
        }
    }
}
