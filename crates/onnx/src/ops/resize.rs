//! `Resize`: ONNX operator specification, section "Resize"; every mode but a cut-out region.

use super::{Gradients, Rule};
use crate::{
    emitter::Emitter,
    node::Node,
    proto::{AttributeProto, DataType, TensorProto},
    shape::{Dim, Fact},
};

pub(super) const RULE: Rule = Rule {
    operator: "Resize",
    shape: |node| infer(node).map(Fact::of_shape),
    gradient: Some(gradient),
};

/// Elements of the matrix that resizes an axis: the file states sizes, which may be absurd.
const LARGEST_MATRIX: f64 = 1e7;

/// What is said about one axis.
#[derive(Clone, Copy)]
enum Target {
    Size(i64),
    Scale(f32),
}

/// Resizing is linear along each axis, y = x R with a matrix that is found by resizing the unit matrix: dx = dy R^T.
fn gradient(node: &Node<'_>, emit: &mut Emitter, dy: &str) -> Result<Gradients, String> {
    let shape = node.require_shape(0)?;
    let targets = targets(node)?;
    let mut dx = dy.to_string();
    for (axis, target) in targets {
        let dim = shape
            .get(axis)
            .ok_or("it resizes an axis that its input lacks")?;
        let unchanged = match target {
            Target::Scale(scale) => scale == 1.0,
            Target::Size(size) => dim.known() == u64::try_from(size).ok(),
        };
        if unchanged {
            continue;
        }
        let size = dim.known().and_then(|size| i64::try_from(size).ok()).ok_or_else(|| {
            format!("the size `{dim}` of axis {axis} is not a number; export the model with static image sizes")
        })?;
        let resized = match target {
            Target::Size(resized) => resized as f64,
            Target::Scale(scale) => scaled(size, scale).ok_or_else(|| {
                format!("{size} times the scale {scale} is read as one size or another; export the model with sizes instead of scales")
            })?,
        };
        if size as f64 * resized > LARGEST_MATRIX {
            return Err(format!(
                "resizing axis {axis} from {size} to {resized} is too large a step"
            ));
        }
        let matrix = matrix(node, emit, size, target);
        let transposed = emit.node("Transpose", &[&matrix], []);
        let mut order: Vec<i64> = (0..).take(shape.len()).collect();
        order.swap(axis, shape.len() - 1);
        let swap = |emit: &mut Emitter, tensor: &str| {
            let order = AttributeProto::ints("perm", order.clone());
            emit.node("Transpose", &[tensor], [order])
        };
        dx = if axis + 1 == shape.len() {
            emit.node("MatMul", &[&dx, &transposed], [])
        } else if axis + 2 == shape.len() {
            emit.node("MatMul", &[&matrix, &dx], [])
        } else {
            let last = swap(emit, &dx);
            let product = emit.node("MatMul", &[&last, &transposed], []);
            swap(emit, &product)
        };
    }
    Ok(vec![(0, dx)])
}

/// The matrix `[size, resized]` of one axis. Runtimes compute it once, when they read the graph.
fn matrix(node: &Node<'_>, emit: &mut Emitter, size: i64, target: Target) -> String {
    let scalar = |emit: &mut Emitter, value| emit.constant(TensorProto::int64s("", &[], &[value]));
    let [zero, one, size_scalar] = [0, 1, size].map(|value| scalar(emit, value));
    let places = emit.node("Range", &[&zero, &size_scalar, &one], []);
    let behind = emit.ints(&[1]);
    let column = emit.node("Unsqueeze", &[&places, &behind], []);
    let same = emit.node("Equal", &[&column, &places], []);
    let float = AttributeProto::int("to", DataType::Float as i64);
    let unit = emit.node("Cast", &[&same], [float]);
    let (scales, sizes) = match target {
        Target::Scale(scale) => (emit.floats(&[2], &[1.0, scale]), String::new()),
        Target::Size(resized) => (String::new(), emit.ints(&[size, resized])),
    };
    let attributes = node.proto.attribute.iter();
    let attributes: Vec<_> = attributes
        .filter(|own| own.name != "axes")
        .cloned()
        .collect();
    emit.node("Resize", &[&unit, "", &scales, &sizes], attributes)
}

