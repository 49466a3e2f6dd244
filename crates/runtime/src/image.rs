//! From encoded images to a classifier's input and back.
mod limits;
mod pixels;
mod size;

use std::io::Cursor;

use ::image::{DynamicImage, ImageDecoder, ImageReader, metadata::Orientation};
use buckler_attack::InputSpec;
use buckler_onnx::Resize;
use ndarray::{Array3, ArrayView3};

pub use self::limits::ImageLimits;

/// Why an image was not taken or not made.
#[derive(Debug, thiserror::Error)]
pub enum ImageError {
    /// The encoded image is too long.
    #[error("the image has {bytes} bytes, more than the {limit} allowed: send a smaller file")]
    TooManyBytes {
        /// Its length.
        bytes: usize,
        /// The limit.
        limit: usize,
    },
    /// The bytes are empty or of no image format.
    #[error(
        "the {bytes} bytes are no image in a known format{found}: send a PNG, JPEG, WebP, BMP or GIF file"
    )]
    NotAnImage {
        /// Their number.
        bytes: usize,
        /// What they look like, as a phrase; empty when unknown.
        found: String,
    },
    /// The picture is too large, whatever the file's size.
    #[error(
        "the image is {size}, more than the {pixels} pixels or {side} per side allowed: scale it down first"
    )]
    TooManyPixels {
        /// `width x height`, or that it is too large, where the decoder does not tell.
        size: String,
        /// The limit for width times height.
        pixels: u64,
        /// The limit for each of width and height.
        side: u32,
    },
    /// The file is damaged.
    #[error("the image cannot be decoded ({0}): send a file that an image viewer opens")]
    Broken(String),
    /// A colour image for a model that sees grey.
    #[error(
        "the image has 3 colour channels, but the model takes 1 (grey): convert it first, for example with \
         `convert in.png -colorspace Gray out.png`"
    )]
    WrongChannels,
    /// The model takes neither grey nor RGB images.
    #[error(
        "the model takes {0} channels, but images have 1 (grey) or 3 (RGB): send tensors to this model"
    )]
    ModelChannels(usize),
    /// An array of pixels that is no picture.
    #[error("pixels of shape {0:?} cannot be written as PNG: expected [1 or 3, height, width]")]
    NotEncodable([usize; 3]),
}

/// Decodes an image (PNG, JPEG, WebP, BMP, the first frame of a GIF; recognised by content) into pixels in `[0, 1]`,
/// `[channels, height, width]`, as `input` demands.
///
/// * Transparent pixels are laid over black.
/// * Grey becomes RGB by repetition; RGB becomes grey only if its channels are equal in every pixel.
/// * The orientation that a camera recorded is applied.
/// * An image of the model's size keeps its exact values; any other is brought there as `resize` says, with a
///   triangle (bilinear, antialiased) filter.
///
/// # Errors
/// When the bytes exceed `limits` or are no readable image, or when a colour image meets a grey model.
pub fn decode(
    bytes: &[u8],
    input: InputSpec,
    resize: Resize,
    limits: &ImageLimits,
) -> Result<Array3<f32>, ImageError> {
    let image = decoded(bytes, limits)?;
    let image = pixels::flattened(image);
    let image = pixels::with_channels(image, input.channels)?;
    Ok(pixels::to_array(&size::fit(image, input, resize)))
}

fn decoded(bytes: &[u8], limits: &ImageLimits) -> Result<DynamicImage, ImageError> {
    if bytes.len() > limits.max_bytes {
        return Err(ImageError::TooManyBytes {
            bytes: bytes.len(),
            limit: limits.max_bytes,
        });
    }
    let not_an_image = |found: String| ImageError::NotAnImage {
        bytes: bytes.len(),
        found,
    };
    let broken = |error: ::image::ImageError| ImageError::Broken(error.to_string());
    let mut reader = ImageReader::new(Cursor::new(bytes))
        .with_guessed_format()
        .map_err(|error| ImageError::Broken(error.to_string()))?;
    let format = reader.format().ok_or_else(|| not_an_image(String::new()))?;
    if !format.reading_enabled() {
        return Err(not_an_image(format!(" (they look like {format:?})")));
    }
    reader.limits(limits.for_decoder());
    let mut decoder = reader.into_decoder().map_err(|error| match error {
        // Decoders check the limits on the side lengths themselves, but do not tell the size.
        ::image::ImageError::Limits(_) => limits.exceeded_by(size::announced(bytes)),
        error => broken(error),
    })?;
    let (width, height) = decoder.dimensions();
    limits.check(width, height)?;
    let orientation = decoder.orientation().unwrap_or(Orientation::NoTransforms);
    let mut image = DynamicImage::from_decoder(decoder).map_err(broken)?;
    image.apply_orientation(orientation);
    Ok(image)
}

/// Encodes pixels in `[0, 1]`, `[1 or 3, height, width]`, as an 8-bit PNG: each becomes `round(255 x)`.
///
/// # Errors
/// When the shape is no grey or RGB picture.
pub fn encode_png(pixels: ArrayView3<f32>) -> Result<Vec<u8>, ImageError> {
    let image = pixels::from_array(pixels)?;
    let mut bytes = Cursor::new(Vec::new());
    image
        .write_to(&mut bytes, ::image::ImageFormat::Png)
        .map_err(|error| ImageError::Broken(error.to_string()))?;
    Ok(bytes.into_inner())
}

#[cfg(test)]
mod tests;
