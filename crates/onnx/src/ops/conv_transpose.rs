//! `ConvTranspose`: ONNX operator specification, section "ConvTranspose"; every cell is spread over the output through the kernel.

use super::{Gradients, Rule, window::Window};
use crate::{
    emitter::Emitter,
    node::Node,
    proto::AttributeProto,
    shape::{Dim, Fact},
};

pub(super) const RULE: Rule = Rule {
    operator: "ConvTranspose",
    shape: |node| infer(node).map(Fact::of_shape),
    gradient: Some(gradient),
};

/// Sizes along one spatial axis, of which the pads may depend on the size of the input.
struct Axis {
    kernel: i64,
    stride: i64,
    dilation: i64,
    begin: i64,
    end: i64,
    /// Cells that are added behind the output.
    extra: i64,
}

impl Axis {
    /// Cells of an unpadded output that lie behind the first cell of its last window.
    fn tail(&self) -> i64 {
        (self.kernel - 1) * self.dilation + 1 + self.extra
    }
}

/// dx = Conv(dy, w): its weights `[out, in / group, spatial...]` are those of the operator as they are.
fn gradient(node: &Node<'_>, emit: &mut Emitter, dy: &str) -> Result<Gradients, String> {
    node.constant_inputs(&[(1, "weight"), (2, "bias")])?;
    let axes = axes(node)?;
    let each = |size: fn(&Axis) -> i64| axes.iter().map(size).collect::<Vec<_>>();
    let pads = [each(|axis| axis.begin), each(|axis| axis.end)].concat();
    let attributes = [
        AttributeProto::ints("kernel_shape", each(|axis| axis.kernel)),
        AttributeProto::ints("strides", each(|axis| axis.stride)),
        AttributeProto::ints("dilations", each(|axis| axis.dilation)),
        AttributeProto::ints("pads", pads),
        AttributeProto::int("group", node.int("group").unwrap_or(1)),
    ];
    let mut dx = emit.node("Conv", &[dy, node.require_input(1)?], attributes);
    // Windows that lie wholly in what was added behind.
    let surplus = each(|axis| axis.extra / axis.stride);
    if surplus.iter().any(|count| *count > 0) {
        let ends: Vec<i64> = surplus
            .iter()
            .map(|&count| if count == 0 { i64::MAX } else { -count })
            .collect();
        let starts = emit.ints(&vec![0; ends.len()]);
        let spatial: Vec<i64> = (2..).take(ends.len()).collect();
        let (ends, spatial) = (emit.ints(&ends), emit.ints(&spatial));
        dx = emit.node("Slice", &[&dx, &starts, &ends, &spatial], []);
    }
    Ok(vec![(0, dx)])
}

/// The geometry with all pads made explicit.
fn axes(node: &Node<'_>) -> Result<Vec<Axis>, String> {
    let kernel = node.require_shape(1)?.get(2..).unwrap_or_default();
    let kernel: Option<Vec<u64>> = kernel.iter().map(Dim::known).collect();
    let window = Window::of(node, kernel.ok_or("the size of its kernel is not known")?)?;
    let rank = window.kernel.len();
    let extra = node.ints("output_padding").unwrap_or_default();
    let output = node.ints("output_shape").unwrap_or_default();
    let spatial = node.shape(0).and_then(|shape| shape.get(2..));
    // The whole shape or its spatial part: runtimes take both.
    let output = output
        .get(output.len().saturating_sub(rank)..)
        .unwrap_or_default();
    if ![0, rank].contains(&extra.len()) || ![0, rank].contains(&output.len()) {
        return Err(format!(
            "output_padding {extra:?} or output_shape {output:?} should have one number for each of {rank} spatial axes"
        ));
    }
    let small = |size: u64| {
        i64::try_from(size)
            .ok()
            .filter(|size| *size <= u32::MAX.into())
    };
    let auto = node.string("auto_pad").unwrap_or("NOTSET");
    let sizes = window
        .kernel
        .iter()
        .zip(&window.strides)
        .zip(&window.dilations);
    sizes
        .enumerate()
        .map(|(index, ((kernel, stride), dilation))| {
            let too_large = || format!("a size along spatial axis {index} is too large");
            let extra = extra.get(index).copied().unwrap_or(0);
            if !(0..=u32::MAX.into()).contains(&extra) {
                return Err(format!("output_padding {extra} is negative, or too large"));
            }
            let mut axis = Axis {
                kernel: small(*kernel).ok_or_else(too_large)?,
                stride: small(*stride).ok_or_else(too_large)?,
                dilation: small(*dilation).ok_or_else(too_large)?,
                begin: 0,
                end: 0,
                extra,
            };
            if axis.kernel.checked_mul(axis.dilation).and_then(|size| size.checked_add(extra)).is_none() {
                return Err(too_large());
            }
            // What the pads have to take away: all pads together.
            let total = match (output.get(index), auto) {
                (Some(&wanted), _) => {
                    let input = spatial.and_then(|spatial| spatial.get(index)?.known());
                    let input = input.and_then(small).ok_or_else(|| {
                        format!("output_shape needs the size of spatial axis {index}; export the model with static image sizes, or with pads")
                    })?;
                    let full = (input - 1).checked_mul(axis.stride).and_then(|size| size.checked_add(axis.tail()));
                    full.and_then(|full| full.checked_sub(wanted)).ok_or_else(too_large)?
                }
                (None, "SAME_UPPER" | "SAME_LOWER") => (axis.tail() - axis.stride).max(0),
                _ => {
                    let [begin, end] = window.pads(index).unwrap_or_default();
                    (axis.begin, axis.end) = small(begin).zip(small(end)).ok_or_else(too_large)?;
                    return Ok(axis);
                }
            };
            if total < 0 {
                return Err(format!("output_shape leaves {} cells that no window reaches along spatial axis {index}; use output_padding", -total));
            }
            (axis.begin, axis.end) = if auto == "SAME_UPPER" {
                (total / 2, total - total / 2)
            } else {
                (total - total / 2, total / 2)
            };
            Ok(axis)
        })
        .collect()
}

