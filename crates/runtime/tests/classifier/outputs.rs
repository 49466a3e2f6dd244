//! Models with several outputs: one choice of the logits for predictions, gradients and certificates.
use buckler_attack::{Objective, Victim};
use buckler_onnx::{Bounding, Card, GradientInfo, Model, proto::DataType};
use buckler_runtime::{Certifier, Classifier, LoadOptions, differentiate};
use ndarray::{Array2, ArrayD};

use crate::models::{Batch, Builder, card, linear, named, numbers, port};
use crate::{GREY, images, loaded, options};

const CLASSES: usize = 5;

/// A layer of features `[batch, width]` and one of classes after it, as `features` and `head`.
fn two_layers(builder: &mut Builder, width: usize) {
    let values = GREY.values();
    builder.floats("W1", &[values, width], &numbers(values * width, 1));
    builder.floats("b1", &[width], &numbers(width, 2));
    builder.floats("W2", &[width, CLASSES], &numbers(width * CLASSES, 3));
    builder.floats("b2", &[CLASSES], &numbers(CLASSES, 4));
    builder.node("Flatten", &["image"], "flat", &[]);
    builder.node("Gemm", &["flat", "W1", "b1"], "inner", &[]);
    builder.node("Relu", &["inner"], "embedded", &[]);
    builder.node("Gemm", &["embedded", "W2", "b2"], "head", &[]);
}

/// Outputs as (name, tensor, width), in the order given.
fn model(width: usize, outputs: &[(&str, &str, usize)]) -> Model {
    built(width, outputs, |_| ())
}

fn built(width: usize, outputs: &[(&str, &str, usize)], more: impl Fn(&mut Builder)) -> Model {
    let mut builder = Builder::new(GREY, Batch::Any);
    two_layers(&mut builder, width);
    more(&mut builder);
    for (name, tensor, _) in outputs {
        builder.node("Identity", &[tensor], name, &[]);
    }
    let shapes: Vec<(&str, [i64; 1])> = outputs
        .iter()
        .map(|(name, _, width)| (*name, [*width as i64]))
        .collect();
    let shapes: Vec<(&str, &[i64])> = shapes
        .iter()
        .map(|(name, shape)| (*name, &shape[..]))
        .collect();
    builder.finish_with(&shapes)
}

fn reference() -> Classifier {
    loaded(&model(8, &[("logits", "head", CLASSES)]))
}

fn chosen(output: &str) -> LoadOptions {
    LoadOptions {
        output: Some(output.into()),
        ..options()
    }
}

fn load(model: &Model, options: &LoadOptions) -> Classifier {
    Classifier::from_bytes(&model.to_bytes(), None, options).unwrap()
}

/// Logits, and the gradient of a margin.
async fn answers(classifier: &Classifier) -> (Array2<f32>, ndarray::Array4<f32>) {
    classifier.can_attack().unwrap();
    let images = images(3, GREY, 5);
    let logits = classifier.logits(images.clone()).await.unwrap();
    let objectives = vec![Objective::Margin { label: 1 }; 3];
    let gradient = classifier.gradient(images, objectives).await.unwrap();
    assert_close(&gradient.logits, &logits);
    (logits, gradient.input)
}

fn assert_close<D: ndarray::Dimension>(a: &ndarray::Array<f32, D>, b: &ndarray::Array<f32, D>) {
    assert_eq!(a.shape(), b.shape());
    for (a, b) in a.iter().zip(b) {
        assert!((a - b).abs() <= 1e-5 * b.abs().max(1.0), "{a} {b}");
    }
}

