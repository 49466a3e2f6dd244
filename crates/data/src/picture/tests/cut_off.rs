//! Files that end before their image does, and files on which something follows.
use super::*;

fn sample() -> RgbImage {
    RgbImage::from_fn(64, 48, |x, y| {
        Rgb([(x * y) as u8, 3 * x as u8, 4 * y as u8])
    })
}

fn fixture(name: &str) -> Vec<u8> {
    let path = format!("{}/tests/fixtures/{name}", env!("CARGO_MANIFEST_DIR"));
    std::fs::read(path).unwrap()
}

/// Baseline, progressive, restart markers, scans of one component.
const JPEGS: [&str; 5] = [
    "baseline-420.jpg",
    "progressive-420.jpg",
    "restart-420.jpg",
    "scans-420.jpg",
    "cmyk.jpg",
];

fn is_cut_off(bytes: &[u8]) -> bool {
    decode(bytes, &ImageLimits::default()) == Err(ImageError::Broken("it is cut off".into()))
}

/// The first byte after the header of the first scan.
fn first_scan(jpeg: &[u8]) -> usize {
    jpeg.windows(2)
        .position(|pair| pair == [0xff, 0xda])
        .unwrap()
}

#[test]
fn every_prefix_of_a_jpeg_is_refused_but_the_one_without_its_end_marker() {
    for name in JPEGS {
        let whole = fixture(name);
        let picture = decode(&whole, &ImageLimits::default()).unwrap();
        for length in 3..whole.len() - 2 {
            let error = decode(&whole[..length], &ImageLimits::default());
            assert!(error.is_err(), "{name}: {length} of {}", whole.len());
        }
        for missing in [1, 2] {
            let bytes = &whole[..whole.len() - missing];
            assert_eq!(
                decode(bytes, &ImageLimits::default()).unwrap(),
                picture,
                "{name}"
            );
        }
        for part in [10, 3, 2] {
            assert!(
                is_cut_off(&whole[..whole.len() / part]),
                "{name}: a {part}th"
            );
        }
    }
}

/// As a download leaves it for which room was taken at its start.
#[test]
fn a_jpeg_whose_end_was_never_written_is_cut_off() {
    for name in JPEGS {
        let whole = fixture(name);
        let start = first_scan(&whole) + 14;
        for share in 1..10 {
            let mut bytes = whole.clone();
            let written = start + (whole.len() - start) * share / 10;
            bytes[written..].fill(0);
            let result = decode(&bytes, &ImageLimits::default());
            assert!(result.is_err(), "{name}: {written} of {}", whole.len());
        }
    }
    // With the end of a repaired file it is answered, if it can be read at all, with a word.
    let whole = RgbImage::from_fn(64, 48, |x, y| {
        Rgb([(x * y) as u8, (x * 37) as u8, (y * 91) as u8])
    });
    let mut bytes = written(whole, ImageFormat::Jpeg);
    let (start, end) = (first_scan(&bytes), bytes.len() - 2);
    bytes[(start + end) / 2..end].fill(0);
    if let Ok(picture) = decode(&bytes, &ImageLimits::default()) {
        let prepared = picture.prepare(&Preprocessing::new([3, 48, 64])).unwrap();
        assert!(prepared.notes.contains(&ImageNote::LeftOver));
    }
}

/// As a tool would that repairs files: the data are missing all the same.
#[test]
fn an_end_marker_does_not_make_half_a_jpeg_whole() {
    for name in JPEGS {
        let whole = fixture(name);
        let start = first_scan(&whole);
        for length in (start..whole.len() - 6).step_by(97) {
            let mended = [&whole[..length], &[0xff, 0xd9]].concat();
            let result = decode(&mended, &ImageLimits::default());
            // The end of a scan of a progressive image is an image that its maker may have wanted.
            if name != "progressive-420.jpg" {
                assert!(result.is_err(), "{name}: {length} of {}", whole.len());
            }
        }
    }
}

#[test]
fn what_follows_the_end_marker_of_a_jpeg_is_not_looked_at() {
    let mut random = 1u32;
    let noise: Vec<u8> = std::iter::repeat_with(|| {
        random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (random >> 24) as u8
    })
    .take(3_000_000)
    .collect();
    for name in JPEGS {
        let whole = fixture(name);
        let picture = decode(&whole, &ImageLimits::default()).unwrap();
        for tail in [
            &noise[..],
            &whole[..whole.len() / 2],
            &whole[..],
            &[0xff, 0xda],
            &[0xff],
            b"a film",
        ] {
            let limits = ImageLimits::default();
            let longer = [&whole[..], tail].concat();
            assert_eq!(decode(&longer, &limits).unwrap(), picture, "{name}");
        }
    }
}

