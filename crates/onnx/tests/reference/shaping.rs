mod picking;

use super::{
    Call,
    tensor::{Tensor, broadcast_dims},
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
        "Shape" => {
            let dims = &call.x().dims;
            let axis = |name, default: usize| {
                let axis = call.int(name, default as i64);
                let axis = if axis < 0 {
                    axis + dims.len() as i64
                } else {
                    axis
                };
                axis.clamp(0, dims.len() as i64) as usize
            };
            floats(&dims[axis("start", 0)..axis("end", dims.len())])
        }
        "Size" => Tensor::new(&[], vec![call.x().data.len() as f64]),
        "Range" => {
            let [start, limit, step] = [0, 1, 2].map(|i| call.input(i).data[0]);
            let count = ((limit - start) / step).ceil().max(0.0) as usize;
            Tensor::list((0..count).map(|i| start + i as f64 * step).collect())
        }
        "Mod" => {
            assert_eq!(call.int("fmod", 0), 0);
            let (a, b) = (call.x(), call.input(1));
            Tensor::build(&broadcast_dims(&[a, b]), |index| {
                let (a, b) = (a.stretched(index), b.stretched(index));
                a - b * (a / b).floor()
            })
        }
        "Concat" => {
            let parts: Vec<&Tensor> = call.inputs.iter().flatten().collect();
            let axis = call.axis("axis", 0);
            let mut dims = parts[0].dims.clone();
            dims[axis] = parts.iter().map(|part| part.dims[axis]).sum();
            Tensor::build(&dims, |index| {
                let mut index = index.to_vec();
                for part in &parts {
                    if index[axis] < part.dims[axis] {
                        return part.at(&index);
                    }
                    index[axis] -= part.dims[axis];
                }
                unreachable!("the parts add up")
            })
        }
        "Split" => return Some(split(call)),
        "Tile" => {
            let x = call.x();
            let repeats = call.input(1).ints();
            let dims = x.dims.iter().zip(repeats);
            let dims: Vec<usize> = dims.map(|(dim, repeat)| dim * repeat as usize).collect();
            Tensor::build(&dims, |index| {
                let from: Vec<usize> = index.iter().zip(&x.dims).map(|(i, dim)| i % dim).collect();
                x.at(&from)
            })
        }
        "DepthToSpace" => {
            let (x, block) = (call.x(), call.int("blocksize", 0) as usize);
            let pixels_last = call.string("mode").as_deref() == Some("CRD");
            let channels = x.dims[1] / (block * block);
            Tensor::build(
                &[x.dims[0], channels, x.dims[2] * block, x.dims[3] * block],
                |index| {
                    let [n, c, h, w] = index[..] else {
                        unreachable!()
                    };
                    let pixel = h % block * block + w % block;
                    let from = if pixels_last {
                        c * block * block + pixel
                    } else {
                        pixel * channels + c
                    };
                    x.at(&[n, from, h / block, w / block])
                },
            )
        }
        "SpaceToDepth" => {
            let (x, block) = (call.x(), call.int("blocksize", 0) as usize);
            let channels = x.dims[1];
            Tensor::build(
                &[
                    x.dims[0],
                    channels * block * block,
                    x.dims[2] / block,
                    x.dims[3] / block,
                ],
                |index| {
                    let [n, c, h, w] = index[..] else {
                        unreachable!()
                    };
                    let (pixel, channel) = (c / channels, c % channels);
                    x.at(&[
                        n,
                        channel,
                        h * block + pixel / block,
                        w * block + pixel % block,
                    ])
                },
            )
        }
        "Trilu" => {
            let x = call.x();
            let k = call.optional(1).map_or(0, |k| k.ints()[0]);
            let upper = call.int("upper", 1) != 0;
            Tensor::build(&x.dims, |index| {
                let [.., row, column] = index[..] else {
                    unreachable!()
                };
                let distance = column as i64 - row as i64;
                let kept = if upper { distance >= k } else { distance <= k };
                if kept { x.at(index) } else { 0.0 }
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
            let value = call.attribute("value");
            let value = value.map_or(0.0, |value| {
                Tensor::stored(value.t.as_ref().unwrap()).data[0]
            });
            let dims = call.x().ints();
            Tensor::filled(
                &dims.iter().map(|&dim| dim as usize).collect::<Vec<_>>(),
                value,
            )
        }
        _ => return picking::run(call, operator),
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
            0 if call.int("allowzero", 0) == 0 => x.dims[axis],
            -1 => 1,
            size => size as usize,
        })
        .collect();
    if let Some(open) = target.iter().position(|&size| size == -1) {
        dims[open] = x.data.len() / dims.iter().product::<usize>();
    }
    with_dims(x, &dims)
}

fn split(call: &Call<'_>) -> Vec<Tensor> {
    let (x, axis) = (call.x(), call.axis("axis", 0));
    let size = x.dims[axis];
    let sizes: Vec<usize> = match call.optional(1) {
        Some(sizes) => sizes.ints().iter().map(|&size| size as usize).collect(),
        None => {
            let count = call.int("num_outputs", 0) as usize;
            assert_eq!(count, call.node.output.len());
            let part = size.div_ceil(count);
            let mut sizes = vec![part; count - 1];
            sizes.push(size - part * (count - 1));
            sizes
        }
    };
    assert_eq!(sizes.iter().sum::<usize>(), size);
    let mut start = 0;
    let parts = sizes.iter().map(|&size| {
        let mut dims = x.dims.clone();
        dims[axis] = size;
        let part = Tensor::build(&dims, |index| {
            let mut index = index.to_vec();
            index[axis] += start;
            x.at(&index)
        });
        start += size;
        part
    });
    parts.collect()
}
