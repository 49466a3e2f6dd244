//! What cannot be differentiated is refused by name, with the reason.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod reference;

use buckler_onnx::{
    Dim, Error, Model, Obstacle, check, differentiate, operators,
    proto::{AttributeProto, DataType, ModelProto},
};
use reference::net::{Net, info};

fn obstacles(model: &Model) -> Vec<Obstacle> {
    let obstacles = check(model).unwrap_err();
    if let Error::NotDifferentiable(same) = differentiate(model).unwrap_err() {
        assert_eq!(same, obstacles);
    }
    obstacles
}

fn logits(net: &mut Net, input: &str) -> Model {
    let flat = net.op("Flatten", &[input], []);
    net.finish(&flat, Some(&[Dim::Symbol("n".into()), Dim::Known(12)]))
}

#[test]
fn all_nodes_in_the_way_are_named_at_once() {
    let mut net = Net::new([1, 3, 2, 2], 1);
    let round = net.op("Round", &["image"], []);
    let relu = net.op("Relu", &[&round], []);
    let unheard = net.op("Unheard", &[&relu], []);
    let found = obstacles(&logits(&mut net, &unheard));
    let found: Vec<_> = found
        .iter()
        .map(|o| (o.operator.as_str(), o.reason.contains("constant")))
        .collect();
    assert_eq!(found, [("Unheard", false), ("Round", true)]);
}

#[test]
fn unknown_operators_beside_the_way_do_no_harm() {
    let mut net = Net::new([1, 3, 2, 2], 1);
    net.op("Unheard", &["image"], []);
    let model = logits(&mut net, "image");
    assert_eq!(check(&model), Ok(()));
    assert!(
        differentiate(&model)
            .unwrap()
            .graph()
            .node
            .iter()
            .all(|node| node.op_type != "Unheard")
    );
}

#[test]
fn foreign_domains_are_named() {
    let mut net = Net::new([1, 3, 2, 2], 1);
    let gelu = net.op("Relu", &["image"], []);
    let mut proto = logits(&mut net, &gelu).to_proto();
    proto.graph.as_mut().unwrap().node[0].domain = "com.microsoft".into();
    let found = obstacles(&Model::from_proto(proto).unwrap());
    assert_eq!(found.len(), 1);
    assert!(found[0].reason.contains("com.microsoft"), "{found:?}");
}

#[test]
fn an_old_form_without_a_new_one_is_named() {
    let mut net = Net::new([1, 3, 2, 2], 1).with_opset(10);
    let region = net.op("RoiAlign", &["image"], []);
    assert_eq!(
        obstacles(&logits(&mut net, &region))[0].operator,
        "RoiAlign"
    );
    let net = Net::new([1, 3, 2, 2], 1).with_opset(6);
    let found = obstacles(&net.finish("image", None));
    assert!(found[0].reason.contains("operator set 6"), "{found:?}");
}

#[test]
fn sizes_that_a_stride_needs_are_asked_for() {
    let mut net = Net::new([1, 1, 4, 4], 1);
    let weight = net.weights(&[3, 1, 3, 3]);
    let strides = AttributeProto::ints("strides", [2, 2]);
    let y = net.op("Conv", &["image", &weight], [strides]);
    let y = net.op("GlobalAveragePool", &[&y], []);
    let y = net.op("Flatten", &[&y], []);
    let mut proto = net
        .finish(&y, Some(&[Dim::Symbol("n".into()), Dim::Known(3)]))
        .to_proto();
    let symbols = ["n", "c", "h", "w"].map(|name| Dim::Symbol(name.into()));
    proto.graph.as_mut().unwrap().input = vec![info("image", DataType::Float, Some(&symbols))];
    let found = obstacles(&Model::from_proto(proto).unwrap());
    assert!(
        found
            .iter()
            .any(|o| o.operator == "Conv" && o.reason.contains("static image sizes")),
        "{found:?}"
    );
}

#[test]
fn sizes_that_are_called_a_question_mark_are_not_taken_for_equal() {
    let mut net = Net::new([1, 3, 2, 2], 1);
    let turned = net.op(
        "Transpose",
        &["image"],
        [AttributeProto::ints("perm", [0, 1, 3, 2])],
    );
    let sum = net.op("Add", &["image", &turned], []);
    let pooled = net.op("GlobalAveragePool", &[&sum], []);
    let flat = net.op("Flatten", &[&pooled], []);
    let model = net.finish(&flat, Some(&[Dim::Symbol("n".into()), Dim::Known(3)]));
    let looks_for_stretched_axes = |size: &str| {
        let symbol = |name: &str| Dim::Symbol(name.into());
        let shape = [symbol("n"), Dim::Known(3), symbol(size), symbol(size)];
        let mut proto = model.to_proto();
        proto.graph.as_mut().unwrap().input = vec![info("image", DataType::Float, Some(&shape))];
        let gradient = differentiate(&Model::from_proto(proto).unwrap()).unwrap();
        let mut nodes = gradient.graph().node.iter();
        nodes.any(|node| node.op_type == "NonZero")
    };
    assert!(looks_for_stretched_axes("?"));
    assert!(!looks_for_stretched_axes("s"));
}

/// What is wrong with inputs and outputs, in words.
fn interface(edit: impl Fn(&mut ModelProto)) -> String {
    let mut net = Net::new([2, 3, 2, 2], 1);
    let mut proto = logits(&mut net, "image").to_proto();
    edit(&mut proto);
    let error = differentiate(&Model::from_proto(proto).unwrap()).unwrap_err();
    assert!(matches!(error, Error::Interface(_)), "{error}");
    error.to_string()
}

#[test]
fn the_image_and_the_logits_have_to_be_there() {
    let known = |sizes: &[u64]| {
        sizes
            .iter()
            .map(|&size| Dim::Known(size))
            .collect::<Vec<_>>()
    };
    let input = |proto: &mut ModelProto, kind, sizes: &[u64]| {
        proto.graph.as_mut().unwrap().input[0] = info("image", kind, Some(&known(sizes)));
    };
    assert!(interface(|p| input(p, DataType::Float, &[2, 3, 2, 2, 1])).contains("2 to 4 axes"));
    assert!(interface(|p| input(p, DataType::Uint8, &[2, 3, 2, 2])).contains("uint8"));
    let output = |proto: &mut ModelProto, kind| {
        let graph = proto.graph.as_mut().unwrap();
        graph.output[0] = info(&graph.output[0].name.clone(), kind, None);
    };
    assert!(interface(|p| output(p, DataType::Int64)).contains("it is int64, not float32"));
    let second = |proto: &mut ModelProto| {
        let graph = proto.graph.as_mut().unwrap();
        graph
            .input
            .push(info("mask", DataType::Float, Some(&known(&[1]))));
    };
    assert!(interface(second).contains("`mask`"));
    let passed = |proto: &mut ModelProto| {
        let graph = proto.graph.as_mut().unwrap();
        graph.node[0].input[0] = "other".into();
        graph
            .initializer
            .push(buckler_onnx::proto::TensorProto::floats(
                "other",
                &[1, 12],
                &[0.0; 12],
            ));
    };
    assert!(interface(passed).contains("does not depend"));
}

#[test]
fn the_operators_are_listed_in_order() {
    let names: Vec<_> = operators().collect();
    assert!(names.is_sorted());
    for name in [
        "Conv",
        "MaxPool",
        "Gemm",
        "Softmax",
        "Constant",
        "BatchNormalization",
    ] {
        assert!(names.contains(&name), "{name}");
    }
    assert!(!names.contains(&"Shape"));
}
