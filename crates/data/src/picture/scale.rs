//! From an image of any size to the model's.
use fast_image_resize::{FilterType, ResizeAlg, ResizeOptions, Resizer};
use image::DynamicImage;

use super::ImageError;
use crate::{Preprocessing, Resize};

/// A part of an image, in pixels and fractions of them.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Window {
    left: f64,
    top: f64,
    width: f64,
    height: f64,
}

/// Brings an image to the model's size as its preprocessing says; one that has it already is left as it is.
pub(super) fn fit(
    image: DynamicImage,
    preprocessing: &Preprocessing,
) -> Result<DynamicImage, ImageError> {
    match preprocessing.resize {
        Resize::Stretch => stretch(image, preprocessing),
        Resize::CenterCrop => {
            let (width, height) = target(preprocessing)?;
            let window = center(
                (image.width(), image.height()),
                (width, height),
                preprocessing.crop_pct,
            );
            resized(image, (width, height), window)
        }
    }
}

/// Scales both sides to the model's.
pub(super) fn stretch(
    image: DynamicImage,
    preprocessing: &Preprocessing,
) -> Result<DynamicImage, ImageError> {
    let window = Window {
        left: 0.0,
        top: 0.0,
        width: image.width().into(),
        height: image.height().into(),
    };
    resized(image, target(preprocessing)?, window)
}

/// Width and height of the result.
fn target(preprocessing: &Preprocessing) -> Result<(u32, u32), ImageError> {
    let side = |length: usize| u32::try_from(length).ok().filter(|&side| side > 0);
    side(preprocessing.width)
        .zip(side(preprocessing.height))
        .ok_or_else(|| {
            ImageError::Broken(format!(
                "it cannot be brought to {}x{} pixels",
                preprocessing.width, preprocessing.height
            ))
        })
}

/// The part of an image that `to` shows of its centre. As torchvision's `Resize` and `CenterCrop` and timm's evaluation
/// do it: one side is scaled to its target over `crop_pct`, cut to a whole number, the other in proportion, cut too, so
/// that both cover theirs; the border is halved with ties to even.
fn center(from: (u32, u32), to: (u32, u32), crop_pct: f64) -> Window {
    let covered = |side: u32| ((f64::from(side) / crop_pct).floor() as u64).max(side.into());
    let (width, height) = (u64::from(from.0), u64::from(from.1));
    let (least_width, least_height) = (covered(to.0), covered(to.1));
    // Widths and heights over what has to be covered, compared without dividing.
    let narrow = u128::from(width) * u128::from(least_height)
        <= u128::from(height) * u128::from(least_width);
    let (scaled_width, scaled_height) = match narrow {
        true => (least_width, proportional(height, least_width, width)),
        false => (proportional(width, least_height, height), least_height),
    };
    let side = |length: u64, scaled: u64, shown: u32| {
        let before = ((scaled.saturating_sub(shown.into())) as f64 / 2.0).round_ties_even();
        let scale = length as f64 / scaled.max(1) as f64;
        (before * scale, f64::from(shown) * scale)
    };
    let (left, across) = side(width, scaled_width, to.0);
    let (top, down) = side(height, scaled_height, to.1);
    Window {
        left,
        top,
        width: across,
        height: down,
    }
}

/// `length * numerator / denominator`, cut to a whole number.
fn proportional(length: u64, numerator: u64, denominator: u64) -> u64 {
    let scaled = u128::from(length) * u128::from(numerator) / u128::from(denominator.max(1));
    u64::try_from(scaled).unwrap_or(u64::MAX)
}

/// Bilinear; the triangle grows with the reduction, so that nothing is skipped. In whole numbers, as Pillow computes
/// it, and therefore the same on every machine.
fn resized(
    image: DynamicImage,
    (width, height): (u32, u32),
    window: Window,
) -> Result<DynamicImage, ImageError> {
    if (image.width(), image.height()) == (width, height) {
        return Ok(image);
    }
    // Rounding may move the far border out of the image.
    let across = window.width.min(f64::from(image.width()) - window.left);
    let down = window.height.min(f64::from(image.height()) - window.top);
    let options = ResizeOptions::new()
        .resize_alg(ResizeAlg::Convolution(FilterType::Bilinear))
        .crop(window.left, window.top, across, down);
    let mut result = DynamicImage::new(width, height, image.color());
    Resizer::new()
        .resize(&image, &mut result, &options)
        .map_err(|error| ImageError::Broken(format!("it cannot be scaled ({error})")))?;
    Ok(result)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_centre_is_that_of_torchvision() {
        // Scaled to 256 x 341 of 480 x 640: rows (341 - 224) / 2 = 58.5, to even 58.
        let window = center((480, 640), (224, 224), 0.875);
        let (across, down) = (480.0 / 256.0, 640.0 / 341.0);
        assert_eq!(window.left, 16.0 * across);
        assert_eq!(window.top, 58.0 * down);
        assert_eq!(
            (window.width, window.height),
            (224.0 * across, 224.0 * down)
        );
    }

    #[test]
    fn both_sides_of_an_oblong_target_are_covered() {
        for from in [(100, 100), (300, 100), (64, 128), (1, 700), (700, 1)] {
            for to in [(64, 128), (128, 64), (33, 7)] {
                for crop_pct in [1.0, 0.875, 0.9, 0.3] {
                    let window = center(from, to, crop_pct);
                    assert!(window.left >= 0.0 && window.top >= 0.0);
                    let (width, height) = (f64::from(from.0), f64::from(from.1));
                    assert!(
                        window.left + window.width <= width * (1.0 + 1e-12),
                        "{window:?}"
                    );
                    assert!(
                        window.top + window.height <= height * (1.0 + 1e-12),
                        "{window:?}"
                    );
                }
            }
        }
    }
}
