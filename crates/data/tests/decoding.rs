//! Images as Pillow decodes and scales them; see `fixtures/make.py`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
use std::{fs, path::PathBuf};

use buckler_data::{ImageLimits, Picture, Preprocessing, Resize, decode};

fn fixture(name: &str) -> Vec<u8> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
    fs::read(path.join(name)).unwrap()
}

fn picture(name: &str) -> Picture {
    decode(&fixture(name), &ImageLimits::default()).unwrap()
}

/// Shape `[3, height, width]` and samples, `[height, width, 3]`, as Pillow gives them.
fn expected(name: &str) -> ([usize; 3], Vec<u8>) {
    let bytes = fixture(&format!("{name}.rgb"));
    let side = |at: usize| usize::from(u16::from_le_bytes([bytes[at], bytes[at + 1]]));
    ([3, side(0), side(2)], bytes[4..].to_vec())
}

/// The mean and the largest difference in grey levels from what Pillow gives.
fn difference(
    picture: Picture,
    name: &str,
    adapt: impl Fn(Preprocessing) -> Preprocessing,
) -> (f32, f32) {
    let (shape, samples) = expected(name);
    let prepared = picture.prepare(&adapt(Preprocessing::new(shape))).unwrap();
    let pixels = prepared.pixels.permuted_axes([1, 2, 0]);
    assert_eq!(pixels.len(), samples.len());
    let levels = pixels.iter().zip(&samples);
    let differences: Vec<f32> = levels
        .map(|(value, &expected)| (255.0 * value - f32::from(expected)).abs())
        .collect();
    let mean = differences.iter().sum::<f32>() / differences.len() as f32;
    (mean, differences.into_iter().fold(0.0, f32::max))
}

#[test]
fn kinds_of_jpeg_are_decoded_as_by_pillow() {
    for name in [
        "baseline-420.jpg",
        "baseline-422.jpg",
        "baseline-444.jpg",
        "progressive-420.jpg",
        "restart-420.jpg",
        "scans-420.jpg",
        "scans-422.jpg",
        "transposed-440.jpg",
        "narrow-420.jpg",
        "grey.jpg",
        "cmyk.jpg",
        "ycck.jpg",
        "exif-6.jpg",
        "srgb.jpg",
        "profile.jpg",
    ] {
        let decoded = picture(name);
        let (shape, _) = expected(name);
        assert_eq!(
            (decoded.height() as usize, decoded.width() as usize),
            (shape[1], shape[2])
        );
        let (mean, most) = difference(decoded, name, |same| same);
        assert!(mean < 0.01 && most <= 1.0, "{name}: {mean} {most}");
    }
}

#[test]
fn other_formats_are_decoded_as_by_pillow() {
    for (name, allowed) in [
        ("lossy.webp", 1.0),
        ("animation.webp", 0.0),
        ("animation.gif", 0.0),
        ("rle.bmp", 0.0),
    ] {
        let (mean, most) = difference(picture(name), name, |same| same);
        assert!(mean <= allowed, "{name}: {mean} {most}");
    }
}

#[test]
fn images_are_scaled_as_by_pillow_and_torchvision() {
    let center = |same| Preprocessing {
        resize: Resize::CenterCrop,
        crop_pct: 0.875,
        ..same
    };
    for (name, (mean, most)) in [
        (
            "stretch",
            difference(picture("baseline-444.jpg"), "stretch", |same| same),
        ),
        (
            "enlarge",
            difference(picture("baseline-444.jpg"), "enlarge", |same| same),
        ),
        (
            "center",
            difference(picture("baseline-444.jpg"), "center", center),
        ),
    ] {
        assert!(mean < 0.3 && most <= 1.0, "{name}: {mean} {most}");
    }
}
