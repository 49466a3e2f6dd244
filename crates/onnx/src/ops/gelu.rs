//! `Gelu`: ONNX operator specification, section "Gelu"; y = x (1 + erf(x / sqrt(2))) / 2, or with `approximate` "tanh"
//! y = x (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))) / 2.

use super::{Gradients, Rule, same_shape};
use crate::{emitter::Emitter, node::Node, proto::AttributeProto};

/// sqrt(2 / pi).
const STEEPNESS: f32 = 0.797_884_6;
const CUBIC: f32 = 0.044715;

/// -ln(sqrt(2 pi)).
const LOG_PEAK: f32 = -0.918_938_5;

pub(super) const RULE: Rule = Rule {
    operator: "Gelu",
    shape: same_shape,
    gradient: Some(gradient),
};

fn gradient(node: &Node<'_>, emit: &mut Emitter, dy: &str) -> Result<Gradients, String> {
    let x = node.require_input(0)?;
    let slope = match node.string("approximate").unwrap_or("none") {
        "none" => exact(emit, x),
        "tanh" => approximate(emit, x),
        other => {
            return Err(format!(
                "its approximation `{other}` is none of `none` and `tanh`"
            ));
        }
    };
    Ok(vec![(0, emit.node("Mul", &[dy, &slope], []))])
}

/// P(x) + x p(x), with the distribution function P and the density p of the normal distribution.
fn exact(emit: &mut Emitter, x: &str) -> String {
    let (root, peak) = (
        emit.float(std::f32::consts::FRAC_1_SQRT_2),
        emit.float(LOG_PEAK),
    );
    let scaled = emit.node("Mul", &[x, &root], []);
    let erf = emit.node("Erf", &[&scaled], []);
    let distribution = from_plus_minus_one(emit, &erf);
    let square = emit.node("Mul", &[&scaled, &scaled], []);
    let exponent = emit.node("Sub", &[&peak, &square], []);
    let density = emit.node("Exp", &[&exponent], []);
    let part = emit.node("Mul", &[x, &density], []);
    emit.node("Add", &[&distribution, &part], [])
}

/// (1 + t) / 2 + x (1 - t^2) u' / 2 with t = tanh(u), for an x clipped to where the last term has not vanished: its factors would
/// overflow.
fn approximate(emit: &mut Emitter, x: &str) -> String {
    let [low, high, one] = [-6.0, 6.0, 1.0].map(|value| emit.float(value));
    let x = emit.node("Clip", &[x, &low, &high], []);
    let square = emit.node("Mul", &[&x, &x], []);
    // The coefficients of u / x and of u' / 2, as polynomials of x^2.
    let mut polynomial = |constant: f32, linear: f32| {
        let (constant, linear) = (emit.float(constant), emit.float(linear));
        let product = emit.node("Mul", &[&square, &linear], []);
        emit.node("Add", &[&product, &constant], [])
    };
    let steepness = polynomial(STEEPNESS, STEEPNESS * CUBIC);
    let half_slope = polynomial(0.5 * STEEPNESS, 1.5 * STEEPNESS * CUBIC);
    let u = emit.node("Mul", &[&x, &steepness], []);
    let t = emit.node("Tanh", &[&u], []);
    let half = from_plus_minus_one(emit, &t);
    let square = emit.node("Mul", &[&t, &t], []);
    let rest = emit.node("Sub", &[&one, &square], []);
    let part = emit.node("Mul", &[&rest, &x], []);
    let part = emit.node("Mul", &[&part, &half_slope], []);
    emit.node("Add", &[&half, &part], [])
}

/// (1 + t) / 2 for t from -1 to 1, in one node.
fn from_plus_minus_one(emit: &mut Emitter, t: &str) -> String {
    let half = [
        AttributeProto::float("alpha", 0.5),
        AttributeProto::float("beta", 0.5),
    ];
    emit.node("HardSigmoid", &[t], half)
}

#[cfg(test)]
mod tests {
    use super::super::elementwise;
    use crate::proto::AttributeProto;
    use proptest::prelude::*;

    fn approximations() -> [Vec<AttributeProto>; 3] {
        let named = |name| vec![AttributeProto::string("approximate", name)];
        [vec![], named("none"), named("tanh")]
    }

    proptest! {
        #![proptest_config(crate::reference::cases(12))]
        #[test]
        fn gradient_is_the_difference_quotient(approximate in prop::sample::select(approximations().to_vec()), seed: u64) {
            elementwise::check("Gelu", &approximate, 20, seed);
        }
    }

    #[test]
    fn the_slope_is_right_far_from_zero() {
        for approximate in approximations() {
            elementwise::check_far("Gelu", &approximate, [0.0, 1.0]);
        }
    }
}