/// Thumbnails, comments and applications' segments hold whole JPEGs.
#[test]
fn markers_inside_segments_are_data() {
    let whole = fixture("baseline-420.jpg");
    let thumbnail = &whole[..whole.len().min(30_000)];
    for marker in [0xe1, 0xe5, 0xfe] {
        let length = (thumbnail.len() as u16 + 2).to_be_bytes();
        let segment = [&[0xff, marker][..], &length, thumbnail].concat();
        let with = [&whole[..2], &segment, &whole[2..]].concat();
        let limits = ImageLimits::default();
        let (with_image, image) = (decode(&with, &limits), decode(&whole, &limits));
        assert_eq!(with_image.unwrap().image, image.unwrap().image);
        for length in [segment.len() / 2, segment.len(), segment.len() + 300] {
            assert!(is_cut_off(&with[..length]), "{length}");
        }
    }
}

#[test]
fn fill_bytes_and_bytes_between_segments_are_passed_over() {
    let whole = fixture("baseline-420.jpg");
    let limits = ImageLimits::default();
    let picture = decode(&whole, &limits).unwrap();
    let (at, end) = (first_scan(&whole), whole.len() - 2);
    // Behind the first segment, which is not a table.
    let first = 4 + usize::from(u16::from_be_bytes([whole[4], whole[5]]));
    for filled in [
        [&whole[..at], &[0xff; 3], &whole[at..]].concat(),
        [&whole[..first], &[7, 8, 9], &whole[first..]].concat(),
        [&whole[..end], &[0xff; 3], &whole[end..]].concat(),
        [&whole[..end], &[0; 5], &whole[end..]].concat(),
    ] {
        assert_eq!(decode(&filled, &limits).unwrap(), picture);
    }
}

/// As a transfer that takes the file for text leaves it, or one that loses bytes.
#[test]
fn a_jpeg_whose_tables_have_another_length_is_refused() {
    for name in JPEGS {
        let whole = fixture(name);
        let tables = whole.windows(2).enumerate();
        let tables: Vec<usize> = tables
            .filter(|(_, pair)| matches!(pair, [0xff, 0xc4 | 0xdb]))
            .map(|(at, _)| at)
            .filter(|&at| at < first_scan(&whole))
            .collect();
        assert!(tables.len() >= 2, "{name}");
        for table in tables {
            let at = table + 25;
            for damaged in [
                [&whole[..at], &[0x0d], &whole[at..]].concat(),
                [&whole[..at], &[1, 2, 3], &whole[at..]].concat(),
                [&whole[..at], &whole[at + 1..]].concat(),
            ] {
                let result = decode(&damaged, &ImageLimits::default());
                assert!(result.is_err(), "{name}: {table}");
            }
        }
        // A sector of zeros in the quantization table.
        let quantization = whole.windows(2).position(|pair| pair == [0xff, 0xdb]);
        let mut bytes = whole.clone();
        bytes[quantization.unwrap() + 30] = 0;
        let error = decode(&bytes, &ImageLimits::default()).unwrap_err();
        assert!(error.to_string().contains("zero"), "{name}: {error}");
    }
}

#[test]
fn a_webp_that_lacks_a_byte_anywhere_is_cut_off() {
    // Chunks of odd lengths are padded: what is missing is not the padding.
    for columns in 60..68 {
        let image = RgbImage::from_fn(columns, 48, |x, y| {
            Rgb([(x * y) as u8, 3 * x as u8, 4 * y as u8])
        });
        let whole = written(image, ImageFormat::WebP);
        for at in (12..whole.len()).step_by(whole.len() / 9) {
            let damaged = [&whole[..at], &whole[at + 1..]].concat();
            assert!(is_cut_off(&damaged), "{columns}: {at} of {}", whole.len());
        }
        let longer = [&whole[..], b"tail"].concat();
        let limits = ImageLimits::default();
        assert_eq!(decode(&longer, &limits), decode(&whole, &limits));
    }
}

