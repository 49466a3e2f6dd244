use super::{
    Call,
    tensor::{Tensor, indices},
};

pub fn run(call: &Call<'_>, operator: &str) -> Option<Vec<Tensor>> {
    if !operator.ends_with("Normalization") || operator == "BatchNormalization" {
        return None;
    }
    let x = call.x();
    let epsilon = call.float("epsilon", 1e-5);
    Some(match operator {
        "LayerNormalization" => {
            let axis = call.axis("axis", -1);
            let group = |index: &[usize]| index[..axis].to_vec();
            let statistics = statistics(x, group);
            let mut dims = x.dims.clone();
            dims[axis..].fill(1);
            let of_group = |f: &dyn Fn(&[usize]) -> f64| Tensor::build(&dims, |index| f(index));
            let y = Tensor::build(&x.dims, |index| {
                let (mean, variance) = statistics(&group(index));
                let standard = (x.at(index) - mean) / (variance + epsilon).sqrt();
                let bias = call.optional(2).map_or(0.0, |bias| bias.stretched(index));
                standard * call.input(1).stretched(index) + bias
            });
            vec![
                y,
                of_group(&|index| statistics(&group(index)).0),
                of_group(&|index| 1.0 / (statistics(&group(index)).1 + epsilon).sqrt()),
            ]
        }
        "RMSNormalization" => {
            let axis = call.axis("axis", -1);
            let square = x.map(|x| x * x);
            let group = |index: &[usize]| index[..axis].to_vec();
            let statistics = statistics(&square, group);
            vec![Tensor::build(&x.dims, |index| {
                let (mean, _) = statistics(&group(index));
                x.at(index) / (mean + epsilon).sqrt() * call.input(1).stretched(index)
            })]
        }
        "InstanceNormalization" | "GroupNormalization" => {
            let channels = x.dims[1];
            let groups = if operator == "GroupNormalization" {
                call.int("num_groups", 0) as usize
            } else {
                channels
            };
            let group = |index: &[usize]| vec![index[0], index[1] / (channels / groups)];
            let statistics = statistics(x, group);
            let pick = |input: usize, channel: usize| {
                let values = &call.input(input).data;
                // One for each channel, or one for each group.
                values[channel / (channels / values.len())]
            };
            vec![Tensor::build(&x.dims, |index| {
                let (mean, variance) = statistics(&group(index));
                let standard = (x.at(index) - mean) / (variance + epsilon).sqrt();
                standard * pick(1, index[1]) + pick(2, index[1])
            })]
        }
        "LpNormalization" => {
            let (axis, p) = (call.axis("axis", -1), call.int("p", 2));
            vec![Tensor::build(&x.dims, |index| {
                let mut other = index.to_vec();
                let sum: f64 = (0..x.dims[axis])
                    .map(|i| {
                        other[axis] = i;
                        x.at(&other).abs().powi(p as i32)
                    })
                    .sum();
                let norm = if p == 1 { sum } else { sum.sqrt() };
                if norm == 0.0 { 0.0 } else { x.at(index) / norm }
            })]
        }
        _ => return None,
    })
}

/// Mean and variance of the elements of a group, by the name of the group.
fn statistics(
    x: &Tensor,
    group: impl Fn(&[usize]) -> Vec<usize>,
) -> impl Fn(&[usize]) -> (f64, f64) {
    let mut members: std::collections::HashMap<Vec<usize>, Vec<f64>> = Default::default();
    for index in indices(&x.dims) {
        members.entry(group(&index)).or_default().push(x.at(&index));
    }
    move |name| {
        let members = &members[name];
        let count = members.len() as f64;
        let mean = members.iter().sum::<f64>() / count;
        let variance = members.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / count;
        (mean, variance)
    }
}
