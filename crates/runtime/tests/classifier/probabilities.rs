//! Models that return probabilities: the answer's probabilities are the model's own, whatever stands at its end.
use buckler_attack::{Objective, Prediction, Victim};
use buckler_onnx::{Bounding, Model, Reading, proto::DataType};
use buckler_runtime::{Certifier, Classifier, LoadOptions};

use crate::models::{Batch, Builder, numbers};
use crate::{GREY, images, loaded, options};

/// Sharp enough that a second softmax shows.
const SCALE: f32 = 0.4;

/// A linear layer of `classes` scores `z`, and what `end` makes of it, called `p`.
fn model(classes: usize, shape: &[i64], end: impl Fn(&mut Builder)) -> Model {
    let mut builder = Builder::new(GREY, Batch::Any);
    let values = GREY.values();
    let weights: Vec<f32> = numbers(values * classes, 5)
        .iter()
        .map(|v| v * SCALE)
        .collect();
    let others: Vec<f32> = numbers(values * classes, 6)
        .iter()
        .map(|v| v * SCALE)
        .collect();
    builder.floats("W", &[values, classes], &weights);
    builder.floats("V", &[values, classes], &others);
    builder.node("Flatten", &["image"], "flat", &[]);
    builder.node("MatMul", &["flat", "W"], "z", &[]);
    builder.node("MatMul", &["flat", "V"], "y", &[]);
    end(&mut builder);
    builder.finish_with(&[("p", shape)])
}

fn mean_of_two(builder: &mut Builder) {
    builder.floats("half", &[], &[0.5]);
    builder.node("Softmax", &["z"], "first", &[]);
    builder.node("Softmax", &["y"], "second", &[]);
    builder.node("Add", &["first", "second"], "sum", &[]);
    builder.node("Mul", &["sum", "half"], "p", &[]);
}

/// Of one score, for two classes.
fn two_of_one(builder: &mut Builder) {
    builder.floats("one", &[], &[1.0]);
    builder.node("ReduceSum", &["z", "last"], "s", &[]);
    builder.ints("last", &[1]);
    builder.node("Sigmoid", &["s"], "q", &[]);
    builder.node("Sub", &["one", "q"], "rest", &[]);
    builder.node("Concat", &["rest", "q"], "p", &[("axis", &[1])]);
}

fn clipped(builder: &mut Builder) {
    builder.floats("low", &[], &[1e-7]);
    builder.floats("high", &[], &[1.0]);
    builder.node("Softmax", &["z"], "soft", &[]);
    builder.node("Clip", &["soft", "low", "high"], "p", &[]);
}

fn times_one(builder: &mut Builder) {
    builder.floats("one", &[], &[1.0]);
    builder.node("Softmax", &["z"], "soft", &[]);
    builder.node("Mul", &["soft", "one"], "same", &[]);
    builder.node("Cast", &["same"], "p", &[("to", &[DataType::Float as i64])]);
}

fn exponential(builder: &mut Builder) {
    builder.node("LogSoftmax", &["z"], "log", &[]);
    builder.node("Exp", &["log"], "p", &[]);
}

fn renormalised(builder: &mut Builder) {
    builder.floats("low", &[], &[1e-3]);
    builder.floats("high", &[], &[0.999]);
    builder.ints("last", &[1]);
    builder.node("Softmax", &["z"], "soft", &[]);
    builder.node("Clip", &["soft", "low", "high"], "cut", &[]);
    builder.node("ReduceSum", &["cut", "last"], "sum", &[]);
    builder.node("Div", &["cut", "sum"], "p", &[]);
}

fn written_out(builder: &mut Builder) {
    builder.ints("last", &[1]);
    builder.node("ReduceMax", &["z", "last"], "most", &[]);
    builder.node("Sub", &["z", "most"], "shifted", &[]);
    builder.node("Exp", &["shifted"], "powers", &[]);
    builder.node("ReduceSum", &["powers", "last"], "sum", &[]);
    builder.node("Div", &["powers", "sum"], "p", &[]);
}

fn percent(builder: &mut Builder) {
    builder.floats("hundred", &[], &[100.0]);
    builder.node("Softmax", &["z"], "soft", &[]);
    builder.node("Mul", &["hundred", "soft"], "p", &[]);
}

fn tempered(builder: &mut Builder) {
    builder.floats("temperature", &[], &[2.0]);
    builder.node("Div", &["z", "temperature"], "cool", &[]);
    builder.node("Softmax", &["cool"], "p", &[]);
}

