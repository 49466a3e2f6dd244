//! Extreme logits: what one objective cannot represent must not spoil another.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod reference;

use buckler_onnx::{
    Error, GradientInfo, Model, differentiate,
    proto::{AttributeProto, ValueInfoProto},
};
use reference::{
    net::{Net, Random, check},
    query::Query,
    tensor::Tensor,
};

/// A model whose logits are its image.
fn pixels(classes: usize) -> Model {
    let mut net = Net::new([2, 1, 1, classes], 1);
    let logits = net.op("Flatten", &["image"], []);
    net.finish(&logits, None)
}

fn ask(logits: &[f64], fill: impl FnOnce(Query) -> Query) -> (f64, Vec<f64>) {
    let classes = logits.len();
    let gradient = differentiate(&pixels(classes)).unwrap();
    let query = fill(Query::idle(&gradient, 1));
    let image = Tensor::new(&[1, 1, 1, classes], logits.to_vec());
    let answer = query.ask(&gradient, &image);
    (answer.loss.data[0], answer.gradient.data)
}

/// One objective with its weight, and a label.
fn of(objective: &str, weight: f64, label: usize) -> impl FnOnce(Query) -> Query {
    move |query| Query {
        labels: vec![label as f64],
        ..query.weigh(objective, weight)
    }
}

#[test]
fn a_weight_of_zero_silences_an_infinite_term() {
    for (logits, label) in [
        ([f64::INFINITY, 0.0, 1.0], 1),
        ([f64::NEG_INFINITY, 0.0, 1.0], 0),
        ([1e308, -1e308, 0.0], 1),
    ] {
        let (loss, gradient) = ask(&logits, of("margin", 0.0, label));
        assert_eq!((loss, gradient), (0.0, vec![0.0; 3]), "{logits:?}");
    }
    let (loss, gradient) = ask(&[f64::INFINITY, 2.0, 1.0], |query| Query {
        cotangent: Tensor::new(&[1, 3], vec![0.0, 1.0, -1.0]),
        ..query
    });
    assert_eq!((loss, gradient), (1.0, vec![0.0, 1.0, -1.0]));
}

#[test]
fn two_classes_have_a_margin() {
    let (loss, gradient) = ask(&[3.0, 1.0], of("margin", 1.0, 0));
    assert_eq!((loss, gradient), (-2.0, vec![-1.0, 1.0]));
    let (loss, gradient) = ask(&[3.0, 1.0], of("margin", -1.0, 1));
    assert_eq!((loss, gradient), (-2.0, vec![-1.0, 1.0]));
}

#[test]
fn cross_entropy_is_stable_for_large_logits() {
    let (loss, gradient) = ask(&[1000.0, -1000.0], of("cross_entropy", 1.0, 1));
    assert_eq!((loss, gradient), (2000.0, vec![1.0, -1.0]));
}

#[test]
fn a_certain_prediction_still_has_a_slope() {
    let (_, gradient) = ask(&[0.0, 50.0], of("cross_entropy", 1.0, 1));
    let rest = (-50.0f64).exp();
    for (slope, expected) in gradient.iter().zip([rest, -rest]) {
        assert!((slope / expected - 1.0).abs() < 1e-9, "{gradient:?}");
    }
}

#[test]
fn equal_best_classes_give_the_margin_to_the_first() {
    let (loss, gradient) = ask(&[0.0, 2.0, 2.0], of("margin", 1.0, 0));
    assert_eq!((loss, gradient), (2.0, vec![-1.0, 1.0, 0.0]));
}

#[test]
fn a_single_class_is_refused() {
    let error = differentiate(&pixels(1)).unwrap_err();
    assert!(
        matches!(&error, Error::Interface(reason) if reason.contains("1 classes")),
        "{error}"
    );
}

#[test]
fn the_difference_of_logits_ratio_has_its_closed_form() {
    // margin = 5 - 3, d = 5 - 1.
    let (loss, gradient) = ask(&[3.0, 5.0, 1.0, 0.0], of("dlr", 1.0, 0));
    reference::net::close(&[loss], &[0.5], "loss");
    reference::net::close(&gradient, &[-0.25, 0.125, 0.125, 0.0], "gradient");
    // z_t - z_y = 0 - 3, d = 5 - (1 + 0) / 2.
    let (loss, gradient) = ask(&[3.0, 5.0, 1.0, 0.0], |query| Query {
        targets: vec![3.0],
        ..of("targeted_dlr", 1.0, 0)(query)
    });
    let (ratio, spread) = (-3.0 / 4.5, 4.5);
    let expected = [-1.0, -ratio, ratio / 2.0, 1.0 + ratio / 2.0].map(|slope| slope / spread);
    reference::net::close(&[loss], &[ratio], "loss");
    reference::net::close(&gradient, &expected, "gradient");
}

#[test]
fn equal_logits_leave_the_ratio_finite() {
    let (loss, gradient) = ask(&[2.0; 4], of("dlr", 1.0, 0));
    assert_eq!(loss, 0.0);
    assert!(
        gradient.iter().all(|slope| slope.is_finite()),
        "{gradient:?}"
    );
}