#[tokio::test]
async fn features_and_other_heads_are_not_taken_for_the_logits() {
    let expected = answers(&reference()).await;
    let reference = loaded(&model(CLASSES, &[("logits", "head", CLASSES)]));
    let narrow = answers(&reference).await;
    let auxiliary = |builder: &mut Builder| {
        builder.floats("A", &[8, CLASSES], &numbers(8 * CLASSES, 9));
        builder.node("MatMul", &["embedded", "A"], "side", &[]);
    };
    let top = |builder: &mut Builder| {
        builder.ints("zero", &[0]);
        builder.ints("one", &[1]);
        builder.ints("two", &[2]);
        builder.node("Softmax", &["head"], "soft", &[]);
        builder.node("Slice", &["soft", "zero", "two", "one"], "best", &[]);
    };
    for (what, model, expected, output) in [
        (
            "an embedding first",
            model(
                8,
                &[("embedding", "embedded", 8), ("output", "head", CLASSES)],
            ),
            &expected,
            "output",
        ),
        (
            "features of the same width first",
            model(
                CLASSES,
                &[
                    ("features", "embedded", CLASSES),
                    ("output", "head", CLASSES),
                ],
            ),
            &narrow,
            "output",
        ),
        (
            "names that say nothing",
            model(8, &[("a", "embedded", 8), ("b", "head", CLASSES)]),
            &expected,
            "b",
        ),
        (
            "an auxiliary head first",
            built(
                8,
                &[("aux", "side", CLASSES), ("output", "head", CLASSES)],
                auxiliary,
            ),
            &expected,
            "output",
        ),
        (
            "some probabilities after",
            built(8, &[("b", "head", CLASSES), ("a", "best", 2)], top),
            &expected,
            "b",
        ),
    ] {
        let classifier = loaded(&model);
        assert_eq!(classifier.interface().output, output, "{what}");
        let (logits, gradient) = answers(&classifier).await;
        assert_close(&logits, &expected.0);
        assert_close(&gradient, &expected.1);
        let said = classifier.assumptions().join("\n");
        assert!(
            said.contains(&format!("taken from output `{output}`")),
            "{what}: {said}"
        );
        let certifier =
            Certifier::from_bytes(&model.to_bytes(), &options(), Bounding::Ibp).unwrap();
        assert_eq!(certifier.classes(), CLASSES, "{what}");
    }
}

#[tokio::test]
async fn probabilities_beside_their_logits_are_one_choice() {
    let expected = answers(&reference()).await;
    let softmax = |builder: &mut Builder| builder.node("Softmax", &["head"], "soft", &[]);
    let clipped = |builder: &mut Builder| {
        builder.node("Softmax", &["head"], "soft", &[]);
        builder.floats("low", &[], &[1e-7]);
        builder.node("Max", &["soft", "low"], "clipped", &[]);
    };
    for model in [
        built(
            8,
            &[("p", "soft", CLASSES), ("z", "head", CLASSES)],
            softmax,
        ),
        built(
            8,
            &[("z", "head", CLASSES), ("p", "soft", CLASSES)],
            softmax,
        ),
        built(
            8,
            &[("p", "clipped", CLASSES), ("z", "head", CLASSES)],
            clipped,
        ),
    ] {
        let (logits, gradient) = answers(&loaded(&model)).await;
        assert_close(&logits, &expected.0);
        assert_close(&gradient, &expected.1);
    }
}

#[tokio::test]
async fn an_output_can_be_chosen_by_name_and_by_the_card() {
    let heads = |builder: &mut Builder| {
        builder.floats("A", &[8, CLASSES], &numbers(8 * CLASSES, 9));
        builder.node("MatMul", &["embedded", "A"], "side", &[]);
    };
    let mut model = built(
        8,
        &[("first", "side", CLASSES), ("second", "head", CLASSES)],
        heads,
    );
    let first = load(&model, &options());
    assert_eq!(first.interface().output, "first");
    let said = first.assumptions().join("\n");
    assert!(
        said.contains("the first of several with 5 classes") && said.contains("`second`"),
        "{said}"
    );
    let second = load(&model, &chosen("second"));
    let expected = answers(&reference()).await;
    let (logits, gradient) = answers(&second).await;
    assert_close(&logits, &expected.0);
    assert_close(&gradient, &expected.1);
    assert!(
        !second
            .assumptions()
            .join("\n")
            .contains("taken from output")
    );
    model
        .set_card(&Card {
            output: Some("second".into()),
            ..card("two", &[])
        })
        .unwrap();
    assert_eq!(load(&model, &options()).interface().output, "second");
    assert_eq!(load(&model, &chosen("first")).interface().output, "first");
    let refused = Classifier::from_bytes(&model.to_bytes(), None, &chosen("third")).unwrap_err();
    let message = refused.to_string();
    assert!(
        message.contains("`third`") && message.contains("`first` float32"),
        "{message}"
    );
}

