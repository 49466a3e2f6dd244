//! What is said about single images.
use super::*;

fn notes(name: &str) -> Vec<String> {
    let path = format!("{}/tests/fixtures/{name}", env!("CARGO_MANIFEST_DIR"));
    let bytes = std::fs::read(path).unwrap();
    let prepared = prepared(&bytes, &Preprocessing::new([3, 8, 8])).unwrap();
    prepared.notes.iter().map(ImageNote::to_string).collect()
}

#[test]
fn what_was_done_to_an_image_is_noted() {
    let laid = "transparent pixels were laid over #000000";
    for (name, expected) in [
        ("baseline-420.jpg", vec![]),
        (
            "cmyk.jpg",
            vec!["CMYK was converted to RGB by formula, without a colour profile"],
        ),
        (
            "exif-6.jpg",
            vec!["it was turned as its EXIF orientation says"],
        ),
        (
            "profile.jpg",
            vec!["its colour profile was ignored and sRGB assumed"],
        ),
        ("srgb.jpg", vec![]),
        (
            "profile.png",
            vec!["its colour profile was ignored and sRGB assumed"],
        ),
        (
            "gamma.png",
            vec!["its colour profile was ignored and sRGB assumed"],
        ),
        ("srgb.png", vec![]),
        ("palette-key.png", vec![laid]),
        ("grey-alpha-16.png", vec![laid]),
        ("color-key.png", vec![laid]),
        (
            "exif-8.png",
            vec!["it was turned as its EXIF orientation says"],
        ),
        (
            "animation.gif",
            vec!["only the first of its 4 frames was taken"],
        ),
        (
            "animation.webp",
            vec!["only the first of its 4 frames was taken"],
        ),
        (
            "animation.png",
            vec!["only the first of its 4 frames was taken"],
        ),
        ("transparent.gif", vec![laid]),
        ("transparent.webp", vec![laid]),
        ("lossy.webp", vec![]),
    ] {
        assert_eq!(notes(name), expected, "{name}");
    }
}

/// EXIF data with the orientation 6 in the given order of bytes and type of number.
fn exif(big: bool, kind: u16) -> Vec<u8> {
    let (word, long) = match big {
        true => (
            u16::to_be_bytes as fn(u16) -> [u8; 2],
            u32::to_be_bytes as fn(u32) -> [u8; 4],
        ),
        false => (
            u16::to_le_bytes as fn(u16) -> [u8; 2],
            u32::to_le_bytes as fn(u32) -> [u8; 4],
        ),
    };
    let mut data = if big { b"MM".to_vec() } else { b"II".to_vec() };
    data.extend(word(42));
    data.extend(long(8));
    data.extend([word(1), word(0x0112), word(kind)].concat());
    data.extend(long(1));
    match kind {
        3 => data.extend([word(6), word(0)].concat()),
        _ => data.extend(long(6)),
    }
    data.extend(long(0));
    data
}

/// A JPEG with segments for applications after its start.
fn with_segments(segments: &[Vec<u8>]) -> Vec<u8> {
    let jpeg = written(DynamicImage::new_rgb8(16, 8), ImageFormat::Jpeg);
    let mut bytes = jpeg[..2].to_vec();
    for data in segments {
        bytes.extend([0xff, 0xe1]);
        bytes.extend((data.len() as u16 + 2).to_be_bytes());
        bytes.extend(data);
    }
    bytes.extend(&jpeg[2..]);
    bytes
}

/// A PNG with another chunk before its pixels.
fn with_chunk(name: &[u8; 4], data: &[u8]) -> Vec<u8> {
    let png = png(DynamicImage::new_rgb8(16, 8));
    // The signature, and the header's 13 bytes with length, name and checksum.
    [&png[..33], &chunk(name, data), &png[33..]].concat()
}

fn is_turned(bytes: &[u8]) -> bool {
    let picture = decode(bytes, &ImageLimits::default()).unwrap();
    let prepared = picture.prepare(&Preprocessing::new([3, 8, 8])).unwrap();
    prepared.notes.contains(&ImageNote::Oriented)
}

#[test]
fn an_orientation_is_found_wherever_programs_write_it() {
    let prefixed = |exif: &[u8]| [b"Exif\0\0", exif].concat();
    for big in [false, true] {
        for kind in [3, 4] {
            let exif = exif(big, kind);
            assert!(
                is_turned(&with_segments(&[prefixed(&exif)])),
                "{big} {kind}"
            );
            let empty = prefixed(b"MM\0*\0\0\0\x08\0\0\0\0\0\0");
            assert!(is_turned(&with_segments(&[empty, prefixed(&exif)])));
            assert!(is_turned(&with_chunk(b"eXIf", &exif)));
            assert!(is_turned(&with_chunk(b"eXIf", &prefixed(&exif))));
            let lines: Vec<String> = prefixed(&exif)
                .chunks(36)
                .map(|line| line.iter().map(|byte| format!("{byte:02x}")).collect())
                .collect();
            let text = format!("\nexif\n{:8}\n{}\n", exif.len() + 6, lines.join("\n"));
            for keyword in ["Raw profile type exif", "Raw profile type APP1"] {
                let plain = [keyword.as_bytes(), b"\0", text.as_bytes()].concat();
                assert!(is_turned(&with_chunk(b"tEXt", &plain)));
                let mut deflated = flate2::write::ZlibEncoder::new(Vec::new(), Default::default());
                std::io::Write::write_all(&mut deflated, text.as_bytes()).unwrap();
                let deflated = deflated.finish().unwrap();
                let data = [keyword.as_bytes(), b"\0\0", &deflated].concat();
                assert!(is_turned(&with_chunk(b"zTXt", &data)));
            }
        }
    }
    let mut rest = exif(true, 4);
    rest.truncate(20);
    assert!(!is_turned(&with_segments(&[prefixed(&rest)])));
    assert!(!is_turned(&with_chunk(
        b"tEXt",
        b"Raw profile type exif\0\nexif\n4\nzz"
    )));
}

