use super::{
    Call,
    tensor::{Tensor, broadcast_dims, indices},
};

pub fn run(call: &Call<'_>, operator: &str) -> Option<Vec<Tensor>> {
    Some(vec![match operator {
        "Gemm" => gemm(call),
        "MatMul" => matmul(call.x(), call.input(1)),
        "BatchNormalization" => {
            let epsilon = call.float("epsilon", 1e-5);
            let x = call.x();
            Tensor::build(&x.dims, |index| {
                let [scale, bias, mean, variance] =
                    [1, 2, 3, 4].map(|i| call.input(i).data[index[1]]);
                (x.at(index) - mean) / (variance + epsilon).sqrt() * scale + bias
            })
        }
        "ReduceSum" => reduce(call, |group| group.iter().sum()),
        "ReduceMean" => reduce(call, |group| group.iter().sum::<f64>() / group.len() as f64),
        "ReduceMax" => reduce(call, |group| {
            group.iter().copied().fold(f64::NEG_INFINITY, f64::max)
        }),
        "ReduceMin" => reduce(call, |group| {
            group.iter().copied().fold(f64::INFINITY, f64::min)
        }),
        "ReduceProd" => reduce(call, |group| group.iter().product()),
        "ReduceL1" => reduce(call, |group| group.iter().map(|x| x.abs()).sum()),
        "ReduceL2" => reduce(call, |group| {
            group.iter().map(|x| x * x).sum::<f64>().sqrt()
        }),
        "ReduceSumSquare" => reduce(call, |group| group.iter().map(|x| x * x).sum()),
        "ReduceLogSum" => reduce(call, |group| group.iter().sum::<f64>().ln()),
        "ReduceLogSumExp" => reduce(call, |group| {
            let peak = group.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            let sum: f64 = group.iter().map(|x| (x - peak).exp()).sum();
            peak + sum.ln()
        }),
        "Softmax" => along(call, |row| {
            let peak = row.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            let sum: f64 = row.iter().map(|v| (v - peak).exp()).sum();
            row.iter().map(|v| (v - peak).exp() / sum).collect()
        }),
        "LogSoftmax" => along(call, |row| {
            let peak = row.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            let sum: f64 = row.iter().map(|v| (v - peak).exp()).sum();
            row.iter().map(|v| v - peak - sum.ln()).collect()
        }),
        "ArgMax" => {
            let axis = call.axis("axis", 0);
            assert_eq!(call.int("keepdims", 1), 1);
            let x = call.x();
            let mut dims = x.dims.clone();
            dims[axis] = 1;
            Tensor::build(&dims, |index| {
                let mut index = index.to_vec();
                let mut best = (f64::NEG_INFINITY, 0);
                for i in 0..x.dims[axis] {
                    index[axis] = i;
                    if x.at(&index) > best.0 {
                        best = (x.at(&index), i);
                    }
                }
                best.1 as f64
            })
        }
        _ => return None,
    }])
}

fn gemm(call: &Call<'_>) -> Tensor {
    let turn = |tensor: &Tensor, turned: bool| {
        let [rows, columns] = tensor.dims[..] else {
            panic!("Gemm takes matrices")
        };
        if turned {
            Tensor::build(&[columns, rows], |index| tensor.at(&[index[1], index[0]]))
        } else {
            tensor.clone()
        }
    };
    let a = turn(call.x(), call.int("transA", 0) != 0);
    let b = turn(call.input(1), call.int("transB", 0) != 0);
    let (alpha, beta) = (call.float("alpha", 1.0), call.float("beta", 1.0));
    let product = matmul(&a, &b);
    Tensor::build(&product.dims, |index| {
        let added = call.optional(2).map_or(0.0, |c| beta * c.stretched(index));
        alpha * product.at(index) + added
    })
}

fn matmul(a: &Tensor, b: &Tensor) -> Tensor {
    let (batch_a, [rows, inner]) = a.dims.split_last_chunk::<2>().unwrap();
    let (batch_b, [inner_b, columns]) = b.dims.split_last_chunk::<2>().unwrap();
    assert_eq!(inner, inner_b, "the inner sizes of a matrix product differ");
    let batches = [batch_a, batch_b].map(|batch| Tensor::filled(batch, 0.0));
    let batch = broadcast_dims(&[&batches[0], &batches[1]]);
    let pick = |tensor: &Tensor, batch: &[usize], row, column| {
        let index = [batch, &[row, column]].concat();
        tensor.stretched(&index)
    };
    Tensor::build(&[batch.as_slice(), &[*rows, *columns]].concat(), |index| {
        let (batch, [row, column]) = index.split_last_chunk::<2>().unwrap();
        // A matrix of one row is not stretched: the inner indices are within bounds by themselves.
        (0..*inner)
            .map(|k| pick(a, batch, *row, k) * pick(b, batch, k, *column))
            .sum()
    })
}

fn reduce(call: &Call<'_>, f: impl Fn(&[f64]) -> f64) -> Tensor {
    let x = call.x();
    let rank = x.dims.len() as i64;
    // Older operator sets have an attribute in place of the input.
    let given = call.optional(1).map(Tensor::ints);
    let given = given.or_else(|| call.ints("axes")).unwrap_or_default();
    let axes: Vec<usize> = given
        .iter()
        .map(|&axis| (if axis < 0 { axis + rank } else { axis }) as usize)
        .collect();
    let all = axes.is_empty();
    if all && call.int("noop_with_empty_axes", 0) != 0 {
        // Each element is a group of its own.
        return x.map(|x| f(&[x]));
    }
    let reduced = |axis: usize| all || axes.contains(&axis);
    let kept: Vec<usize> = x
        .dims
        .iter()
        .enumerate()
        .map(|(axis, &dim)| if reduced(axis) { 1 } else { dim })
        .collect();
    let mut groups = vec![vec![]; kept.iter().product()];
    let positions = Tensor::new(&kept, (0..groups.len()).map(|i| i as f64).collect());
    for index in indices(&x.dims) {
        let own: Vec<usize> = index
            .iter()
            .enumerate()
            .map(|(axis, &i)| if reduced(axis) { 0 } else { i })
            .collect();
        groups[positions.at(&own) as usize].push(x.at(&index));
    }
    let data = groups.iter().map(|group| f(group)).collect();
    let dims: Vec<usize> = if call.int("keepdims", 1) != 0 {
        kept
    } else {
        x.dims
            .iter()
            .enumerate()
            .filter(|(axis, _)| !reduced(*axis))
            .map(|(_, &dim)| dim)
            .collect()
    };
    Tensor::new(&dims, data)
}

fn along(call: &Call<'_>, f: impl Fn(&[f64]) -> Vec<f64>) -> Tensor {
    let x = call.x();
    let axis = call.axis("axis", -1);
    Tensor::build(&x.dims, |index| {
        let row: Vec<f64> = (0..x.dims[axis])
            .map(|i| {
                let mut index = index.to_vec();
                index[axis] = i;
                x.at(&index)
            })
            .collect();
        f(&row)[index[axis]]
    })
}
