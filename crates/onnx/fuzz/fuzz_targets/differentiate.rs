//! Bytes that may be anything, through all that reads, edits and differentiates a model.
#![no_main]

mod mutation;

use buckler_onnx::{
    CleanNames, GradientInfo, Model, Summary, Wanted, check, classifier_graph, clean,
    differentiate, fix_image_size, free_batch, inspect,
};
use libfuzzer_sys::{fuzz_mutator, fuzz_target};

fuzz_target!(|bytes: &[u8]| {
    let Ok(model) = Model::from_bytes(bytes) else {
        return;
    };
    let summary = Summary::of(&model);
    assert!(summary.operators.values().sum::<usize>() == model.graph().node.len());
    _ = (model.card(), GradientInfo::of(&model));
    let again = Model::from_bytes(&model.to_bytes()).expect("what was read can be written");
    assert!(again.graph_sha256() == model.graph_sha256());

    let checked = check(&model);
    match differentiate(&model) {
        Ok(gradient) => {
            assert!(checked.is_ok());
            Model::from_bytes(&gradient.to_bytes()).expect("a gradient graph is a model");
        }
        Err(error) => assert!(checked.is_err(), "{error}"),
    }
    if let Some((free, _)) = free_batch(&model) {
        _ = check(&free);
    }
    let wanted = Wanted {
        size: Some((8, 8)),
        ..Wanted::default()
    };
    if let Ok(Some(fixed)) = fix_image_size(&model, &wanted) {
        _ = check(&fixed);
    }
    if let Ok(interface) = inspect(&model, &Wanted::default()) {
        _ = interface.image_input(&model, &wanted);
        if let Ok(Some(form)) = classifier_graph(&model, &interface) {
            _ = check(&form);
        }
    }
    if let Ok(clean) = clean(model, &CleanNames::default()) {
        Model::from_bytes(&clean.to_bytes()).expect("a clean graph is a model");
        _ = check(&clean);
    }
});

fuzz_mutator!(|data: &mut [u8], size: usize, max_size: usize, seed: u32| {
    mutation::mutate(data, size, max_size, seed)
});
