use std::io::Cursor;

use image::{ExtendedColorType, codecs::jpeg::JpegEncoder};

use super::*;

fn run(image: &[f32], shape: [usize; 3], corruption: Corruption, severity: u8) -> Vec<f32> {
    let severity = Severity::new(severity).unwrap();
    corrupt(image, shape, corruption, severity, 3, 5).unwrap()
}

fn moments(values: &[f32]) -> (f64, f64) {
    let count = values.len() as f64;
    let mean = values.iter().copied().map(f64::from).sum::<f64>() / count;
    let squares = values
        .iter()
        .map(|value| (f64::from(*value) - mean).powi(2));
    (mean, squares.sum::<f64>() / count)
}

const GREY: f32 = 128.0 / 255.0;
const SMALL: [usize; 3] = [3, 64, 64];
const LARGE: [usize; 3] = [1, 300, 300];

fn grey(shape: [usize; 3]) -> Vec<f32> {
    vec![GREY; shape.iter().product()]
}

#[test]
fn gaussian_noise_has_its_deviation() {
    // Larger ones are clipped on both sides.
    let large = [(1, 0.08), (2, 0.12)].map(|(severity, sigma)| (LARGE, severity, sigma));
    let small = [(1, 0.04), (3, 0.08), (5, 0.1)].map(|(severity, sigma)| (SMALL, severity, sigma));
    for (shape, severity, sigma) in large.into_iter().chain(small) {
        let noisy = run(&grey(shape), shape, Corruption::GaussianNoise, severity);
        let (mean, variance) = moments(&noisy);
        assert!(
            (mean - f64::from(GREY)).abs() < 0.03 * sigma,
            "{sigma}: {mean}"
        );
        assert!(
            (variance.sqrt() / sigma - 1.0).abs() < 0.02,
            "{sigma}: {variance}"
        );
    }
}

#[test]
fn shot_noise_has_the_variance_of_its_mean() {
    let large = [(1, 60.0), (2, 25.0)].map(|(severity, white)| (LARGE, severity, white));
    let small =
        [(1, 500.0), (3, 100.0), (5, 50.0)].map(|(severity, white)| (SMALL, severity, white));
    for (shape, severity, white) in large.into_iter().chain(small) {
        let noisy = run(&grey(shape), shape, Corruption::ShotNoise, severity);
        let (mean, variance) = moments(&noisy);
        assert!((mean - f64::from(GREY)).abs() < 0.005, "{white}: {mean}");
        let expected = f64::from(GREY) / white;
        assert!(
            (variance / expected - 1.0).abs() < 0.04,
            "{white}: {variance}"
        );
    }
}

