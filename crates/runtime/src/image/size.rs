use std::io::Cursor;

use ::image::{DynamicImage, ImageDecoder, ImageReader, imageops::FilterType};
use buckler_attack::InputSpec;
use buckler_onnx::Resize;

/// Brings an image to the model's size; one that has it already is left untouched.
pub(super) fn fit(image: DynamicImage, input: InputSpec, resize: Resize) -> DynamicImage {
    let side = |length: usize| u32::try_from(length).unwrap_or(u32::MAX);
    let (width, height) = (side(input.width), side(input.height));
    if (image.width(), image.height()) == (width, height) {
        return image;
    }
    match resize {
        Resize::Stretch => image.resize_exact(width, height, FilterType::Triangle),
        Resize::CenterCrop => image.resize_to_fill(width, height, FilterType::Triangle),
    }
}

/// The size that an image announces, read without limits: nothing is decoded for it.
pub(super) fn announced(bytes: &[u8]) -> Option<(u32, u32)> {
    let mut reader = ImageReader::new(Cursor::new(bytes))
        .with_guessed_format()
        .ok()?;
    reader.no_limits();
    Some(reader.into_decoder().ok()?.dimensions())
}