fn squares(builder: &mut Builder) {
    builder.ints("square", &[-1, 4, 1, 1]);
    builder.node("Reshape", &["z", "square"], "squares", &[]);
    builder.node("Softmax", &["squares"], "p", &[("axis", &[1])]);
}

/// The softmax of a softmax, which is what this model says.
fn twice(builder: &mut Builder) {
    builder.node("Softmax", &["z"], "soft", &[]);
    builder.node("Softmax", &["soft"], "p", &[]);
}

fn with_outputs(model: &Model) -> Classifier {
    let all = LoadOptions {
        all_outputs: true,
        ..options()
    };
    Classifier::from_bytes(&model.to_bytes(), None, &all).unwrap()
}

async fn own(classifier: &Classifier, rows: usize) -> Vec<f32> {
    let images = images(rows, GREY, 8).into_dyn();
    let (tensors, _) = classifier.infer(images, &["p".to_owned()]).await.unwrap();
    let (values, _) = tensors[0].data.as_chunks();
    values
        .iter()
        .map(|&bytes| f32::from_le_bytes(bytes))
        .collect()
}

#[tokio::test]
async fn the_answers_probability_is_the_models_own() {
    type End = fn(&mut Builder);
    let logits = Reading::BeforeSoftmax;
    let log = Reading::LogOfProbabilities;
    let cases: [(&str, usize, End, Reading, f32); 11] = [
        ("mean of two softmaxes", 4, mean_of_two, log, 1.0),
        ("two classes of one sigmoid", 2, two_of_one, log, 1.0),
        ("clipped", 4, clipped, log, 1.0),
        ("times one and cast", 4, times_one, log, 1.0),
        ("exponential of the log", 4, exponential, logits, 1.0),
        ("cut and renormalised", 4, renormalised, log, 1.0),
        ("written out", 4, written_out, log, 1.0),
        ("percent", 4, percent, log, 100.0),
        ("tempered", 4, tempered, logits, 1.0),
        ("further axes", 4, squares, logits, 1.0),
        ("twice", 4, twice, logits, 1.0),
    ];
    for (what, classes, end, reading, unit) in cases {
        let shape: &[i64] = match what {
            "further axes" => &[4, 1, 1],
            _ => &[classes as i64],
        };
        let classifier = with_outputs(&model(classes, shape, end));
        assert_eq!(classifier.interface().reading, reading, "{what}");
        let said = classifier.assumptions().join("\n");
        assert!(said.contains("probabilities"), "{what}: {said}");
        let rows = 6;
        let own = own(&classifier, rows).await;
        assert_eq!(own.len(), rows * classes, "{what}");
        let images = images(rows, GREY, 8);
        let logits = classifier.logits(images.clone()).await.unwrap();
        for (row, own) in logits.outer_iter().zip(own.chunks(classes)) {
            let prediction = Prediction::new(&row.to_vec(), classifier.class_names()).unwrap();
            let expected = own[prediction.class] / unit;
            assert!(
                (prediction.probability - expected).abs() < 1e-5,
                "{what}: {} instead of {expected}",
                prediction.probability
            );
        }
        // The gradient is that of the same logits.
        classifier.can_attack().unwrap();
        let objectives = vec![Objective::CrossEntropy { label: 0 }; rows];
        let gradient = classifier
            .gradient(images.clone(), objectives)
            .await
            .unwrap();
        let mut moved = images.clone();
        let step = 1e-3;
        let direction = gradient.input.mapv(f32::signum);
        moved.scaled_add(step, &direction);
        let after = classifier.logits(moved).await.unwrap();
        for row in 0..rows {
            let loss = |logits: ndarray::ArrayView1<'_, f32>| {
                let logits = logits.mapv(f64::from);
                let most = logits.fold(f64::NEG_INFINITY, |a, &b| a.max(b));
                logits.mapv(|z| (z - most).exp()).sum().ln() + most - logits[0]
            };
            let rise = loss(after.row(row)) - loss(logits.row(row));
            let slope: f32 = gradient
                .input
                .index_axis(ndarray::Axis(0), row)
                .mapv(f32::abs)
                .sum();
            let expected = f64::from(slope * step);
            assert!(
                (rise - expected).abs() <= 0.1 * expected.abs() + 1e-5,
                "{what}: {rise} instead of {expected}"
            );
        }
    }
}

