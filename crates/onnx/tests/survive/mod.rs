//! Everything that reads a file, on bytes that may be anything: an error, or a model, but no panic.
#![allow(clippy::unwrap_used, missing_docs)]

use buckler_onnx::{
    CleanNames, GradientInfo, Model, Summary, check, clean, differentiate, flat_logits, free_batch,
    without_softmax,
};

/// Returns what is said about the bytes: nothing where they are a classifier with a gradient.
pub fn survive(bytes: &[u8]) -> Option<String> {
    let model = match Model::from_bytes(bytes) {
        Ok(model) => model,
        Err(error) => return Some(error.to_string()),
    };
    _ = (
        Summary::of(&model),
        model.card(),
        GradientInfo::of(&model),
        model.graph_sha256(),
    );
    _ = (
        free_batch(&model),
        flat_logits(&model),
        without_softmax(&model),
    );
    if let Ok(clean) = clean(model.clone(), &CleanNames::default()) {
        _ = check(&clean);
    }
    assert_eq!(Model::from_bytes(&model.to_bytes()).unwrap(), model);
    match differentiate(&model) {
        Ok(gradient) => {
            assert_eq!(Model::from_bytes(&gradient.to_bytes()).unwrap(), gradient);
            None
        }
        Err(error) => Some(error.to_string()),
    }
}
