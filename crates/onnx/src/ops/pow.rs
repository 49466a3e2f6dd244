//! `Pow`: ONNX operator specification, section "Pow"; y = x^p with broadcasting, for a constant p.

use super::{Gradients, Rule, broadcast};
use crate::{
    emitter::Emitter,
    node::Node,
    proto::{AttributeProto, DataType},
};

pub(super) const RULE: Rule = Rule {
    operator: "Pow",
    shape: broadcast::infer,
    gradient: Some(gradient),
};

/// dx = dy p x^(p-1).
fn gradient(node: &Node<'_>, emit: &mut Emitter, dy: &str) -> Result<Gradients, String> {
    node.constant_inputs(&[(1, "exponent")])?;
    let x = node.require_input(0)?;
    let slope = match node.stored(1) {
        None => computed(node, emit, x)?,
        Some(exponent) => {
            let values = exponent
                .to_f64s()
                .ok_or("the element type of its exponent is none of float, double, int32, int64")?;
            match values.as_slice() {
                [p] if *p == 0.0 => return Ok(vec![]),
                // Without a division by zero, or a logarithm, at x = 0.
                [p] if *p == 1.0 => return input_gradient(node, emit, dy.into()),
                [p] if *p == 2.0 => {
                    let two = emit.float(2.0);
                    emit.node("Mul", &[x, &two], [])
                }
                _ => {
                    let powers: Vec<f32> = values.iter().map(|p| *p as f32).collect();
                    let lower: Vec<f32> = values.iter().map(|p| lower(*p) as f32).collect();
                    let (factor, lower) = (
                        emit.floats(&exponent.dims, &powers),
                        emit.floats(&exponent.dims, &lower),
                    );
                    let power = emit.node("Pow", &[x, &lower], []);
                    emit.node("Mul", &[&power, &factor], [])
                }
            }
        }
    };
    let dx = emit.node("Mul", &[dy, &slope], []);
    input_gradient(node, emit, dx)
}

fn input_gradient(node: &Node<'_>, emit: &mut Emitter, dx: String) -> Result<Gradients, String> {
    Ok(vec![(0, broadcast::reduce_to_input(node, emit, dx, 0)?)])
}

/// The exponent of the slope. Where p = 0, the slope is zero whatever the power is, unless that is infinite.
fn lower(p: f64) -> f64 {
    if p == 0.0 { 0.0 } else { p - 1.0 }
}

/// The slope for an exponent that is computed in the graph.
fn computed(node: &Node<'_>, emit: &mut Emitter, x: &str) -> Result<String, String> {
    let float = AttributeProto::int("to", DataType::Float as i64);
    let p = emit.node("Cast", &[node.require_input(1)?], [float]);
    let (zero, one) = (emit.float(0.0), emit.float(1.0));
    let is_zero = emit.node("Equal", &[&p, &zero], []);
    let lower = emit.node("Sub", &[&p, &one], []);
    let lower = emit.node("Where", &[&is_zero, &zero, &lower], []);
    let power = emit.node("Pow", &[x, &lower], []);
    Ok(emit.node("Mul", &[&power, &p], []))
}

#[cfg(test)]
mod tests {
    use crate::{proto::TensorProto, reference::net::Net};
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(crate::reference::cases(24))]
        #[test]
        fn gradient_is_the_difference_quotient(p in prop_oneof![Just(0.0f32), Just(1.0), Just(2.0), -2.0..3.0f32], seed: u64) {
            let mut net = Net::new([3, 2, 3, 3], seed);
            let p = net.floats(&[1], &[p]);
            let y = net.op("Pow", &["image", &p], []);
            // Beside it, so that an exponent of zero leaves something to compare.
            let y = net.op("Add", &["image", &y], []);
            net.check(&y, seed);
        }

        #[test]
        fn exponents_may_be_integers_and_stretch_the_base(
            p in prop::collection::vec(-1i64..4, 3), computed: bool, seed: u64,
        ) {
            let mut net = Net::new([3, 2, 2, 1], seed);
            let mut p = net.store(TensorProto::int64s("", &[3], &p));
            if computed {
                p = net.op("Identity", &[&p], []);
            }
            let y = net.op("Pow", &["image", &p], []);
            net.check(&y, seed);
        }
    }

    #[test]
    fn the_slope_of_a_constant_is_zero_at_zero_too() {
        for computed in [false, true] {
            let mut net = Net::new([1, 1, 1, 2], 3);
            let mut p = net.floats(&[2], &[0.0, 3.0]);
            if computed {
                p = net.op("Identity", &[&p], []);
            }
            let y = net.op("Pow", &["image", &p], []);
            let gradient = net.gradient_at(&y, &[0.0, 1.0], &[1.0, -2.0, 0.5]);
            assert_eq!(gradient[0], 0.0);
            assert!(gradient[1] != 0.0, "{gradient:?}");
        }
    }
}
