//! Images as clients send them, for a grey and an RGB model, with the two ways to bring them to its size.
#![no_main]

use buckler_attack::InputSpec;
use buckler_onnx::Resize;
use buckler_runtime::{ImageLimits, decode};
use libfuzzer_sys::fuzz_target;

/// Small, so that a picture within them takes milliseconds.
const LIMITS: ImageLimits = ImageLimits {
    max_bytes: 1 << 16,
    max_pixels: 1 << 18,
    max_side: 1 << 14,
    max_alloc: 16 << 20,
};

fuzz_target!(|bytes: &[u8]| {
    for (channels, resize) in [(1, Resize::Stretch), (3, Resize::CenterCrop)] {
        let (height, width) = (12, 16);
        let input = InputSpec {
            channels,
            height,
            width,
        };
        if let Ok(pixels) = decode(bytes, input, resize, &LIMITS) {
            assert!(pixels.dim() == (channels, height, width));
            assert!(pixels.iter().all(|pixel| (0.0..=1.0).contains(pixel)));
        }
    }
});