#[test]
fn the_cards_classes_decide_between_heads_of_different_widths() {
    let heads = |builder: &mut Builder| {
        builder.floats("A", &[8, 3], &numbers(24, 9));
        builder.node("MatMul", &["embedded", "A"], "side", &[]);
    };
    let outputs = [("first", "side", 3), ("second", "head", CLASSES)];
    let mut model = built(8, &outputs, heads);
    let message = Classifier::from_bytes(&model.to_bytes(), None, &options())
        .unwrap_err()
        .to_string();
    for part in [
        "choose one",
        "`first` float32 [batch, 3]",
        "`second` float32 [batch, 5]",
    ] {
        assert!(message.contains(part), "{message}");
    }
    model
        .set_card(&card("five", &["a", "b", "c", "d", "e"]))
        .unwrap();
    assert_eq!(load(&model, &options()).interface().output, "second");
    model.set_card(&card("three", &["a", "b", "c"])).unwrap();
    assert_eq!(load(&model, &options()).interface().output, "first");
}

#[test]
fn of_exits_on_the_way_the_last_one_is_taken() {
    let exits = |builder: &mut Builder| {
        builder.floats("A", &[8, 8], &numbers(64, 9));
        builder.floats("B", &[8, CLASSES], &numbers(8 * CLASSES, 11));
        builder.node("MatMul", &["embedded", "A"], "later", &[]);
        builder.node("Relu", &["later"], "kept", &[]);
        builder.node("MatMul", &["kept", "B"], "end", &[]);
    };
    for order in [["head", "end"], ["end", "head"]] {
        let outputs = [("a", order[0], CLASSES), ("b", order[1], CLASSES)];
        let classifier = loaded(&built(8, &outputs, exits));
        let last = if order[0] == "end" { "a" } else { "b" };
        assert_eq!(classifier.interface().output, last);
        let said = classifier.assumptions().join("\n");
        assert!(said.contains("behind more layers"), "{said}");
    }
}

#[test]
fn the_largest_values_in_their_order_are_no_classes() {
    let mut builder = Builder::new(GREY, Batch::Any);
    two_layers(&mut builder, 8);
    builder.ints("three", &[3]);
    builder.node("TopK", &["head", "three"], "values", &[]);
    builder.also(&["indices"]);
    builder.node("Softmax", &["values"], "scores", &[]);
    let model = builder.finish_as(
        None,
        vec![
            port("scores", None, &[3]),
            named("indices", DataType::Int64, &["batch", "3"]),
        ],
    );
    for options in [options(), chosen("scores")] {
        let error = Classifier::from_bytes(&model.to_bytes(), None, &options).unwrap_err();
        let text = error.to_string();
        assert!(text.contains("[batch, classes]"), "{text}");
    }
}

#[test]
fn heads_without_weights_of_their_own_are_not_passed_over() {
    let negative_distance = |builder: &mut Builder| {
        builder.floats("prototypes", &[CLASSES, 8], &numbers(CLASSES * 8, 7));
        builder.ints("middle", &[1]);
        builder.ints("last", &[2]);
        builder.node("Unsqueeze", &["embedded", "middle"], "row", &[]);
        builder.node("Sub", &["row", "prototypes"], "apart", &[]);
        builder.node("Mul", &["apart", "apart"], "squares", &[]);
        builder.node(
            "ReduceSum",
            &["squares", "last"],
            "distance",
            &[("keepdims", &[0])],
        );
        builder.node("Neg", &["distance"], "near", &[]);
    };
    let prototypes = built(
        8,
        &[("emb", "embedded", 8), ("out", "near", CLASSES)],
        negative_distance,
    );
    let largest_of_two = |builder: &mut Builder| {
        builder.ints("pairs", &[-1, CLASSES as i64, 2]);
        builder.ints("last", &[2]);
        builder.node("Reshape", &["embedded", "pairs"], "two", &[]);
        builder.node("ReduceMax", &["two", "last"], "most", &[("keepdims", &[0])]);
    };
    let maxout = built(
        2 * CLASSES,
        &[
            ("features", "embedded", 2 * CLASSES),
            ("out", "most", CLASSES),
        ],
        largest_of_two,
    );
    let gated = |builder: &mut Builder| {
        builder.node("Softmax", &["head"], "soft", &[]);
        builder.floats("A", &[8, CLASSES], &numbers(8 * CLASSES, 9));
        builder.node("MatMul", &["embedded", "A"], "side", &[]);
        builder.node("Mul", &["side", "soft"], "product", &[]);
    };
    let gate = built(
        8,
        &[("weights", "soft", CLASSES), ("out", "product", CLASSES)],
        gated,
    );
    for model in [prototypes, maxout, gate] {
        assert_eq!(loaded(&model).interface().output, "out");
    }
}

