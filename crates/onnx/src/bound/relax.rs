//! Two lines that enclose a rectifier on an interval (Zhang et al. 2018, section 3.2): above, the chord; below, the line through
//! zero with one of both slopes, whichever leaves less area.

use super::interval::Bounds;
use crate::{node::Node, proto::DataType};

/// Rounding of slopes and intercepts, relative to the ends of the interval.
const SLACK: f32 = 1e-6;

/// The lines, for each element of the input's shape.
pub(super) struct Relaxation {
    pub lower_slope: String,
    pub upper_slope: String,
    /// How far the lower line is below the reference's own value, at the reference; not negative.
    pub below: String,
    /// How far the upper line is above it; not negative.
    pub above: String,
}

/// The slope on the negative side, of a rectifier that has one between 0 and 1 and 1 on the other.
pub(super) fn slope(node: &Node<'_>) -> Option<f32> {
    match node.proto.op_type.as_str() {
        "Relu" => Some(0.0),
        "LeakyRelu" => {
            let slope = node.float("alpha").unwrap_or(0.01);
            (0.0..=1.0).contains(&slope).then_some(slope)
        }
        "Clip" => {
            let low = node.stored(1)?.to_f64s()?;
            let float = node.stored(1)?.data_type == DataType::Float as i32;
            (float && low == [0.0] && node.input(2).is_none()).then_some(0.0)
        }
        _ => None,
    }
}

/// y = a x + (1 - a) max(x, 0), so that the lines of max(x, 0) do for every slope a.
pub(super) fn rectifier(node: &Node<'_>, bounds: &mut Bounds) -> Result<Relaxation, String> {
    let a = slope(node).ok_or("it is no rectifier")?;
    let reference = node.require_input(0)?;
    let x = bounds.input(node, 0)?;
    let zero = bounds.emit.float(0.0);
    let low = bounds.two("Min", &x.lower, &zero);
    let high = bounds.two("Max", &x.upper, &zero);
    let width = bounds.two("Sub", &high, &low);
    let smallest = bounds.emit.float(f32::MIN_POSITIVE);
    let width = bounds.two("Max", &width, &smallest);
    let upper_slope = bounds.two("Div", &high, &width);
    let sum = bounds.two("Add", &x.lower, &x.upper);
    let steep = bounds.two("Greater", &sum, &zero);
    let lower_slope = bounds.float_of(&steep);

    let value = bounds.one("Relu", reference);
    let line = bounds.two("Mul", &lower_slope, reference);
    let mut below = bounds.two("Sub", &value, &line);
    // The chord is slope (x - low).
    let from_low = bounds.two("Sub", reference, &low);
    let chord = bounds.two("Mul", &upper_slope, &from_low);
    let above = bounds.two("Sub", &chord, &value);
    let slack = match a == 0.0 {
        // Without a kink inside, all of this is exact.
        true => {
            let kink = bounds.two("Less", &low, &zero);
            let slack = bounds.scaled(&high, SLACK);
            bounds.emit.node("Where", &[&kink, &slack, &zero], [])
        }
        false => {
            let size = bounds.size(&x);
            bounds.scaled(&size, SLACK)
        }
    };
    let kink = bounds.two("Less", &low, &zero);
    let above = bounds.emit.node("Where", &[&kink, &above, &zero], []);
    let mut above = bounds.two("Add", &above, &slack);
    if a == 0.0 {
        return Ok(Relaxation {
            lower_slope,
            upper_slope,
            below,
            above,
        });
    }
    below = bounds.two("Add", &below, &slack);
    above = bounds.two("Add", &above, &slack);
    let offset = bounds.emit.float(a);
    let [lower_slope, upper_slope] = [lower_slope, upper_slope].map(|slope| {
        let part = bounds.scaled(&slope, 1.0 - a);
        bounds.two("Add", &part, &offset)
    });
    Ok(Relaxation {
        lower_slope,
        upper_slope,
        below,
        above,
    })
}
