//! From an image file to an image of the size a network sees. The format is that of the content, whatever the name says;
//! transparency and the orientation noted by cameras are ignored, and grey becomes RGB, as torchvision's folders do it.
use std::{
    fs::File,
    io::{Cursor, Read},
    path::Path,
};

use image::{
    DynamicImage, GenericImageView, ImageDecoder, ImageFormat, ImageReader, Limits, Rgb, RgbImage,
    imageops::{self, FilterType},
};
use rand_chacha::ChaCha8Rng;

use crate::{DataError, augment::Region};

/// The longest side of an image in pixels, and how many pixels it may have in all: more than any photograph in a data
/// set for training, and little enough for several threads to decode one each.
const MAX_SIDE: u32 = 16_384;
const MAX_PIXELS: u64 = 100_000_000;
/// How much longer one side may be than the other, because the scaled image grows with it.
const MAX_RATIO: u32 = 64;
/// The longest file.
const MAX_BYTES: u64 = 1 << 28;
/// What a decoder may use beside the image itself.
const MAX_MEMORY: u64 = 1 << 30;
/// The scaled shorter side over the side that is cut out of the centre.
const MARGIN: (usize, usize) = (256, 224);

/// The file's image as it is seen when nothing is random: the shorter side scaled to `side * 256 / 224`, the centre cut
/// out; `[3, side, side]`.
pub(crate) fn plain(path: &Path, side: usize) -> Result<Vec<u8>, DataError> {
    let image = read(path)?;
    let (width, height) = image.dimensions();
    let shorter = (side * MARGIN.0 / MARGIN.1).max(1);
    let longer = |long: u32, short: u32| shorter * long as usize / (short.max(1) as usize);
    let (to_width, to_height) = match width <= height {
        true => (shorter, longer(height, width)),
        false => (longer(width, height), shorter),
    };
    let scaled = scale(&image, to_width, to_height);
    let middle = |length: usize| ((length - side) as f64 / 2.0).round_ties_even() as u32;
    let (x, y) = (middle(to_width), middle(to_height));
    let part = imageops::crop_imm(&scaled, x, y, side as u32, side as u32);
    Ok(planes(&*part))
}

/// A random part of the file's image, scaled to `[3, side, side]`.
pub(crate) fn random_crop(
    path: &Path,
    side: usize,
    rng: &mut ChaCha8Rng,
) -> Result<Vec<u8>, DataError> {
    let image = read(path)?;
    let region = Region::draw(image.width(), image.height(), rng);
    let part = imageops::crop_imm(&image, region.x, region.y, region.width, region.height);
    Ok(planes(&scale(&*part, side, side)))
}

/// Bilinear; the triangle grows with the reduction, so that nothing is skipped.
fn scale(image: &impl GenericImageView<Pixel = Rgb<u8>>, width: usize, height: usize) -> RgbImage {
    imageops::resize(image, width as u32, height as u32, FilterType::Triangle)
}

/// `[3, height, width]`, row-major.
fn planes(image: &impl GenericImageView<Pixel = Rgb<u8>>) -> Vec<u8> {
    (0..3)
        .flat_map(|channel| {
            image
                .pixels()
                .map(move |(_, _, Rgb(values))| values[channel])
        })
        .collect()
}

fn read(path: &Path) -> Result<RgbImage, DataError> {
    let broken = |reason: String| DataError::Image {
        path: path.to_owned(),
        reason,
    };
    let mut bytes = Vec::new();
    File::open(path)
        .and_then(|file| file.take(MAX_BYTES + 1).read_to_end(&mut bytes))
        .map_err(|error| broken(error.to_string()))?;
    if bytes.len() as u64 > MAX_BYTES {
        return Err(broken(format!("it has more than {MAX_BYTES} bytes")));
    }
    let mut reader = ImageReader::new(Cursor::new(&bytes))
        .with_guessed_format()
        .map_err(|error| broken(error.to_string()))?;
    if reader.format() == Some(ImageFormat::Jpeg) && is_cut_off(&bytes) {
        return Err(broken("it is cut off".into()));
    }
    let mut limits = Limits::default();
    limits.max_alloc = Some(MAX_MEMORY);
    reader.limits(limits);
    let decoder = reader
        .into_decoder()
        .map_err(|error| broken(error.to_string()))?;
    let (width, height) = decoder.dimensions();
    let (short, long) = (width.min(height), width.max(height));
    if short == 0 {
        return Err(broken(format!("it has {width} x {height} pixels")));
    }
    if long > MAX_SIDE || u64::from(width) * u64::from(height) > MAX_PIXELS {
        return Err(broken(format!(
            "it claims {width} x {height} pixels, more than {MAX_SIDE} on a side or {MAX_PIXELS} in all"
        )));
    }
    if long > short.saturating_mul(MAX_RATIO) {
        return Err(broken(format!(
            "it has {width} x {height} pixels, one side more than {MAX_RATIO} times the other"
        )));
    }
    DynamicImage::from_decoder(decoder)
        .map(DynamicImage::into_rgb8)
        .map_err(|error| broken(error.to_string()))
}

/// Whether the end marker is missing after the last scan of a JPEG: the decoder would fill what is not there with grey.
fn is_cut_off(jpeg: &[u8]) -> bool {
    let last = |marker| jpeg.windows(2).rposition(|pair| pair == [0xff, marker]);
    let (scan, end) = (last(0xda), last(0xd9));
    end < scan || end.is_none()
}

#[cfg(test)]
mod tests;