#[test]
fn heads_put_together_go_before_each_of_them() {
    for operator in ["Add", "Sum", "Mean", "Max"] {
        let ensemble = |builder: &mut Builder| {
            builder.floats("A", &[8, CLASSES], &numbers(8 * CLASSES, 9));
            builder.node("MatMul", &["embedded", "A"], "side", &[]);
            builder.node(operator, &["head", "side"], "both", &[]);
        };
        let outputs = [
            ("d1", "head", CLASSES),
            ("d2", "side", CLASSES),
            ("d0", "both", CLASSES),
        ];
        let classifier = loaded(&built(8, &outputs, ensemble));
        assert_eq!(classifier.interface().output, "d0", "{operator}");
    }
}

#[test]
fn what_does_not_depend_on_the_image_is_not_chosen() {
    let constant = |builder: &mut Builder| {
        builder.floats("prior", &[1, CLASSES], &numbers(CLASSES, 9));
        builder.node("Exp", &["prior"], "stored", &[]);
    };
    let mut builder = Builder::new(GREY, Batch::Fixed(1));
    two_layers(&mut builder, 8);
    constant(&mut builder);
    let outputs = [
        ("stored", &[CLASSES as i64][..]),
        ("head", &[CLASSES as i64]),
    ];
    assert_eq!(
        loaded(&builder.finish_with(&outputs)).interface().output,
        "head"
    );
}

#[tokio::test]
async fn a_loss_and_the_number_of_the_class_do_no_harm() {
    let mut builder = Builder::new(GREY, Batch::Any);
    two_layers(&mut builder, 8);
    builder.node("Identity", &["head"], "scores", &[]);
    builder.node("ReduceMean", &["head"], "loss", &[("keepdims", &[0])]);
    builder.node(
        "ArgMax",
        &["head"],
        "label",
        &[("axis", &[1]), ("keepdims", &[0])],
    );
    let model = builder.finish_as(
        None,
        vec![
            named("loss", DataType::Float, &[]),
            named("label", DataType::Int64, &["batch"]),
            port("scores", None, &[CLASSES as i64]),
        ],
    );
    let all = LoadOptions {
        all_outputs: true,
        ..options()
    };
    let classifier = load(&model, &all);
    let (logits, _) = answers(&classifier).await;
    assert_close(&logits, &answers(&reference()).await.0);

    let names: Vec<String> = classifier
        .tensors()
        .outputs
        .iter()
        .map(|port| port.name.clone())
        .collect();
    assert_eq!(names, ["loss", "label", "scores"]);
    let rows: ArrayD<f32> = images(3, GREY, 5).into_dyn();
    let (tensors, _) = classifier.infer(rows, &names).await.unwrap();
    let [loss, label, scores] = &tensors[..] else {
        panic!("three outputs")
    };
    assert_eq!((loss.shape.len(), loss.dtype), (0, "float32"));
    assert_eq!((&label.shape[..], label.dtype), (&[3][..], "int64"));
    let (labels, _) = label.data.as_chunks();
    for (row, &label) in logits.outer_iter().zip(labels) {
        let best = (0..CLASSES)
            .max_by(|&a, &b| row[a].total_cmp(&row[b]))
            .unwrap();
        assert_eq!(i64::from_le_bytes(label), best as i64);
    }
    let (values, _) = scores.data.as_chunks();
    for (logit, &value) in logits.iter().zip(values) {
        assert!((f32::from_le_bytes(value) - logit).abs() < 1e-5);
    }
    let mean = logits.mean().unwrap();
    let value = f32::from_le_bytes(loss.data.as_slice().try_into().unwrap());
    assert!((value - mean).abs() < 1e-5, "{value} {mean}");
}

