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
    /// Each of width and height: resizing an extremely flat image of few pixels would still need much memory.
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
    pub(super) fn for_decoder(&self) -> ::image::Limits {
        let mut limits = ::image::Limits::no_limits();
        limits.max_image_width = Some(self.max_side);
        limits.max_image_height = Some(self.max_side);
        limits.max_alloc = Some(self.max_alloc);
        limits
    }

    /// Before anything is decoded.
    pub(super) fn check(&self, width: u32, height: u32) -> Result<(), ImageError> {
        let pixels = u64::from(width) * u64::from(height);
        if width > self.max_side || height > self.max_side || pixels > self.max_pixels {
            return Err(self.exceeded_by(Some((width, height))));
        }
        Ok(())
    }

    pub(super) fn exceeded_by(&self, size: Option<(u32, u32)>) -> ImageError {
        ImageError::TooManyPixels {
            size: size.map_or_else(
                || "too large".to_owned(),
                |(width, height)| format!("{width}x{height}"),
            ),
            pixels: self.max_pixels,
            side: self.max_side,
        }
    }
}
