//! WebP, BMP and GIF.
mod frames;

use std::{borrow::Cow, io::Cursor};

use image::{DynamicImage, ImageDecoder, ImageFormat, ImageReader, metadata::Orientation};

use super::{Decoded, ImageError, ImageLimits, ImageNote};

/// Reads the first image.
pub(super) fn decode(
    bytes: &[u8],
    format: ImageFormat,
    limits: &ImageLimits,
) -> Result<Decoded, ImageError> {
    let frames = match format {
        ImageFormat::Gif => frames::gif(bytes)?,
        ImageFormat::WebP => frames::webp(bytes)?,
        _ => 1,
    };
    let bytes = match format {
        ImageFormat::WebP => frames::with_alpha_flag(bytes),
        _ => Cow::Borrowed(bytes),
    };
    let mut decoder = decoder(&bytes, format, limits)?;
    let orientation = decoder.orientation().unwrap_or(Orientation::NoTransforms);
    let image = DynamicImage::from_decoder(decoder).map_err(refusal)?;
    let notes = match frames {
        0 | 1 => Vec::new(),
        frames => vec![ImageNote::FirstFrame { frames }],
    };
    Ok(Decoded {
        image,
        orientation,
        notes,
    })
}

/// Width, height and orientation.
pub(super) fn announced(
    bytes: &[u8],
    format: ImageFormat,
    limits: &ImageLimits,
) -> Result<((u32, u32), Orientation), ImageError> {
    let mut decoder = decoder(bytes, format, limits)?;
    let orientation = decoder.orientation().unwrap_or(Orientation::NoTransforms);
    Ok((decoder.dimensions(), orientation))
}

/// A decoder whose image is within the limits.
fn decoder<'a>(
    bytes: &'a [u8],
    format: ImageFormat,
    limits: &ImageLimits,
) -> Result<impl ImageDecoder + 'a, ImageError> {
    // Decoders that check the side lengths themselves do not tell the size: first without limits, nothing is decoded for it.
    let mut reader = ImageReader::with_format(Cursor::new(bytes), format);
    reader.no_limits();
    let mut decoder = reader.into_decoder().map_err(refusal)?;
    let (width, height) = decoder.dimensions();
    limits.check(width, height)?;
    decoder.set_limits(limits.for_decoder()).map_err(refusal)?;
    if decoder.total_bytes() > limits.max_alloc {
        return Err(ImageError::Broken(format!(
            "decoding it takes more than {} bytes of memory",
            limits.max_alloc
        )));
    }
    Ok(decoder)
}

fn refusal(error: image::ImageError) -> ImageError {
    match error {
        image::ImageError::IoError(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => {
            ImageError::cut_off()
        }
        error => ImageError::Broken(error.to_string()),
    }
}