/// The axes that are resized, counted from the front, and to what.
fn targets(node: &Node<'_>) -> Result<Vec<(usize, Target)>, String> {
    node.constant_inputs(&[(2, "scales"), (3, "sizes")])?;
    for (attribute, supported) in [
        ("coordinate_transformation_mode", None),
        ("keep_aspect_ratio_policy", Some("stretch")),
    ] {
        let value = node.string(attribute);
        let refused = match supported {
            Some(supported) => value.is_some_and(|value| value != supported),
            None => value == Some("tf_crop_and_resize"),
        };
        if refused {
            let value = value.unwrap_or_default();
            return Err(format!(
                "{attribute} `{value}` is not supported; export the model with another"
            ));
        }
    }
    let rank = node.require_shape(0)?.len();
    let axes: Vec<usize> = match node.ints("axes") {
        None => (0..rank).collect(),
        Some(axes) => {
            let from_front = |&axis: &i64| {
                let axis = if axis < 0 {
                    axis.saturating_add(rank as i64)
                } else {
                    axis
                };
                usize::try_from(axis).ok().filter(|axis| *axis < rank)
            };
            let axes: Option<Vec<usize>> = axes.iter().map(from_front).collect();
            axes.ok_or_else(|| format!("its axes should be below {rank}"))?
        }
    };
    let targets: Vec<Target> = if let Some(sizes) = node.integers(3) {
        sizes.into_iter().map(Target::Size).collect()
    } else {
        let scales = node.stored(2).and_then(TensorProto::to_f64s);
        let scales =
            scales.ok_or("its sizes are not known; export the model with static image sizes")?;
        scales
            .into_iter()
            .map(|scale| Target::Scale(scale as f32))
            .collect()
    };
    if targets.len() != axes.len() {
        return Err(format!(
            "it states {} sizes or scales for {} axes",
            targets.len(),
            axes.len()
        ));
    }
    let positive = |target: &Target| match target {
        Target::Size(size) => *size > 0,
        Target::Scale(scale) => *scale > 0.0 && scale.is_finite(),
    };
    if !targets.iter().all(positive) {
        return Err("its sizes and scales should be positive".into());
    }
    Ok(axes.into_iter().zip(targets).collect())
}

/// The whole part of a size times a scale. Next to a whole number, ONNX Runtime 1.31 reads another size off the graph (20 * 0.7 as
/// 13, the scale being a bit below 0.7) than it computes in single precision (14), and nothing behind fits: `None`.
fn scaled(size: i64, scale: f32) -> Option<f64> {
    let exact = (size as f64 * f64::from(scale)).floor();
    let single = f64::from((size as f32 * scale).floor());
    (exact == single).then_some(exact)
}

fn infer(node: &Node<'_>) -> Option<Vec<Dim>> {
    let mut shape = node.shape(0)?.to_vec();
    for (axis, target) in targets(node).ok()? {
        let dim = shape.get_mut(axis)?;
        *dim = match (target, dim.known()) {
            (Target::Size(size), _) => Dim::Known(u64::try_from(size).ok()?),
            (Target::Scale(1.0), _) => continue,
            (Target::Scale(scale), Some(size)) => {
                Dim::Known(scaled(i64::try_from(size).ok()?, scale)? as u64)
            }
            (Target::Scale(_), None) => Dim::unknown(node.output(), axis),
        };
    }
    Some(shape)
}

#[cfg(test)]
mod tests {
    use crate::{check, proto::AttributeProto, reference::net::Net};
    use proptest::prelude::*;

