//! One network in all the forms in which other people's exporters write it.
use buckler_attack::{Objective, Victim};
use buckler_onnx::{Model, Normalization, proto::*};
use buckler_runtime::{Classifier, LoadOptions, differentiate};
use ndarray::{Array2, Array4};

use crate::models::{Batch, smooth_network};
use crate::{CLASSES, RGB, images, loaded, options};

const ROWS: usize = 5;

fn edited(batch: Batch, edit: impl FnOnce(&mut GraphProto)) -> Model {
    let mut proto = smooth_network(RGB, CLASSES, batch).to_proto();
    edit(proto.graph.as_mut().unwrap());
    Model::from_proto(proto).unwrap()
}

fn node(operator: &str, inputs: &[&str], output: &str) -> NodeProto {
    NodeProto {
        op_type: operator.into(),
        input: inputs.iter().map(|input| (*input).into()).collect(),
        output: vec![output.into()],
        ..NodeProto::default()
    }
}

fn ints(graph: &mut GraphProto, name: &str, values: &[i64]) {
    let tensor = TensorProto::int64s(name, &[values.len() as i64], values);
    graph.initializer.push(tensor);
}

fn sizes(info: &mut ValueInfoProto) -> &mut Vec<tensor_shape_proto::Dimension> {
    let kind = info.r#type.as_mut().unwrap();
    let Some(type_proto::Value::TensorType(tensor)) = &mut kind.value else {
        panic!("it is a tensor")
    };
    &mut tensor.shape.as_mut().unwrap().dim
}

fn size(size: i64) -> tensor_shape_proto::Dimension {
    tensor_shape_proto::Dimension {
        value: Some(tensor_shape_proto::dimension::Value::DimValue(size)),
        ..Default::default()
    }
}

/// Feeds the network from a node behind an input of another shape.
fn behind(graph: &mut GraphProto, shape: &[i64], entry: NodeProto) {
    graph.node[0].input[0].clone_from(&entry.output[0]);
    graph.node.insert(0, entry);
    let dims = sizes(&mut graph.input[0]);
    dims.truncate(1);
    dims.extend(shape.iter().copied().map(size));
}

fn rows(batch: Batch, shape: &'static [i64]) -> Model {
    edited(batch, |graph| {
        ints(graph, "square", &[-1, 3, 8, 8]);
        behind(
            graph,
            shape,
            node("Reshape", &["image", "square"], "unfolded"),
        );
    })
}

fn channels_last() -> Model {
    edited(Batch::Any, |graph| {
        let mut entry = node("Transpose", &["image"], "first");
        entry.attribute = vec![AttributeProto::ints("perm", [0, 3, 1, 2])];
        behind(graph, &[8, 8, 3], entry);
    })
}

fn probabilities() -> Model {
    edited(Batch::Any, |graph| {
        graph
            .node
            .push(node("Softmax", &["logits"], "probabilities"));
        graph.output[0].name = "probabilities".into();
    })
}

/// Returns logits or probabilities `[batch, classes, 1, 1]`.
fn with_more_axes(batch: Batch, softmax: bool) -> Model {
    edited(batch, |graph| {
        ints(graph, "square", &[-1, CLASSES as i64, 1, 1]);
        let reshape = node("Reshape", &["logits", "square"], "squares");
        graph.node.push(reshape);
        let mut name = "squares";
        if softmax {
            let mut over_classes = node("Softmax", &["squares"], "probabilities");
            over_classes.attribute = vec![AttributeProto::int("axis", -3)];
            graph.node.push(over_classes);
            name = "probabilities";
        }
        graph.output[0].name = name.into();
        sizes(&mut graph.output[0]).extend([size(1), size(1)]);
    })
}

/// Has the size of the batch in a `Reshape`.
fn hard_coded(batch: i64) -> Model {
    edited(Batch::Fixed(batch), |graph| {
        ints(graph, "rows", &[batch, 512]);
        let flatten = graph.node.iter_mut().find(|node| node.op_type == "Flatten");
        let flatten = flatten.unwrap();
        flatten.op_type = "Reshape".into();
        flatten.input.push("rows".into());
    })
}

/// Takes the batch axis away on its way, so that no second row can follow.
fn single() -> Model {
    edited(Batch::Fixed(1), |graph| {
        ints(graph, "first", &[0]);
        ints(graph, "again", &[1, 512]);
        let at = graph
            .node
            .iter()
            .position(|node| node.op_type == "Flatten")
            .unwrap();
        graph.node[at] = node("Squeeze", &["s2", "first"], "bare");
        graph
            .node
            .insert(at + 1, node("Reshape", &["bare", "again"], "flat"));
    })
}

fn objectives() -> Vec<Objective> {
    vec![
        Objective::CrossEntropy { label: 1 },
        Objective::TargetedMargin { target: 3 },
        Objective::Dlr { label: 0 },
        Objective::TargetedDlr {
            label: 1,
            target: 2,
        },
        Objective::KullbackLeibler(vec![0.1, 0.2, 0.3, 0.4]),
    ]
}

async fn answers(classifier: &Classifier) -> (Array2<f32>, Array4<f32>) {
    let images = images(ROWS, RGB, 9);
    classifier.can_attack().unwrap();
    let logits = classifier.logits(images.clone()).await.unwrap();
    let gradient = classifier.gradient(images, objectives()).await.unwrap();
    for (a, b) in gradient.logits.iter().zip(&logits) {
        assert!((a - b).abs() < 1e-5, "{a} {b}");
    }
    (logits, gradient.input)
}

