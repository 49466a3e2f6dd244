use super::{
    Call,
    tensor::{Tensor, broadcast_dims, indices},
};

pub fn run(call: &Call<'_>, operator: &str) -> Option<Vec<Tensor>> {
    let floats = |dims: &[usize]| Tensor::list(dims.iter().map(|&dim| dim as f64).collect());
    Some(vec![match operator {
        "Reshape" => reshape(call),
        "Flatten" => {
            let axis = call.axis("axis", 1);
            let (front, back) = call.x().dims.split_at(axis);
            with_dims(call.x(), &[front.iter().product(), back.iter().product()])
        }
        "Squeeze" => {
            let x = call.x();
            let axes = axes(call, x.dims.len());
            let kept = x.dims.iter().enumerate();
            let kept = kept.filter(|(axis, dim)| {
                if axes.is_empty() {
                    **dim != 1
                } else {
                    !axes.contains(axis)
                }
            });
            with_dims(x, &kept.map(|(_, &dim)| dim).collect::<Vec<_>>())
        }
        "Unsqueeze" => {
            let x = call.x();
            let rank = x.dims.len() + call.input(1).data.len();
            let axes = axes(call, rank);
            let mut old = x.dims.iter();
            let dims: Vec<usize> = (0..rank)
                .map(|axis| {
                    if axes.contains(&axis) {
                        1
                    } else {
                        *old.next().unwrap()
                    }
                })
                .collect();
            with_dims(x, &dims)
        }
        "Transpose" => {
            let x = call.x();
            let perm = call
                .ints("perm")
                .unwrap_or((0..x.dims.len() as i64).rev().collect());
            let dims: Vec<usize> = perm.iter().map(|&from| x.dims[from as usize]).collect();
            Tensor::build(&dims, |index| {
                let mut source = vec![0; index.len()];
                for (to, &from) in perm.iter().enumerate() {
                    source[from as usize] = index[to];
                }
                x.at(&source)
            })
        }
        "Shape" => floats(&call.x().dims),
        "Size" => Tensor::new(&[], vec![call.x().data.len() as f64]),
        "Gather" => {
            let (x, picks, axis) = (call.x(), call.input(1), call.axis("axis", 0));
            let dims = [&x.dims[..axis], &picks.dims, &x.dims[axis + 1..]].concat();
            Tensor::build(&dims, |index| {
                let (front, rest) = index.split_at(axis);
                let (pick, back) = rest.split_at(picks.dims.len());
                x.at(&[front, &[picks.at(pick) as usize], back].concat())
            })
        }
        "Concat" => {
            let axis = call.axis("axis", 0);
            let parts: Vec<&Tensor> = call.inputs.iter().flatten().collect();
            let mut dims = call.x().dims.clone();
            dims[axis] = parts.iter().map(|part| part.dims[axis]).sum();
            Tensor::build(&dims, |index| {
                let mut index = index.to_vec();
                for part in &parts {
                    if index[axis] < part.dims[axis] {
                        return part.at(&index);
                    }
                    index[axis] -= part.dims[axis];
                }
                panic!("behind the last part")
            })
        }
        "Constant" => Tensor::new(&[], vec![call.float("value_float", f64::NAN)]),
        "Cast" => call.x().clone(),
        "Expand" => {
            let target = Tensor::filled(
                &call
                    .input(1)
                    .ints()
                    .iter()
                    .map(|&dim| dim as usize)
                    .collect::<Vec<_>>(),
                0.0,
            );
            Tensor::build(&broadcast_dims(&[call.x(), &target]), |index| {
                call.x().stretched(index)
            })
        }
        "ConstantOfShape" => {
            assert!(
                call.attribute("value").is_none(),
                "the reference fills with zeros alone"
            );
            Tensor::filled(
                &call
                    .x()
                    .ints()
                    .iter()
                    .map(|&dim| dim as usize)
                    .collect::<Vec<_>>(),
                0.0,
            )
        }
        "ScatterElements" => {
            assert_eq!(call.string("reduction").as_deref(), Some("add"));
            let (places, updates, axis) = (call.input(1), call.input(2), call.axis("axis", 0));
            let mut result = call.x().clone();
            for index in indices(&updates.dims) {
                let mut to = index.clone();
                to[axis] = places.at(&index) as usize;
                *result.at_mut(&to) += updates.at(&index);
            }
            result
        }
        _ => return None,
    }])
}

fn with_dims(tensor: &Tensor, dims: &[usize]) -> Tensor {
    Tensor::new(dims, tensor.data.clone())
}

fn axes(call: &Call<'_>, rank: usize) -> Vec<usize> {
    let given = call.optional(1).map(Tensor::ints).unwrap_or_default();
    given
        .iter()
        .map(|&axis| (if axis < 0 { axis + rank as i64 } else { axis }) as usize)
        .collect()
}

fn reshape(call: &Call<'_>) -> Tensor {
    let x = call.x();
    let target = call.input(1).ints();
    let mut dims: Vec<usize> = target
        .iter()
        .enumerate()
        .map(|(axis, &size)| match size {
            0 => x.dims[axis],
            -1 => 1,
            size => size as usize,
        })
        .collect();
    if let Some(open) = target.iter().position(|&size| size == -1) {
        dims[open] = x.data.len() / dims.iter().product::<usize>();
    }
    with_dims(x, &dims)
}