fn infer(node: &Node<'_>) -> Option<Vec<Dim>> {
    let [batch, _, spatial @ ..] = node.shape(0)? else {
        return None;
    };
    let group = u64::try_from(node.int("group").unwrap_or(1)).ok()?;
    let channels = node.shape(1)?.get(1)?.known()?.checked_mul(group)?;
    let axes = axes(node).ok()?;
    if axes.len() != spatial.len() {
        return None;
    }
    let mut shape = vec![batch.clone(), Dim::Known(channels)];
    for (index, (axis, dim)) in axes.iter().zip(spatial).enumerate() {
        shape.push(match dim.known() {
            None => Dim::unknown(node.output(), index + 2),
            Some(size) => {
                let steps = i64::try_from(size)
                    .ok()?
                    .checked_sub(1)?
                    .checked_mul(axis.stride)?;
                let size = steps.checked_add(axis.tail() - axis.begin - axis.end)?;
                Dim::Known(u64::try_from(size).ok()?)
            }
        });
    }
    Some(shape)
}

#[cfg(test)]
mod tests {
    use crate::{check, proto::AttributeProto, reference::net::Net};
    use proptest::prelude::*;

    /// How the size of the output is said.
    #[derive(Clone, Debug)]
    enum Size {
        Pads([i64; 4]),
        Auto(&'static str),
        Shape(&'static str),
    }

    fn sizes() -> impl Strategy<Value = Size> {
        let auto = || prop::sample::select(vec!["SAME_UPPER", "SAME_LOWER"]);
        prop_oneof![
            3 => [0..3i64, 0..3i64, 0..3i64, 0..3i64].prop_map(Size::Pads),
            1 => prop_oneof![auto(), Just("VALID")].prop_map(Size::Auto),
            1 => prop_oneof![auto(), Just("NOTSET")].prop_map(Size::Shape),
        ]
    }

    proptest! {
        #![proptest_config(crate::reference::cases(64))]
        #[test]
        fn gradient_is_the_difference_quotient(
            image in [2..5usize, 2..5usize], kernel in [1..4i64, 1..4i64], strides in [1..4i64, 1..4i64], dilations in [1..3i64, 1..3i64],
            extra in prop::option::of([0..3i64, 0..3i64]), cut in 0..3i64, size in sizes(),
            (group, inputs, outputs) in (1..3usize, 1..3usize, 1..3usize), bias: bool, seed: u64,
        ) {
            let both = |f: &dyn Fn(usize) -> i64| [f(0), f(1)];
            let same = matches!(size, Size::Auto("SAME_UPPER" | "SAME_LOWER"));
            let automatic = same || matches!(size, Size::Shape("SAME_UPPER" | "SAME_LOWER"));
            // Runtimes and the specification agree on automatic pads where there are some, without dilations.
            let strides = both(&|i| if same { strides[i].min(kernel[i]) } else { strides[i] });
            let dilations = if automatic { [1, 1] } else { dilations };
            let extra = extra.map(|extra| both(&|i| if same { 0 } else { extra[i].min(strides[i].max(dilations[i]) - 1) }));
            let full = both(&|i| (image[i] as i64 - 1) * strides[i] + (kernel[i] - 1) * dilations[i] + 1 + extra.map_or(0, |extra| extra[i]));
            let mut attributes = vec![
                AttributeProto::ints("strides", strides),
                AttributeProto::ints("dilations", dilations),
                AttributeProto::int("group", group as i64),
            ];
            attributes.extend(extra.map(|extra| AttributeProto::ints("output_padding", extra)));
            match size {
                Size::Pads(pads) => {
                    // Something is left.
                    let fits = |i: usize| pads[i].min((full[i % 2] - 1) / 2);
                    attributes.push(AttributeProto::ints("pads", [fits(0), fits(1), fits(2), fits(3)]));
                }
                Size::Auto(auto) => attributes.push(AttributeProto::string("auto_pad", auto)),
                Size::Shape(auto) => {
                    attributes.push(AttributeProto::string("auto_pad", auto));
                    attributes.push(AttributeProto::ints("output_shape", both(&|i| (full[i] - cut).max(1))));
                }
            }
            let mut net = Net::new([3, inputs * group, image[0], image[1]], seed);
            let weight = net.weights(&[inputs * group, outputs, kernel[0] as usize, kernel[1] as usize]);
            let bias = if bias { net.weights(&[outputs * group]) } else { String::new() };
            let y = net.op("ConvTranspose", &["image", &weight, &bias], attributes);
            net.check(&y, seed);
        }
    }

    #[test]
    fn an_output_shape_beyond_the_last_window_is_refused() {
        let mut net = Net::new([1, 1, 2, 2], 1);
        let weight = net.weights(&[1, 1, 2, 2]);
        let shape = AttributeProto::ints("output_shape", [5, 5]);
        let y = net.op("ConvTranspose", &["image", &weight], [shape]);
        let pooled = net.op("GlobalAveragePool", &[&y], []);
        let logits = net.op("Flatten", &[&pooled], []);
        let shape = [crate::Dim::Symbol("n".into()), crate::Dim::Known(2)];
        let obstacles = check(&net.finish(&logits, Some(&shape))).unwrap_err();
        assert!(
            obstacles
                .iter()
                .any(|o| o.operator == "ConvTranspose" && o.reason.contains("output_padding")),
            "{obstacles:?}"
        );
    }
}
