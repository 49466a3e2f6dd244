//! JPEG: the structure of the file is read here, its pixels by the decoder of libjpeg-turbo, which Pillow uses too.
//!
//! The decoder makes the best of any file: where data are missing it draws grey and warns. What it is given is therefore
//! put together from the file's markers, so that it has no reason to warn about a file that is whole, and every warning
//! about pixels refuses the image.
mod color;
mod errors;
mod markers;
mod source;

use image::{DynamicImage, ImageBuffer, metadata::Orientation};
use mozjpeg::{Decompress, decompress::DecompressStarted};

use self::{errors::caught, markers::Markers, source::Source};
use super::{Decoded, ImageError, ImageLimits, ImageNote};

/// How many times the decoder may go over all pixels, as `scans * pixels`: a small file can hold many scans that say
/// nothing of a large image.
const MAX_SCANNED_PIXELS: u64 = 1 << 32;

/// Reads the image; what comes after its end marker, such as a film or a second image, is not looked at.
pub(super) fn decode(bytes: &[u8], limits: &ImageLimits) -> Result<Decoded, ImageError> {
    let markers = checked(bytes, limits)?;
    markers.check_complete()?;
    let frame = &markers.frame;
    let (width, height) = (u32::from(frame.width), u32::from(frame.height));
    let pixels = u64::from(width) * u64::from(height);
    if pixels.saturating_mul(markers.scans as u64) > MAX_SCANNED_PIXELS {
        return Err(ImageError::Broken(format!(
            "its {width}x{height} pixels come in {} scans",
            markers.scans
        )));
    }
    // A byte for each sample, and two for its coefficient where scans have to be put together.
    let samples = pixels.saturating_mul(frame.components.len() as u64);
    let bytes = if markers.scans > 1 { 3 } else { 1 };
    if samples.saturating_mul(bytes) > limits.max_alloc {
        return Err(ImageError::Broken(format!(
            "decoding it takes more than {} bytes of memory",
            limits.max_alloc
        )));
    }
    let Read { samples, left_over } = caught(|| {
        let started = Decompress::with_err(errors::manager())
            .from_reader(Source::new(markers.parts()))?
            .image()?;
        match started {
            mozjpeg::Format::RGB(started)
            | mozjpeg::Format::Gray(started)
            | mozjpeg::Format::CMYK(started) => read(started),
        }
    })
    .ok_or_else(|| match markers.ended {
        true => ImageError::Broken("its compressed data are damaged".to_owned()),
        false => ImageError::cut_off(),
    })?;
    // As from a file of which room was taken for the whole, and a part was written: zeros are read as grey.
    if left_over && !markers.ended {
        return Err(ImageError::cut_off());
    }
    let image = match samples.len() as u64 {
        length if length == pixels => {
            ImageBuffer::from_raw(width, height, samples).map(DynamicImage::ImageLuma8)
        }
        length if length == 3 * pixels => {
            ImageBuffer::from_raw(width, height, samples).map(DynamicImage::ImageRgb8)
        }
        length if length == 4 * pixels => {
            ImageBuffer::from_raw(width, height, color::cmyk_to_rgb(&samples))
                .map(DynamicImage::ImageRgb8)
        }
        _ => None,
    };
    let mut notes = Vec::new();
    if left_over {
        notes.push(ImageNote::LeftOver);
    }
    if frame.components.len() == 4 {
        notes.push(ImageNote::Cmyk);
    } else if markers.has_foreign_profile() {
        notes.push(ImageNote::ProfileIgnored);
    }
    Ok(Decoded {
        image: image.ok_or_else(|| ImageError::Broken("its size is contradictory".to_owned()))?,
        orientation: markers.orientation(),
        notes,
    })
}

/// Width, height and orientation.
pub(super) fn announced(
    bytes: &[u8],
    limits: &ImageLimits,
) -> Result<((u32, u32), Orientation), ImageError> {
    let markers = checked(bytes, limits)?;
    let size = (markers.frame.width.into(), markers.frame.height.into());
    Ok((size, markers.orientation()))
}

/// The markers of a file whose size is within the limits.
fn checked<'a>(bytes: &'a [u8], limits: &ImageLimits) -> Result<Markers<'a>, ImageError> {
    let markers = Markers::read(bytes)?;
    limits.check(markers.frame.width.into(), markers.frame.height.into())?;
    Ok(markers)
}

/// Reads to the end.
fn read(mut started: DecompressStarted<Source>) -> std::io::Result<Read> {
    let samples = started.read_scanlines()?;
    let left_over = errors::complains(|| started.finish());
    Ok(Read { samples, left_over })
}

struct Read {
    /// All rows, interleaved.
    samples: Vec<u8>,
    /// Whether something that is not an end comes after them.
    left_over: bool,
}
