use std::fs;

use crate::models::{Batch, Builder, card, linear, numbers, rounded, smooth_network};
use crate::{CLASSES, GREY, RGB, images, loaded, options};
use buckler_attack::{Objective, Victim, VictimError};
use buckler_onnx::{
    Card, Input, Model, Normalization, differentiate,
    proto::{NodeProto, TensorProto},
};
use buckler_runtime::{Classifier, ImageLimits, LoadOptions, RuntimeError, encode_png};
use ndarray::Axis;

#[tokio::test]
async fn a_model_without_gradient_predicts_and_says_why_it_cannot_be_attacked() {
    let classifier = loaded(&rounded(GREY));
    assert_eq!(
        classifier.logits(images(2, GREY, 1)).await.unwrap().dim(),
        (2, 3)
    );
    assert!(classifier.can_attack().unwrap_err().contains("Round"));
    let query = classifier.gradient(images(1, GREY, 1), vec![Objective::Margin { label: 0 }]);
    assert!(
        matches!(query.await.unwrap_err(), VictimError::NoGradient(reason) if reason.contains("Round"))
    );
}

#[test]
fn what_is_no_classifier_is_refused_by_what_it_is() {
    let mut builder = Builder::new(GREY, Batch::Any);
    builder.node("Identity", &["image"], "logits", &[]);
    let identity = builder.finish(&[1, 6, 5]);
    let load = |bytes: &[u8]| Classifier::from_bytes(bytes, None, &options()).unwrap_err();
    let message = load(&identity.to_bytes()).to_string();
    assert!(
        message.contains("[batch, classes]") && message.contains("[batch, 1, 6, 5]"),
        "{message}"
    );
    assert!(matches!(load(b"not a model"), RuntimeError::Onnx(_)));
    assert!(matches!(load(b""), RuntimeError::Onnx(_)));
}

#[test]
fn names_come_from_the_card_and_what_is_missing_is_assumed_openly() {
    let mut model = linear(GREY, &numbers(GREY.values() * 3, 1), &[0.0; 3], Batch::Any);
    let bare = loaded(&model);
    assert_eq!(bare.class_names(), ["0", "1", "2"]);
    assert_eq!(bare.assumptions().len(), 3, "{:?}", bare.assumptions());
    model
        .set_card(&card("tiny", &["ant", "bee", "cat"]))
        .unwrap();
    let named = loaded(&model);
    assert_eq!(named.class_names(), ["ant", "bee", "cat"]);
    assert_eq!(
        (named.assumptions(), named.card().name.as_str()),
        (
            &[
                "the card states no normalization: pixels are taken to be in [0, 1]".to_owned(),
                "images of another size are stretched to 6x5".to_owned()
            ][..],
            "tiny"
        )
    );
    assert_ne!(named.sha256(), bare.sha256());
    model
        .set_card(&card("tiny", &["crane", "bee", "crane"]))
        .unwrap();
    let shared = loaded(&model);
    assert_eq!(shared.class_names(), ["crane", "bee", "crane"]);
    let said = shared.assumptions().join("\n");
    assert!(said.contains("one name: `crane` (0, 2)"), "{said}");
    for wrong in [
        card("tiny", &["ant"]),
        Card {
            input: Input {
                channels: 1,
                height: 28,
                width: 28,
                ..Input::default()
            },
            ..card("tiny", &[])
        },
    ] {
        model.set_card(&wrong).unwrap();
        let error = Classifier::from_bytes(&model.to_bytes(), None, &options()).unwrap_err();
        assert!(error.to_string().contains("card"), "{error}");
    }
}

#[test]
fn a_name_that_does_not_print_is_refused_on_a_card_and_harmless_as_an_option() {
    let mut model = linear(GREY, &numbers(GREY.values() * 3, 1), &[0.0; 3], Batch::Any);
    let named = LoadOptions {
        name: Some("a\0b\u{1b}".to_owned()),
        ..options()
    };
    Classifier::from_bytes(&model.to_bytes(), None, &named).unwrap();
    model.set_metadata(Card::KEY, r#"{"name": "a\u0000b"}"#);
    let error = Classifier::from_bytes(&model.to_bytes(), None, &options()).unwrap_err();
    let message = error.to_string();
    assert!(
        message.contains("`name` is `a\\0b`") && message.contains("inside the model"),
        "{message}"
    );
}

#[test]
fn a_normalisation_in_another_unit_is_refused_on_a_card_and_as_an_option() {
    let normalization = Normalization {
        mean: vec![123.675],
        std: vec![58.395],
    };
    let mut model = linear(GREY, &numbers(GREY.values() * 3, 1), &[0.0; 3], Batch::Any);
    let asked = LoadOptions {
        normalization: Some(normalization),
        ..options()
    };
    let error = Classifier::from_bytes(&model.to_bytes(), None, &asked).unwrap_err();
    assert!(
        error.to_string().contains("as mean 0.485 and std 0.229"),
        "{error}"
    );
    let json = r#"{"input": {"normalization": {"mean": [123.675], "std": [58.395]}}}"#;
    model.set_metadata(Card::KEY, json);
    let error = Classifier::from_bytes(&model.to_bytes(), None, &options()).unwrap_err();
    assert!(
        error.to_string().contains("as mean 0.485 and std 0.229"),
        "{error}"
    );
}

#[tokio::test]
async fn files_beside_the_model_are_used_unless_they_belong_to_another_one() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("model.onnx");
    let weights = numbers(GREY.values() * 3, 1);
    let model = linear(GREY, &weights, &[0.0; 3], Batch::Any);
    model.write(&path).unwrap();
    card("beside", &["x", "y", "z"])
        .write(directory.path().join("card.json"))
        .unwrap();
    let other = linear(GREY, &numbers(GREY.values() * 3, 2), &[0.0; 3], Batch::Any);
    let mut gradients = Vec::new();
    for gradient in [
        None,
        Some(differentiate(&model).unwrap().to_bytes()),
        Some(differentiate(&other).unwrap().to_bytes()),
        Some(model.to_bytes()),
        Some(b"damaged".to_vec()),
    ] {
        if let Some(bytes) = gradient {
            fs::write(directory.path().join("gradient.onnx"), bytes).unwrap();
        }
        let classifier = Classifier::load(&path, &options()).unwrap();
        assert_eq!(classifier.class_names(), ["x", "y", "z"]);
        let answer = classifier.gradient(images(1, GREY, 1), vec![Objective::Margin { label: 0 }]);
        gradients.push(answer.await.unwrap().input);
    }
    assert!(gradients.windows(2).all(|pair| pair[0] == pair[1]));
}

