mod cut_off;
mod notes;

use std::io::Cursor;

use image::{GrayImage, ImageBuffer, Luma, Rgb, RgbImage, Rgba, RgbaImage};
use proptest::prelude::*;

use super::*;
use crate::{Grey, Resize};

const GREY: [usize; 3] = [1, 4, 6];
const RGB: [usize; 3] = [3, 4, 6];

fn written(image: impl Into<DynamicImage>, format: ImageFormat) -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    image.into().write_to(&mut bytes, format).unwrap();
    bytes.into_inner()
}

fn png<I: Into<DynamicImage>>(image: I) -> Vec<u8> {
    written(image, ImageFormat::Png)
}

fn prepared(bytes: &[u8], preprocessing: &Preprocessing) -> Result<Prepared, ImageError> {
    decode(bytes, &ImageLimits::default())?.prepare(preprocessing)
}

fn read(bytes: &[u8], shape: [usize; 3]) -> Result<Array3<f32>, ImageError> {
    Ok(prepared(bytes, &Preprocessing::new(shape))?.pixels)
}

/// A PNG that announces a size and has next to no pixels.
fn announcing(width: u32, height: u32) -> Vec<u8> {
    let mut header = [width.to_be_bytes(), height.to_be_bytes()].concat();
    header.extend([8, 2, 0, 0, 0]);
    let mut bytes = b"\x89PNG\r\n\x1a\n".to_vec();
    bytes.extend(chunk(b"IHDR", &header));
    bytes.extend(chunk(b"IDAT", &[0x78, 0x9c, 0x63]));
    bytes
}

fn chunk(name: &[u8; 4], data: &[u8]) -> Vec<u8> {
    let body = [name, data].concat();
    let crc = !body.iter().fold(!0u32, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| {
            (crc >> 1) ^ (0xEDB8_8320 & (crc & 1).wrapping_neg())
        })
    });
    let length = (data.len() as u32).to_be_bytes();
    [&length, &body[..], &crc.to_be_bytes()].concat()
}

proptest! {
    #[test]
    fn an_image_of_the_models_size_keeps_its_exact_values(
        channels in prop::sample::select(vec![1usize, 3]),
        height in 1usize..9,
        width in 1usize..9,
        samples in prop::collection::vec(any::<u8>(), 3 * 8 * 8),
    ) {
        let shape = [channels, height, width];
        let pixels = Array3::from_shape_fn((channels, height, width), |(c, y, x)| {
            f32::from(samples[(c * 8 + y) * 8 + x]) / 255.0
        });
        let bytes = encode_png(pixels.view()).unwrap();
        prop_assert_eq!(read(&bytes, shape).unwrap(), pixels);
    }

    #[test]
    fn any_bytes_are_an_image_or_an_error(bytes in prop::collection::vec(any::<u8>(), 0..200), keep in 0usize..200) {
        let _ = read(&bytes, RGB);
        let mut damaged = png(DynamicImage::new_rgb8(6, 4));
        damaged.truncate(keep);
        damaged.extend(&bytes);
        if let Ok(pixels) = read(&damaged, RGB) {
            prop_assert!(pixels.iter().all(|value| (0.0..=1.0).contains(value)));
        }
    }

    #[test]
    fn resized_pixels_stay_within_the_range_of_the_original(width in 1u32..40, height in 1u32..40, low in 0u8..100, high in 100u8..=255) {
        let image = RgbImage::from_fn(width, height, |x, y| Rgb([if (x + y) % 2 == 0 { low } else { high }; 3]));
        for resize in [Resize::Stretch, Resize::CenterCrop] {
            let preprocessing = Preprocessing { resize, crop_pct: 0.875, ..Preprocessing::new(RGB) };
            let pixels = prepared(&png(image.clone()), &preprocessing).unwrap().pixels;
            prop_assert_eq!(pixels.dim(), (3, 4, 6));
            let range = f32::from(low) / 255.0 ..= f32::from(high) / 255.0;
            prop_assert!(pixels.iter().all(|value| range.contains(value)));
        }
    }
}

#[test]
fn every_format_is_recognised_by_its_content() {
    let image = RgbImage::from_pixel(6, 4, Rgb([200, 100, 50]));
    for format in [
        ImageFormat::Png,
        ImageFormat::Bmp,
        ImageFormat::Gif,
        ImageFormat::WebP,
        ImageFormat::Jpeg,
    ] {
        let pixels = read(&written(image.clone(), format), RGB).unwrap();
        let expected = [200.0, 100.0, 50.0].map(|value: f32| value / 255.0);
        for ((channel, ..), value) in pixels.indexed_iter() {
            assert!(
                (value - expected[channel]).abs() < 0.02,
                "{format:?}: {value}"
            );
        }
    }
}

#[test]
fn grey_is_repeated_for_an_rgb_model() {
    let image = GrayImage::from_fn(6, 4, |x, y| Luma([(x * 40 + y) as u8]));
    let pixels = read(&png(image), RGB).unwrap();
    for channel in 0..3 {
        assert_eq!(pixels[[channel, 2, 5]], 202.0 / 255.0);
    }
}

