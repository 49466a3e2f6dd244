//! `GroupNormalization` and `InstanceNormalization`: ONNX operator specification, sections of those names;
//! y = (x - mean) / sqrt(variance + epsilon) scale + bias, with the statistics over a group of channels of an image, or over a single
//! channel. The scale holds a number for each group up to operator set 20, and for each channel from 21 on.

use super::{Gradients, Rule, same_shape, standardize::Standard};
use crate::{emitter::Emitter, node::Node, proto::AttributeProto, shape::Dim};

pub(super) const GROUP: Rule = Rule {
    operator: "GroupNormalization",
    shape: same_shape,
    gradient: Some(|node, emit, dy| {
        let groups = node.int("num_groups").filter(|groups| *groups > 0);
        let groups = groups.ok_or("its number of groups is missing, or not positive")?;
        gradient(node, emit, dy, Some(groups))
    }),
};

pub(super) const INSTANCE: Rule = Rule {
    operator: "InstanceNormalization",
    shape: same_shape,
    gradient: Some(|node, emit, dy| gradient(node, emit, dy, None)),
};

/// Each group is a row: x, and dy times the scale, become `[batch, groups, elements of a group]`.
fn gradient(
    node: &Node<'_>,
    emit: &mut Emitter,
    dy: &str,
    groups: Option<i64>,
) -> Result<Gradients, String> {
    node.constant_inputs(&[(1, "scale"), (2, "bias")])?;
    let (x, scale) = (node.require_input(0)?, node.require_input(1)?);
    // Zero copies the number of channels.
    let rows = emit.ints(&[0, groups.unwrap_or(0), -1]);
    let last = emit.ints(&[-1]);
    let standard = Standard {
        axes: &last,
        centred: true,
    };
    let x_rows = emit.node("Reshape", &[x, &rows], []);
    let mut standardized = standard.of(emit, &x_rows, node.float("epsilon").unwrap_or(1e-5));

    let column = emit.ints(&[-1, 1]);
    let column = emit.node("Reshape", &[scale, &column], []);
    let scales = match node.shape(1) {
        Some([Dim::Known(scales)]) => i64::try_from(*scales).ok(),
        _ => None,
    };
    let g = if groups.is_none() || groups == scales {
        standardized.factor = emit.node("Mul", &[&standardized.factor, &column], []);
        emit.node("Reshape", &[dy, &rows], [])
    } else {
        // A row for each number of the scale, be it that of a group or of a channel.
        let shape = match scales {
            Some(scales) => emit.ints(&[0, scales, -1]),
            None => {
                let (copied, scales) = (emit.ints(&[0]), emit.node("Shape", &[scale], []));
                let axis = AttributeProto::int("axis", 0);
                emit.node("Concat", &[&copied, &scales, &last], [axis])
            }
        };
        let dy_rows = emit.node("Reshape", &[dy, &shape], []);
        let scaled = emit.node("Mul", &[&dy_rows, &column], []);
        emit.node("Reshape", &[&scaled, &rows], [])
    };
    let dx = standard.gradient(emit, &g, &standardized);
    let batch = node.shape(0).and_then(|shape| shape.get(..1));
    Ok(vec![(0, emit.reshape(&dx, batch, x, node.shape(0)))])
}

#[cfg(test)]
mod tests {
    use crate::{proto::AttributeProto, reference::net::Net};
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(crate::reference::cases(24))]
        #[test]
        fn gradient_is_the_difference_quotient_for_groups(
            groups in prop::sample::select(vec![1usize, 2, 4]), per_channel: bool, epsilon in 1e-5..0.5f32, flat: bool,
            unknown: [bool; 2], seed: u64,
        ) {
            let mut net = Net::new([3, 4, 2, 3], seed).with_opset(if per_channel { 21 } else { 18 });
            let mut x = net.centred();
            if flat {
                let shape = net.ints(&[0, 4, 6]);
                x = net.op("Reshape", &[&x, &shape], []);
            }
            if unknown[0] {
                x = net.of_unknown_shape(&x);
            }
            let size = if per_channel { 4 } else { groups };
            let (mut scale, bias) = (net.weights(&[size]), net.weights(&[size]));
            if unknown[1] {
                scale = net.of_unknown_shape(&scale);
            }
            let attributes = [
                AttributeProto::int("num_groups", groups as i64),
                AttributeProto::float("epsilon", epsilon),
            ];
            let y = net.op("GroupNormalization", &[&x, &scale, &bias], attributes);
            net.check(&y, seed);
        }

        #[test]
        fn gradient_is_the_difference_quotient_for_channels(epsilon in 1e-5..0.5f32, unknown: bool, seed: u64) {
            let mut net = Net::new([3, 3, 2, 3], seed).with_opset(12);
            let mut x = net.centred();
            if unknown {
                x = net.of_unknown_shape(&x);
            }
            let (scale, bias) = (net.weights(&[3]), net.weights(&[3]));
            let epsilon = AttributeProto::float("epsilon", epsilon);
            let y = net.op("InstanceNormalization", &[&x, &scale, &bias], [epsilon]);
            net.check(&y, seed);
        }
    }
}
