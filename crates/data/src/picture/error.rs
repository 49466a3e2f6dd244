//! Why an image was not decoded, prepared or encoded.

/// Why an image was not decoded, prepared or encoded.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ImageError {
    /// The encoded image is too long.
    #[error("the image has {bytes} bytes, more than the {limit} allowed: send a smaller file")]
    TooManyBytes {
        /// Its length.
        bytes: usize,
        /// The limit.
        limit: usize,
    },
    /// The bytes are empty or of an unknown format.
    #[error(
        "the {bytes} bytes are not an image in a known format{found}: use a PNG, JPEG, WebP, BMP or GIF file"
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
        /// `width x height`.
        size: String,
        /// The limit for width times height.
        pixels: u64,
        /// The limit for each of width and height.
        side: u32,
    },
    /// The file is damaged, or encoded in a way that is not supported.
    #[error("the image cannot be decoded: {0}. Use an intact file, or convert it to PNG")]
    Broken(String),
    /// A colour image for a model that takes grey ones.
    #[error(
        "the image has 3 colour channels, but 1 (grey) is taken: convert it first, for example with \
         `convert in.png -colorspace Gray out.png`, or set `grey` of the model's preprocessing to `luma`"
    )]
    WrongChannels,
    /// Neither grey nor RGB images are taken.
    #[error(
        "{0} channels are taken, but images have 1 (grey) or 3 (RGB): send tensors to this model"
    )]
    ModelChannels(usize),
    /// An array of pixels that is not a picture.
    #[error("pixels of shape {0:?} cannot be written as PNG: expected [1 or 3, height, width]")]
    NotEncodable([usize; 3]),
}

impl ImageError {
    /// A file that ends before its pixels do.
    pub(super) fn cut_off() -> Self {
        Self::Broken("it is cut off".to_owned())
    }
}