#[test]
fn rgb_that_is_really_grey_is_taken_by_a_grey_model_and_colour_is_not() {
    let grey = RgbImage::from_fn(6, 4, |x, y| Rgb([(x * 40 + y) as u8; 3]));
    assert_eq!(
        read(&png(grey.clone()), GREY).unwrap()[[0, 3, 1]],
        43.0 / 255.0
    );
    let mut coloured = grey;
    coloured.put_pixel(0, 0, Rgb([9, 9, 10]));
    let message = read(&png(coloured), GREY).unwrap_err().to_string();
    assert!(
        message.contains('3') && message.contains('1') && message.contains("luma"),
        "{message}"
    );
}

#[test]
fn transparent_pixels_are_laid_over_black() {
    let image = RgbaImage::from_fn(6, 4, |x, _| {
        Rgba([200, 200, 200, [0, 51, 255][x as usize % 3]])
    });
    for shape in [GREY, RGB] {
        let pixels = read(&png(image.clone()), shape).unwrap();
        for (x, expected) in [0.0, 40.0, 200.0].into_iter().enumerate() {
            assert_eq!(pixels[[0, 1, x]], expected / 255.0);
        }
    }
}

#[test]
fn sixteen_bits_are_not_cut_to_eight() {
    let image = ImageBuffer::from_pixel(6, 4, Luma([1000u16]));
    let image = DynamicImage::ImageLuma16(image);
    for shape in [GREY, RGB] {
        assert_eq!(
            read(&png(image.clone()), shape).unwrap()[[0, 0, 0]],
            1000.0 / 65535.0
        );
    }
}

#[test]
fn the_centre_is_cut_only_where_the_model_says_so() {
    // Twice as wide as the model: black at both ends, white in the middle.
    let image = GrayImage::from_fn(24, 8, |x, _| {
        Luma([if (6..18).contains(&x) { 255 } else { 0 }])
    });
    let decoded = |resize| {
        let preprocessing = Preprocessing {
            resize,
            ..Preprocessing::new(GREY)
        };
        prepared(&png(image.clone()), &preprocessing)
            .unwrap()
            .pixels
    };
    let cut = decoded(Resize::CenterCrop);
    let stretched = decoded(Resize::Stretch);
    assert!(cut[[0, 2, 1]] > 0.9 && cut[[0, 2, 4]] > 0.9);
    assert!(stretched[[0, 2, 0]] < 0.1 && stretched[[0, 2, 3]] > 0.9 && stretched[[0, 2, 5]] < 0.1);
}

#[test]
fn bombs_are_refused_by_their_announced_size() {
    for (width, height) in [(20_000, 20_000), (16_000, 16_000), (u32::MAX >> 1, 1)] {
        let error = read(&announcing(width, height), RGB).unwrap_err();
        let message = error.to_string();
        assert!(
            matches!(error, ImageError::TooManyPixels { .. }),
            "{width}x{height}: {message}"
        );
        assert!(message.contains(&format!("{width}x{height}")), "{message}");
    }
}

#[test]
fn too_long_truncated_and_foreign_bytes_are_told_apart() {
    let whole = png(RgbImage::from_fn(6, 4, |x, y| Rgb([(x * y) as u8, 1, 2])));
    let limits = ImageLimits {
        max_bytes: whole.len() - 1,
        ..ImageLimits::default()
    };
    let error = decode(&whole, &limits).unwrap_err();
    assert!(matches!(error, ImageError::TooManyBytes { .. }), "{error}");
    let error = read(&whole[..whole.len() / 2], RGB).unwrap_err();
    assert!(matches!(error, ImageError::Broken(_)), "{error}");
    for bytes in [&b""[..], b"hello, world", b"II*\0\x08\0\0\0\0\0"] {
        let error = read(bytes, RGB).unwrap_err();
        assert!(matches!(error, ImageError::NotAnImage { .. }), "{error}");
    }
}

#[test]
fn only_grey_and_rgb_are_written() {
    for shape in [(2, 4, 4), (4, 4, 4), (3, 0, 4), (0, 4, 4)] {
        assert!(encode_png(Array3::zeros(shape).view()).is_err());
    }
}

#[test]
fn colours_become_luma_where_the_model_asks_for_it() {
    let image = RgbImage::from_pixel(6, 4, Rgb([200, 100, 50]));
    let luma = Preprocessing {
        grey: Grey::Luma,
        ..Preprocessing::new(GREY)
    };
    let prepared = prepared(&png(image), &luma).unwrap();
    // 0.299 * 200 + 0.587 * 100 + 0.114 * 50 = 124.2
    assert!(prepared.pixels.iter().all(|&value| value == 124.0 / 255.0));
    assert_eq!(prepared.notes, [ImageNote::Luma]);
}

