//! From decoded samples to opaque planes with as many channels as a model takes.
use image::{DynamicImage, GrayImage, ImageBuffer, Luma, LumaA, Pixel, Rgb, RgbImage, Rgba};
use ndarray::Array3;

use super::{ImageError, ImageNote};
use crate::{Grey, Preprocessing};

type Words<P> = ImageBuffer<P, Vec<u16>>;

const BYTE: u64 = u8::MAX as u64;
const WORD: u64 = u16::MAX as u64;

/// Without transparency: laid over `background`, in the samples' own depth. Grey over grey stays grey.
pub(super) fn opaque(
    image: DynamicImage,
    background: [u8; 3],
    notes: &mut Vec<ImageNote>,
) -> DynamicImage {
    let transparent = match &image {
        DynamicImage::ImageLumaA8(image) => image.pixels().any(|LumaA([_, a])| *a < u8::MAX),
        DynamicImage::ImageLumaA16(image) => image.pixels().any(|LumaA([_, a])| *a < u16::MAX),
        DynamicImage::ImageRgba8(image) => image.pixels().any(|Rgba([.., a])| *a < u8::MAX),
        DynamicImage::ImageRgba16(image) => image.pixels().any(|Rgba([.., a])| *a < u16::MAX),
        _ => return image,
    };
    if transparent {
        notes.push(ImageNote::Transparent { background });
    }
    let [red, green, blue] = background.map(u64::from);
    let coloured = red != green || green != blue;
    let image = match image {
        DynamicImage::ImageLumaA8(image) if transparent && coloured => {
            DynamicImage::ImageLumaA8(image).into_rgba8().into()
        }
        DynamicImage::ImageLumaA16(image) if transparent && coloured => {
            DynamicImage::ImageLumaA16(image).into_rgba16().into()
        }
        image => image,
    };
    match image {
        DynamicImage::ImageLumaA8(image) => {
            let image: GrayImage = mapped(&image, |LumaA([l, a])| {
                Luma([over(l.into(), a.into(), red, BYTE) as u8])
            });
            image.into()
        }
        DynamicImage::ImageLumaA16(image) => {
            let image: Words<_> = mapped(&image, |LumaA([l, a])| {
                Luma([over(l.into(), a.into(), red * 257, WORD) as u16])
            });
            image.into()
        }
        DynamicImage::ImageRgba8(image) => {
            let image: RgbImage = mapped(&image, |Rgba([r, g, b, a])| {
                let over = |value: u8, under| over(value.into(), a.into(), under, BYTE) as u8;
                Rgb([over(r, red), over(g, green), over(b, blue)])
            });
            image.into()
        }
        DynamicImage::ImageRgba16(image) => {
            let image: Words<_> = mapped(&image, |Rgba([r, g, b, a])| {
                let over =
                    |value: u16, under: u64| over(value.into(), a.into(), under * 257, WORD) as u16;
                Rgb([over(r, red), over(g, green), over(b, blue)])
            });
            image.into()
        }
        opaque => opaque,
    }
}

/// `value` of opacity `alpha / full` over `under`, rounded; between the two.
fn over(value: u64, alpha: u64, under: u64, full: u64) -> u64 {
    (value * alpha + under * (full - alpha) + full / 2) / full
}

fn mapped<P: Pixel, Q: Pixel>(
    image: &ImageBuffer<P, Vec<P::Subpixel>>,
    pixel: impl Fn(P) -> Q,
) -> ImageBuffer<Q, Vec<Q::Subpixel>> {
    ImageBuffer::from_fn(image.width(), image.height(), |x, y| {
        pixel(*image.get_pixel(x, y))
    })
}

/// With as many channels as the model takes.
pub(super) fn with_channels(
    image: DynamicImage,
    preprocessing: &Preprocessing,
    notes: &mut Vec<ImageNote>,
) -> Result<DynamicImage, ImageError> {
    match (preprocessing.channels, image.color().has_color()) {
        (1, false) | (3, true) => Ok(image),
        (1, true) => grey(image, preprocessing.grey, notes),
        (3, false) => Ok(match image {
            DynamicImage::ImageLuma8(_) => image.into_rgb8().into(),
            _ => image.into_rgb16().into(),
        }),
        (channels, _) => Err(ImageError::ModelChannels(channels)),
    }
}

fn grey(
    image: DynamicImage,
    grey: Grey,
    notes: &mut Vec<ImageNote>,
) -> Result<DynamicImage, ImageError> {
    let is_grey = match &image {
        DynamicImage::ImageRgb8(image) => image.pixels().all(|Rgb([r, g, b])| r == g && g == b),
        DynamicImage::ImageRgb16(image) => image.pixels().all(|Rgb([r, g, b])| r == g && g == b),
        _ => false,
    };
    match grey {
        _ if is_grey => {}
        Grey::Refuse => return Err(ImageError::WrongChannels),
        Grey::Luma => notes.push(ImageNote::Luma),
    }
    Ok(match image {
        DynamicImage::ImageRgb8(image) => {
            let image: GrayImage =
                mapped(&image, |Rgb(rgb)| Luma([luma(rgb.map(u64::from)) as u8]));
            image.into()
        }
        other => {
            let image: Words<_> = mapped(&other.into_rgb16(), |Rgb(rgb)| {
                Luma([luma(rgb.map(u64::from)) as u16])
            });
            image.into()
        }
    })
}

/// ITU-R BT.601 with 16 bits of fraction, rounded, as Pillow computes it. The weights sum to one, so that grey stays what it is.
fn luma([red, green, blue]: [u64; 3]) -> u64 {
    (19_595 * red + 38_470 * green + 7_471 * blue + (1 << 15)) >> 16
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
