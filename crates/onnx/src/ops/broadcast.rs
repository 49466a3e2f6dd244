//! Multidirectional broadcasting: ONNX, "Broadcasting in ONNX".

use super::Gradients;
use crate::{
    emitter::Emitter,
    node::Node,
    proto::{AttributeProto, TensorProto},
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
    if let (Ok(from), Some(target)) = (node.require_output_shape(), node.shape(input)) {
        return reduce_to(emit, gradient, from, like, target);
    }
    // Where all others hold a single element, there are no axes to sum over, though there may be further ones of size 1.
    let mut others = (0..node.proto.input.len()).filter(|&other| node.input(other) != Some(like));
    let single = |shape: &[Dim]| shape.iter().all(|dim| *dim == Dim::Known(1));
    Ok(
        if others.all(|other| node.shape(other).is_some_and(single)) {
            let shape = emit.node("Shape", &[like], []);
            emit.node("Reshape", &[&gradient, &shape], [])
        } else {
            reduce_at_run_time(emit, &gradient, like, None)
        },
    )
}

/// The gradient rule of operators that sum all their inputs: each has that of the output.
pub(super) fn pass_on(node: &Node<'_>, emit: &mut Emitter, dy: &str) -> Result<Gradients, String> {
    let wanted = (0..node.proto.input.len()).filter(|&input| node.wants(input));
    wanted
        .map(|input| Ok((input, reduce_to_input(node, emit, dy.into(), input)?)))
        .collect()
}

/// Sums a gradient of shape `from` over the axes along which the tensor `like`, of shape `target`, was stretched to it.
///
/// Where the shapes do not tell which axes these are, they are found out when the graph runs.
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
            return Ok(reduce_at_run_time(emit, &gradient, like, Some(added)));
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

/// Sums a gradient over the axes in whose size it differs from a tensor that has `added` axes less, if that is known.
fn reduce_at_run_time(
    emit: &mut Emitter,
    gradient: &str,
    like: &str,
    added: Option<usize>,
) -> String {
    let from = emit.node("Shape", &[gradient], []);
    let target = emit.node("Shape", &[like], []);
    let ones = match added {
        Some(0) => None,
        Some(added) => Some(emit.ints(&vec![1; added])),
        None => {
            let ranks = [&from, &target].map(|shape| emit.node("Shape", &[shape], []));
            let added = emit.node("Sub", &[&ranks[0], &ranks[1]], []);
            let one = emit.constant(TensorProto::int64s("", &[], &[1]));
            Some(emit.node("Expand", &[&one, &added], []))
        }
    };
    let aligned = match &ones {
        Some(ones) => emit.node("Concat", &[ones, &target], [AttributeProto::int("axis", 0)]),
        None => target.clone(),
    };
    let same = emit.node("Equal", &[&from, &aligned], []);
    let stretched = emit.node("Not", &[&same], []);
    let axes = emit.node("NonZero", &[&stretched], []);
    let first = emit.ints(&[0]);
    let axes = emit.node("Squeeze", &[&axes, &first], []);
    let keep = [
        AttributeProto::int("keepdims", 1),
        AttributeProto::int("noop_with_empty_axes", 1),
    ];
    let sum = emit.node("ReduceSum", &[gradient, &axes], keep);
    match ones {
        Some(_) => emit.node("Reshape", &[&sum, &target], []),
        None => sum,
    }
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

    /// What is known of the sizes of the image's axes.
    #[derive(Clone, Copy, Debug)]
    enum Sizes {
        Numbers,
        Names,
        Nothing,
    }

    /// Both orders of an operator on the image and a positive constant, and on two tensors that depend on the image.
    pub(in crate::ops) fn check(operator: &str, image: [usize; 3], constant: &[usize], seed: u64) {
        for sizes in [Sizes::Numbers, Sizes::Names, Sizes::Nothing] {
            for order in 0..3 {
                let mut net = Net::new([3, image[0], image[1], image[2]], seed);
                let mut x = "image".to_string();
                match sizes {
                    Sizes::Numbers => (),
                    Sizes::Names => net = net.of_named_sizes(),
                    Sizes::Nothing => x = net.of_unknown_shape(&x),
                }
                let other = match order {
                    2 => {
                        let sum = net.axes_op("ReduceMean", &x, &[2], true);
                        net.op("Sigmoid", &[&sum], [])
                    }
                    _ => net.positive(constant),
                };
                let inputs = if order == 0 {
                    [&x, &other]
                } else {
                    [&other, &x]
                };
                let result = net.op(operator, &[inputs[0], inputs[1]], []);
                net.check(&result, seed);
            }
        }
    }

    /// The operators of the gradient graph of a sum of the image and a constant.
    fn emitted(net: Net, x: &str, constant: &str) -> Vec<String> {
        let mut net = net;
        let sum = net.op("Add", &[x, constant], []);
        net.check(&sum, 1);
        let gradient = crate::differentiate(&net.classifier(&sum)).unwrap();
        let nodes = gradient.graph().node.iter();
        nodes.map(|node| node.op_type.clone()).collect()
    }

    #[test]
    fn axes_are_found_at_run_time_only_where_the_shapes_do_not_tell_them() {
        let at_run_time = |names: bool, unknown: bool, constant: &[usize]| {
            let mut net = Net::new([3, 2, 1, 2], 1);
            if names {
                net = net.of_named_sizes();
            }
            let constant = net.positive(constant);
            let x = if unknown {
                net.of_unknown_shape("image")
            } else {
                "image".into()
            };
            emitted(net, &x, &constant).contains(&"NonZero".to_string())
        };
        assert!(!at_run_time(false, false, &[2, 4, 2]));
        assert!(at_run_time(true, false, &[2, 4, 2]));
        assert!(at_run_time(false, true, &[2, 4, 2]));
        assert!(!at_run_time(true, false, &[1, 1]));
        assert!(!at_run_time(false, true, &[1, 1]));
    }

    #[test]
    fn axes_that_a_tensor_gains_are_summed_over() {
        for constant in [&[1, 1, 1, 1, 1][..], &[2, 1, 1, 1, 1], &[2, 1, 1, 3, 2]] {
            for unknown in [false, true] {
                let mut net = Net::new([1, 2, 1, 2], 1).of_named_sizes();
                let constant = net.positive(constant);
                let x = if unknown {
                    net.of_unknown_shape("image")
                } else {
                    "image".into()
                };
                let y = net.op("Mul", &[&x, &constant], []);
                let row = net.ints(&[1, -1]);
                let y = net.op("Reshape", &[&y, &row], []);
                net.check(&y, 1);
            }
        }
    }
}
