//! PNG, read without most of its texts and its colour profile: both may inflate to a thousand times their length.
mod chunks;
mod profile;
mod raw_profile;

use std::io::{Cursor, ErrorKind};

use image::{DynamicImage, ImageBuffer, metadata::Orientation};
use png::{BitDepth, ColorType, Decoder, DecodingError, Info, Limits, Transformations};

use super::{Decoded, ImageError, ImageLimits, ImageNote, exif};

/// Reads the first image.
pub(super) fn decode(bytes: &[u8], limits: &ImageLimits) -> Result<Decoded, ImageError> {
    let mut decoder = decoder(bytes, limits)?;
    // Palettes become colours, colour keys alpha, and less than 8 bits 8 bits.
    decoder.set_transformations(Transformations::EXPAND);
    let mut reader = decoder.read_info().map_err(refusal)?;
    let (width, height) = reader.info().size();
    let length = reader
        .output_buffer_size()
        .filter(|&length| length as u64 <= limits.max_alloc)
        .ok_or_else(|| too_large(limits))?;
    let mut samples = vec![0; length];
    reader.next_frame(&mut samples).map_err(refusal)?;
    // The orientation may come after the pixels. These are whole, whatever is missing now.
    let _ = reader.finish();
    let info = reader.info();
    let orientation = orientation(bytes, info);
    let mut notes = Vec::new();
    if let Some(animation) = info.animation_control()
        && animation.num_frames > 1
    {
        notes.push(ImageNote::FirstFrame {
            frames: animation.num_frames,
        });
    }
    if profile::is_foreign(bytes, info) {
        notes.push(ImageNote::ProfileIgnored);
    }
    let image = match reader.output_color_type() {
        (ColorType::Grayscale, BitDepth::Eight) => {
            ImageBuffer::from_raw(width, height, samples).map(DynamicImage::ImageLuma8)
        }
        (ColorType::GrayscaleAlpha, BitDepth::Eight) => {
            ImageBuffer::from_raw(width, height, samples).map(DynamicImage::ImageLumaA8)
        }
        (ColorType::Rgb, BitDepth::Eight) => {
            ImageBuffer::from_raw(width, height, samples).map(DynamicImage::ImageRgb8)
        }
        (ColorType::Rgba, BitDepth::Eight) => {
            ImageBuffer::from_raw(width, height, samples).map(DynamicImage::ImageRgba8)
        }
        (ColorType::Grayscale, BitDepth::Sixteen) => {
            ImageBuffer::from_raw(width, height, words(&samples)).map(DynamicImage::ImageLuma16)
        }
        (ColorType::GrayscaleAlpha, BitDepth::Sixteen) => {
            ImageBuffer::from_raw(width, height, words(&samples)).map(DynamicImage::ImageLumaA16)
        }
        (ColorType::Rgb, BitDepth::Sixteen) => {
            ImageBuffer::from_raw(width, height, words(&samples)).map(DynamicImage::ImageRgb16)
        }
        (ColorType::Rgba, BitDepth::Sixteen) => {
            ImageBuffer::from_raw(width, height, words(&samples)).map(DynamicImage::ImageRgba16)
        }
        _ => None,
    };
    let image = image.ok_or_else(|| {
        ImageError::Broken("its samples are of a kind that is not supported".to_owned())
    })?;
    Ok(Decoded {
        image,
        orientation,
        notes,
    })
}

/// Width and height, and the orientation where it stands before the pixels.
pub(super) fn announced(
    bytes: &[u8],
    limits: &ImageLimits,
) -> Result<((u32, u32), Orientation), ImageError> {
    let reader = decoder(bytes, limits)?.read_info().map_err(refusal)?;
    let info = reader.info();
    Ok((info.size(), orientation(bytes, info)))
}

/// What the camera recorded, in the chunk for it or as text.
fn orientation(bytes: &[u8], info: &Info) -> Orientation {
    let exif = info.exif_metadata.as_deref().and_then(exif::orientation);
    exif.or_else(|| exif::orientation(&raw_profile::exif(bytes)?))
        .unwrap_or(Orientation::NoTransforms)
}

/// A decoder whose image is within the limits.
fn decoder<'a>(
    bytes: &'a [u8],
    limits: &ImageLimits,
) -> Result<Decoder<Cursor<&'a [u8]>>, ImageError> {
    let memory = usize::try_from(limits.max_alloc).unwrap_or(usize::MAX);
    let mut decoder = Decoder::new_with_limits(Cursor::new(bytes), Limits { bytes: memory });
    decoder.set_ignore_text_chunk(true);
    decoder.set_ignore_iccp_chunk(true);
    let (width, height) = decoder.read_header_info().map_err(refusal)?.size();
    limits.check(width, height)?;
    Ok(decoder)
}

fn too_large(limits: &ImageLimits) -> ImageError {
    ImageError::Broken(format!(
        "decoding it takes more than {} bytes of memory",
        limits.max_alloc
    ))
}

fn refusal(error: DecodingError) -> ImageError {
    match error {
        DecodingError::IoError(error) if error.kind() == ErrorKind::UnexpectedEof => {
            ImageError::cut_off()
        }
        error => ImageError::Broken(error.to_string()),
    }
}

/// Samples of two bytes, the higher one first.
fn words(bytes: &[u8]) -> Vec<u16> {
    let (pairs, _) = bytes.as_chunks::<2>();
    pairs.iter().copied().map(u16::from_be_bytes).collect()
}