#[tokio::test]
async fn a_gradient_graph_of_another_output_is_not_used() {
    let heads = |builder: &mut Builder| {
        builder.floats("A", &[8, CLASSES], &numbers(8 * CLASSES, 9));
        builder.node("MatMul", &["embedded", "A"], "side", &[]);
    };
    let model = built(
        8,
        &[("first", "side", CLASSES), ("second", "head", CLASSES)],
        heads,
    );
    let made = differentiate(&model, &options()).unwrap().gradient;
    let info = GradientInfo::of(&made).unwrap().unwrap();
    assert_eq!(info.output.as_deref(), Some("first"));
    let (bytes, stored) = (model.to_bytes(), made.to_bytes());
    let used = Classifier::from_bytes(&bytes, Some(&stored), &options()).unwrap();
    assert!(!used.assumptions().join("\n").contains("gradient graph"));
    let second = Classifier::from_bytes(&bytes, Some(&stored), &chosen("second")).unwrap();
    let said = second.assumptions().join("\n");
    assert!(
        said.contains("made for output `first` instead of `second`"),
        "{said}"
    );
    let expected = answers(&reference()).await;
    assert_close(&answers(&second).await.1, &expected.1);

    let folder = tempfile::tempdir().unwrap();
    for output in ["first", "second", "first", "second"] {
        let cached = LoadOptions {
            gradient_cache: Some(folder.path().into()),
            ..chosen(output)
        };
        let (_, gradient) = answers(&load(&model, &cached)).await;
        assert_eq!(gradient == answers(&second).await.1, output == "second");
    }
}

#[test]
fn a_model_called_otherwise_is_still_one_with_a_single_output() {
    let weights = numbers(GREY.values() * 3, 1);
    let classifier = loaded(&linear(GREY, &weights, &[0.0; 3], Batch::Any));
    assert_eq!(classifier.interface().reason, "called `logits`");
    let other = loaded(&model(8, &[("anything", "head", CLASSES)]));
    assert_eq!(
        other.interface().reason,
        "the only one of shape [batch, classes]"
    );
    assert!(!other.assumptions().join("\n").contains("output"));
}

fn refusal(model: &Model, options: &LoadOptions) -> String {
    let refused = Classifier::from_bytes(&model.to_bytes(), None, options);
    refused.unwrap_err().to_string()
}

#[test]
fn of_logits_and_their_negation_the_name_decides_or_nobody() {
    let negated = |builder: &mut Builder| builder.node("Neg", &["head"], "minus", &[]);
    for outputs in [
        [("z", "head", CLASSES), ("energy", "minus", CLASSES)],
        [("energy", "minus", CLASSES), ("z", "head", CLASSES)],
    ] {
        let classifier = loaded(&built(8, &outputs, negated));
        assert_eq!(classifier.interface().output, "z");
    }
    let outputs = [("one", "head", CLASSES), ("two", "minus", CLASSES)];
    let model = built(8, &outputs, negated);
    let refused = refusal(&model, &options());
    assert!(
        refused.contains("nothing decides between them"),
        "{refused}"
    );
    assert_eq!(load(&model, &chosen("two")).interface().output, "two");
}

