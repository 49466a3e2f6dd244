//! The geometry that convolutions and poolings share: ONNX operator specification, attributes of "Conv" and "AveragePool".

use crate::{node::Node, proto::AttributeProto, shape::Dim};

/// A window that slides over the spatial axes of a tensor `[batch, channels, spatial...]`; one entry per spatial axis.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Window {
    pub kernel: Vec<u64>,
    pub strides: Vec<u64>,
    pub dilations: Vec<u64>,
    padding: Padding,
    ceil: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Padding {
    /// Cells before and behind.
    Explicit { begin: Vec<u64>, end: Vec<u64> },
    /// As many cells as make the output `ceil(input / stride)`; an odd one goes to the end, or else to the beginning.
    Same { upper: bool },
}

/// Sizes along one spatial axis.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Axis {
    pub input: i128,
    pub output: i128,
    pub begin: i128,
    pub end: i128,
    pub kernel: i128,
    pub stride: i128,
    pub dilation: i128,
}

impl Axis {
    /// Cells between the first and the last of a window, both included.
    fn extent(&self) -> i128 {
        (self.kernel - 1) * self.dilation + 1
    }

    /// Cells that no window reaches, at the end of the padded input; negative where the last window sticks out.
    fn rest(&self) -> i128 {
        self.input + self.begin + self.end - ((self.output - 1) * self.stride + self.extent())
    }

    /// For each position of the window, how many of its cells lie inside the input, or inside the padded input.
    pub(super) fn counts(&self, padded: bool) -> Vec<u64> {
        let (low, high) = if padded {
            (-self.begin, self.input + self.end)
        } else {
            (0, self.input)
        };
        let count = |position| {
            let start = position * self.stride - self.begin;
            let cells = (0..self.kernel).map(|cell| start + cell * self.dilation);
            cells.filter(|cell| (low..high).contains(cell)).count() as u64
        };
        (0..self.output).map(count).collect()
    }
}

impl Window {
    /// Reads the attributes of a node whose window has this size.
    pub(super) fn of(node: &Node<'_>, kernel: Vec<u64>) -> Result<Self, String> {
        let rank = kernel.len();
        let sizes = |name: &str, count: usize, default: u64| match node.ints(name) {
            None => Ok(vec![default; count]),
            Some(values) if values.len() == count => values
                .iter()
                .map(|&value| {
                    u64::try_from(value).map_err(|_| format!("{name} {values:?} are negative"))
                })
                .collect(),
            Some(values) => Err(format!("{name} {values:?} should be {count} numbers")),
        };
        let (strides, dilations) = (sizes("strides", rank, 1)?, sizes("dilations", rank, 1)?);
        if kernel
            .iter()
            .chain(&strides)
            .chain(&dilations)
            .any(|size| *size == 0 || *size > u32::MAX.into())
        {
            return Err(format!(
                "kernel {kernel:?}, strides {strides:?} and dilations {dilations:?} should be positive and of 32 bits"
            ));
        }
        let padding = match node.string("auto_pad").unwrap_or("NOTSET") {
            "NOTSET" | "" => {
                let pads = sizes("pads", 2 * rank, 0)?;
                let (begin, end) = pads.split_at_checked(rank).unwrap_or_default();
                Padding::Explicit {
                    begin: begin.to_vec(),
                    end: end.to_vec(),
                }
            }
            "VALID" => Padding::Explicit {
                begin: vec![0; rank],
                end: vec![0; rank],
            },
            "SAME_UPPER" => Padding::Same { upper: true },
            "SAME_LOWER" => Padding::Same { upper: false },
            other => return Err(format!("auto_pad `{other}` is unknown")),
        };
        if matches!(padding, Padding::Same { .. }) && dilations.iter().any(|dilation| *dilation > 1)
        {
            return Err("auto_pad with dilations means different things to different runtimes; export with explicit pads".into());
        }
        Ok(Self {
            kernel,
            strides,
            dilations,
            padding,
            ceil: node.flag("ceil_mode"),
        })
    }

    /// The window of a pooling node, which states its size.
    pub(super) fn of_pool(node: &Node<'_>) -> Result<Self, String> {
        let kernel = node.ints("kernel_shape").ok_or("kernel_shape is missing")?;
        let sizes: Result<Vec<u64>, _> = kernel.iter().map(|&size| u64::try_from(size)).collect();
        Self::of(
            node,
            sizes.map_err(|_| format!("kernel_shape {kernel:?} is negative"))?,
        )
    }

    /// Cells before and behind along a spatial axis, where they do not depend on its size.
    pub(super) fn pads(&self, index: usize) -> Option<[u64; 2]> {
        match &self.padding {
            Padding::Explicit { begin, end } => Some([*begin.get(index)?, *end.get(index)?]),
            Padding::Same { .. } => None,
        }
    }

