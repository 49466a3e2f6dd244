use super::{
    Call,
    tensor::{Tensor, broadcast_dims, indices},
};

pub fn run(call: &Call<'_>, operator: &str) -> Option<Vec<Tensor>> {
    let truth = |value: bool| f64::from(u8::from(value));
    let result = match operator {
        "Add" | "Sum" => fold(call, |a, b| a + b),
        "Mean" => {
            let count = call.inputs.len() as f64;
            fold(call, |a, b| a + b).map(|sum| sum / count)
        }
        "Sub" => fold(call, |a, b| a - b),
        "Mul" => fold(call, |a, b| a * b),
        "Div" => fold(call, |a, b| a / b),
        "Pow" => fold(call, f64::powf),
        "Max" => fold(call, f64::max),
        "Min" => fold(call, f64::min),
        "Equal" => fold(call, |a, b| truth(a == b)),
        "Greater" => fold(call, |a, b| truth(a > b)),
        "GreaterOrEqual" => fold(call, |a, b| truth(a >= b)),
        "Less" => fold(call, |a, b| truth(a < b)),
        "LessOrEqual" => fold(call, |a, b| truth(a <= b)),
        "And" => fold(call, |a, b| truth(a != 0.0 && b != 0.0)),
        "Or" => fold(call, |a, b| truth(a != 0.0 || b != 0.0)),
        "Not" => call.x().map(|x| truth(x == 0.0)),
        "NonZero" => {
            let x = call.x();
            let found: Vec<Vec<usize>> = indices(&x.dims)
                .into_iter()
                .filter(|index| x.at(index) != 0.0)
                .collect();
            Tensor::build(&[x.dims.len(), found.len()], |index| {
                found[index[1]][index[0]] as f64
            })
        }
        "Relu" => call.x().map(|x| if x > 0.0 { x } else { 0.0 }),
        "Sigmoid" => call.x().map(|x| 1.0 / (1.0 + (-x).exp())),
        "Tanh" => call.x().map(f64::tanh),
        "Sqrt" => call.x().map(f64::sqrt),
        "Exp" => call.x().map(f64::exp),
        "Log" => call.x().map(f64::ln),
        "Sin" => call.x().map(f64::sin),
        "Cos" => call.x().map(f64::cos),
        "Erf" => call.x().map(erf),
        "Abs" => call.x().map(f64::abs),
        "Sign" => call.x().map(|x| truth(x > 0.0) - truth(x < 0.0)),
        "Reciprocal" => call.x().map(|x| 1.0 / x),
        "Softplus" => call.x().map(softplus),
        "Softsign" => call.x().map(|x| x / (1.0 + x.abs())),
        "Swish" => {
            let alpha = call.float("alpha", 1.0);
            call.x().map(|x| x / (1.0 + (-alpha * x).exp()))
        }
        "Mish" => call.x().map(|x| x * softplus(x).tanh()),
        "Gelu" if call.string("approximate").as_deref() == Some("tanh") => call.x().map(|x| {
            let steepness = (2.0 / std::f64::consts::PI).sqrt();
            0.5 * x * (1.0 + (steepness * (x + 0.044715 * x.powi(3))).tanh())
        }),
        "Gelu" => call.x().map(|x| 0.5 * x * (1.0 + erf(x / 2f64.sqrt()))),
        "HardSwish" => call.x().map(|x| x * (x / 6.0 + 0.5).clamp(0.0, 1.0)),
        "LeakyRelu" => {
            let alpha = call.float("alpha", 0.01);
            call.x().map(|x| if x < 0.0 { alpha * x } else { x })
        }
        "PRelu" => fold(call, |x, slope| if x < 0.0 { slope * x } else { x }),
        "ThresholdedRelu" => {
            let alpha = call.float("alpha", 1.0);
            call.x().map(|x| if x > alpha { x } else { 0.0 })
        }
        "Elu" => {
            let alpha = call.float("alpha", 1.0);
            call.x()
                .map(|x| if x < 0.0 { alpha * (x.exp() - 1.0) } else { x })
        }
        "Selu" => {
            let alpha = call.float("alpha", 1.673_263_192_176_818_8);
            let gamma = call.float("gamma", 1.050_701_022_148_132_3);
            call.x().map(|x| {
                if x > 0.0 {
                    gamma * x
                } else {
                    gamma * (alpha * x.exp() - alpha)
                }
            })
        }
        "Celu" => {
            let alpha = call.float("alpha", 1.0);
            call.x()
                .map(|x| x.max(0.0) + (alpha * ((x / alpha).exp() - 1.0)).min(0.0))
        }
        "Neg" => call.x().map(|x| -x),
        "Identity" | "Dropout" => call.x().clone(),
        "HardSigmoid" => {
            let (alpha, beta) = (call.float("alpha", 0.2), call.float("beta", 0.5));
            call.x().map(|x| (alpha * x + beta).clamp(0.0, 1.0))
        }
        "Clip" => {
            let bound =
                |index, default| call.optional(index).map_or(default, |bound| bound.data[0]);
            let (low, high) = (bound(1, f64::NEG_INFINITY), bound(2, f64::INFINITY));
            call.x().map(|x| x.max(low).min(high))
        }
        "Where" => {
            let (condition, a, b) = (call.x(), call.input(1), call.input(2));
            Tensor::build(&broadcast_dims(&[condition, a, b]), |index| {
                if condition.stretched(index) != 0.0 {
                    a.stretched(index)
                } else {
                    b.stretched(index)
                }
            })
        }
        _ => return None,
    };
    Some(vec![result])
}

fn fold(call: &Call<'_>, f: impl Fn(f64, f64) -> f64) -> Tensor {
    let inputs: Vec<&Tensor> = call.inputs.iter().flatten().collect();
    Tensor::build(&broadcast_dims(&inputs), |index| {
        inputs
            .iter()
            .map(|input| input.stretched(index))
            .reduce(&f)
            .unwrap()
    })
}

fn softplus(x: f64) -> f64 {
    x.max(0.0) + (-x.abs()).exp().ln_1p()
}

/// By a series without alternating signs.
fn erf(x: f64) -> f64 {
    if x.abs() > 6.0 {
        return x.signum();
    }
    let (mut term, mut sum) = (x, x);
    for n in 1..200 {
        term *= 2.0 * x * x / f64::from(2 * n + 1);
        sum += term;
    }
    2.0 / std::f64::consts::PI.sqrt() * (-x * x).exp() * sum
}
