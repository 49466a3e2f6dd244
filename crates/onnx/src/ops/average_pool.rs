//! `AveragePool`: ONNX operator specification, section "AveragePool".

use super::{Gradients, Rule, window::Window};
use crate::{
    emitter::{Emitter, LARGEST_CONSTANT},
    node::Node,
    proto::AttributeProto,
    shape::{Dim, Fact},
};

pub(super) const RULE: Rule = Rule {
    operator: "AveragePool",
    shape: |node| infer(node).map(Fact::of_shape),
    gradient: Some(gradient),
};

/// dx = ConvTranspose(dy / n, 1), channel by channel, with n the number of cells that were averaged.
fn gradient(node: &Node<'_>, emit: &mut Emitter, dy: &str) -> Result<Gradients, String> {
    let [_, channels, spatial @ ..] = node.require_shape(0)? else {
        return Err("its input has no channels".into());
    };
    let window = Window::of_pool(node)?;
    let channels = channels
        .known()
        .ok_or("the number of its channels is not known")?;
    let axes = window.axes(spatial)?;
    let cells = window
        .kernel
        .iter()
        .try_fold(channels, |product, size| product.checked_mul(*size));
    let outputs = axes
        .iter()
        .try_fold(1i128, |product, axis| product.checked_mul(axis.output));
    let work = axes
        .iter()
        .map(|axis| axis.output.saturating_mul(axis.kernel))
        .max()
        .unwrap_or(0);
    if cells.is_none_or(|cells| cells > LARGEST_CONSTANT)
        || outputs.is_none_or(|outputs| outputs > LARGEST_CONSTANT.into())
        || work > LARGEST_CONSTANT.into()
    {
        return Err(format!(
            "its window or its output has more than {LARGEST_CONSTANT} cells"
        ));
    }

    let padded = node.flag("count_include_pad");
    let mut counts = vec![1u64];
    for axis in &axes {
        let along = axis.counts(padded);
        counts = counts
            .iter()
            .flat_map(|count| along.iter().map(move |n| count * n))
            .collect();
    }
    if counts.contains(&0) {
        return Err("a window lies wholly in the padding".into());
    }
    let divisor = match counts.first() {
        Some(first) if counts.iter().all(|count| count == first) => emit.float(*first as f32),
        _ => {
            let sizes: Vec<i64> = [1, 1]
                .into_iter()
                .chain(axes.iter().map(|axis| axis.output as i64))
                .collect();
            let counts: Vec<f32> = counts.iter().map(|&count| count as f32).collect();
            emit.floats(&sizes, &counts)
        }
    };
    let ones: Vec<i64> = [channels, 1]
        .iter()
        .chain(&window.kernel)
        .map(|&size| size as i64)
        .collect();
    let ones = emit.floats(&ones, &vec![1.0; cells.unwrap_or(0) as usize]);
    let share = emit.node("Div", &[dy, &divisor], []);
    let mut attributes = window.transposed(Some(spatial))?;
    attributes.push(AttributeProto::int("group", channels as i64));
    Ok(vec![(
        0,
        emit.node("ConvTranspose", &[&share, &ones], attributes),
    )])
}

/// Poolings keep batch and channels.
pub(super) fn infer(node: &Node<'_>) -> Option<Vec<Dim>> {
    let (kept, spatial) = node.shape(0)?.split_at_checked(2)?;
    let spatial = Window::of_pool(node).ok()?.output(node, spatial)?;
    Some([kept, &spatial].concat())
}

#[cfg(test)]
mod tests {
    use super::super::window::tests::windows;
    use crate::{proto::AttributeProto, reference::net::Net};
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(crate::reference::cases(48))]
        #[test]
        fn gradient_is_the_difference_quotient(case in windows(), padded: bool, ceil: bool, seed: u64) {
            // Dilations of this operator came with operator set 19.
            let mut net = Net::new([3, 2, case.image[0], case.image[1]], seed).with_opset(19);
            let mut attributes = case.attributes;
            attributes.push(AttributeProto::int("count_include_pad", padded.into()));
            attributes.push(AttributeProto::int("ceil_mode", ceil.into()));
            let y = net.op("AveragePool", &["image"], attributes);
            net.check(&y, seed);
        }
    }
}