#[test]
fn a_webp_whose_headers_contradict_one_another_is_refused() {
    let limits = ImageLimits::default();
    let refused = |name: &str, part: &[u8], at: usize, change: fn(u8) -> u8| {
        let mut bytes = fixture(name);
        let start = bytes.windows(part.len()).position(|found| found == part);
        let at = start.unwrap() + 8 + at;
        bytes[at] = change(bytes[at]);
        let error = decode(&bytes, &limits).unwrap_err().to_string();
        assert!(error.contains("contradictory"), "{name} {at}: {error}");
    };
    assert!(decode(&fixture("lossy.webp"), &limits).is_ok());
    assert!(decode(&fixture("animation.webp"), &limits).is_ok());
    // Not a key frame, an unknown version, not to be shown, another start code.
    refused("lossy.webp", b"VP8 ", 0, |byte| byte | 1);
    refused("lossy.webp", b"VP8 ", 0, |byte| byte | 14);
    refused("lossy.webp", b"VP8 ", 0, |byte| byte & !16);
    refused("lossy.webp", b"VP8 ", 4, |byte| byte ^ 1);
    // No animation, though it has frames; a frame of another size than its pixels.
    refused("animation.webp", b"VP8X", 0, |byte| byte & !2);
    refused("animation.webp", b"ANMF", 6, |byte| byte ^ 1);
    refused("animation.webp", b"ANMF", 9, |byte| byte ^ 1);
}

#[test]
fn other_formats_that_are_cut_off_are_refused() {
    for format in [
        ImageFormat::Png,
        ImageFormat::WebP,
        ImageFormat::Bmp,
        ImageFormat::Gif,
    ] {
        let whole = written(sample(), format);
        // The end marker of GIF is one byte, that of PNG a chunk of 12.
        let end = match format {
            ImageFormat::Gif => 1,
            ImageFormat::Png => 12,
            _ => 0,
        };
        for length in (1..whole.len() - end - 1).step_by(7) {
            let result = decode(&whole[..length], &ImageLimits::default());
            assert!(result.is_err(), "{format:?}: {length} of {}", whole.len());
        }
        for part in [2, 3] {
            assert!(
                is_cut_off(&whole[..whole.len() / part]),
                "{format:?}: 1/{part}"
            );
        }
    }
    for name in ["lossy.webp", "animation.webp", "animation.gif", "rle.bmp"] {
        let whole = fixture(name);
        for length in (30..whole.len() - 2).step_by(11) {
            let result = decode(&whole[..length], &ImageLimits::default());
            // An animation may end after any of its frames.
            if name != "animation.gif" {
                assert!(result.is_err(), "{name}: {length} of {}", whole.len());
            }
        }
        assert!(is_cut_off(&whole[..whole.len() / 2]), "{name}");
    }
}

proptest! {
    #[test]
    fn a_jpeg_with_any_bytes_changed_is_an_image_or_an_error(
        name in prop::sample::select(JPEGS.to_vec()),
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
        keep in any::<prop::sample::Index>(),
        cut: bool,
    ) {
        let mut bytes = fixture(name);
        for (at, value) in damage {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        if cut {
            bytes.truncate(keep.index(bytes.len()));
        }
        let limits = ImageLimits { max_pixels: 1 << 20, ..ImageLimits::default() };
        if let Ok(picture) = decode(&bytes, &limits) {
            let pixels = picture.prepare(&Preprocessing::new([3, 5, 7])).unwrap().pixels;
            prop_assert!(pixels.iter().all(|value| (0.0..=1.0).contains(value)));
        }
    }

    #[test]
    fn other_formats_with_any_bytes_changed_are_an_image_or_an_error(
        name in prop::sample::select(vec![
            "lossy.webp", "animation.webp", "animation.gif", "rle.bmp", "palette-key.png", "grey-alpha-16.png",
        ]),
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
    ) {
        let mut bytes = fixture(name);
        for (at, value) in damage {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        let limits = ImageLimits { max_pixels: 1 << 20, ..ImageLimits::default() };
        if let Ok(picture) = decode(&bytes, &limits) {
            let pixels = picture.prepare(&Preprocessing::new([3, 5, 7])).unwrap().pixels;
            prop_assert!(pixels.iter().all(|value| (0.0..=1.0).contains(value)));
        }
    }
}
