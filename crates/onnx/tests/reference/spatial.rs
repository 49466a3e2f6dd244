use super::{
    Call,
    tensor::{Tensor, indices},
};

pub fn run(call: &Call<'_>, operator: &str) -> Option<Vec<Tensor>> {
    Some(match operator {
        "Conv" => vec![conv(call)],
        "ConvTranspose" => vec![conv_transpose(call)],
        "MaxPool" => max_pool(call),
        "AveragePool" => vec![average_pool(call)],
        "GlobalMaxPool" => {
            let x = call.x();
            let cells = indices(&x.dims[2..]);
            let mut dims = x.dims.clone();
            dims[2..].fill(1);
            vec![Tensor::build(&dims, |index| {
                let values = cells.iter().map(|cell| x.at(&[&index[..2], cell].concat()));
                values.fold(f64::NEG_INFINITY, f64::max)
            })]
        }
        "LRN" => {
            let x = call.x();
            let size = call.int("size", 0);
            let (alpha, beta, bias) = (
                call.float("alpha", 0.0001),
                call.float("beta", 0.75),
                call.float("bias", 1.0),
            );
            vec![Tensor::build(&x.dims, |index| {
                // floor and ceil of (size - 1) / 2.
                let c = index[1] as i64;
                let (first, last) = (c - (size - 1).div_euclid(2), c + size / 2);
                let near = (first.max(0)..=last.min(x.dims[1] as i64 - 1)).map(|channel| {
                    let mut index = index.to_vec();
                    index[1] = channel as usize;
                    x.at(&index).powi(2)
                });
                x.at(index) / (bias + alpha / size as f64 * near.sum::<f64>()).powf(beta)
            })]
        }
        "GlobalAveragePool" => {
            let x = call.x();
            let cells = indices(&x.dims[2..]);
            let mut dims = x.dims.clone();
            dims[2..].fill(1);
            vec![Tensor::build(&dims, |index| {
                cells
                    .iter()
                    .map(|cell| x.at(&[&index[..2], cell].concat()))
                    .sum::<f64>()
                    / cells.len() as f64
            })]
        }
        _ => return None,
    })
}

/// The window of a node over spatial sizes.
struct Window {
    input: Vec<i64>,
    kernel: Vec<i64>,
    strides: Vec<i64>,
    dilations: Vec<i64>,
    begin: Vec<i64>,
    end: Vec<i64>,
    output: Vec<usize>,
}

impl Window {
    fn of(call: &Call<'_>, kernel: &[usize]) -> Self {
        let rank = kernel.len();
        let input: Vec<i64> = call.x().dims[2..].iter().map(|&size| size as i64).collect();
        let kernel: Vec<i64> = kernel.iter().map(|&size| size as i64).collect();
        let strides = call.ints("strides").unwrap_or(vec![1; rank]);
        let dilations = call.ints("dilations").unwrap_or(vec![1; rank]);
        let pads = call.ints("pads").unwrap_or(vec![0; 2 * rank]);
        let (mut begin, mut end) = (pads[..rank].to_vec(), pads[rank..].to_vec());
        let auto = call.string("auto_pad").unwrap_or("NOTSET".into());
        let mut output = vec![];
        for i in 0..rank {
            let extent = (kernel[i] - 1) * dilations[i] + 1;
            if auto.starts_with("SAME") {
                let size = (input[i] + strides[i] - 1) / strides[i];
                let total = ((size - 1) * strides[i] + extent - input[i]).max(0);
                begin[i] = if auto == "SAME_LOWER" {
                    (total + 1) / 2
                } else {
                    total / 2
                };
                end[i] = total - begin[i];
            } else if auto == "VALID" {
                (begin[i], end[i]) = (0, 0);
            }
            // Slide the window for as long as it begins inside.
            let reach = input[i] + begin[i] + end[i];
            let mut size = 0;
            while size * strides[i] + extent <= reach {
                size += 1;
            }
            let sticks_out = (size - 1) * strides[i] + extent < reach;
            if call.int("ceil_mode", 0) != 0
                && sticks_out
                && size * strides[i] < input[i] + begin[i]
            {
                size += 1;
            }
            output.push(size as usize);
        }
        Self {
            input,
            kernel,
            strides,
            dilations,
            begin,
            end,
            output,
        }
    }

    /// Where a cell of the window at a position lies; outside the input where it lies in the padding or beyond.
    fn place(&self, position: &[usize], cell: &[usize]) -> Vec<i64> {
        (0..self.kernel.len())
            .map(|i| {
                position[i] as i64 * self.strides[i] + cell[i] as i64 * self.dilations[i]
                    - self.begin[i]
            })
            .collect()
    }

    fn inside(&self, place: &[i64]) -> Option<Vec<usize>> {
        let inside = place
            .iter()
            .zip(&self.input)
            .all(|(at, size)| (0..*size).contains(at));
        inside.then(|| place.iter().map(|&at| at as usize).collect())
    }

    fn in_padding(&self, place: &[i64]) -> bool {
        (0..place.len()).all(|i| (-self.begin[i]..self.input[i] + self.end[i]).contains(&place[i]))
    }

    fn cells(&self) -> Vec<Vec<usize>> {
        indices(
            &self
                .kernel
                .iter()
                .map(|&size| size as usize)
                .collect::<Vec<_>>(),
        )
    }
}

