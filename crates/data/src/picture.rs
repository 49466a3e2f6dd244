//! The one way from an encoded image to the pixels that a model takes, and back to a file.
//!
//! [`decode`] reads a file of any supported format into a [`Picture`]; [`Picture::prepare`] brings it to a model's shape.
//! Training, evaluation, the command line and the server all go this way.
mod container;
mod encode;
mod error;
mod exif;
mod flatten;
mod jpeg;
mod limits;
mod note;
mod png;
mod scale;

use image::{DynamicImage, ImageFormat, metadata::Orientation};
use ndarray::Array3;

pub use self::{encode::encode_png, error::ImageError, limits::ImageLimits, note::ImageNote};
use crate::{Preprocessing, augment::Region};

/// A decoded image in its own size and depth: upright, with its transparency.
#[derive(Clone, Debug, PartialEq)]
pub struct Picture {
    /// Grey or RGB, with or without alpha, of 8 or 16 bits.
    image: DynamicImage,
    notes: Vec<ImageNote>,
}

/// The pixels that a model takes, and what was done to the image that its owner may not expect.
#[derive(Clone, Debug, PartialEq)]
pub struct Prepared {
    /// `[channels, height, width]` in `[0, 1]`.
    pub pixels: Array3<f32>,
    /// In the order in which it was done.
    pub notes: Vec<ImageNote>,
}

/// What a format's decoder found.
struct Decoded {
    image: DynamicImage,
    orientation: Orientation,
    notes: Vec<ImageNote>,
}

/// Decodes an image (PNG, JPEG, WebP, BMP or GIF; recognised by content, whatever its name).
///
/// * The orientation that a camera recorded (EXIF) is applied.
/// * Samples of 16 bits stay as they are; transparency is kept for [`Picture::prepare`].
/// * CMYK becomes RGB as Pillow converts it; of an animation the first frame is taken.
///
/// # Errors
/// When the bytes exceed `limits`, are not a readable image, or end before the image does. Announced sizes are checked
/// before memory is allocated for them.
///
/// ```
/// use buckler_data::{ImageLimits, Preprocessing, decode, encode_png};
/// use ndarray::Array3;
///
/// let pixels = Array3::from_elem((3, 4, 6), 0.2);
/// let png = encode_png(pixels.view())?;
/// let prepared = decode(&png, &ImageLimits::default())?.prepare(&Preprocessing::new([3, 4, 6]))?;
/// assert_eq!(prepared.pixels, pixels);
/// assert!(prepared.notes.is_empty());
/// # Ok::<(), buckler_data::ImageError>(())
/// ```
pub fn decode(bytes: &[u8], limits: &ImageLimits) -> Result<Picture, ImageError> {
    limits.check_bytes(bytes.len())?;
    let Decoded {
        mut image,
        orientation,
        mut notes,
    } = match format(bytes)? {
        ImageFormat::Jpeg => jpeg::decode(bytes, limits)?,
        ImageFormat::Png => png::decode(bytes, limits)?,
        format => container::decode(bytes, format, limits)?,
    };
    if orientation != Orientation::NoTransforms {
        image.apply_orientation(orientation);
        notes.push(ImageNote::Oriented);
    }
    Ok(Picture { image, notes })
}

/// Width and height that an image announces, upright; nothing is decoded.
///
/// # Errors
/// When the bytes are not an image, or announce more than `limits` allow.
pub(crate) fn announced(bytes: &[u8], limits: &ImageLimits) -> Result<(u32, u32), ImageError> {
    limits.check_bytes(bytes.len())?;
    let (size, orientation) = match format(bytes)? {
        ImageFormat::Jpeg => jpeg::announced(bytes, limits)?,
        ImageFormat::Png => png::announced(bytes, limits)?,
        format => container::announced(bytes, format, limits)?,
    };
    Ok(match orientation {
        Orientation::Rotate90
        | Orientation::Rotate270
        | Orientation::Rotate90FlipH
        | Orientation::Rotate270FlipH => (size.1, size.0),
        _ => size,
    })
}

/// The format by content.
fn format(bytes: &[u8]) -> Result<ImageFormat, ImageError> {
    let unknown = |found| ImageError::NotAnImage {
        bytes: bytes.len(),
        found,
    };
    let format = image::guess_format(bytes).map_err(|_| unknown(String::new()))?;
    match format {
        ImageFormat::Png
        | ImageFormat::Jpeg
        | ImageFormat::WebP
        | ImageFormat::Bmp
        | ImageFormat::Gif => Ok(format),
        other => Err(unknown(format!(" (they look like {other:?})"))),
    }
}

/// Whether the name or the text of a colour profile says that it is that of sRGB: in bytes, or in UTF-16.
fn names_srgb(profile: &[u8]) -> bool {
    let wide = b"\0s\0R\0G\0B";
    let has = |name: &[u8]| profile.windows(name.len()).any(|text| text == name);
    has(b"sRGB") || has(wide)
}

impl Picture {
    /// Columns.
    pub fn width(&self) -> u32 {
        self.image.width()
    }

    /// Rows.
    pub fn height(&self) -> u32 {
        self.image.height()
    }

    /// Brings the image to the pixels that a model takes, `[channels, height, width]` in `[0, 1]`.
    ///
    /// * Transparent pixels are laid over the background's colour.
    /// * Grey becomes RGB by repetition; RGB becomes grey as [`crate::Grey`] says.
    /// * An image of the model's size keeps its exact values; any other is brought there as [`crate::Resize`] says,
    ///   bilinear and antialiased, in its own depth.
    ///
    /// # Errors
    /// When a colour image meets a grey model, or the model takes neither grey nor RGB.
    pub fn prepare(self, preprocessing: &Preprocessing) -> Result<Prepared, ImageError> {
        let mut picture = self;
        let size = (picture.width() as usize, picture.height() as usize);
        if preprocessing.resize == crate::Resize::CenterCrop
            && preprocessing.crop_pct < 1.0
            && size == (preprocessing.width, preprocessing.height)
        {
            picture.notes.push(ImageNote::NotCropped);
        }
        picture.finish(preprocessing, scale::fit)
    }

    /// Like [`Picture::prepare`], of a part that is stretched to the model's size.
    pub(crate) fn prepare_part(
        mut self,
        part: Region,
        preprocessing: &Preprocessing,
    ) -> Result<Prepared, ImageError> {
        self.image = self.image.crop_imm(part.x, part.y, part.width, part.height);
        self.finish(preprocessing, scale::stretch)
    }

    fn finish(
        self,
        preprocessing: &Preprocessing,
        resize: fn(DynamicImage, &Preprocessing) -> Result<DynamicImage, ImageError>,
    ) -> Result<Prepared, ImageError> {
        let Self { image, mut notes } = self;
        let image = flatten::opaque(image, preprocessing.background, &mut notes);
        let image = flatten::with_channels(image, preprocessing, &mut notes)?;
        let pixels = flatten::to_array(&resize(image, preprocessing)?);
        Ok(Prepared { pixels, notes })
    }
}

#[cfg(test)]
mod tests;