#[test]
fn negated_probabilities_are_refused_and_distances_are_told() {
    let loss = |builder: &mut Builder| {
        builder.node("LogSoftmax", &["head"], "log", &[]);
        builder.node("Neg", &["log"], "nll", &[]);
    };
    let rest = |builder: &mut Builder| {
        builder.floats("one", &[], &[1.0]);
        builder.node("Softmax", &["head"], "soft", &[]);
        builder.node("Sub", &["one", "soft"], "rest", &[]);
    };
    let models = [
        built(8, &[("out", "nll", CLASSES)], loss),
        built(8, &[("out", "rest", CLASSES)], rest),
    ];
    for model in models {
        let refused = refusal(&model, &options());
        assert!(refused.contains("without the negation"), "{refused}");
    }
    let distance = |builder: &mut Builder| {
        builder.floats("prototypes", &[CLASSES, 8], &numbers(CLASSES * 8, 7));
        builder.ints("middle", &[1]);
        builder.node("Unsqueeze", &["embedded", "middle"], "row", &[]);
        builder.node("Sub", &["row", "prototypes"], "apart", &[]);
        builder.node("ReduceL2", &["apart", "last"], "d", &[("keepdims", &[0])]);
        builder.ints("last", &[2]);
        builder.node("Neg", &["d"], "near", &[]);
    };
    let far = loaded(&built(8, &[("out", "d", CLASSES)], distance));
    let said = far.assumptions().join("\n");
    assert!(said.contains("lengths of differences"), "{said}");
    for outputs in [
        [("a", "d", CLASSES), ("b", "near", CLASSES)],
        [("b", "near", CLASSES), ("a", "d", CLASSES)],
    ] {
        let both = loaded(&built(8, &outputs, distance));
        assert_eq!(both.interface().output, "b");
        let said = both.assumptions().join("\n");
        assert!(!said.contains("lengths of differences"), "{said}");
    }
    // As matrix products, as torch.cdist has it, behind a softmax, and with a matrix between, as Mahalanobis has it.
    let products = |builder: &mut Builder| {
        builder.floats("P", &[8, CLASSES], &numbers(8 * CLASSES, 7));
        builder.floats("sizes", &[CLASSES], &[40.0; CLASSES]);
        builder.floats("zero", &[], &[0.0]);
        builder.node("Gemm", &["embedded", "P", "sizes"], "square", &[]);
        builder.node("Max", &["square", "zero"], "above", &[]);
        builder.node("Sqrt", &["above"], "root", &[]);
        builder.node("Softmax", &["root"], "soft", &[]);
    };
    let form = |builder: &mut Builder| {
        builder.floats("prototypes", &[CLASSES, 8], &numbers(CLASSES * 8, 7));
        builder.floats("Q", &[8, 8], &numbers(64, 9));
        builder.ints("middle", &[1]);
        builder.ints("last", &[2]);
        builder.node("Unsqueeze", &["embedded", "middle"], "row", &[]);
        builder.node("Sub", &["row", "prototypes"], "apart", &[]);
        builder.node("MatMul", &["apart", "Q"], "turned", &[]);
        builder.node("Mul", &["turned", "apart"], "parts", &[]);
        builder.node(
            "ReduceSum",
            &["parts", "last"],
            "whole",
            &[("keepdims", &[0])],
        );
    };
    for model in [
        built(8, &[("out", "root", CLASSES)], products),
        built(8, &[("out", "soft", CLASSES)], products),
        built(8, &[("out", "whole", CLASSES)], form),
    ] {
        let said = loaded(&model).assumptions().join("\n");
        assert!(said.contains("lengths of differences"), "{said}");
    }
    let inverse = |builder: &mut Builder| {
        builder.node("Softmax", &["head"], "soft", &[]);
        builder.node("Reciprocal", &["soft"], "over", &[]);
    };
    let refused = refusal(&built(8, &[("out", "over", CLASSES)], inverse), &options());
    assert!(refused.contains("sign turned round"), "{refused}");
    let named = loaded(&built(8, &[("distances", "head", CLASSES)], |_| ()));
    let said = named.assumptions().join("\n");
    assert!(
        said.contains("its name is that of something else"),
        "{said}"
    );
}

#[test]
fn an_answer_that_does_not_depend_on_the_image_is_told() {
    let dead = |builder: &mut Builder| {
        builder.floats("zero", &[], &[0.0]);
        builder.floats("bias", &[CLASSES], &numbers(CLASSES, 9));
        builder.node("Mul", &["head", "zero"], "none", &[]);
        builder.node("Add", &["none", "bias"], "same", &[]);
    };
    let classifier = loaded(&built(8, &[("out", "same", CLASSES)], dead));
    let said = classifier.assumptions().join("\n");
    assert!(said.contains("the same for all images"), "{said}");
    let alive = loaded(&model(8, &[("out", "head", CLASSES)]));
    let said = alive.assumptions().join("\n");
    assert!(!said.contains("the same for all images"), "{said}");
}

#[test]
fn rows_of_length_1_are_told() {
    let unit = |builder: &mut Builder| {
        builder.node(
            "LpNormalization",
            &["head"],
            "unit",
            &[("axis", &[1]), ("p", &[2])],
        );
    };
    let classifier = loaded(&built(8, &[("out", "unit", CLASSES)], unit));
    let said = classifier.assumptions().join("\n");
    assert!(said.contains("have length 1"), "{said}");
}