#[test]
fn probabilities_that_do_not_sum_to_one_say_their_sum() {
    let coarse = model(4, &[4], |builder| {
        builder.floats("low", &[], &[0.2]);
        builder.floats("high", &[], &[0.6]);
        builder.node("Softmax", &["z"], "soft", &[]);
        builder.node("Clip", &["soft", "low", "high"], "p", &[]);
    });
    let classifier = loaded(&coarse);
    assert_eq!(classifier.interface().reading, Reading::LogOfProbabilities);
    let said = classifier.assumptions().join("\n");
    assert!(said.contains("divided by their sum"), "{said}");
}

/// `Where(soft > 0.05, soft, 0)`.
fn thresholded(builder: &mut Builder) {
    builder.floats("least", &[], &[0.05]);
    builder.floats("zero", &[], &[0.0]);
    builder.node("Softmax", &["z"], "soft", &[]);
    builder.node("Greater", &["soft", "least"], "kept", &[]);
    builder.node("Where", &["kept", "soft", "zero"], "p", &[]);
}

fn rounded(builder: &mut Builder) {
    builder.floats("thousand", &[], &[1000.0]);
    builder.node("Softmax", &["z"], "soft", &[]);
    builder.node("Mul", &["soft", "thousand"], "large", &[]);
    builder.node("Round", &["large"], "whole", &[]);
    builder.node("Div", &["whole", "thousand"], "p", &[]);
}

/// The sum of the exponentials with something added.
fn written_out_safely(builder: &mut Builder) {
    builder.floats("little", &[], &[0.01]);
    builder.ints("last", &[1]);
    builder.node("ReduceMax", &["z", "last"], "most", &[]);
    builder.node("Sub", &["z", "most"], "shifted", &[]);
    builder.node("Exp", &["shifted"], "e", &[]);
    builder.node("ReduceSum", &["e", "last"], "sum", &[]);
    builder.node("Add", &["sum", "little"], "safe", &[]);
    builder.node("Div", &["e", "safe"], "p", &[]);
}

/// The sum of two softmaxes, and 255 times their mean.
fn sum_of_two(builder: &mut Builder) {
    builder.node("Softmax", &["z"], "first", &[]);
    builder.node("Softmax", &["y"], "second", &[]);
    builder.node("Sum", &["first", "second"], "p", &[]);
}

fn in_bytes(builder: &mut Builder) {
    builder.floats("most", &[], &[255.0]);
    builder.node("Softmax", &["z"], "first", &[]);
    builder.node("Softmax", &["y"], "second", &[]);
    builder.node("Mean", &["first", "second"], "mean", &[]);
    builder.node("Mul", &["mean", "most"], "p", &[]);
}

/// By their looks alone: nothing in the graph says that they are probabilities.
fn squares_over_their_sum(builder: &mut Builder) {
    builder.floats("three", &[], &[3.0]);
    builder.ints("last", &[1]);
    builder.node("Mul", &["z", "z"], "squares", &[]);
    builder.node("ReduceSum", &["squares", "last"], "sum", &[]);
    builder.node("Div", &["squares", "sum"], "shares", &[]);
    builder.node("Mul", &["shares", "three"], "p", &[]);
}

/// Without the class of the background.
fn sliced(builder: &mut Builder) {
    builder.ints("one", &[1]);
    builder.ints("four", &[4]);
    builder.node("Softmax", &["z"], "soft", &[]);
    builder.node("Slice", &["soft", "one", "four", "one"], "p", &[]);
}

#[tokio::test]
async fn what_is_left_of_probabilities_is_not_softmaxed_again() {
    type End = fn(&mut Builder);
    let cases: [(&str, usize, End); 7] = [
        ("thresholded", 4, thresholded),
        ("rounded", 4, rounded),
        ("written out safely", 4, written_out_safely),
        ("sum of two", 4, sum_of_two),
        ("in bytes", 4, in_bytes),
        ("by their looks", 4, squares_over_their_sum),
        ("sliced", 3, sliced),
    ];
    for (what, classes, end) in cases {
        let classifier = with_outputs(&model(4, &[classes as i64], end));
        let reading = classifier.interface().reading;
        assert_eq!(reading, Reading::LogOfProbabilities, "{what}");
        let own = own(&classifier, 6).await;
        let logits = classifier.logits(images(6, GREY, 8)).await.unwrap();
        for (row, own) in logits.outer_iter().zip(own.chunks(classes)) {
            let prediction = Prediction::new(&row.to_vec(), classifier.class_names()).unwrap();
            let expected = own[prediction.class] / own.iter().sum::<f32>();
            assert!(
                (prediction.probability - expected).abs() < 1e-5,
                "{what}: {} instead of {expected}",
                prediction.probability
            );
        }
    }
}

