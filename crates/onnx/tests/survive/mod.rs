//! Everything that reads a file, on bytes that may be anything: an error, or a model, but no panic.
#![allow(clippy::unwrap_used, missing_docs)]

use buckler_onnx::{
    CleanNames, GradientInfo, Model, Summary, Wanted, check, classifier_graph, clean,
    differentiate, fix_image_size, free_batch, inspect,
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
    _ = free_batch(&model);
    let wanted = Wanted {
        size: Some((8, 8)),
        ..Wanted::default()
    };
    if let Ok(Some(fixed)) = fix_image_size(&model, &wanted) {
        _ = check(&fixed);
    }
    if let Ok(interface) = inspect(&model, &Wanted::default()) {
        _ = interface.image_input(&model, &wanted);
        _ = classifier_graph(&model, &interface);
    }
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
