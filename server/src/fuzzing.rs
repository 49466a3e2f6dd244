//! The doors of `server/fuzz`: what panics behind them is a failure.
use buckler_data::{Grey, ImageLimits, Preprocessing, Resize, decode};

use crate::v2;

/// Small, so that a picture within them takes milliseconds.
const LIMITS: ImageLimits = ImageLimits {
    max_bytes: 1 << 16,
    max_pixels: 1 << 18,
    max_side: 1 << 14,
    max_alloc: 16 << 20,
};

/// A first line with the value of `Inference-Header-Content-Length` (none if it is no number), then the body of a request. What is
/// understood must be the same when it is written and read again.
pub fn infer_body(bytes: &[u8]) {
    let end = bytes.iter().position(|&byte| byte == b'\n');
    let (line, body) = bytes.split_at(end.unwrap_or(0));
    let json_length = std::str::from_utf8(line)
        .ok()
        .and_then(|line| line.parse().ok());
    v2::round_trip(json_length, body.get(1..).unwrap_or_default());
}

/// An image as clients send it, for a grey and an RGB model, with the two ways to bring it to the model's size.
pub fn image(bytes: &[u8]) {
    let (height, width) = (12, 16);
    let stretched = Preprocessing::new([1, height, width]);
    let cut = Preprocessing {
        channels: 3,
        resize: Resize::CenterCrop,
        crop_pct: 0.875,
        ..stretched
    };
    let luma = Preprocessing {
        grey: Grey::Luma,
        background: [255, 128, 0],
        ..stretched
    };
    let Ok(picture) = decode(bytes, &LIMITS) else {
        return;
    };
    for preprocessing in [stretched, cut, luma] {
        if let Ok(prepared) = picture.clone().prepare(&preprocessing) {
            let pixels = prepared.pixels;
            assert!(pixels.dim() == (preprocessing.channels, height, width));
            assert!(pixels.iter().all(|pixel| (0.0..=1.0).contains(pixel)));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, path::Path};

    use super::*;

    fn seeds(target: &str) -> Vec<Vec<u8>> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/seeds");
        let files = fs::read_dir(root.join(target)).unwrap();
        files
            .map(|file| fs::read(file.unwrap().path()).unwrap())
            .collect()
    }

    #[test]
    fn the_seeds_of_the_fuzzer_are_understood_or_errors() {
        let bodies = seeds("infer_body");
        assert!(bodies.len() > 10);
        bodies.iter().for_each(|body| infer_body(body));
        let images = seeds("image");
        assert!(images.len() > 15);
        images.iter().for_each(|bytes| image(bytes));
    }
}