#[test]
fn the_divergence_from_the_own_probabilities_is_zero_and_flat() {
    let weights = [1.0, 2.0, 5.0].map(|weight: f64| weight / 8.0);
    let (loss, gradient) = ask(&weights.map(f64::ln), |query| Query {
        probabilities: Tensor::new(&[1, 3], weights.to_vec()),
        ..query.weigh("kl", 1.0)
    });
    reference::net::close(&[loss], &[0.0], "loss");
    reference::net::close(&gradient, &[0.0; 3], "gradient");
}

#[test]
fn a_certain_class_makes_the_divergence_cross_entropy() {
    let logits = [1.0, -2.0, 0.5];
    let (entropy, slope) = ask(&logits, of("cross_entropy", 1.0, 2));
    let (loss, gradient) = ask(&logits, |query| Query {
        probabilities: Tensor::new(&[1, 3], vec![0.0, 0.0, 1.0]),
        ..query.weigh("kl", 1.0)
    });
    reference::net::close(&[loss], &[entropy], "loss");
    reference::net::close(&gradient, &slope, "gradient");
}

#[test]
fn objectives_that_need_more_classes_are_left_out() {
    let objectives = |classes| {
        let gradient = differentiate(&pixels(classes)).unwrap();
        GradientInfo::of(&gradient).unwrap().unwrap().objectives
    };
    assert_eq!(objectives(2), ["cross_entropy", "margin", "kl"]);
    assert_eq!(objectives(3), ["cross_entropy", "margin", "dlr", "kl"]);
    let all = ["cross_entropy", "margin", "dlr", "targeted_dlr", "kl"];
    assert_eq!(objectives(4), all);
}

/// Two linear layers: the features are what goes into the second.
fn layers(softmax: bool) -> Model {
    let mut net = Net::new([2, 1, 2, 3], 5);
    let flat = net.op("Flatten", &["image"], []);
    let first = net.weights(&[6, 4]);
    let features = net.op("MatMul", &[&flat, &first], []);
    let second = net.weights(&[4, 5]);
    let bias = net.weights(&[5]);
    let logits = net.op("Gemm", &[&features, &second, &bias], []);
    let scale = net.floats(&[], &[3.0]);
    let mut output = net.op("Mul", &[&logits, &scale], []);
    if softmax {
        output = net.op("Softmax", &[&output], [AttributeProto::int("axis", 1)]);
    }
    net.finish(&output, None)
}

#[test]
fn features_are_what_goes_into_the_last_layer() {
    let model = layers(false);
    let gradient = differentiate(&model).unwrap();
    let info = GradientInfo::of(&gradient).unwrap().unwrap();
    assert_eq!(
        info.features.as_deref(),
        Some(model.graph().node[2].input[0].as_str())
    );
    let names = |infos: &[ValueInfoProto]| {
        infos
            .iter()
            .map(|info| info.name.clone())
            .collect::<Vec<_>>()
    };
    assert_eq!(
        names(&gradient.graph().input),
        [
            "image",
            "label",
            "objective",
            "cotangent",
            "target",
            "probabilities",
            "source_features"
        ]
    );
    let outputs = names(&gradient.graph().output);
    assert_eq!(
        outputs[1..],
        ["loss", "gradient", info.features.as_ref().unwrap()]
    );
    for seed in 0..4 {
        check(
            &model,
            &Random::new(seed).tensor(&[8, 1, 2, 3], 0.2, 1.2),
            seed,
        );
    }
}

#[test]
fn features_of_length_zero_have_a_flat_distance() {
    let model = layers(false);
    let gradient = differentiate(&model).unwrap();
    let query = Query {
        source_features: Tensor::filled(&[2, 4], 1.0),
        ..Query::idle(&gradient, 2).weigh("feature_distance", 1.0)
    };
    let answer = query.ask(&gradient, &Tensor::filled(&[2, 1, 2, 3], 0.0));
    assert_eq!(answer.loss.data, [1.0, 1.0]);
    assert_eq!(answer.gradient.data, [0.0; 12]);
}

#[test]
fn a_softmax_at_the_end_is_taken_off() {
    let image = Random::new(7).tensor(&[8, 1, 2, 3], 0.2, 1.2);
    let [plain, soft] = [false, true].map(|softmax| differentiate(&layers(softmax)).unwrap());
    let query = Query::random(&plain, 8, &mut Random::new(8));
    assert_eq!(query.ask(&plain, &image), query.ask(&soft, &image));
    let model = layers(true);
    let info = GradientInfo::of(&soft).unwrap().unwrap();
    assert_eq!(
        info.probabilities.as_ref(),
        Some(&model.graph().output[0].name)
    );
    assert_eq!(info.logits, model.graph().node.last().unwrap().input[0]);
    check(&model, &image, 9);
}

#[test]
fn of_several_outputs_the_one_behind_the_others_holds_the_logits() {
    let model = layers(true);
    let mut proto = model.to_proto();
    let graph = proto.graph.as_mut().unwrap();
    let last = graph.output[0].clone();
    let earlier = [&graph.node[1], &graph.node[3]].map(|node| node.output[0].clone());
    let matrix = |name: &String| ValueInfoProto {
        name: name.clone(),
        ..last.clone()
    };
    graph.output = vec![matrix(&earlier[0]), matrix(&earlier[1]), last.clone()];
    let gradient = differentiate(&Model::from_proto(proto).unwrap()).unwrap();
    let info = GradientInfo::of(&gradient).unwrap().unwrap();
    assert_eq!(
        (info.logits, info.features),
        (earlier[1].clone(), Some(earlier[0].clone()))
    );
}