/// A gradient graph whose gradient is multiplied by something.
fn doctored(gradient: &Model, factors: &[f32]) -> Model {
    let mut proto = gradient.to_proto();
    let graph = proto.graph.as_mut().unwrap();
    for node in &mut graph.node {
        for tensor in node.input.iter_mut().chain(&mut node.output) {
            if tensor == "gradient" {
                *tensor = "honest".into();
            }
        }
    }
    let dims = [1, 1, GREY.height as i64, GREY.width as i64];
    graph
        .initializer
        .push(TensorProto::floats("factors", &dims, factors));
    graph.node.push(NodeProto {
        op_type: "Mul".into(),
        input: vec!["honest".into(), "factors".into()],
        output: vec!["gradient".into()],
        ..NodeProto::default()
    });
    Model::from_proto(proto).unwrap()
}

#[tokio::test]
async fn a_gradient_graph_that_says_it_is_the_models_and_is_not_is_not_used() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("model.onnx");
    let weights = numbers(GREY.values() * 3, 1);
    let model = linear(GREY, &weights, &[0.0; 3], Batch::Any);
    model.write(&path).unwrap();
    let honest = differentiate(&model).unwrap();
    let ask = |options: LoadOptions| {
        let classifier = Classifier::load(&path, &options).unwrap();
        async move {
            let objectives = vec![Objective::Margin { label: 0 }];
            let answer = classifier.gradient(images(1, GREY, 1), objectives).await;
            (answer.unwrap().input, classifier.assumptions().join("\n"))
        }
    };
    let (expected, said) = ask(options()).await;
    assert!(!said.contains("gradient graph"), "{said}");
    let some: Vec<f32> = (0..GREY.height * GREY.width)
        .map(|pixel| if pixel % 5 < 3 { 1.0 } else { -1.0 })
        .collect();
    let count = some.len();
    for factors in [some, vec![-1.0; count], vec![2.0; count], vec![0.0; count]] {
        doctored(&honest, &factors)
            .write(directory.path().join("gradient.onnx"))
            .unwrap();
        let (found, said) = ask(options()).await;
        assert_eq!(found, expected);
        assert!(said.contains("stored gradient graph is not used"), "{said}");
        let own = LoadOptions {
            make_gradient: true,
            ..options()
        };
        let (found, said) = ask(own).await;
        assert_eq!(found, expected);
        assert!(!said.contains("gradient graph"), "{said}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dropping_a_classifier_ends_its_threads_with_queries_waiting() {
    let classifier = loaded(&smooth_network(RGB, CLASSES, Batch::Any));
    let mut callers = tokio::task::JoinSet::new();
    for _ in 0..20 {
        let classifier = classifier.clone();
        callers.spawn(async move { classifier.logits(images(16, RGB, 1)).await.map(|_| ()) });
    }
    drop(classifier);
    callers.abort_all();
    while callers.join_next().await.is_some() {}
}

#[test]
fn images_are_decoded_as_the_model_takes_them() {
    let classifier = loaded(&smooth_network(RGB, CLASSES, Batch::Any));
    let pixels = images(1, RGB, 1)
        .index_axis_move(Axis(0), 0)
        .mapv(|value| (value * 255.0).round() / 255.0);
    let png = encode_png(pixels.view()).unwrap();
    let prepared = classifier.decode(&png, &ImageLimits::default()).unwrap();
    assert_eq!(prepared.pixels, pixels);
    assert!(prepared.notes.is_empty());
}

#[test]
fn the_library_is_found_once_and_told() {
    let first = buckler_runtime::init().unwrap();
    assert!(first.path.is_file());
    assert!(first.version.is_some());
    assert!(std::ptr::eq(first, buckler_runtime::init().unwrap()));
}