#[tokio::test]
async fn outputs_may_bear_the_names_of_gradient_graphs() {
    let expected = answers(&reference()).await;
    for name in ["label", "objective", "loss", "gradient", "target"] {
        let found = answers(&loaded(&model(8, &[(name, "head", CLASSES)]))).await;
        assert_close(&found.0, &expected.0);
        assert_close(&found.1, &expected.1);
        let made = differentiate(&model(8, &[(name, "head", CLASSES)]), &options()).unwrap();
        let bytes = model(8, &[(name, "head", CLASSES)]).to_bytes();
        let stored = Classifier::from_bytes(&bytes, Some(&made.gradient.to_bytes()), &options());
        let said = stored.unwrap().assumptions().join("\n");
        assert!(!said.contains("gradient graph"), "{said}");
    }
    let inner = built(8, &[("out", "head", CLASSES)], |_| ());
    let inner = renamed(&inner, "embedded", "source_features");
    let found = answers(&loaded(&inner)).await;
    assert_close(&found.1, &expected.1);
}

#[tokio::test]
async fn the_image_may_bear_the_name_of_something_in_gradient_graphs() {
    let expected = answers(&reference()).await;
    for name in [
        "label",
        "objective",
        "loss",
        "gradient",
        "target",
        "source_features",
    ] {
        let model = renamed(&model(8, &[("logits", "head", CLASSES)]), "image", name);
        let found = answers(&loaded(&model)).await;
        assert_close(&found.0, &expected.0);
        assert_close(&found.1, &expected.1);
        let made = differentiate(&model, &options()).unwrap();
        let gradient = made.gradient.to_bytes();
        let stored = Classifier::from_bytes(&model.to_bytes(), Some(&gradient), &options());
        let found = answers(&stored.unwrap()).await;
        assert_close(&found.1, &expected.1);
    }
}

/// The model with another name for one of its tensors.
fn renamed(model: &Model, from: &str, to: &str) -> Model {
    let mut proto = model.to_proto();
    let graph = proto.graph.as_mut().unwrap();
    for node in &mut graph.node {
        for tensor in node.input.iter_mut().chain(&mut node.output) {
            if tensor == from {
                *tensor = to.into();
            }
        }
    }
    for input in &mut graph.input {
        if input.name == from {
            input.name = to.into();
        }
    }
    Model::from_proto(proto).unwrap()
}

#[test]
fn outputs_that_cannot_be_given_out_are_told() {
    let mut builder = Builder::new(GREY, Batch::Any);
    two_layers(&mut builder, 8);
    builder.node("Identity", &["head"], "scores", &[]);
    builder.node(
        "Cast",
        &["head"],
        "half",
        &[("to", &[DataType::Float16 as i64])],
    );
    let model = builder.finish_as(
        None,
        vec![
            port("scores", None, &[CLASSES as i64]),
            named("half", DataType::Float16, &["batch", "5"]),
        ],
    );
    let said = |all_outputs| {
        let options = LoadOptions {
            all_outputs,
            ..options()
        };
        let classifier = load(&model, &options);
        assert!(!classifier.assumptions().join("\n").contains("half"));
        classifier.outputs_left_out()
    };
    let told = said(true).unwrap_or_default();
    assert!(
        told.starts_with("1 of the model's outputs is not given out")
            && told.contains("`half` (float16)"),
        "{told}"
    );
    assert_eq!(said(false), None);
}

#[test]
fn logits_that_all_lie_far_from_zero_are_no_probabilities() {
    for offset in [1e3, 1e4, 1e5, 1e6] {
        let far = |builder: &mut Builder| {
            builder.floats("offset", &[], &[offset]);
            builder.node("Add", &["head", "offset"], "far", &[]);
        };
        let classifier = loaded(&built(8, &[("out", "far", CLASSES)], far));
        let said = classifier.assumptions().join("\n");
        assert!(!said.contains("probabilities"), "{offset}: {said}");
    }
}

