//! `LRN`: ONNX operator specification, section "LRN"; y = x / s^beta with s = bias + alpha / size * (sum of x^2 over neighbouring
//! channels).

use super::{Gradients, Rule, same_shape};
use crate::{emitter::Emitter, node::Node, proto::AttributeProto};

pub(super) const RULE: Rule = Rule {
    operator: "LRN",
    shape: same_shape,
    gradient: Some(gradient),
};

/// dx = dy / s^beta - 2 alpha beta x m, where m is the mean of dy y / s over the channels that x is a neighbour of.
fn gradient(node: &Node<'_>, emit: &mut Emitter, dy: &str) -> Result<Gradients, String> {
    let size = node
        .int("size")
        .filter(|size| (1..=i32::MAX.into()).contains(size));
    let size = size.ok_or("its size is missing, or not positive")?;
    let alpha = node.float("alpha").unwrap_or(1e-4);
    let beta = node.float("beta").unwrap_or(0.75);
    let (x, shape) = (node.require_input(0)?, node.require_shape(0)?);
    let channels = shape.get(1).and_then(crate::shape::Dim::known);
    let channels = channels.and_then(|channels| i64::try_from(channels).ok());
    let channels = channels.ok_or("the number of its channels is not known")?;

    // An even window has one more channel behind than before.
    let (before, behind) = ((size - 1) / 2, size / 2);
    let mean = |emit: &mut Emitter, tensor: &str, pads: [i64; 2]| {
        let image = emit.ints(&[0, 1, channels, -1]);
        let image = emit.node("Reshape", &[tensor, &image], []);
        let window = [
            AttributeProto::ints("kernel_shape", [size, 1]),
            AttributeProto::ints("pads", [pads[0], 0, pads[1], 0]),
            AttributeProto::int("count_include_pad", 1),
        ];
        let mean = emit.node("AveragePool", &[&image], window);
        emit.reshape(&mean, shape.get(..1), x, Some(shape))
    };
    let square = emit.node("Mul", &[x, x], []);
    let energy = mean(emit, &square, [before, behind]);
    let factor = emit.float(alpha);
    let energy = emit.node("Mul", &[&energy, &factor], []);
    let bias = emit.float(node.float("bias").unwrap_or(1.0));
    let scale = emit.node("Add", &[&energy, &bias], []);

    let power = emit.float(-beta);
    let power = emit.node("Pow", &[&scale, &power], []);
    let direct = emit.node("Mul", &[dy, &power], []);
    let share = emit.node("Mul", &[dy, node.output()], []);
    let share = emit.node("Div", &[&share, &scale], []);
    let share = mean(emit, &share, [behind, before]);
    let factor = emit.float(2.0 * alpha * beta);
    let share = emit.node("Mul", &[&share, &factor], []);
    let indirect = emit.node("Mul", &[&share, x], []);
    Ok(vec![(0, emit.node("Sub", &[&direct, &indirect], []))])
}

#[cfg(test)]
mod tests {
    use crate::{proto::AttributeProto, reference::net::Net};
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(crate::reference::cases(24))]
        #[test]
        fn gradient_is_the_difference_quotient(
            channels in 1..6usize, size in 1..6i64, alpha in 0.1..2.0f32, beta in 0.3..1.5f32, bias in 0.5..2.0f32, list: bool, seed: u64,
        ) {
            let mut net = Net::new([3, channels, 2, 2], seed);
            let mut x = net.centred();
            if list {
                let shape = net.ints(&[0, 0, -1]);
                x = net.op("Reshape", &[&x, &shape], []);
            }
            let y = net.op("LRN", &[&x], [
                AttributeProto::int("size", size),
                AttributeProto::float("alpha", alpha),
                AttributeProto::float("beta", beta),
                AttributeProto::float("bias", bias),
            ]);
            net.check(&y, seed);
        }
    }
}
