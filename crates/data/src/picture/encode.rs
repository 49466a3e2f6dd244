//! From pixels to a PNG file.
use std::io::Cursor;

use image::{DynamicImage, GrayImage, ImageFormat, RgbImage};
use ndarray::ArrayView3;

use super::ImageError;

/// Encodes pixels in `[0, 1]`, `[1 or 3, height, width]`, as an 8-bit PNG: each becomes `round(255 x)`.
///
/// # Errors
/// When the shape is not that of a grey or RGB picture.
pub fn encode_png(pixels: ArrayView3<f32>) -> Result<Vec<u8>, ImageError> {
    let image = from_array(pixels)?;
    let mut bytes = Cursor::new(Vec::new());
    image
        .write_to(&mut bytes, ImageFormat::Png)
        .map_err(|error| ImageError::Broken(error.to_string()))?;
    Ok(bytes.into_inner())
}

/// 8-bit grey or RGB.
fn from_array(pixels: ArrayView3<f32>) -> Result<DynamicImage, ImageError> {
    let (channels, height, width) = pixels.dim();
    let error = || ImageError::NotEncodable([channels, height, width]);
    let side = |length: usize| u32::try_from(length).ok().filter(|&side| side > 0);
    let (width, height) = side(width).zip(side(height)).ok_or_else(error)?;
    let samples = pixels
        .permuted_axes([1, 2, 0])
        .iter()
        .map(|value| (value * 255.0).round() as u8)
        .collect();
    match channels {
        1 => GrayImage::from_raw(width, height, samples).map(Into::into),
        3 => RgbImage::from_raw(width, height, samples).map(Into::into),
        _ => None,
    }
    .ok_or_else(error)
}