#[test]
fn impulses_have_their_share_and_are_black_as_often_as_white() {
    for (shape, severity, share) in [(LARGE, 1, 0.03), (LARGE, 5, 0.27), (SMALL, 5, 0.07)] {
        let noisy = run(&grey(shape), shape, Corruption::ImpulseNoise, severity);
        let count = |wanted: f32| noisy.iter().filter(|&&value| value == wanted).count() as f64;
        let (black, white) = (count(0.0), count(1.0));
        let all = noisy.len() as f64;
        assert_eq!(black + white + count(GREY), all);
        let deviation = (share * (1.0 - share) / all).sqrt();
        assert!(
            ((black + white) / all - share).abs() < 4.0 * deviation,
            "{share}"
        );
        assert!(
            (black - white).abs() < 4.0 * (share * all).sqrt(),
            "{black} {white}"
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    #[test]
    fn blurs_and_blocks_leave_one_colour_as_it_is(
        bytes: [u8; 3],
        height in 8usize..80,
        width in 8usize..80,
    ) {
        let colours = bytes.map(|byte| f32::from(byte) / 255.0);
        let image: Vec<f32> = colours.into_iter().flat_map(|colour| vec![colour; height * width]).collect();
        for corruption in [
            Corruption::DefocusBlur,
            Corruption::GlassBlur,
            Corruption::MotionBlur,
            Corruption::ZoomBlur,
            Corruption::Contrast,
            Corruption::ElasticTransform,
            Corruption::Pixelate,
        ] {
            for severity in 1..=5 {
                let result = run(&image, [3, height, width], corruption, severity);
                prop_assert_eq!(&result, &image, "{} {}", corruption, severity);
            }
        }
    }

    /// The largest channel is raised by the constant, as far as it can be, and the others by the same factor.
    #[test]
    fn brightness_raises_the_value_and_keeps_hue_and_saturation(bytes in prop::collection::vec(any::<u8>(), 192)) {
        let image: Vec<f32> = bytes.iter().map(|&byte| f32::from(byte) / 255.0).collect();
        for (severity, more) in [(1, 0.05), (3, 0.15), (5, 0.3)] {
            let result = run(&image, [3, 8, 8], Corruption::Brightness, severity);
            for at in 0..64 {
                let [clean, raised] = [&image, &result].map(|image| [image[at], image[at + 64], image[at + 128]]);
                let [value, found] = [clean, raised].map(|pixel| pixel.into_iter().fold(0.0, f32::max));
                let expected = (value + more).min(1.0);
                prop_assert!((found - expected).abs() < 0.6 / 255.0);
                for (clean, raised) in clean.into_iter().zip(raised) {
                    let of_value = if value > 0.0 { clean / value } else { 1.0 };
                    prop_assert!((raised - of_value * expected).abs() < 0.6 / 255.0);
                }
            }
        }
    }

    #[test]
    fn contrast_shrinks_the_distance_to_the_mean(bytes in prop::collection::vec(any::<u8>(), 192)) {
        let image: Vec<f32> = bytes.iter().map(|&byte| f32::from(byte) / 255.0).collect();
        for (severity, left) in [(1, 0.75), (5, 0.15)] {
            let result = run(&image, [3, 8, 8], Corruption::Contrast, severity);
            for (clean, result) in image.chunks(64).zip(result.chunks(64)) {
                let mean = clean.iter().sum::<f32>() / 64.0;
                for (clean, found) in clean.iter().zip(result) {
                    prop_assert!((found - (mean + left * (clean - mean))).abs() < 0.6 / 255.0);
                }
            }
        }
    }

    #[test]
    fn snow_darkens_nothing(bytes in prop::collection::vec(any::<u8>(), 192), severity in 1u8..=5) {
        let image: Vec<f32> = bytes.iter().map(|&byte| f32::from(byte) / 255.0).collect();
        let result = run(&image, [3, 8, 8], Corruption::Snow, severity);
        prop_assert!(image.iter().zip(&result).all(|(clean, snowy)| snowy >= clean));
    }
}

/// (x + t * fog) * most / (most + t), of which the fog is one for all channels and has 0 and 1 in it.
#[test]
fn fog_is_one_plasma_over_all_channels() {
    let shape = [3, 32, 32];
    let image = scene(shape);
    let most = image.iter().copied().fold(0.0, f32::max);
    for (severity, thickness) in [(1, 0.2), (3, 0.75), (5, 1.5)] {
        let result = run(&image, shape, Corruption::Fog, severity);
        let fog: Vec<f32> = image
            .iter()
            .zip(&result)
            .map(|(clean, foggy)| (foggy * (most + thickness) / most - clean) / thickness)
            .collect();
        let tolerance = 1.2 / 255.0 * (most + thickness) / most / thickness;
        for at in 0..32 * 32 {
            assert!((fog[at] - fog[at + 1024]).abs() < tolerance);
            assert!((fog[at] - fog[at + 2048]).abs() < tolerance);
        }
        let least = fog.iter().copied().fold(f32::INFINITY, f32::min);
        let thickest = fog.iter().copied().fold(0.0, f32::max);
        assert!(
            least.abs() < tolerance && (thickest - 1.0).abs() < tolerance,
            "{severity}"
        );
    }
}

/// The `image` crate's codec, which has no 4:2:0, agrees where there are no colours, but for the few coefficients that
/// its integer arithmetic rounds to the other side: the two are nearer to one another than to the image. The smaller the
/// steps are, the more of them there are.
#[test]
fn jpeg_is_what_a_codec_makes_of_a_grey_image() {
    for (shape, qualities, most) in [
        ([1, 44, 61], [80, 65, 58, 50, 40], 0.55),
        ([1, 83, 70], [25, 18, 15, 10, 7], 0.3),
    ] {
        let [_, height, width] = shape;
        let image = run(&vec![1.0; height * width], shape, Corruption::Fog, 5);
        let bytes: Vec<u8> = image
            .iter()
            .map(|value| (value * 255.0).round() as u8)
            .collect();
        for (severity, quality) in (1..).zip(qualities) {
            let mut file = Vec::new();
            JpegEncoder::new_with_quality(&mut file, quality)
                .encode(&bytes, width as u32, height as u32, ExtendedColorType::L8)
                .unwrap();
            let mut reader = image::ImageReader::new(Cursor::new(file));
            reader.set_format(image::ImageFormat::Jpeg);
            let expected = reader.decode().unwrap().into_luma8().into_raw();
            let result = run(&image, shape, Corruption::JpegCompression, severity);
            let expected: Vec<f32> = expected
                .into_iter()
                .map(|byte| f32::from(byte) / 255.0)
                .collect();
            let share = distance(&result, &expected) / distance(&result, &image);
            assert!(share < most, "{quality}: {share}");
        }
    }
}

#[test]
fn jpeg_of_high_quality_is_close_also_in_colour() {
    let shape = [3, 33, 50];
    let smooth: Vec<f32> = (0..3 * 33 * 50)
        .map(|at| {
            let (channel, y, x) = (at / 1650, at % 1650 / 50, at % 50);
            (60 + 20 * channel + y + 2 * x) as f32 / 255.0
        })
        .collect();
    let result = run(&smooth, shape, Corruption::JpegCompression, 1);
    let worst = smooth
        .iter()
        .zip(&result)
        .map(|(a, b)| (a - b).abs())
        .fold(0.0, f32::max);
    assert!(worst < 8.0 / 255.0, "{worst}");
    let rms = distance(&smooth, &result) / (smooth.len() as f64).sqrt();
    assert!(rms < 2.0 / 255.0, "{rms}");
}