#[test]
fn the_background_is_seen_through_transparent_pixels() {
    let clear = RgbaImage::from_pixel(6, 4, Rgba([10, 20, 30, 0]));
    let half = ImageBuffer::from_pixel(6, 4, image::LumaA([100u8, 51]));
    let half = DynamicImage::ImageLumaA8(half);
    let deep = ImageBuffer::from_pixel(6, 4, Rgba([0u16, 0, 0, 0]));
    let deep = DynamicImage::ImageRgba16(deep);
    let background = [255, 128, 0];
    let preprocessing = Preprocessing {
        background,
        ..Preprocessing::new(RGB)
    };
    for (image, expected) in [
        (clear.into(), background),
        // 0.2 * 100 + 0.8 * background
        (half, [224, 122, 20]),
        (deep, background),
    ] {
        let prepared = prepared(&png::<DynamicImage>(image), &preprocessing).unwrap();
        for ((channel, ..), value) in prepared.pixels.indexed_iter() {
            assert!(
                (value - f32::from(expected[channel]) / 255.0).abs() < 1e-3,
                "{value}"
            );
        }
        assert_eq!(prepared.notes, [ImageNote::Transparent { background }]);
    }
}

/// A colour under nothing but opaque pixels is not seen, and not spoken of.
#[test]
fn alpha_without_transparent_pixels_is_not_noted() {
    let opaque = RgbaImage::from_pixel(6, 4, Rgba([10, 20, 30, 255]));
    let prepared = prepared(&png(opaque), &Preprocessing::new(RGB)).unwrap();
    assert_eq!(prepared.notes, []);
    assert_eq!(prepared.pixels[[2, 0, 0]], 30.0 / 255.0);
}

#[test]
fn channels_that_are_not_grey_or_rgb_are_refused() {
    let image = png(RgbImage::new(6, 4));
    for channels in [0, 2, 4] {
        let error = read(&image, [channels, 4, 6]).unwrap_err();
        assert_eq!(error, ImageError::ModelChannels(channels));
    }
}

/// Only the window that is seen is computed: the scaled image would have 3 billion pixels.
#[test]
fn a_line_is_cut_without_being_scaled_as_a_whole() {
    let line = RgbImage::from_pixel(16_384, 1, Rgb([1, 2, 3]));
    let pixels = prepared(&png(line), &Preprocessing::center_crop(224));
    assert_eq!(pixels.unwrap().pixels[[2, 100, 100]], 3.0 / 255.0);
}

/// 200 MB of a colour profile, of which 200 kB are in the file, and as much of text.
#[test]
fn what_inflates_without_being_pixels_is_not_read() {
    use std::io::Write;
    let mut deflated = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::best());
    let zeros = vec![0; 1 << 20];
    for _ in 0..200 {
        deflated.write_all(&zeros).unwrap();
    }
    let deflated = deflated.finish().unwrap();
    let whole = png(RgbImage::from_pixel(6, 4, Rgb([1, 2, 3])));
    let (header, rest) = whole.split_at(33);
    let profile = chunk(b"iCCP", &[b"name\0\0", &deflated[..]].concat());
    let text = chunk(b"zTXt", &[b"name\0\0", &deflated[..]].concat());
    let bomb = [header, &profile, &text, rest].concat();
    let limits = ImageLimits {
        max_alloc: 1 << 16,
        ..ImageLimits::default()
    };
    let picture = decode(&bomb, &limits).unwrap();
    assert_eq!(picture.image, decode(&whole, &limits).unwrap().image);
}

#[test]
fn the_orientation_of_a_png_is_found_before_and_after_the_pixels() {
    // A little-endian TIFF with one entry, the orientation 6.
    let exif = b"II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0";
    let whole = png(RgbImage::from_fn(6, 4, |x, y| Rgb([x as u8, y as u8, 0])));
    for at in [33, whole.len() - 12] {
        let (start, end) = whole.split_at(at);
        let turned = [start, &chunk(b"eXIf", exif), end].concat();
        let picture = decode(&turned, &ImageLimits::default()).unwrap();
        assert_eq!((picture.width(), picture.height()), (4, 6));
        assert_eq!(picture.notes, [ImageNote::Oriented]);
        // The top left pixel comes to the top right.
        let pixels = picture
            .prepare(&Preprocessing::new([3, 6, 4]))
            .unwrap()
            .pixels;
        assert_eq!(pixels[[1, 0, 3]], 0.0);
        assert_eq!(pixels[[1, 0, 0]], 3.0 / 255.0);
    }
}

#[test]
fn of_texts_with_the_orientation_the_first_few_are_looked_at() {
    let whole = png(RgbImage::from_pixel(6, 4, Rgb([1, 2, 3])));
    let (header, rest) = whole.split_at(33);
    let text = |hexadecimal: &str| {
        let text = format!("Raw profile type exif\0\nexif\n26\n{hexadecimal}\n");
        chunk(b"tEXt", text.as_bytes())
    };
    // As above, in hexadecimal.
    let oriented = text("49492a0008000000010012010300010000000600000000000000");
    let shape = |unusable: usize| {
        let before = text("no digits").repeat(unusable);
        let file = [header, &before, &oriented, rest].concat();
        let picture = decode(&file, &ImageLimits::default()).unwrap();
        (picture.width(), picture.height())
    };
    assert_eq!(shape(0), (4, 6));
    assert_eq!(shape(3), (4, 6));
    assert_eq!(shape(5000), (6, 4));
}