#[test]
fn independent_scores_are_told_from_probabilities() {
    let sigmoid = loaded(&model(4, &[4], |builder| {
        builder.node("Sigmoid", &["z"], "p", &[]);
    }));
    assert_eq!(sigmoid.interface().reading, Reading::Logits);
    let said = sigmoid.assumptions().join("\n");
    assert!(said.contains("do not sum to 1"), "{said}");
    for end in ["LogSoftmax", "Identity"] {
        let plain = loaded(&model(4, &[4], |builder| {
            builder.node(end, &["z"], "p", &[])
        }));
        assert_eq!(plain.interface().reading, Reading::Logits);
        let said = plain.assumptions().join("\n");
        assert!(!said.contains("probabilities"), "{said}");
    }
}

#[tokio::test]
async fn certificates_are_of_the_same_logits() {
    for end in [tempered, exponential] {
        let model = model(4, &[4], end);
        let certifier =
            Certifier::from_bytes(&model.to_bytes(), &options(), Bounding::Ibp).unwrap();
        let classifier = loaded(&model);
        let images = images(2, GREY, 8);
        let logits = classifier.logits(images.clone()).await.unwrap();
        let margins = certifier
            .margins(images.clone(), images, &[0, 1])
            .await
            .unwrap();
        for (row, label) in [(0, 0), (1, 1)] {
            for class in 0..4 {
                let margin = logits[[row, label]] - logits[[row, class]];
                assert!((margins[[row, class]] - margin).abs() < 1e-3);
            }
        }
        assert!(certifier.assumptions().join("\n").contains("probabilities"));
    }
}

#[tokio::test]
async fn a_masked_class_is_never_chosen_and_the_model_is_served() {
    let masked = model(4, &[4], |builder| {
        builder.floats("mask", &[4], &[0.0, f32::NEG_INFINITY, 0.0, 0.0]);
        builder.node("Add", &["z", "mask"], "p", &[]);
    });
    let classifier = loaded(&masked);
    let said = classifier.assumptions().join("\n");
    assert!(said.contains("minus infinity in class 1"), "{said}");
    let logits = classifier.logits(images(8, GREY, 3)).await.unwrap();
    assert!(
        logits
            .column(1)
            .iter()
            .all(|&logit| logit == f32::NEG_INFINITY)
    );
    let saturated = loaded(&model(4, &[4], |builder| {
        builder.floats("fifty", &[], &[500.0]);
        builder.node("Mul", &["z", "fifty"], "sharp", &[]);
        builder.node("Softmax", &["sharp"], "soft", &[]);
        builder.node("Log", &["soft"], "p", &[]);
    }));
    let said = saturated.assumptions().join("\n");
    assert!(
        said.contains("minus infinity") && said.contains("not finite"),
        "{said}"
    );
}

#[test]
fn logits_that_are_not_numbers_are_refused_when_the_model_is_loaded() {
    for (got, values) in [
        ("NaN", [0.0, f32::NAN, 0.0, 0.0]),
        ("inf", [0.0, f32::INFINITY, 0.0, 0.0]),
        ("minus infinity in every class", [f32::NEG_INFINITY; 4]),
    ] {
        let broken = model(4, &[4], |builder| {
            builder.floats("mask", &[4], &values);
            builder.node("Add", &["z", "mask"], "p", &[]);
        });
        let error = Classifier::from_bytes(&broken.to_bytes(), None, &options()).unwrap_err();
        let message = error.to_string();
        assert!(
            message.contains("`p`") && message.contains(got),
            "{message}"
        );
    }
}

#[test]
fn a_gradient_that_is_not_finite_is_told_and_the_model_is_loaded() {
    let mut builder = Builder::new(GREY, Batch::Any);
    let values = GREY.values();
    builder.floats("W", &[values, 3], &numbers(values * 3, 1));
    // The root of a difference that is zero in the flat half of an image.
    builder.ints("from", &[0]);
    builder.ints("to", &[4]);
    builder.ints("next", &[1]);
    builder.ints("end", &[5]);
    builder.ints("axis", &[3]);
    builder.node("Slice", &["image", "from", "to", "axis"], "left", &[]);
    builder.node("Slice", &["image", "next", "end", "axis"], "right", &[]);
    builder.node("Sub", &["left", "right"], "difference", &[]);
    builder.node("Mul", &["difference", "difference"], "square", &[]);
    builder.node("Sqrt", &["square"], "edge", &[]);
    builder.node("Concat", &["edge", "left"], "both", &[("axis", &[3])]);
    builder.node("Flatten", &["both"], "flat", &[]);
    builder.floats("V", &[48, 3], &numbers(144, 1));
    builder.node("MatMul", &["flat", "V"], "logits", &[]);
    let classifier = loaded(&builder.finish(&[3]));
    let said = classifier.assumptions().join("\n");
    assert!(said.contains("the gradient is not finite in"), "{said}");
    classifier.can_attack().unwrap();
}

