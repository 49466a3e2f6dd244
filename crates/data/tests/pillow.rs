//! Files of every kind that Pillow, cjpeg and jpegtran write, decoded as by Pillow. Skipped where these are not
//! installed; `decoding.rs` has some of them as files.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
use std::{env, fs, path::Path, process::Command};

use buckler_data::{ImageLimits, Preprocessing, decode};
use tempfile::TempDir;

/// The Python with Pillow: that of the tests with Python clients, where it is named.
fn python() -> String {
    env::var("BUCKLER_CLIENTS_PYTHON").unwrap_or_else(|_| "python3".to_owned())
}

/// Whether Pillow and the tools of libjpeg-turbo are there.
fn can_encode() -> bool {
    let runs = |program: &str, arguments: &[&str]| {
        let output = Command::new(program).args(arguments).output();
        output.is_ok_and(|output| output.status.success())
    };
    runs(&python(), &["-c", "import PIL.Image"])
        && runs("cjpeg", &["-version"])
        && runs("jpegtran", &["-version"])
}

/// Files that a script of `tests/pillow` makes, in a folder of their own.
fn made(script: &str) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let script = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/pillow")
        .join(script);
    let made = Command::new(python())
        .arg(script)
        .arg(folder.path())
        .output()
        .unwrap();
    assert!(
        made.status.success(),
        "{}",
        String::from_utf8_lossy(&made.stderr)
    );
    folder
}

/// The mean difference in grey levels from what Pillow gives.
fn difference(jpeg: &[u8], rgb: &[u8]) -> Result<f32, buckler_data::ImageError> {
    let (size, samples) = rgb.split_at(4);
    let side = |at: usize| usize::from(u16::from_le_bytes([size[at], size[at + 1]]));
    let preprocessing = Preprocessing::new([3, side(0), side(2)]);
    let prepared = decode(jpeg, &ImageLimits::default())?.prepare(&preprocessing)?;
    let pixels = prepared.pixels.permuted_axes([1, 2, 0]);
    let levels = pixels.iter().zip(samples);
    let sum: f32 = levels
        .map(|(value, &expected)| (255.0 * value - f32::from(expected)).abs())
        .sum();
    Ok(sum / samples.len() as f32)
}

#[test]
fn every_kind_of_jpeg_is_decoded_as_by_pillow_or_refused() {
    if !can_encode() {
        eprintln!("skipped: needs python3 with Pillow, cjpeg and jpegtran");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/pillow/encodings.py");
    let made = Command::new(python())
        .arg(script)
        .arg(folder.path())
        .output()
        .unwrap();
    assert!(
        made.status.success(),
        "{}",
        String::from_utf8_lossy(&made.stderr)
    );
    let (mut equal, mut refused) = (0, Vec::new());
    for entry in fs::read_dir(folder.path()).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "jpg") {
            continue;
        }
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        let jpeg = fs::read(&path).unwrap();
        let rgb = fs::read(path.with_extension("rgb")).unwrap();
        match difference(&jpeg, &rgb) {
            Ok(mean) => {
                assert!(mean <= 0.1, "{name}: {mean}");
                equal += 1;
            }
            Err(_) => refused.push(name.clone()),
        }
        // Whatever is decoded, a cut-off file is not.
        for part in [2, 10] {
            if !name.starts_with("followed-by") {
                let cut = decode(&jpeg[..jpeg.len() / part], &ImageLimits::default());
                assert!(cut.is_err(), "{name}: a {part}th of it is taken");
            }
        }
    }
    refused.sort();
    assert!(equal > 200, "{equal}");
    assert!(
        refused.iter().all(|name| name.contains("arithmetic")),
        "{refused:?}"
    );
}

#[test]
fn every_kind_of_png_gif_webp_and_bmp_is_decoded_as_by_pillow_or_refused() {
    if !can_encode() {
        eprintln!("skipped: needs python3 with Pillow, cjpeg and jpegtran");
        return;
    }
    let folder = made("formats.py");
    let (mut equal, mut others) = (0, Vec::new());
    for entry in fs::read_dir(folder.path()).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let Ok(rgb) = fs::read(path.with_file_name(format!("{name}.rgb"))) else {
            continue;
        };
        match difference(&fs::read(&path).unwrap(), &rgb) {
            Ok(mean) if mean <= 1.0 => equal += 1,
            Ok(mean) => others.push(format!("{name}: {mean}")),
            Err(error) => others.push(format!("{name}: {error}")),
        }
    }
    assert!(equal > 40, "{equal}");
    assert!(others.is_empty(), "{others:?}");
}