    /// A mode, how places are computed, and how they are rounded.
    fn attributes() -> impl Strategy<Value = Vec<AttributeProto>> {
        let modes = prop::sample::select(vec!["nearest", "linear"]);
        let places = prop::sample::select(vec!["half_pixel", "asymmetric", "align_corners"]);
        let roundings = prop::sample::select(vec![
            "round_prefer_floor",
            "round_prefer_ceil",
            "floor",
            "ceil",
        ]);
        (modes, places, roundings).prop_map(|(mode, places, rounding)| {
            vec![
                AttributeProto::string("mode", mode),
                AttributeProto::string("coordinate_transformation_mode", places),
                AttributeProto::string("nearest_mode", rounding),
            ]
        })
    }

    proptest! {
        #![proptest_config(crate::reference::cases(32))]
        #[test]
        fn gradient_by_sizes_is_the_difference_quotient(
            mut attributes in attributes(), sizes in [1..9i64, 1..9i64],
            axes in prop::sample::select(vec![[2, 3], [-1, -2], [1, 3]]), seed: u64,
        ) {
            let mut net = Net::new([2, 2, 4, 5], seed);
            let sizes = net.ints(&sizes);
            attributes.push(AttributeProto::ints("axes", axes));
            let y = net.op("Resize", &["image", "", "", &sizes], attributes);
            net.check(&y, seed);
        }

        #[test]
        fn gradient_by_scales_is_the_difference_quotient(
            attributes in attributes(), scales in [0.5..2.5f32, 0.5..2.5f32], same: bool, seed: u64,
        ) {
            let mut net = Net::new([2, 2, 4, 5], seed);
            let scales = net.floats(&[4], &[1.0, 1.0, if same { 1.0 } else { scales[0] }, scales[1]]);
            let y = net.op("Resize", &["image", "", &scales], attributes);
            net.check(&y, seed);
        }
    }

    #[test]
    fn what_cannot_be_resized_is_refused_with_the_reason() {
        let refusal = |net: Net, attributes: &[AttributeProto], sizes: &[i64]| {
            let mut net = net;
            let sizes = net.ints(sizes);
            let y = net.op("Resize", &["image", "", "", &sizes], attributes);
            let row = net.ints(&[-1, 8]);
            let y = net.op("Reshape", &[&y, &row], []);
            let obstacles = check(&net.finish(&y, None)).unwrap_err();
            obstacles[0].reason.clone()
        };
        let fixed = || Net::fixed([1, 2, 2, 2], 1);
        let mode = AttributeProto::string("coordinate_transformation_mode", "tf_crop_and_resize");
        assert!(refusal(fixed(), &[mode], &[1, 2, 2, 2]).contains("tf_crop_and_resize"));
        let policy = AttributeProto::string("keep_aspect_ratio_policy", "not_larger");
        assert!(refusal(fixed(), &[policy], &[1, 2, 2, 2]).contains("not_larger"));
        assert!(refusal(fixed(), &[], &[2, 2]).contains("2 sizes or scales for 4 axes"));
        assert!(refusal(fixed(), &[], &[1, 2, 2, 0]).contains("positive"));
        assert!(refusal(fixed(), &[], &[1, 2, 2, i64::MAX]).contains("too large"));
        let mut net = Net::fixed([1, 2, 20, 2], 1);
        let scales = net.floats(&[4], &[1.0, 1.0, 0.7, 1.0]);
        let y = net.op("Resize", &["image", "", &scales], []);
        let row = net.ints(&[-1, 8]);
        let y = net.op("Reshape", &[&y, &row], []);
        let obstacles = check(&net.finish(&y, None)).unwrap_err();
        assert!(obstacles[0].reason.contains("20 times the scale 0.7"));
        let open = Net::new([1, 2, 2, 2], 1).of_named_sizes();
        assert!(refusal(open, &[], &[1, 2, 2, 2]).contains("static image sizes"));
    }
}