fn assert_close<D: ndarray::Dimension>(
    found: &ndarray::Array<f32, D>,
    expected: &ndarray::Array<f32, D>,
    what: &str,
) {
    assert_eq!(found.shape(), expected.shape(), "{what}");
    let largest = expected
        .iter()
        .fold(0.0f32, |most, value| most.max(value.abs()));
    for (found, expected) in found.iter().zip(expected) {
        assert!(
            (found - expected).abs() <= 1e-5 * largest,
            "{what}: {found}, {expected}"
        );
    }
}

#[tokio::test]
async fn every_form_gives_the_same_logits_and_gradients() {
    let (logits, gradient) = answers(&loaded(&smooth_network(RGB, CLASSES, Batch::Any))).await;
    for (what, model) in [
        ("rows", rows(Batch::Any, &[192])),
        ("a column", rows(Batch::Any, &[192, 1])),
        ("channels last", channels_last()),
        ("probabilities", probabilities()),
        ("more axes", with_more_axes(Batch::Any, false)),
        (
            "one row of more axes",
            with_more_axes(Batch::Fixed(1), true),
        ),
        ("a batch of one", hard_coded(1)),
        ("a batch of two", hard_coded(2)),
        ("rows one by one", rows(Batch::Fixed(1), &[192])),
        ("a single row", single()),
    ] {
        let (found, slope) = answers(&loaded(&model)).await;
        assert_close(&found, &logits, what);
        assert_close(&slope, &gradient, what);
    }
}

#[tokio::test]
async fn weights_may_lie_in_a_file_beside_the_model() {
    let whole = smooth_network(RGB, CLASSES, Batch::Any);
    let directory = tempfile::tempdir().unwrap();
    let mut proto = whole.to_proto();
    let mut weights = Vec::new();
    for tensor in &mut proto.graph.as_mut().unwrap().initializer {
        let values = std::mem::take(&mut tensor.float_data);
        let bytes: Vec<u8> = values
            .iter()
            .flat_map(|value| value.to_le_bytes())
            .collect();
        let entries = [
            ("location", "weights.bin".to_owned()),
            ("offset", weights.len().to_string()),
            ("length", bytes.len().to_string()),
        ];
        tensor.external_data = entries
            .map(|(key, value)| StringStringEntryProto {
                key: key.into(),
                value,
            })
            .to_vec();
        tensor.data_location = Some(1);
        weights.extend(bytes);
    }
    std::fs::write(directory.path().join("weights.bin"), weights).unwrap();
    let path = directory.path().join("model.onnx");
    std::fs::write(&path, prost::Message::encode_to_vec(&proto)).unwrap();
    let (logits, gradient) = answers(&loaded(&whole)).await;
    let (found, slope) = answers(&Classifier::load(&path, &options()).unwrap()).await;
    assert_eq!((found, slope), (logits, gradient));
}

#[test]
fn what_was_changed_is_said() {
    let said = |model: &Model| loaded(model).assumptions().join("\n");
    assert!(said(&probabilities()).contains("softmax"));
    let said_of_axes = said(&with_more_axes(Batch::Fixed(1), true));
    assert!(said_of_axes.contains("axes of size 1") && said_of_axes.contains("softmax"));
    assert!(said(&hard_coded(2)).contains("fixes the batch at 2: rows are run together"));
    assert!(said(&single()).contains("images are run 1 at a time"));
    assert!(!said(&rows(Batch::Any, &[192])).contains("batch"));
}

#[tokio::test]
async fn normalisation_outside_the_graph_is_that_inside() {
    let normalization = Normalization {
        mean: vec![0.5, 0.4, 0.3],
        std: vec![0.2, 0.25, 0.3],
    };
    let inside = edited(Batch::Any, |graph| {
        let stored = |name: &str, values: &[f32]| TensorProto::floats(name, &[3, 1, 1], values);
        graph.initializer.push(stored("mean", &normalization.mean));
        graph.initializer.push(stored("std", &normalization.std));
        behind(
            graph,
            &[3, 8, 8],
            node("Sub", &["image", "mean"], "shifted"),
        );
        graph
            .node
            .insert(1, node("Div", &["shifted", "std"], "scaled"));
        graph.node[2].input[0] = "scaled".into();
    });
    let outside = Classifier::from_bytes(
        &smooth_network(RGB, CLASSES, Batch::Any).to_bytes(),
        None,
        &LoadOptions {
            normalization: Some(normalization),
            ..options()
        },
    )
    .unwrap();
    let ((logits, gradient), (found, slope)) =
        (answers(&loaded(&inside)).await, answers(&outside).await);
    assert_close(&found, &logits, "logits");
    assert_close(&slope, &gradient, "gradient");
}

#[tokio::test]
async fn an_objective_that_the_model_does_not_have_is_refused_by_name() {
    let classifier = loaded(&smooth_network(RGB, 2, Batch::Any));
    let query = classifier.gradient(images(1, RGB, 1), vec![Objective::Dlr { label: 0 }]);
    let message = query.await.unwrap_err().to_string();
    assert!(
        message.contains("dlr") && message.contains("2 classes"),
        "{message}"
    );
}

#[test]
fn a_gradient_graph_is_verified_before_it_is_given() {
    for model in [channels_last(), probabilities(), hard_coded(2), single()] {
        let made = differentiate(&model, &options()).unwrap();
        assert!(made.verification.slopes < 1e-2, "{:?}", made.verification);
        assert!(made.verification.logits < 1e-5, "{:?}", made.verification);
        assert_eq!(loaded(&model).obstacles(), []);
    }
}
