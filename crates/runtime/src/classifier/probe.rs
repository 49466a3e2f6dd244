//! Inputs on which a freshly loaded graph is tried.
use buckler_attack::InputSpec;
use ndarray::{Array4, ArrayD};

/// Images of [`varied`].
pub(super) const VARIED: usize = 4;

/// Numbers in `[0, 1)` without any pattern that a layer could cancel: multiples of the golden ratio, fractional parts.
pub(super) fn values(shape: &[usize]) -> ArrayD<f32> {
    let mut index = 0;
    ArrayD::from_shape_simple_fn(shape, || {
        index += 1;
        value(index)
    })
}

fn value(index: u64) -> f32 {
    (index as f64 * 0.618_033_988_749_894_8).fract() as f32
}

/// Such pixels.
pub(super) fn images(rows: usize, input: InputSpec) -> Array4<f32> {
    let mut index = 0;
    let shape = (rows, input.channels, input.height, input.width);
    Array4::from_shape_simple_fn(shape, || {
        index += 1;
        value(index)
    })
}

/// Images that have little in common, by number: noise, dark noise of low contrast, bright noise, and a ramp beside a flat region.
pub(super) fn varied(rows: &[usize], input: InputSpec) -> Array4<f32> {
    let (width, channels) = (input.width.max(1) as f32, input.channels.max(1) as f32);
    let shape = (rows.len(), input.channels, input.height, input.width);
    let mut images = Array4::zeros(shape);
    for (mut image, &row) in images.outer_iter_mut().zip(rows) {
        let mut index = row as u64 * input.values() as u64;
        image
            .indexed_iter_mut()
            .for_each(|((channel, y, x), pixel)| {
                index += 1;
                let noise = value(index);
                *pixel = match row {
                    0 => noise,
                    1 => 0.1 + 0.2 * noise,
                    2 => 0.5 + 0.5 * noise,
                    _ if 2 * y < input.height => (x as f32 + 1.0) / (width + 1.0),
                    _ => (channel as f32 + 1.0) / (channels + 1.0),
                };
            });
    }
    images
}
