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
        "Einsum" => einsum(call),
        "CumSum" => {
            let (exclusive, reverse) = (call.int("exclusive", 0) != 0, call.int("reverse", 0) != 0);
            let x = call.x();
            let axis = call.input(1).ints()[0];
            let axis = (if axis < 0 {
                axis + x.dims.len() as i64
            } else {
                axis
            }) as usize;
            Tensor::build(&x.dims, |index| {
                let here = index[axis];
                let mut index = index.to_vec();
                let mut sum = 0.0;
                for i in 0..x.dims[axis] {
                    let before = if reverse { i > here } else { i < here };
                    if before || i == here && !exclusive {
                        index[axis] = i;
                        sum += x.at(&index);
                    }
                }
                sum
            })
        }
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

/// Each axis of the equation runs over its size; products of the inputs are summed where they go to the same place.
fn einsum(call: &Call<'_>) -> Tensor {
    let text = call.string("equation").unwrap().replace(' ', "");
    let (inputs, output) = match text.split_once("->") {
        Some((inputs, output)) => (inputs, output.to_string()),
        None => {
            let mut axes: Vec<char> = text.chars().filter(|c| *c != ',').collect();
            axes.retain(|axis| text.matches(*axis).count() == 1);
            axes.sort_unstable();
            (text.as_str(), axes.into_iter().collect())
        }
    };
    let terms: Vec<Vec<char>> = inputs
        .split(',')
        .map(|term| term.chars().collect())
        .collect();
    let mut axes: Vec<(char, usize)> = vec![];
    for (input, term) in terms.iter().enumerate() {
        for (axis, &dim) in term.iter().zip(&call.input(input).dims) {
            match axes.iter().find(|(known, _)| known == axis) {
                Some((_, size)) => assert_eq!(*size, dim),
                None => axes.push((*axis, dim)),
            }
        }
    }
    let position = |axis: char| axes.iter().position(|(known, _)| *known == axis).unwrap();
    let dims: Vec<usize> = output.chars().map(|axis| axes[position(axis)].1).collect();
    let sizes: Vec<usize> = axes.iter().map(|(_, size)| *size).collect();
    let mut result = Tensor::filled(&dims, 0.0);
    for index in indices(&sizes) {
        let product = terms.iter().enumerate().map(|(input, term)| {
            let own: Vec<usize> = term.iter().map(|&axis| index[position(axis)]).collect();
            call.input(input).at(&own)
        });
        let product: f64 = product.product();
        let to: Vec<usize> = output.chars().map(|axis| index[position(axis)]).collect();
        *result.at_mut(&to) += product;
    }
    result
}

fn matmul(a: &Tensor, b: &Tensor) -> Tensor {
    // A vector is a row on the left and a column on the right, which the result does not have.
    if a.dims.len() == 1 {
        let row = Tensor::new(&[1, a.dims[0]], a.data.clone());
        let mut product = matmul(&row, b);
        let at = if b.dims.len() == 1 {
            0
        } else {
            product.dims.len() - 2
        };
        product.dims.remove(at);
        return product;
    }
    if b.dims.len() == 1 {
        let mut product = matmul(a, &Tensor::new(&[b.dims[0], 1], b.data.clone()));
        product.dims.pop();
        return product;
    }
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
