//! Bytes that may be anything, as a model whose bounds are computed, by each method, and whose memory is told.
#![no_main]

mod mutation;

use buckler_onnx::{BoundInfo, Bounding, Model, activation_bytes, bound};
use libfuzzer_sys::{fuzz_mutator, fuzz_target};

fuzz_target!(|bytes: &[u8]| {
    let Ok(model) = Model::from_bytes(bytes) else {
        return;
    };
    // More rows may take less, where an image is repeated as often as it fits.
    for rows in [1, 8] {
        _ = activation_bytes(&model, rows);
    }
    for method in [Bounding::Ibp, Bounding::CrownIbp, Bounding::Crown] {
        let Ok(bounds) = bound(&model, method) else {
            continue;
        };
        let again = Model::from_bytes(&bounds.to_bytes()).expect("a graph of bounds is a model");
        let info = BoundInfo::of(&again).expect("its metadata can be read");
        assert!(info.is_some_and(|info| info.method == method));
        _ = activation_bytes(&again, 1);
    }
});

fuzz_mutator!(|data: &mut [u8], size: usize, max_size: usize, seed: u32| {
    mutation::mutate(data, size, max_size, seed)
});