fn conv(call: &Call<'_>) -> Tensor {
    let (x, w) = (call.x(), call.input(1));
    let window = Window::of(call, &w.dims[2..]);
    let group = call.int("group", 1) as usize;
    let (channels, per_group) = (w.dims[1], w.dims[0] / group);
    assert_eq!(x.dims[1], channels * group);
    let cells = window.cells();
    Tensor::build(
        &[&[x.dims[0], w.dims[0]], window.output.as_slice()].concat(),
        |index| {
            let (image, output, position) = (index[0], index[1], &index[2..]);
            let mut sum = call.optional(2).map_or(0.0, |bias| bias.data[output]);
            for channel in 0..channels {
                for cell in &cells {
                    if let Some(at) = window.inside(&window.place(position, cell)) {
                        let from = output / per_group * channels + channel;
                        sum +=
                            x.at_parts(&[image, from], &at) * w.at_parts(&[output, channel], cell);
                    }
                }
            }
            sum
        },
    )
}

/// Every input element is spread over the output through the kernel: `out = in * stride + cell * dilation - pad`.
fn conv_transpose(call: &Call<'_>) -> Tensor {
    let (x, w) = (call.x(), call.input(1));
    let rank = w.dims.len() - 2;
    let group = call.int("group", 1) as usize;
    let get = |name: &str, default| call.ints(name).unwrap_or(vec![default; rank]);
    let (strides, dilations, extra) = (
        get("strides", 1),
        get("dilations", 1),
        get("output_padding", 0),
    );
    let mut pads = call.ints("pads").unwrap_or(vec![0; 2 * rank]);
    let auto = call.string("auto_pad").unwrap_or("NOTSET".into());
    let given = call.ints("output_shape");
    let sizes: Vec<usize> = (0..rank)
        .map(|i| {
            assert!(
                extra[i] < strides[i].max(dilations[i]),
                "output_padding has to stay below stride or dilation"
            );
            let input = x.dims[i + 2] as i64;
            let extent = (w.dims[i + 2] as i64 - 1) * dilations[i] + 1;
            let full = strides[i] * (input - 1) + extra[i] + extent;
            if auto == "VALID" {
                (pads[i], pads[i + rank]) = (0, 0);
            }
            let same = auto.starts_with("SAME").then_some(input * strides[i]);
            if let Some(size) = given.as_ref().map(|sizes| sizes[i]).or(same) {
                let total = full - size;
                assert!(total >= 0, "the specification has no negative pads here");
                pads[i] = if auto == "SAME_UPPER" {
                    total / 2
                } else {
                    total - total / 2
                };
                pads[i + rank] = total - pads[i];
            }
            (full - pads[i] - pads[i + rank]) as usize
        })
        .collect();
    let (inputs, outputs) = (w.dims[0] / group, w.dims[1]);
    let dims = [&[x.dims[0], outputs * group], sizes.as_slice()].concat();
    let mut y = Tensor::build(&dims, |index| {
        call.optional(2).map_or(0.0, |bias| bias.data[index[1]])
    });
    for index in indices(&x.dims) {
        let (image, channel, position) = (index[0], index[1], &index[2..]);
        for cell in indices(&w.dims[1..]) {
            let place: Vec<i64> = (0..rank)
                .map(|i| {
                    position[i] as i64 * strides[i] + cell[i + 1] as i64 * dilations[i] - pads[i]
                })
                .collect();
            if place
                .iter()
                .zip(&sizes)
                .all(|(at, &size)| (0..size as i64).contains(at))
            {
                let at: Vec<usize> = place.iter().map(|&at| at as usize).collect();
                let output = channel / inputs * outputs + cell[0];
                *y.at_mut(&[&[image, output], at.as_slice()].concat()) +=
                    x.at(&index) * w.at_parts(&[channel], &cell);
            }
        }
    }
    y
}

fn max_pool(call: &Call<'_>) -> Vec<Tensor> {
    let x = call.x();
    let kernel: Vec<usize> = call
        .ints("kernel_shape")
        .unwrap()
        .iter()
        .map(|&size| size as usize)
        .collect();
    let window = Window::of(call, &kernel);
    let dims = [&x.dims[..2], &window.output].concat();
    let places = Tensor::new(&x.dims, (0..x.data.len()).map(|i| i as f64).collect());
    let cells = window.cells();
    let best = |index: &[usize]| {
        let inside = cells
            .iter()
            .filter_map(|cell| window.inside(&window.place(&index[2..], cell)));
        let candidates = inside.map(|at| [&index[..2], &at].concat());
        let start = (f64::NEG_INFINITY, 0.0);
        candidates.fold(start, |best, at| {
            if x.at(&at) > best.0 {
                (x.at(&at), places.at(&at))
            } else {
                best
            }
        })
    };
    vec![
        Tensor::build(&dims, |index| best(index).0),
        Tensor::build(&dims, |index| best(index).1),
    ]
}

fn average_pool(call: &Call<'_>) -> Tensor {
    let x = call.x();
    let kernel: Vec<usize> = call
        .ints("kernel_shape")
        .unwrap()
        .iter()
        .map(|&size| size as usize)
        .collect();
    let window = Window::of(call, &kernel);
    let padded = call.int("count_include_pad", 0) != 0;
    let cells = window.cells();
    Tensor::build(&[&x.dims[..2], &window.output].concat(), |index| {
        let (mut sum, mut count) = (0.0, 0.0);
        for cell in &cells {
            let place = window.place(&index[2..], cell);
            let inside = window.inside(&place);
            if let Some(at) = &inside {
                sum += x.at(&[&index[..2], at].concat());
            }
            if inside.is_some() || padded && window.in_padding(&place) {
                count += 1.0;
            }
        }
        sum / count
    })
}
