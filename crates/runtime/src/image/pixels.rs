use ::image::{DynamicImage, GrayImage, ImageBuffer, Luma, LumaA, Pixel, Rgb, RgbImage, Rgba};
use ndarray::{Array3, ArrayView3};

use super::ImageError;

/// Without transparency: laid over black, in the samples' own depth.
pub(super) fn flattened(image: DynamicImage) -> DynamicImage {
    match image {
        DynamicImage::ImageLumaA8(image) => over_black(&image, |LumaA([l, a])| {
            Luma([scaled(l.into(), a.into(), u8::MAX.into()) as u8])
        })
        .into(),
        DynamicImage::ImageLumaA16(image) => over_black(&image, |LumaA([l, a])| {
            Luma([scaled(l.into(), a.into(), u16::MAX.into()) as u16])
        })
        .into(),
        DynamicImage::ImageRgba8(image) => over_black(&image, |Rgba([r, g, b, a])| {
            Rgb([r, g, b].map(|c| scaled(c.into(), a.into(), u8::MAX.into()) as u8))
        })
        .into(),
        DynamicImage::ImageRgba16(image) => over_black(&image, |Rgba([r, g, b, a])| {
            Rgb([r, g, b].map(|c| scaled(c.into(), a.into(), u16::MAX.into()) as u16))
        })
        .into(),
        DynamicImage::ImageRgba32F(image) => {
            over_black(&image, |Rgba([r, g, b, a])| Rgb([r * a, g * a, b * a])).into()
        }
        opaque => opaque,
    }
}

fn over_black<P: Pixel, Q: Pixel>(
    image: &ImageBuffer<P, Vec<P::Subpixel>>,
    pixel: impl Fn(P) -> Q,
) -> ImageBuffer<Q, Vec<Q::Subpixel>> {
    ImageBuffer::from_fn(image.width(), image.height(), |x, y| {
        pixel(*image.get_pixel(x, y))
    })
}

/// `value * alpha / full`, rounded; not above `value`.
fn scaled(value: u64, alpha: u64, full: u64) -> u64 {
    (value * alpha + full / 2) / full
}

/// With as many channels as the model takes.
pub(super) fn with_channels(
    image: DynamicImage,
    channels: usize,
) -> Result<DynamicImage, ImageError> {
    match (channels, image.color().has_color()) {
        (1, false) | (3, true) => Ok(image),
        (1, true) => grey(image),
        (3, false) => Ok(match image {
            DynamicImage::ImageLuma8(_) => image.into_rgb8().into(),
            _ => image.into_rgb16().into(),
        }),
        _ => Err(ImageError::ModelChannels(channels)),
    }
}

fn grey(image: DynamicImage) -> Result<DynamicImage, ImageError> {
    let is_grey = match &image {
        DynamicImage::ImageRgb8(image) => image.pixels().all(|Rgb([r, g, b])| r == g && g == b),
        DynamicImage::ImageRgb16(image) => image.pixels().all(|Rgb([r, g, b])| r == g && g == b),
        _ => false,
    };
    if !is_grey {
        return Err(ImageError::WrongChannels);
    }
    Ok(match image {
        DynamicImage::ImageRgb8(image) => {
            over_black(&image, |Rgb([value, ..])| Luma([value])).into()
        }
        other => over_black(&other.into_rgb16(), |Rgb([value, ..])| Luma([value])).into(),
    })
}

/// `[channels, height, width]` in `[0, 1]`: 8-bit samples divided by 255, 16-bit ones by 65535.
pub(super) fn to_array(image: &DynamicImage) -> Array3<f32> {
    match image {
        DynamicImage::ImageLuma8(image) => planes(image, |sample| f32::from(sample) / 255.0),
        DynamicImage::ImageRgb8(image) => planes(image, |sample| f32::from(sample) / 255.0),
        DynamicImage::ImageLuma16(image) => planes(image, |sample| f32::from(sample) / 65535.0),
        DynamicImage::ImageRgb16(image) => planes(image, |sample| f32::from(sample) / 65535.0),
        other => planes(&other.to_rgb32f(), |sample| sample.clamp(0.0, 1.0)),
    }
}

fn planes<P: Pixel>(
    image: &ImageBuffer<P, Vec<P::Subpixel>>,
    value: impl Fn(P::Subpixel) -> f32,
) -> Array3<f32> {
    let shape = (
        usize::from(P::CHANNEL_COUNT),
        image.height() as usize,
        image.width() as usize,
    );
    let samples: &[P::Subpixel] = image;
    Array3::from_shape_fn(shape, |(channel, y, x)| {
        samples
            .get((y * shape.2 + x) * shape.0 + channel)
            .map_or(0.0, |&sample| value(sample))
    })
}

/// 8-bit grey or RGB.
pub(super) fn from_array(pixels: ArrayView3<f32>) -> Result<DynamicImage, ImageError> {
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
