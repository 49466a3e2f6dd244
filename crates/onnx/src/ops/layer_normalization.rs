//! `LayerNormalization` and `RMSNormalization`: ONNX operator specification, sections of those names;
//! y = (x - mean) / sqrt(variance + epsilon) scale + bias, and y = x / sqrt(mean square + epsilon) scale, with the statistics over
//! all axes from `axis` on.

use super::{
    Gradients, Rule, same_shape,
    standardize::{Standard, Standardized},
};
use crate::{emitter::Emitter, node::Node, proto::DataType, shape};

pub(super) const LAYER: Rule = Rule {
    operator: "LayerNormalization",
    shape: same_shape,
    gradient: Some(|node, emit, dy| gradient(node, emit, dy, true)),
};

pub(super) const RMS: Rule = Rule {
    operator: "RMSNormalization",
    shape: same_shape,
    gradient: Some(|node, emit, dy| gradient(node, emit, dy, false)),
};

fn gradient(
    node: &Node<'_>,
    emit: &mut Emitter,
    dy: &str,
    centred: bool,
) -> Result<Gradients, String> {
    node.constant_inputs(&[(1, "scale"), (2, "bias")])?;
    let x = node.require_input(0)?;
    let axes = emit.ints(&axes(node)?);
    let standard = Standard {
        axes: &axes,
        centred,
    };
    let stash = node.int("stash_type").unwrap_or(1);
    let standardized = if centred && stash == DataType::Float as i64 {
        // The node has both statistics already.
        let [mean, factor] = [(1, "mean"), (2, "deviation")].map(|(position, stem)| {
            let named = node.proto.output.get(position);
            match named.filter(|name| !name.is_empty()) {
                Some(name) => name.clone(),
                None => emit.forward_output(node.output(), position, stem),
            }
        });
        let offset = emit.node("Sub", &[x, &mean], []);
        Standardized {
            values: emit.node("Mul", &[&offset, &factor], []),
            factor,
        }
    } else {
        standard.of(emit, x, node.float("epsilon").unwrap_or(1e-5))
    };
    let g = emit.node("Mul", &[dy, node.require_input(1)?], []);
    Ok(vec![(0, standard.gradient(emit, &g, &standardized))])
}

/// The axes from `axis` on, which can be counted from the end where the rank is not known.
fn axes(node: &Node<'_>) -> Result<Vec<i64>, String> {
    let first = node.int("axis").unwrap_or(-1);
    let rank = match node.shape(0) {
        None if first < 0 => return Ok((first.max(-64)..0).collect()),
        _ => node.require_shape(0)?.len(),
    };
    let first = shape::axis(first, rank)
        .ok_or_else(|| format!("its axis {first} is out of range for {rank} axes"))?;
    Ok((first as i64..rank as i64).collect())
}

#[cfg(test)]
mod tests {
    use crate::{
        Model, differentiate,
        proto::AttributeProto,
        reference::net::{Net, Random, check},
    };
    use proptest::prelude::*;

    /// Which axes, and the shapes of scale and bias that fit.
    fn forms() -> impl Strategy<Value = (Option<i64>, Vec<usize>)> {
        prop::sample::select(vec![
            (None, vec![4]),
            (Some(-1), vec![1]),
            (Some(3), vec![3, 4]),
            (Some(-2), vec![3, 4]),
            (Some(2), vec![4]),
            (Some(1), vec![2, 3, 4]),
            (Some(-3), vec![2, 1, 1]),
        ])
    }

    proptest! {
        #![proptest_config(crate::reference::cases(24))]
        #[test]
        fn gradient_is_the_difference_quotient(
            (axis, shape) in forms(), biased: bool, stash in prop::sample::select(vec![None, Some(1), Some(11)]),
            epsilon in 1e-5..0.5f32, unknown: bool, seed: u64,
        ) {
            for operator in ["LayerNormalization", "RMSNormalization"] {
                let mut net = Net::new([3, 2, 3, 4], seed).with_opset(23);
                let mut x = net.centred();
                if unknown && axis.is_none_or(|axis| axis < 0) {
                    x = net.of_unknown_shape(&x);
                }
                let scale = net.weights(&shape);
                let mut inputs = vec![x, scale];
                if biased && operator == "LayerNormalization" {
                    inputs.push(net.weights(&shape));
                }
                let mut attributes = vec![AttributeProto::float("epsilon", epsilon)];
                attributes.extend(axis.map(|axis| AttributeProto::int("axis", axis)));
                attributes.extend(stash.map(|stash| AttributeProto::int("stash_type", stash)));
                let inputs: Vec<&str> = inputs.iter().map(String::as_str).collect();
                let y = net.op(operator, &inputs, attributes);
                net.check(&y, seed);
            }
        }
    }

    #[test]
    fn statistics_that_have_a_name_keep_it() {
        let mut net = Net::new([3, 2, 3, 4], 5);
        let scale = net.weights(&[4]);
        let y = net.op("LayerNormalization", &["image", &scale], []);
        let mut proto = net.classifier(&y).to_proto();
        let graph = proto.graph.as_mut().unwrap();
        let node = graph.node.iter_mut().find(|node| node.output[0] == y);
        node.unwrap().output.push("mean".into());
        let model = Model::from_proto(proto).unwrap();
        check(&model, &Random::new(1).tensor(&[3, 2, 3, 4], 0.2, 1.2), 5);
        let gradient = differentiate(&model).unwrap();
        let mut nodes = gradient.graph().node.iter();
        let node = nodes.find(|node| node.output[0] == y).unwrap();
        assert_eq!(node.output[1], "mean");
    }
}
