//! Limits on what one encoded image may cost to decode.
use serde::Deserialize;

use super::ImageError;

/// How much an image may cost before it is known to be worth it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ImageLimits {
    /// Length of the encoded image, in bytes.
    pub max_bytes: usize,
    /// Width times height.
    pub max_pixels: u64,
    /// Each of width and height.
    pub max_side: u32,
    /// What a decoder may allocate, in bytes.
    pub max_alloc: u64,
}

impl Default for ImageLimits {
    /// 10 MiB, 16 million pixels, 16384 per side, 256 MiB.
    fn default() -> Self {
        Self {
            max_bytes: 10 << 20,
            max_pixels: 16_000_000,
            max_side: 16_384,
            max_alloc: 256 << 20,
        }
    }
}

impl ImageLimits {
    /// For files of one's own, as of a data set: 256 MiB, 100 million pixels, 16384 per side, 1 GiB. More than any
    /// photograph, and little enough for several threads to decode one each.
    pub const FILES: Self = Self {
        max_bytes: 1 << 28,
        max_pixels: 100_000_000,
        max_side: 16_384,
        max_alloc: 1 << 30,
    };

    pub(super) fn for_decoder(&self) -> image::Limits {
        let mut limits = image::Limits::no_limits();
        limits.max_image_width = Some(self.max_side);
        limits.max_image_height = Some(self.max_side);
        limits.max_alloc = Some(self.max_alloc);
        limits
    }

    /// Checks the length of a file.
    pub(super) fn check_bytes(&self, bytes: usize) -> Result<(), ImageError> {
        match bytes > self.max_bytes {
            true => Err(ImageError::TooManyBytes {
                bytes,
                limit: self.max_bytes,
            }),
            false => Ok(()),
        }
    }

    /// Checks the announced size before anything is decoded.
    pub(super) fn check(&self, width: u32, height: u32) -> Result<(), ImageError> {
        if width == 0 || height == 0 {
            return Err(ImageError::Broken(format!(
                "it announces {width}x{height} pixels"
            )));
        }
        let pixels = u64::from(width) * u64::from(height);
        if width > self.max_side || height > self.max_side || pixels > self.max_pixels {
            return Err(ImageError::TooManyPixels {
                size: format!("{width}x{height}"),
                pixels: self.max_pixels,
                side: self.max_side,
            });
        }
        Ok(())
    }
}
