//! `Elu`, `Selu` and `Celu`: ONNX operator specification, sections of those names. For x > 0 all are lines; elsewhere
//! alpha (exp(x) - 1), gamma alpha (exp(x) - 1) and alpha (exp(x / alpha) - 1), whose slope follows from their value.

use super::{Gradients, Rule, same_shape};
use crate::{emitter::Emitter, node::Node, proto::AttributeProto};

pub(super) const ELU: Rule = Rule {
    operator: "Elu",
    shape: same_shape,
    gradient: Some(|node, emit, dy| {
        let alpha = node.float("alpha").unwrap_or(1.0);
        if alpha == 1.0 {
            return clipped(node, emit, dy, 1.0);
        }
        broken(node, emit, dy, 1.0, alpha)
    }),
};

pub(super) const SELU: Rule = Rule {
    operator: "Selu",
    shape: same_shape,
    gradient: Some(|node, emit, dy| {
        let alpha = node.float("alpha").unwrap_or(1.673_263_2);
        let gamma = node.float("gamma").unwrap_or(1.050_701);
        broken(node, emit, dy, gamma, gamma * alpha)
    }),
};

pub(super) const CELU: Rule = Rule {
    operator: "Celu",
    shape: same_shape,
    gradient: Some(|node, emit, dy| {
        let alpha = node.float("alpha").unwrap_or(1.0);
        clipped(node, emit, dy, alpha.recip())
    }),
};

/// The slope is y times a steepness plus 1 for x < 0, and 1 elsewhere, where the former is more.
fn clipped(
    node: &Node<'_>,
    emit: &mut Emitter,
    dy: &str,
    steepness: f32,
) -> Result<Gradients, String> {
    if !(steepness > 0.0 && steepness.is_finite()) {
        return Err("its alpha is not positive".into());
    }
    let attributes = [
        AttributeProto::float("alpha", steepness),
        AttributeProto::float("beta", 1.0),
    ];
    let slope = emit.node("HardSigmoid", &[node.output()], attributes);
    Ok(vec![(0, emit.node("Mul", &[dy, &slope], []))])
}

/// The slope is y + depth for x < 0, and that of the line elsewhere: min(y, 0) plus a steep line that is clipped to depth and to
/// the slope of the line, which meet at the sign of y.
fn broken(
    node: &Node<'_>,
    emit: &mut Emitter,
    dy: &str,
    line: f32,
    depth: f32,
) -> Result<Gradients, String> {
    // Else y would not have the sign of x.
    if !(line > 0.0 && depth >= 0.0) {
        return Err("its alpha or its gamma is not positive".into());
    }
    let steepness = if line >= depth { 1e30 } else { -1e30 };
    let [zero, steepness, low, high] =
        [0.0, steepness, line.min(depth), line.max(depth)].map(|value| emit.float(value));
    let negative = emit.node("Min", &[node.output(), &zero], []);
    let step = emit.node("Mul", &[node.output(), &steepness], []);
    let step = emit.node("Clip", &[&step, &low, &high], []);
    let slope = emit.node("Add", &[&negative, &step], []);
    Ok(vec![(0, emit.node("Mul", &[dy, &slope], []))])
}

#[cfg(test)]
mod tests {
    use super::super::elementwise;
    use crate::{check, proto::AttributeProto, reference::net::Net};
    use proptest::prelude::*;

    fn floats(values: &[(&str, f32)]) -> Vec<AttributeProto> {
        let float = |&(name, value): &(&str, f32)| AttributeProto::float(name, value);
        values.iter().map(float).collect()
    }

    proptest! {
        #![proptest_config(crate::reference::cases(16))]
        #[test]
        fn gradient_is_the_difference_quotient(alpha in prop_oneof![Just(0.0), Just(1.0), 0.0..2.0f32], gamma in 0.1..2.0f32, seed: u64) {
            for alpha in [vec![], floats(&[("alpha", alpha)])] {
                elementwise::check("Elu", &alpha, 12, seed);
            }
            for shape in [vec![], floats(&[("alpha", alpha), ("gamma", gamma)])] {
                elementwise::check("Selu", &shape, 12, seed);
            }
            for alpha in [vec![], floats(&[("alpha", alpha + 0.1)])] {
                elementwise::check("Celu", &alpha, 12, seed);
            }
        }
    }

    #[test]
    fn the_slope_is_right_far_from_zero() {
        elementwise::check_far("Elu", &[], [0.0, 1.0]);
        elementwise::check_far("Elu", &floats(&[("alpha", 0.5)]), [0.0, 1.0]);
        elementwise::check_far(
            "Selu",
            &floats(&[("alpha", 1.5), ("gamma", 2.0)]),
            [0.0, 2.0],
        );
        elementwise::check_far("Celu", &floats(&[("alpha", 0.5)]), [0.0, 1.0]);
    }

    #[test]
    fn the_wrong_way_round_is_refused() {
        for operator in ["Elu", "Selu", "Celu"] {
            for alpha in [-1.0, f32::NAN] {
                let mut net = Net::new([1, 1, 1, 2], 1);
                let y = net.op(operator, &["image"], floats(&[("alpha", alpha)]));
                let logits = net.op("Flatten", &[&y], []);
                let obstacles = check(&net.finish(&logits, None)).unwrap_err();
                assert!(
                    obstacles[0].reason.contains("not positive"),
                    "{obstacles:?}"
                );
            }
        }
    }
}