#[test]
fn ranks_are_no_probabilities_though_they_have_the_same_sum() {
    let ranks = |builder: &mut Builder| {
        builder.ints("all", &[CLASSES as i64]);
        builder.node("TopK", &["head", "all"], "values", &[]);
        builder.also(&["indices"]);
        let float: (&str, &[i64]) = ("to", &[DataType::Float as i64]);
        builder.node("Cast", &["indices"], "ranks", &[float]);
    };
    let classifier = loaded(&built(8, &[("out", "ranks", CLASSES)], ranks));
    let said = classifier.assumptions().join("\n");
    assert!(said.contains("whole numbers alone"), "{said}");
    assert!(!said.contains("holds probabilities"), "{said}");
}

#[test]
fn what_is_known_to_be_something_else_is_not_chosen_beside_scores() {
    let spread = |builder: &mut Builder| {
        builder.floats("A", &[8, CLASSES], &numbers(8 * CLASSES, 9));
        builder.node("MatMul", &["embedded", "A"], "side", &[]);
        builder.node("Softmax", &["head"], "first", &[]);
        builder.node("Softmax", &["side"], "second", &[]);
        builder.node("Mean", &["first", "second"], "middle", &[]);
        builder.node("Sub", &["first", "middle"], "apart", &[]);
        builder.node("Mul", &["apart", "apart"], "squares", &[]);
        builder.node("Sqrt", &["squares"], "spread", &[]);
        builder.node("Sub", &["head", "side"], "signed", &[]);
        builder.node("Abs", &["signed"], "between", &[]);
        builder.node("Hardmax", &["head"], "decided", &[]);
        builder.ints("last", &[1]);
        builder.node("ReduceMax", &["first", "last"], "most", &[]);
        builder.node("Equal", &["first", "most"], "is", &[]);
        let float: (&str, &[i64]) = ("to", &[DataType::Float as i64]);
        builder.node("Cast", &["is"], "chosen", &[float]);
    };
    for (outputs, expected) in [
        ([("mean", "middle"), ("uncertainty", "spread")], "mean"),
        ([("std", "spread"), ("mean", "middle")], "mean"),
        ([("z", "head"), ("hard", "decided")], "z"),
        ([("one", "chosen"), ("p", "first")], "p"),
        ([("z", "head"), ("loss", "squares")], "z"),
    ] {
        let [a, b] = outputs;
        let outputs = [(a.0, a.1, CLASSES), (b.0, b.1, CLASSES)];
        let classifier = loaded(&built(8, &outputs, spread));
        assert_eq!(classifier.interface().output, expected, "{outputs:?}");
    }
    let heads = [
        ("z", "head", CLASSES),
        ("y", "side", CLASSES),
        ("d", "between", CLASSES),
    ];
    assert_ne!(loaded(&built(8, &heads, spread)).interface().output, "d");
}

#[test]
fn an_output_called_logits_that_is_none_does_not_hide_another() {
    let mut builder = Builder::new(GREY, Batch::Any);
    two_layers(&mut builder, 8);
    builder.node("Identity", &["head"], "scores", &[]);
    let whole: (&str, &[i64]) = ("to", &[DataType::Int64 as i64]);
    builder.node("Cast", &["head"], "logits", &[whole]);
    let model = builder.finish_as(
        None,
        vec![
            named("logits", DataType::Int64, &["batch", "5"]),
            port("scores", None, &[CLASSES as i64]),
        ],
    );
    let classifier = loaded(&model);
    assert_eq!(classifier.interface().output, "scores");
    let said = classifier.assumptions().join("\n");
    assert!(said.contains("not taken from output `logits`"), "{said}");
}

#[test]
fn values_whose_smallest_is_the_class_are_refused() {
    let written_out = |builder: &mut Builder| {
        builder.ints("last", &[1]);
        builder.node("ReduceLogSumExp", &["head", "last"], "all", &[]);
        builder.node("Sub", &["all", "head"], "nll", &[]);
    };
    let from_one = |builder: &mut Builder| {
        builder.floats("ones", &[CLASSES], &[1.0; CLASSES]);
        builder.node("Softmax", &["head"], "soft", &[]);
        builder.node("Sub", &["ones", "soft"], "rest", &[]);
    };
    let models = [
        built(8, &[("out", "nll", CLASSES)], written_out),
        built(8, &[("out", "rest", CLASSES)], from_one),
    ];
    for model in models {
        let refused = refusal(&model, &options());
        assert!(refused.contains("without the negation"), "{refused}");
    }
}
