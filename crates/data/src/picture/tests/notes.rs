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
