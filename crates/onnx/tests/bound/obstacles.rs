use buckler_onnx::{Bounding, Dim, Error, Model, Obstacle, bound, proto::AttributeProto};

use crate::reference::net::Net;

fn refused(model: &Model) -> Vec<Obstacle> {
    match bound(model, Bounding::CrownIbp).unwrap_err() {
        Error::NotBounded(obstacles) => obstacles,
        other => panic!("{other}"),
    }
}

fn logits(net: &mut Net, x: &str) -> Model {
    let flat = net.op("Flatten", &[x], []);
    net.finish(&flat, Some(&[Dim::Symbol("n".into()), Dim::Known(12)]))
}

#[test]
fn all_operators_without_bounds_are_named_at_once() {
    let mut net = Net::new([1, 3, 2, 2], 1);
    let x = net.op("Sin", &["image"], []);
    let x = net.op("Relu", &[&x], []);
    let x = net.op("Softmax", &[&x], []);
    let x = net.op("Relu", &[&x], []);
    let found = refused(&logits(&mut net, &x));
    let names: Vec<&str> = found.iter().map(|found| found.operator.as_str()).collect();
    assert_eq!(names, ["Sin", "Softmax"]);
    assert!(
        found
            .iter()
            .all(|found| found.reason.contains("export the model"))
    );
}

#[test]
fn what_a_rule_does_not_cover_is_said_with_the_remedy() {
    let reason = |build: &dyn Fn(&mut Net) -> String| {
        let mut net = Net::new([1, 3, 2, 2], 1);
        let x = build(&mut net);
        refused(&logits(&mut net, &x))[0].reason.clone()
    };
    let attention = reason(&|net| net.op("MatMul", &["image", "image"], []));
    assert!(
        attention.contains("both depend on the image"),
        "{attention}"
    );
    let falling = reason(&|net| {
        net.op(
            "LeakyRelu",
            &["image"],
            [AttributeProto::float("alpha", -0.5)],
        )
    });
    assert!(falling.contains("-0.5"), "{falling}");
    let cube = reason(&|net| {
        let three = net.floats(&[], &[3.0]);
        net.op("Pow", &["image", &three], [])
    });
    assert!(cube.contains("exponent 2"), "{cube}");
}

#[test]
fn a_batch_of_fixed_size_is_refused() {
    let mut net = Net::fixed([1, 3, 2, 2], 1);
    let x = net.op("Relu", &["image"], []);
    let flat = net.op("Flatten", &[&x], []);
    let model = net.finish(&flat, Some(&[Dim::Known(1), Dim::Known(12)]));
    let error = bound(&model, Bounding::Ibp).unwrap_err().to_string();
    assert!(error.contains("dynamic batch"), "{error}");
}

#[test]
fn names_of_the_new_graph_are_freed() {
    for name in ["lower", "margin", "upper"] {
        let mut net = Net::new([1, 3, 2, 2], 1);
        let x = net.op("Relu", &["image"], []);
        let mut proto = logits(&mut net, &x).to_proto();
        let graph = proto.graph.as_mut().unwrap();
        graph.node[0].output[0] = name.into();
        graph.node[1].input[0] = name.into();
        bound(&Model::from_proto(proto).unwrap(), Bounding::CrownIbp).unwrap();
    }
}
