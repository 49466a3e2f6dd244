//! Multidirectional broadcasting: ONNX, "Broadcasting in ONNX".

use crate::{
    emitter::Emitter,
    node::Node,
    proto::AttributeProto,
    shape::{self, Dim, Fact},
};

/// The shape rule of operators that broadcast all their inputs.
pub(super) fn infer(node: &Node<'_>) -> Option<Fact> {
    let inputs = 0..node.proto.input.len();
    let shapes: Vec<_> = inputs
        .map(|index| node.shape(index))
        .collect::<Option<_>>()?;
    Some(Fact::of_shape(shape::broadcast(node.output(), &shapes)?))
}

/// Sums a gradient of the output's shape over the axes along which an input was stretched.
pub(super) fn reduce_to_input(
    node: &Node<'_>,
    emit: &mut Emitter,
    gradient: String,
    input: usize,
) -> Result<String, String> {
    let like = node.require_input(input)?;
    reduce_to(
        emit,
        gradient,
        node.require_output_shape()?,
        like,
        node.require_shape(input)?,
    )
}

/// Sums a gradient of shape `from` over the axes along which the tensor `like`, of shape `target`, was stretched to it.
pub(super) fn reduce_to(
    emit: &mut Emitter,
    gradient: String,
    from: &[Dim],
    like: &str,
    target: &[Dim],
) -> Result<String, String> {
    let Some(added) = from.len().checked_sub(target.len()) else {
        return Err(format!("`{like}` has more axes than the result"));
    };
    let mut axes: Vec<i64> = (0..added as i64).collect();
    for (axis, (small, large)) in (added..).zip(target.iter().zip(from.iter().skip(added))) {
        if small == large {
            continue;
        }
        if *small != Dim::Known(1) {
            return Err(format!(
                "it cannot be told whether `{like}`, of size {small}, is stretched to {large} along axis {axis} of the result; \
                 export the model with static sizes"
            ));
        }
        axes.push(axis as i64);
    }
    if axes.is_empty() {
        return Ok(gradient);
    }
    let axes_tensor = emit.ints(&axes);
    let keep = AttributeProto::int("keepdims", 1);
    let sum = emit.node("ReduceSum", &[&gradient, &axes_tensor], [keep]);
    if added == 0 {
        return Ok(sum);
    }
    let summed: Vec<Dim> = from
        .iter()
        .enumerate()
        .map(|(axis, dim)| {
            if axes.contains(&(axis as i64)) {
                Dim::Known(1)
            } else {
                dim.clone()
            }
        })
        .collect();
    Ok(emit.reshape(&sum, Some(&summed), like, Some(target)))
}

#[cfg(test)]
pub(super) mod tests {
    use proptest::prelude::*;

    use crate::reference::net::Net;

    /// The shape of the image and of a constant that broadcast against each other in all ways that keep the batch axis.
    pub(in crate::ops) fn shapes() -> impl Strategy<Value = ([usize; 3], Vec<usize>)> {
        let axis = (1..4usize, 0..3u8);
        ([axis.clone(), axis.clone(), axis], 1..5usize).prop_map(|(axes, rank)| {
            let image = axes.map(|(size, kind)| if kind == 0 { 1 } else { size });
            let other = axes.map(|(size, kind)| if kind == 1 { 1 } else { size });
            let full = [1, other[0], other[1], other[2]];
            (image, full[4 - rank..].to_vec())
        })
    }

    /// Both orders of an operator on the image and a positive constant, and on two tensors that depend on the image.
    pub(in crate::ops) fn check(operator: &str, image: [usize; 3], constant: &[usize], seed: u64) {
        for order in 0..3 {
            let mut net = Net::new([3, image[0], image[1], image[2]], seed);
            let other = match order {
                2 => {
                    let sum = net.axes_op("ReduceMean", "image", &[2], true);
                    net.op("Sigmoid", &[&sum], [])
                }
                _ => net.positive(constant),
            };
            let inputs = if order == 0 {
                ["image", &other]
            } else {
                [&other, "image"]
            };
            let result = net.op(operator, &inputs, []);
            net.check(&result, seed);
        }
    }
}
