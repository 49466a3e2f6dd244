use super::{
    Call,
    tensor::{Tensor, broadcast_dims},
};

pub fn run(call: &Call<'_>, operator: &str) -> Option<Vec<Tensor>> {
    let truth = |value: bool| f64::from(u8::from(value));
    let result = match operator {
        "Add" | "Sum" => fold(call, |a, b| a + b),
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
        "Relu" => call.x().map(|x| if x > 0.0 { x } else { 0.0 }),
        "Sigmoid" => call.x().map(|x| 1.0 / (1.0 + (-x).exp())),
        "Tanh" => call.x().map(f64::tanh),
        "Sqrt" => call.x().map(f64::sqrt),
        "Exp" => call.x().map(f64::exp),
        "Log" => call.x().map(f64::ln),
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
