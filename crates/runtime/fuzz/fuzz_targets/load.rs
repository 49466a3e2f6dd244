//! A model that may be anything, with a card inside, opened in ONNX Runtime, asked, attacked with the gradient graph that is made, and
//! bounded: an error, or answers of the stated shape.
#![no_main]

#[path = "../../../onnx/fuzz/fuzz_targets/mutation.rs"]
mod mutation;

use buckler_onnx::{Bounding, Card, proto::ModelProto};
use buckler_runtime::{Certifier, Classifier, LoadOptions};
use libfuzzer_sys::{fuzz_mutator, fuzz_target, fuzzer_mutate};
use ndarray::ArrayD;
use prost::Message;

/// Cards on which mutation begins.
const CARDS: [&str; 4] = [
    r#"{"input": {"channels": 3, "height": 8, "width": 8}}"#,
    r#"{"input": {"channels": 1, "height": 2, "width": 2, "normalization": {"mean": [0.5], "std": [0.25]}}}"#,
    r#"{"output": "logits", "classes": ["a", "b"], "input": {"channels": 3, "height": 65536, "width": 512}}"#,
    r#"{"input": {"channels": 3, "height": 2, "width": 2, "channel_order": "bgr"}}"#,
];

fuzz_target!(|bytes: &[u8]| {
    let options = LoadOptions {
        threads: 1,
        max_batch: 2,
        all_outputs: true,
        size: (bytes.len() % 2 == 0).then_some((8, 8)),
        ..LoadOptions::default()
    };
    // Whatever the bytes are, they are not their own gradient graph, or else they are verified.
    let gradient = (bytes.len() % 3 == 0).then_some(bytes);
    if let Ok(classifier) = Classifier::from_bytes(bytes, gradient, &options) {
        let tensors = classifier.tensors();
        assert!(classifier.classes() == classifier.class_names().len());
        let names: Vec<String> = tensors
            .outputs
            .iter()
            .map(|port| port.name.clone())
            .collect();
        let shape = [&[3], tensors.row].concat();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .expect("a runtime without drivers");
        if let Ok((found, _)) = runtime.block_on(classifier.infer(ArrayD::zeros(shape), &names)) {
            assert!(found.len() == names.len());
        }
    }
    _ = Certifier::from_bytes(bytes, &options, Bounding::Ibp);
});

fuzz_mutator!(|data: &mut [u8], size: usize, max_size: usize, seed: u32| {
    if seed % 4 > 0 {
        return mutation::mutate(data, size, max_size, seed);
    }
    let model = data
        .get(..size)
        .and_then(|bytes| ModelProto::decode(bytes).ok());
    let Some(mut model) = model else {
        return mutation::mutate(data, size, max_size, seed);
    };
    let entries = &mut model.metadata_props;
    let found = entries.iter().position(|entry| entry.key == Card::KEY);
    let at = found.unwrap_or_else(|| {
        entries.push(Default::default());
        entries.len() - 1
    });
    if let Some(entry) = entries.get_mut(at) {
        entry.key = Card::KEY.into();
        let begin = CARDS[seed as usize / 4 % CARDS.len()];
        let mut text = match seed % 8 {
            0 => begin.as_bytes().to_vec(),
            _ => entry.value.as_bytes().to_vec(),
        };
        let length = text.len();
        text.resize(length + 64, 0);
        let length = fuzzer_mutate(&mut text, length, length + 64);
        text.truncate(length);
        entry.value = String::from_utf8_lossy(&text).into_owned();
    }
    let bytes = model.encode_to_vec();
    match data.get_mut(..bytes.len().min(max_size)) {
        Some(space) if space.len() == bytes.len() => {
            space.copy_from_slice(&bytes);
            bytes.len()
        }
        _ => size,
    }
});
