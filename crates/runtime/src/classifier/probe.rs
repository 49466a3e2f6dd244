//! Inputs on which a freshly loaded graph is tried.
use buckler_attack::{InputSpec, Objective};
use ndarray::Array4;

/// Pixels in `[0, 1)` without any pattern that a layer could cancel: multiples of the golden ratio, fractional parts.
pub(super) fn images(rows: usize, input: InputSpec) -> Array4<f32> {
    let mut index = 0u32;
    Array4::from_shape_simple_fn((rows, input.channels, input.height, input.width), || {
        index += 1;
        (f64::from(index) * 0.618_033_988_749_894_8).fract() as f32
    })
}

/// One of each kind, in turn.
pub(super) fn objectives(rows: usize, classes: usize) -> Vec<Objective> {
    (0..rows)
        .map(|row| {
            let class = row % classes.max(1);
            match row % 5 {
                0 => Objective::CrossEntropy { label: class },
                1 => Objective::Margin { label: class },
                2 => Objective::TargetedCrossEntropy { target: class },
                3 => Objective::TargetedMargin { target: class },
                _ => Objective::Cotangent((0..classes).map(|i| (i % 7) as f32 - 3.0).collect()),
            }
        })
        .collect()
}
