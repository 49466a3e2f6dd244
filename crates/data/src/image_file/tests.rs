use std::{fs, path::PathBuf};

use image::{DynamicImage, ImageFormat, Luma, Rgb, RgbImage};
use proptest::prelude::*;

use super::*;
use crate::{dataset::byte, stream::augmentation_stream};

fn write(dir: &Path, name: &str, image: impl Into<DynamicImage>) -> PathBuf {
    let path = dir.join(name);
    image.into().save(&path).unwrap();
    path
}

/// The bytes of the centre, as is usual in testing.
fn center(path: &Path, side: usize) -> Result<Vec<u8>, DataError> {
    let pixels = plain(path, &Preprocessing::center_crop(side))?;
    Ok(pixels.pixels.iter().copied().map(byte).collect())
}

fn refusal(path: &Path) -> String {
    let message = center(path, 8).unwrap_err().to_string();
    assert!(message.contains(&path.display().to_string()), "{message}");
    assert!(!message.contains("--"), "{message}");
    message
}

#[test]
fn every_format_gives_the_same_colours() {
    let dir = tempfile::tempdir().unwrap();
    let image = RgbImage::from_pixel(20, 10, Rgb([200, 100, 50]));
    for name in ["a.png", "a.jpg", "a.bmp", "a.gif", "a.webp"] {
        let path = write(dir.path(), name, image.clone());
        let view = center(&path, 8).unwrap();
        assert_eq!(view.len(), 3 * 8 * 8);
        for (plane, colour) in view.chunks(64).zip([200u8, 100, 50]) {
            // JPEG and the palette of GIF are not exact.
            assert!(
                plane.iter().all(|&byte| byte.abs_diff(colour) <= 4),
                "{name}"
            );
        }
    }
}

#[test]
fn the_content_and_not_the_name_says_the_format() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("photo.JPEG");
    RgbImage::from_pixel(4, 4, Rgb([9, 8, 7]))
        .save_with_format(&path, ImageFormat::Png)
        .unwrap();
    assert_eq!(
        center(&path, 2).unwrap(),
        [9, 9, 9, 9, 8, 8, 8, 8, 7, 7, 7, 7]
    );
}

#[test]
fn grey_becomes_rgb() {
    let dir = tempfile::tempdir().unwrap();
    let grey = image::GrayImage::from_pixel(4, 4, Luma([77]));
    let path = write(dir.path(), "grey.png", grey);
    assert_eq!(center(&path, 1).unwrap(), [77; 3]);
}

/// An image that grows linearly to the right stays what it is when scaled by a whole factor: the mean over a window that
/// is symmetric around its centre is the value there.
#[test]
fn the_centre_of_the_scaled_image_is_seen() {
    let dir = tempfile::tempdir().unwrap();
    let (side, factor) = (7u32, 4u32);
    // Scaled to 16 x 8, of which columns 4 to 10 (half of 9, rounded to even) and rows 0 to 6 are seen.
    let wide = RgbImage::from_fn(16 * factor, 8 * factor, |x, y| {
        Rgb([x as u8, 3 * y as u8, 9])
    });
    let view = center(&write(dir.path(), "wide.png", wide), side as usize).unwrap();
    for y in 0..7usize {
        for x in 0..7usize {
            let at = |position: usize, factor: f64| (position as f64 + 0.5) * factor - 0.5;
            // The top row's window is cut off by the border.
            if y > 0 {
                let expected = 3.0 * at(y, 4.0);
                let found = f64::from(view[49 + y * 7 + x]);
                assert!(
                    (found - expected).abs() <= 0.51,
                    "{y} {x}: {found} {expected}"
                );
            }
            let expected = at(x + 4, 4.0);
            let found = f64::from(view[y * 7 + x]);
            assert!(
                (found - expected).abs() <= 0.51,
                "{y} {x}: {found} {expected}"
            );
            assert_eq!(view[98 + y * 7 + x], 9);
        }
    }
}

/// Without antialiasing a fine pattern scaled down would show some of its own black and white.
#[test]
fn a_fine_pattern_scales_to_grey() {
    let dir = tempfile::tempdir().unwrap();
    let board = RgbImage::from_fn(256, 256, |x, y| Rgb([255 * ((x + y) % 2) as u8; 3]));
    let path = write(dir.path(), "board.png", board);
    let view = center(&path, 28).unwrap();
    assert!(
        view.iter().all(|byte| (124..=131).contains(byte)),
        "{view:?}"
    );
}

