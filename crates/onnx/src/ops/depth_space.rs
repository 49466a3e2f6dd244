//! `DepthToSpace` and `SpaceToDepth`: ONNX operator specification, sections of those names; blocks of pixels against channels.

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

pub(super) const TO_SPACE: Rule = Rule {
    operator: "DepthToSpace",
    shape: |node| infer(node, true).map(Fact::of_shape),
    gradient: Some(to_space),
};

pub(super) const TO_DEPTH: Rule = Rule {
    operator: "SpaceToDepth",
    shape: |node| infer(node, false).map(Fact::of_shape),
    gradient: Some(|node, emit, dy| {
        let block = AttributeProto::int("blocksize", block(node)?);
        Ok(vec![(0, emit.node("DepthToSpace", &[dy], [block]))])
    }),
};

fn block(node: &Node<'_>) -> Result<i64, String> {
    let block = node.int("blocksize").filter(|block| *block > 0);
    block.ok_or_else(|| "its blocksize is missing, or not positive".into())
}

/// The inverse: pixels back to channels. With mode `CRD`, pixels are the faster axis of the channels; ONNX has an inverse only of
/// the other order.
fn to_space(node: &Node<'_>, emit: &mut Emitter, dy: &str) -> Result<Gradients, String> {
    let block = block(node)?;
    match node.string("mode").unwrap_or("DCR") {
        "DCR" => {
            let block = AttributeProto::int("blocksize", block);
            return Ok(vec![(0, emit.node("SpaceToDepth", &[dy], [block]))]);
        }
        "CRD" => (),
        other => return Err(format!("mode `{other}` is unknown")),
    }
    let (x, shape, output) = (
        node.require_input(0)?,
        node.require_shape(0)?,
        node.require_output_shape()?,
    );
    let ([batch, _, height, width], [_, channels, ..]) = (shape, output) else {
        return Err("its input should be of rank 4".into());
    };
    let [batch, height, width] =
        [(0, batch), (2, height), (3, width)].map(|(axis, dim)| Size::of(x, axis, dim));
    let channels = Size::of(dy, 1, channels);
    let blocks = [
        batch,
        channels,
        height,
        Size::Number(block),
        width,
        Size::Number(block),
    ];
    let blocks = sizes::reshape(emit, dy, output, &blocks);
    let perm = AttributeProto::ints("perm", [0, 1, 3, 5, 2, 4]);
    let turned = emit.node("Transpose", &[&blocks], [perm]);
    // Every axis but the batch moved.
    let from = shape.get(..1).unwrap_or_default();
    let dx = sizes::reshape(emit, &turned, from, &Size::all(x, shape));
    Ok(vec![(0, dx)])
}

fn infer(node: &Node<'_>, to_space: bool) -> Option<Vec<Dim>> {
    let [batch, channels, spatial @ ..] = node.shape(0)? else {
        return None;
    };
    let block = block(node).ok()?.unsigned_abs();
    let blocks = (0..spatial.len()).try_fold(1u64, |cells, _| cells.checked_mul(block))?;
    let scale = |axis: usize, dim: &Dim, factor: u64, larger: bool| match dim.known() {
        Some(size) if larger => size.checked_mul(factor).map(Dim::Known),
        Some(size) => (size % factor == 0).then_some(Dim::Known(size / factor)),
        None => Some(Dim::unknown(node.output(), axis)),
    };
    let mut shape = vec![batch.clone(), scale(1, channels, blocks, !to_space)?];
    for (axis, dim) in spatial.iter().enumerate() {
        shape.push(scale(axis + 2, dim, block, to_space)?);
    }
    Some(shape)
}

#[cfg(test)]
mod tests {
    use crate::{proto::AttributeProto, reference::net::Net};
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(crate::reference::cases(24))]
        #[test]
        fn gradient_of_depth_to_space_is_the_difference_quotient(
            block in 1..4usize, sizes in [1..3usize, 1..3usize, 1..3usize], mode in prop::sample::select(vec!["", "DCR", "CRD"]), seed: u64,
        ) {
            let mut net = Net::new([3, sizes[0] * block * block, sizes[1], sizes[2]], seed);
            let mut attributes = vec![AttributeProto::int("blocksize", block as i64)];
            if !mode.is_empty() {
                attributes.push(AttributeProto::string("mode", mode));
            }
            let y = net.op("DepthToSpace", &["image"], attributes);
            net.check(&y, seed);
        }

        #[test]
        fn gradient_of_space_to_depth_is_the_difference_quotient(block in 1..4usize, sizes in [1..3usize, 1..3usize, 1..3usize], seed: u64) {
            let mut net = Net::new([3, sizes[0], sizes[1] * block, sizes[2] * block], seed);
            let y = net.op("SpaceToDepth", &["image"], [AttributeProto::int("blocksize", block as i64)]);
            net.check(&y, seed);
        }
    }
}
