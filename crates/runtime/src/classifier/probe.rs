//! Inputs on which a freshly loaded graph is tried.
use buckler_attack::InputSpec;
use ndarray::{Array4, ArrayD};

/// Numbers in `[0, 1)` without any pattern that a layer could cancel: multiples of the golden ratio, fractional parts.
pub(super) fn values(shape: &[usize]) -> ArrayD<f32> {
    let mut index = 0u32;
    ArrayD::from_shape_simple_fn(shape, || {
        index += 1;
        (f64::from(index) * 0.618_033_988_749_894_8).fract() as f32
    })
}

/// Such pixels.
pub(super) fn images(rows: usize, input: InputSpec) -> Array4<f32> {
    let mut values = values(&[rows * input.values()]).into_iter();
    let shape = (rows, input.channels, input.height, input.width);
    Array4::from_shape_simple_fn(shape, || values.next().unwrap_or_default())
}
