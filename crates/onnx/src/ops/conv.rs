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

/// dx = ConvTranspose(dy, w): its weights `[in, out / group, spatial...]` are those of the convolution as they are.
fn gradient(node: &Node<'_>, emit: &mut Emitter, dy: &str) -> Result<Gradients, String> {
    node.constant_inputs(&[(1, "weight"), (2, "bias")])?;
    let spatial = node.shape(0).and_then(|shape| shape.get(2..));
    let mut attributes = window(node)?.transposed(spatial)?;
    attributes.push(AttributeProto::int("group", node.int("group").unwrap_or(1)));
    let dx = emit.node("ConvTranspose", &[dy, node.require_input(1)?], attributes);
    Ok(vec![(0, dx)])
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
    use super::super::window::tests::windows;
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