#[test]
fn random_parts_of_an_image_are_seen_at_full_size() {
    let dir = tempfile::tempdir().unwrap();
    let slope = RgbImage::from_fn(250, 200, |x, y| Rgb([x as u8, y as u8, 0]));
    let path = write(dir.path(), "slope.png", slope);
    let mut least = [255u8; 2];
    let mut most = [0u8; 2];
    for index in 0..60 {
        let rng = &mut augmentation_stream(1, 2, index);
        let region = Region::draw(250, 200, &mut rng.clone());
        let pixels = random_crop(&path, &Preprocessing::new([3, 16, 16]), rng).unwrap();
        let view: Vec<u8> = pixels.iter().copied().map(byte).collect();
        assert_eq!(view.len(), 3 * 16 * 16);
        for (channel, (start, length)) in [(region.x, region.width), (region.y, region.height)]
            .into_iter()
            .enumerate()
        {
            let plane = &view[channel * 256..][..256];
            let (low, high) = (plane.iter().min().unwrap(), plane.iter().max().unwrap());
            assert!(u32::from(*low) >= start && u32::from(*high) < start + length);
            assert!(
                u32::from(high - low) + length / 8 + 2 >= length,
                "{region:?}"
            );
            least[channel] = least[channel].min(*low);
            most[channel] = most[channel].max(*high);
        }
    }
    assert!(least.iter().all(|&low| low < 10), "{least:?}");
    assert!(most[0] > 240 && most[1] > 190, "{most:?}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]
    #[test]
    fn images_of_any_size_are_seen_at_the_size_asked_for(
        width in 1u32..70,
        height in 1u32..70,
        side in 1usize..40,
    ) {
        let dir = tempfile::tempdir().unwrap();
        let image = RgbImage::from_pixel(width, height, Rgb([1, 2, 3]));
        let path = write(dir.path(), "any.bmp", image);
        let expected: Vec<u8> = [1, 2, 3].into_iter().flat_map(|c| vec![c; side * side]).collect();
        prop_assert_eq!(center(&path, side).unwrap(), expected);
    }

    #[test]
    fn damaged_files_are_read_or_refused_but_never_panic(
        damage in prop::collection::vec((0usize..400, any::<u8>()), 1..6),
        length in 0usize..400,
        format in prop::sample::select(vec!["png", "jpg", "bmp", "gif", "webp"]),
    ) {
        let dir = tempfile::tempdir().unwrap();
        let image = RgbImage::from_fn(12, 9, |x, y| Rgb([x as u8 * 20, y as u8 * 25, 7]));
        let path = write(dir.path(), &format!("a.{format}"), image);
        let mut bytes = fs::read(&path).unwrap();
        bytes.truncate(length);
        for (at, value) in damage {
            if let Some(byte) = bytes.get_mut(at) {
                *byte = value;
            }
        }
        fs::write(&path, bytes).unwrap();
        match center(&path, 8) {
            Ok(view) => prop_assert_eq!(view.len(), 3 * 8 * 8),
            Err(error) => prop_assert!(error.to_string().contains("a.")),
        }
    }
}

#[test]
fn what_is_not_an_image_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let text = dir.path().join("text.png");
    fs::write(&text, "not an image").unwrap();
    refusal(&text);
    fs::write(&text, "").unwrap();
    refusal(&text);
    refusal(&dir.path().join("absent.png"));
}

#[test]
fn a_header_that_claims_gigapixels_is_refused_before_anything_is_decoded() {
    // The width and height of a BMP, bytes 18 to 26.
    let dir = tempfile::tempdir().unwrap();
    let path = write(dir.path(), "huge.bmp", RgbImage::new(2, 2));
    let mut bytes = fs::read(&path).unwrap();
    bytes[18..22].copy_from_slice(&60_000u32.to_le_bytes());
    bytes[22..26].copy_from_slice(&50_000u32.to_le_bytes());
    fs::write(&path, bytes).unwrap();
    let message = refusal(&path);
    assert!(message.contains("60000x50000"), "{message}");
    assert!(message.contains("16384"), "{message}");
}