/// Outputs `z`, with positive values, and `p`, in both orders.
fn beside(end: impl Fn(&mut Builder)) -> [Model; 2] {
    let one = model(4, &[4], |builder| {
        builder.node("Softplus", &["z"], "alpha", &[]);
        builder.ints("last", &[1]);
        end(builder);
    });
    let mut proto = one.to_proto();
    let outputs = &mut proto.graph.as_mut().unwrap().output;
    let mut alpha = outputs[0].clone();
    alpha.name = "alpha".into();
    outputs.push(alpha);
    let mut turned = proto.clone();
    turned.graph.as_mut().unwrap().output.reverse();
    [proto, turned].map(|proto| Model::from_proto(proto).unwrap())
}

#[tokio::test]
async fn probabilities_made_from_logits_otherwise_than_by_a_softmax_are_the_models_own() {
    let evidence = |builder: &mut Builder| {
        builder.node("ReduceSum", &["alpha", "last"], "sum", &[]);
        builder.node("Div", &["alpha", "sum"], "p", &[]);
    };
    let one_against_the_rest = |builder: &mut Builder| {
        builder.node("Sigmoid", &["alpha"], "each", &[]);
        builder.node("ReduceSum", &["each", "last"], "sum", &[]);
        builder.node("Div", &["each", "sum"], "p", &[]);
    };
    let smoothed = |builder: &mut Builder| {
        builder.floats("half", &[], &[0.5]);
        builder.floats("rest", &[], &[0.125]);
        builder.node("Softmax", &["alpha"], "soft", &[]);
        builder.node("Mul", &["soft", "half"], "less", &[]);
        builder.node("Add", &["less", "rest"], "p", &[]);
    };
    type End = fn(&mut Builder);
    let ends: [End; 3] = [evidence, one_against_the_rest, smoothed];
    for end in ends {
        for model in beside(end) {
            let classifier = with_outputs(&model);
            assert_eq!(classifier.interface().output, "p");
            let said = classifier.assumptions().join("\n");
            assert!(said.contains("otherwise than by a softmax"), "{said}");
            let logits = classifier.logits(images(3, GREY, 8)).await.unwrap();
            let own = own(&classifier, 3).await;
            for (row, own) in logits.outer_iter().zip(own.chunks(4)) {
                let row = row.to_vec();
                let answered = Prediction::new(&row, classifier.class_names()).unwrap();
                let largest = own.iter().copied().fold(0.0, f32::max);
                assert!(
                    (answered.probability - largest).abs() < 1e-5,
                    "{answered:?} {own:?}"
                );
            }
            let asked = LoadOptions {
                output: Some("alpha".into()),
                ..options()
            };
            let chosen = Classifier::from_bytes(&model.to_bytes(), None, &asked).unwrap();
            assert_eq!(chosen.interface().output, "alpha");
        }
    }
    for model in beside(|builder| builder.node("Softmax", &["alpha"], "p", &[])) {
        assert_eq!(with_outputs(&model).interface().output, "alpha");
    }
}

/// As ONNX Runtime's own tool writes them: no shape is declared between the softmax and the output.
#[tokio::test]
async fn probabilities_that_were_quantised_are_not_softmaxed_again() {
    for classes in [4, 40] {
        let quantised = |builder: &mut Builder| {
            builder.floats("step", &[], &[1.0 / 256.0]);
            builder.node("Softmax", &["z"], "soft", &[]);
            builder.node("QuantizeLinear", &["soft", "step"], "q", &[]);
            builder.node("DequantizeLinear", &["q", "step"], "p", &[]);
        };
        let classifier = with_outputs(&model(classes, &[classes as i64], quantised));
        assert_eq!(classifier.interface().reading, Reading::LogOfProbabilities);
        let logits = classifier.logits(images(3, GREY, 8)).await.unwrap();
        let own = own(&classifier, 3).await;
        for (row, own) in logits.outer_iter().zip(own.chunks(classes)) {
            let answered = Prediction::new(&row.to_vec(), classifier.class_names()).unwrap();
            let largest = own.iter().copied().fold(0.0, f32::max);
            let whole: f32 = own.iter().sum();
            assert!(
                (answered.probability - largest / whole).abs() < 1e-3,
                "{answered:?} {own:?}"
            );
        }
    }
}
