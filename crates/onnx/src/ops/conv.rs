//! `Conv`: ONNX operator specification, section "Conv"; any number of spatial axes, strides, pads, dilations and groups.

use super::{Gradients, Rule, window::Window};
use crate::{
    emitter::Emitter,
    node::Node,
    proto::AttributeProto,
    shape::{Dim, Fact},
};

pub(super) const RULE: Rule = Rule {
    operator: "Conv",
    shape: |node| infer(node).map(Fact::of_shape),
    gradient: Some(gradient),
};

/// Runtimes that lay channels out in blocks have no use for a convolution to fewer than a block of them.
const FEWEST_CHANNELS: u64 = 8;

/// dx = ConvTranspose(dy, w), its weights `[in, out / group, spatial...]` being those of the convolution as they are; the same
/// for a stride of 1, and faster: dx = Conv(dy, w') with the kernel turned around, w'`[in, out / group, spatial...]`.
fn gradient(node: &Node<'_>, emit: &mut Emitter, dy: &str) -> Result<Gradients, String> {
    node.constant_inputs(&[(1, "weight"), (2, "bias")])?;
    if let Some(dx) = turned(node, emit, dy) {
        return Ok(vec![(0, dx)]);
    }
    let spatial = node.shape(0).and_then(|shape| shape.get(2..));
    let mut attributes = window(node)?.transposed(spatial)?;
    attributes.push(AttributeProto::int("group", node.int("group").unwrap_or(1)));
    let dx = emit.node("ConvTranspose", &[dy, node.require_input(1)?], attributes);
    Ok(vec![(0, dx)])
}

/// The convolution with the kernel turned around, where the stride allows it and it pays: `benches/formulations.py` has it 4 to 10 %
/// ahead of the transposed one with a single group, 8 to 23 % with a group for each channel. With groups of several it is behind.
fn turned(node: &Node<'_>, emit: &mut Emitter, dy: &str) -> Option<String> {
    // Only then is it turned once, when the runtime reads the graph.
    node.stored(1)?;
    let weight = node.input(1)?;
    let [out, per_group, ..] = node.shape(1)? else {
        return None;
    };
    let group = node.int("group").unwrap_or(1);
    let depthwise = *per_group == Dim::Known(1) && out.known() == u64::try_from(group).ok();
    let channels = if depthwise { out } else { per_group }.known()?;
    if !(group == 1 || depthwise) || channels < FEWEST_CHANNELS {
        return None;
    }
    let window = window(node).ok()?;
    let mut attributes = window.turned()?;
    attributes.push(AttributeProto::int("group", group));
    let spatial: Vec<i64> = (2..).take(window.kernel.len()).collect();
    let mut turned = weight.to_string();
    if !depthwise {
        let order = [&[1, 0], spatial.as_slice()].concat();
        turned = emit.node(
            "Transpose",
            &[&turned],
            [AttributeProto::ints("perm", order)],
        );
    }
    if window.kernel.iter().any(|size| *size > 1) {
        let each = |value| vec![value; spatial.len()];
        let [starts, ends, steps] = [-1, i64::MIN, -1].map(|value| emit.ints(&each(value)));
        let axes = emit.ints(&spatial);
        turned = emit.node("Slice", &[&turned, &starts, &ends, &axes, &steps], []);
    }
    Some(emit.node("Conv", &[dy, &turned], attributes))
}

/// The size of the window is that of the weights, which some exporters do not repeat in an attribute.
fn window(node: &Node<'_>) -> Result<Window, String> {
    let spatial = node.require_shape(1)?.get(2..).unwrap_or_default();
    let sizes: Option<Vec<u64>> = spatial.iter().map(Dim::known).collect();
    Window::of(node, sizes.ok_or("the size of its kernel is not known")?)
}

fn infer(node: &Node<'_>) -> Option<Vec<Dim>> {
    let [batch, _, spatial @ ..] = node.shape(0)? else {
        return None;
    };
    let channels = node.shape(1)?.first()?.clone();
    let spatial = window(node).ok()?.output(node, spatial)?;
    Some([vec![batch.clone(), channels], spatial].concat())
}