#[test]
fn what_stands_behind_the_first_scan_says_nothing_of_its_colours_or_orientation() {
    let plain = with_segments(&[]);
    let picture = decode(&plain, &ImageLimits::default()).unwrap();
    let adobe = b"\xff\xee\x00\x0eAdobe\x00\x64\x00\x00\x00\x00\x00";
    let turned = [b"Exif\0\0", &exif(true, 3)[..]].concat();
    let length = (turned.len() as u16 + 2).to_be_bytes();
    let turned = [&[0xff, 0xe1][..], &length, &turned].concat();
    let end = plain.len() - 2;
    for segment in [&adobe[..], &turned] {
        let bytes = [&plain[..end], segment, &plain[end..]].concat();
        assert_eq!(decode(&bytes, &ImageLimits::default()).unwrap(), picture);
    }
}

#[test]
fn transparency_that_the_header_of_a_webp_denies_is_seen() {
    let image = RgbaImage::from_fn(8, 8, |x, _| {
        Rgba([255, 255, 255, if x < 4 { 0 } else { 255 }])
    });
    let simple = written(image, ImageFormat::WebP);
    assert_eq!(&simple[12..16], b"VP8L");
    let mut extended = b"VP8X\x0a\0\0\0\0\0\0\0\x07\0\0\x07\0\0".to_vec();
    extended.extend(&simple[12..]);
    let length = (extended.len() as u32 + 4).to_le_bytes();
    let bytes = [b"RIFF", &length[..], b"WEBP", &extended].concat();
    let prepared = prepared(&bytes, &Preprocessing::new([3, 8, 8])).unwrap();
    assert!(matches!(
        prepared.notes[..],
        [ImageNote::Transparent { .. }]
    ));
    assert_eq!(
        (prepared.pixels[[0, 0, 0]], prepared.pixels[[0, 0, 7]]),
        (0.0, 1.0)
    );
}

#[test]
fn jpegs_that_other_decoders_read_otherwise_are_refused_by_name() {
    let jpeg = with_segments(&[]);
    let frame = jpeg
        .windows(2)
        .position(|pair| pair == [0xff, 0xc0])
        .unwrap();
    for (marker, precision, expected) in [
        (0xc0, 12, "12 bits for each sample"),
        (0xc1, 12, "12 bits for each sample"),
        (0xc3, 8, "lossless JPEG"),
        (0xc5, 8, "hierarchical JPEG"),
        (0xc9, 8, "arithmetic coding"),
    ] {
        let mut bytes = jpeg.clone();
        (bytes[frame + 1], bytes[frame + 4]) = (marker, precision);
        let error = decode(&bytes, &ImageLimits::default())
            .unwrap_err()
            .to_string();
        assert!(error.contains(expected), "{error}");
    }
}

#[test]
fn an_image_of_the_models_size_is_taken_whole_and_it_is_noted() {
    let image = RgbImage::from_fn(8, 8, |x, y| Rgb([30 * x as u8, 30 * y as u8, 0]));
    let bytes = png(image);
    let noted = |resize, crop_pct, side| {
        let preprocessing = Preprocessing {
            resize,
            crop_pct,
            ..Preprocessing::new([3, side, side])
        };
        prepared(&bytes, &preprocessing).unwrap().notes == [ImageNote::NotCropped]
    };
    assert!(noted(Resize::CenterCrop, 0.875, 8));
    assert!(!noted(Resize::CenterCrop, 1.0, 8));
    assert!(!noted(Resize::CenterCrop, 0.875, 7));
    assert!(!noted(Resize::Stretch, 0.875, 8));
}

#[test]
fn a_gif_whose_first_frame_leaves_its_screen_is_refused() {
    let mut gif = written(DynamicImage::new_rgba8(6, 4), ImageFormat::Gif);
    decode(&gif, &ImageLimits::default()).unwrap();
    assert_eq!(gif[6..10], [6, 0, 4, 0]);
    gif[6] = 5;
    let error = decode(&gif, &ImageLimits::default())
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("ends at 6x4, outside its screen of 5x4"),
        "{error}"
    );
}