    /// The spatial sizes of the output; unknown ones where the input's are unknown.
    pub(super) fn output(&self, node: &Node<'_>, spatial: &[Dim]) -> Option<Vec<Dim>> {
        if spatial.len() != self.kernel.len() {
            return None;
        }
        let axes = spatial.iter().enumerate();
        axes.map(|(index, dim)| match dim.known() {
            Some(size) => {
                let output = self.axis(index, size)?.output;
                u64::try_from(output)
                    .ok()
                    .filter(|size| *size > 0)
                    .map(Dim::Known)
            }
            None => Some(Dim::unknown(node.output(), index + 2)),
        })
        .collect()
    }

    /// The sizes along all spatial axes, which have to be known.
    pub(super) fn axes(&self, spatial: &[Dim]) -> Result<Vec<Axis>, String> {
        if spatial.len() != self.kernel.len() {
            return Err(format!(
                "its input has {} spatial axes, its window {}",
                spatial.len(),
                self.kernel.len()
            ));
        }
        let axes = spatial.iter().enumerate();
        axes.map(|(index, dim)| {
            let size = dim.known().ok_or_else(|| {
                format!("the size `{dim}` of spatial axis {index} is not a number; export the model with static image sizes")
            })?;
            let axis = self.axis(index, size).filter(|axis| axis.output > 0);
            axis.ok_or_else(|| format!("the window does not fit into the {size} cells of spatial axis {index}"))
        })
        .collect()
    }

    fn axis(&self, index: usize, input: u64) -> Option<Axis> {
        let mut axis = Axis {
            input: input.into(),
            output: 0,
            begin: 0,
            end: 0,
            kernel: (*self.kernel.get(index)?).into(),
            stride: (*self.strides.get(index)?).into(),
            dilation: (*self.dilations.get(index)?).into(),
        };
        match &self.padding {
            Padding::Same { upper } => {
                axis.output = (axis.input + axis.stride - 1) / axis.stride;
                let total = ((axis.output - 1) * axis.stride + axis.extent() - axis.input).max(0);
                let (small, large) = (total / 2, total - total / 2);
                (axis.begin, axis.end) = if *upper {
                    (small, large)
                } else {
                    (large, small)
                };
            }
            Padding::Explicit { begin, end } => {
                (axis.begin, axis.end) = ((*begin.get(index)?).into(), (*end.get(index)?).into());
                let steps = axis.input + axis.begin + axis.end - axis.extent();
                if steps < 0 {
                    return Some(axis);
                }
                axis.output = steps / axis.stride + 1;
                if self.ceil && steps % axis.stride != 0 {
                    // A window that would begin in the padding behind the input is left out.
                    let next = axis.output * axis.stride;
                    axis.output += i128::from(next < axis.input + axis.begin);
                }
            }
        }
        Some(axis)
    }

    /// Attributes of the `Conv` that spreads what a window of stride 1 gathered, by a window that is turned around.
    ///
    /// `None` where the stride is another, or more is padded than a window reaches beyond the input.
    pub(super) fn turned(&self) -> Option<Vec<AttributeProto>> {
        if self.strides.iter().any(|stride| *stride != 1) {
            return None;
        }
        // With a stride of 1, no padding depends on the size of the input.
        let axes: Option<Vec<Axis>> = (0..self.kernel.len())
            .map(|index| self.axis(index, 1))
            .collect();
        let axes = axes?;
        let begin = axes.iter().map(|axis| axis.extent() - 1 - axis.begin);
        let end = axes.iter().map(|axis| axis.extent() - 1 - axis.end);
        let pads: Option<Vec<i64>> = begin
            .chain(end)
            .map(|pad| i64::try_from(pad).ok().filter(|pad| *pad >= 0))
            .collect();
        Some(vec![
            AttributeProto::ints("kernel_shape", signed(&self.kernel)),
            AttributeProto::ints("dilations", signed(&self.dilations)),
            AttributeProto::ints("pads", pads?),
        ])
    }

    /// Attributes of the `ConvTranspose` that spreads what a window gathered: `gradient of output -> gradient of input`.
    ///
    /// The sizes of the input have to be known only where a stride leaves cells over.
    pub(super) fn transposed(
        &self,
        spatial: Option<&[Dim]>,
    ) -> Result<Vec<AttributeProto>, String> {
        let (pads, left_over) = match &self.padding {
            Padding::Explicit { begin, end } if self.strides.iter().all(|stride| *stride == 1) => (
                signed(&[begin.as_slice(), end].concat()),
                vec![0; self.kernel.len()],
            ),
            _ => {
                let axes = self.axes(spatial.ok_or("the shape of its input is not known")?)?;
                let small = |size: i128| {
                    i64::try_from(size).map_err(|_| format!("size {size} is too large"))
                };
                let begin = axes.iter().map(|axis| small(axis.begin));
                // A window that sticks out reaches cells that are cut off again.
                let end = axes
                    .iter()
                    .map(|axis| small(axis.end + (-axis.rest()).max(0)));
                let pads = begin.chain(end).collect::<Result<Vec<_>, _>>()?;
                (
                    pads,
                    axes.iter()
                        .map(|axis| small(axis.rest().max(0)))
                        .collect::<Result<_, _>>()?,
                )
            }
        };
        Ok(vec![
            AttributeProto::ints("kernel_shape", signed(&self.kernel)),
            AttributeProto::ints("strides", signed(&self.strides)),
            AttributeProto::ints("dilations", signed(&self.dilations)),
            AttributeProto::ints("pads", pads),
            AttributeProto::ints("output_padding", left_over),
        ])
    }
}