#[cfg(test)]
mod tests {
    use super::{super::window::tests::windows, FEWEST_CHANNELS};
    use crate::{Dim, check, proto::AttributeProto, reference::net::Net};
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(crate::reference::cases(48))]
        #[test]
        fn gradient_is_the_difference_quotient(
            case in windows(), group in 1..3usize, (inputs, outputs) in (1..3usize, 1..3usize), bias: bool, seed: u64,
        ) {
            let mut net = Net::new([3, inputs * group, case.image[0], case.image[1]], seed);
            let kernel = case.kernel.map(|size| size as usize);
            let weight = net.weights(&[outputs * group, inputs, kernel[0], kernel[1]]);
            let bias = if bias { net.weights(&[outputs * group]) } else { String::new() };
            let mut attributes = case.attributes;
            attributes.push(AttributeProto::int("group", group as i64));
            let y = net.op("Conv", &["image", &weight, &bias], attributes);
            net.check(&y, seed);
        }

    }

    // Of many channels, each of whose pixels is moved on its own.
    proptest! {
        #![proptest_config(crate::reference::cases(12))]
        #[test]
        fn a_stride_of_one_is_answered_by_a_convolution(
            case in windows(), depthwise: bool, (inputs, outputs) in (FEWEST_CHANNELS as usize..11, 1..4usize), seed: u64,
        ) {
            let mut net = Net::new([2, inputs, case.image[0], case.image[1]], seed);
            let kernel = case.kernel.map(|size| size as usize);
            let (outputs, group) = if depthwise { (inputs, inputs) } else { (outputs, 1) };
            let weight = net.weights(&[outputs, inputs / group, kernel[0], kernel[1]]);
            let mut attributes = case.attributes;
            attributes.retain(|attribute| attribute.name != "strides");
            attributes.push(AttributeProto::int("group", group as i64));
            let y = net.op("Conv", &["image", &weight], attributes);
            net.check(&y, seed);
            let gradient = crate::differentiate(&net.classifier(&y)).unwrap();
            prop_assert!(gradient.graph().node.iter().all(|node| node.op_type != "ConvTranspose"));
        }

        #[test]
        fn more_padding_than_a_window_reaches_is_no_obstacle(pads in [0..4i64, 0..4i64, 0..4i64, 0..4i64], seed: u64) {
            let channels = FEWEST_CHANNELS as usize;
            let mut net = Net::new([2, channels, 3, 4], seed);
            let weight = net.weights(&[2, channels, 2, 3]);
            let y = net.op("Conv", &["image", &weight], [AttributeProto::ints("pads", pads)]);
            net.check(&y, seed);
        }

    }

    proptest! {
        #![proptest_config(crate::reference::cases(48))]
        #[test]
        fn one_and_three_spatial_axes_work_too(stride in 1..3i64, dilation in 1..3i64, pad in 0..2i64, three: bool, seed: u64) {
            let mut net = Net::new([3, 2, 4, 6], seed);
            let (shape, kernel): (&[i64], &[usize]) = if three {
                (&[0, 1, 2, 4, 6], &[2, 1, 1, 2, 3])
            } else {
                (&[0, 2, 24], &[2, 2, 3])
            };
            let axes = kernel.len() - 2;
            let shape = net.ints(shape);
            let x = net.op("Reshape", &["image", &shape], []);
            let weight = net.weights(kernel);
            let y = net.op("Conv", &[&x, &weight], [
                AttributeProto::ints("strides", vec![stride; axes]),
                AttributeProto::ints("dilations", vec![if three { 1 } else { dilation }; axes]),
                AttributeProto::ints("pads", [vec![pad; axes], vec![0; axes]].concat()),
            ]);
            net.check(&y, seed);
        }
    }

    #[test]
    fn a_stride_beyond_the_kernel_needs_no_automatic_padding() {
        for auto_pad in ["SAME_UPPER", "SAME_LOWER"] {
            let mut net = Net::new([3, 2, 5, 6], 3);
            let weight = net.weights(&[2, 2, 1, 1]);
            let attributes = [
                AttributeProto::ints("strides", [2, 3]),
                AttributeProto::string("auto_pad", auto_pad),
            ];
            let y = net.op("Conv", &["image", &weight], attributes);
            net.check(&y, 3);
        }
    }

    #[test]
    fn weights_that_depend_on_the_image_are_refused() {
        let mut net = Net::fixed([1, 1, 3, 3], 1);
        let y = net.op(
            "Conv",
            &["image", "image"],
            [AttributeProto::ints("pads", [1; 4])],
        );
        let flat = net.op("Flatten", &[&y], []);
        let model = net.finish(&flat, Some(&[Dim::Known(1), Dim::Known(9)]));
        let obstacles = check(&model).unwrap_err();
        assert!(
            obstacles
                .iter()
                .any(|o| o.operator == "Conv" && o.reason.contains("weight")),
            "{obstacles:?}"
        );
    }
}