/// They were read as signed numbers.
fn signed(values: &[u64]) -> Vec<i64> {
    values.iter().map(|&value| value as i64).collect()
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::{check, reference::net::Net};
    use proptest::prelude::*;

    /// Attributes of a window in two dimensions, drawn at random, that fits into an image of these sizes.
    #[derive(Clone, Debug)]
    pub(in crate::ops) struct Case {
        pub image: [usize; 2],
        pub kernel: [i64; 2],
        pub attributes: Vec<AttributeProto>,
    }

    /// Padding stays below the kernel, as poolings demand.
    pub(in crate::ops) fn windows() -> impl Strategy<Value = Case> {
        let pair = |range: std::ops::Range<i64>| [range.clone(), range];
        let sizes = ([4..8usize, 4..8usize], pair(1..4), pair(1..4), pair(1..3));
        let pads = prop_oneof![
            4 => [0..3i64, 0..3i64, 0..3i64, 0..3i64].prop_map(Ok),
            1 => prop::sample::select(vec!["SAME_UPPER", "SAME_LOWER", "VALID"]).prop_map(Err),
        ];
        (sizes, pads).prop_map(|((image, kernel, strides, dilations), pads)| {
            let padding = match pads {
                Err(auto) => AttributeProto::string("auto_pad", auto),
                Ok(pads) => {
                    let below = |index: usize| pads[index].min(kernel[index % 2] - 1);
                    AttributeProto::ints("pads", [below(0), below(1), below(2), below(3)])
                }
            };
            let same = matches!(pads, Err(auto) if auto != "VALID");
            // Poolings of ONNX Runtime fail where automatic padding would be negative.
            let strides = [0, 1].map(|i| {
                if same {
                    strides[i].min(kernel[i])
                } else {
                    strides[i]
                }
            });
            // A window larger than the image is cut down to it.
            let fits = |i: usize| !same && (kernel[i] - 1) * dilations[i] < image[i] as i64;
            let dilations = [0, 1].map(|i| if fits(i) { dilations[i] } else { 1 });
            Case {
                image,
                kernel,
                attributes: vec![
                    AttributeProto::ints("kernel_shape", kernel),
                    AttributeProto::ints("strides", strides),
                    AttributeProto::ints("dilations", dilations),
                    padding,
                ],
            }
        })
    }

    #[test]
    fn auto_pad_with_dilations_is_refused() {
        let mut net = Net::new([1, 2, 4, 4], 1);
        let attributes = [
            AttributeProto::ints("kernel_shape", [2, 2]),
            AttributeProto::ints("dilations", [2, 2]),
            AttributeProto::string("auto_pad", "SAME_UPPER"),
        ];
        let y = net.op("AveragePool", &["image"], attributes);
        let logits = net.op("GlobalAveragePool", &[&y], []);
        let logits = net.op("Flatten", &[&logits], []);
        let model = net.finish(&logits, Some(&[Dim::Symbol("n".into()), Dim::Known(2)]));
        let obstacles = check(&model).unwrap_err();
        assert!(
            obstacles
                .iter()
                .any(|o| o.operator == "AveragePool" && o.reason.contains("auto_pad")),
            "{obstacles:?}"
        );
    }

    #[test]
    fn a_window_that_begins_behind_the_input_is_left_out() {
        let window = |kernel, stride, pad| Window {
            kernel: vec![kernel],
            strides: vec![stride],
            dilations: vec![1],
            padding: Padding::Explicit {
                begin: vec![pad],
                end: vec![pad],
            },
            ceil: true,
        };
        // Sizes as ONNX Runtime gives them.
        assert_eq!(window(2, 2, 0).axis(0, 5).map(|axis| axis.output), Some(3));
        assert_eq!(window(2, 3, 1).axis(0, 5).map(|axis| axis.output), Some(2));
        assert_eq!(window(3, 2, 1).axis(0, 6).map(|axis| axis.output), Some(4));
        assert_eq!(
            window(3, 2, 1).axis(0, 6).map(|axis| axis.counts(true)),
            Some(vec![3, 3, 3, 2])
        );
        assert_eq!(
            window(3, 2, 1).axis(0, 6).map(|axis| axis.counts(false)),
            Some(vec![2, 3, 3, 1])
        );
    }
}
