//! Models made to take any memory or time when they are opened: each is refused by what is wrong with it, before it is run.
use std::fs;

use buckler_onnx::{
    Error, Model, differentiate,
    proto::{AttributeProto, AttributeType, DataType, NodeProto, TensorProto, tensor_shape_proto},
};
use buckler_runtime::{Certifier, Classifier, LoadOptions, RuntimeError};

use crate::models::{Batch, Builder, linear, numbers};
use crate::{GREY, options};

fn plain() -> Model {
    linear(GREY, &numbers(GREY.values() * 3, 1), &[0.0; 3], Batch::Any)
}

fn refusal(model: &Model) -> RuntimeError {
    Classifier::from_bytes(&model.to_bytes(), None, &options()).unwrap_err()
}

/// A classifier that adds to its logits a scalar made of `big`.
fn with_big(add: impl Fn(&mut Builder)) -> Model {
    let mut builder = Builder::new(GREY, Batch::Any);
    builder.floats("w", &[GREY.values(), 3], &numbers(GREY.values() * 3, 1));
    builder.node("Flatten", &["image"], "rows", &[]);
    builder.node("MatMul", &["rows", "w"], "scores", &[]);
    add(&mut builder);
    builder.node("ReduceMax", &["big"], "most", &[("keepdims", &[0])]);
    builder.node("Add", &["scores", "most"], "logits", &[]);
    builder.finish(&[3])
}

#[test]
fn tensors_that_would_fill_memory_are_refused_before_a_session_is_opened() {
    let constant = with_big(|builder| {
        builder.ints("size", &[10_000_000_000]);
        builder.node("ConstantOfShape", &["size"], "big", &[]);
    });
    let tiled = with_big(|builder| {
        builder.ints("times", &[1, 100_000]);
        builder.floats("one", &[1, 100_000], &vec![1.0; 100_000]);
        builder.node("Tile", &["one", "times"], "big", &[]);
    });
    for (model, operator) in [(&constant, "ConstantOfShape"), (&tiled, "Tile")] {
        let error = refusal(model);
        assert!(
            matches!(&error, RuntimeError::Onnx(Error::Memory { operator: named, .. }) if named == operator),
            "{error}"
        );
    }
    let by_pixels = with_big(|builder| {
        builder.ints("list", &[1]);
        builder.node("ReduceMax", &["image"], "top", &[("keepdims", &[0])]);
        builder.node(
            "Cast",
            &["top"],
            "number",
            &[("to", &[DataType::Int64 as i64])],
        );
        builder.node("Reshape", &["number", "list"], "size", &[]);
        builder.node("ConstantOfShape", &["size"], "big", &[]);
    });
    let error = refusal(&by_pixels);
    assert!(
        matches!(&error, RuntimeError::Onnx(Error::DataDependent { node, .. }) if node == "ConstantOfShape-big"),
        "{error}"
    );
}

#[test]
fn batches_and_sizes_beyond_all_bounds_are_refused_by_their_number() {
    for batch in [0, 1_000_000_000, 1 << 62, i64::MAX] {
        let model = linear(
            GREY,
            &numbers(GREY.values() * 3, 1),
            &[0.0; 3],
            Batch::Fixed(batch),
        );
        let said = refusal(&model).to_string();
        assert!(said.contains(&batch.to_string()), "{batch}: {said}");
        let said = Certifier::from_bytes(&model.to_bytes(), &options(), Default::default());
        assert!(said.is_err(), "{batch}");
    }
    for size in [0, 1_000_000, 1_000_000_000, 1 << 62, i64::MAX] {
        let mut proto = plain().to_proto();
        let graph = proto.graph.as_mut().unwrap();
        let kind = graph.input[0].r#type.as_mut().unwrap();
        let Some(buckler_onnx::proto::type_proto::Value::TensorType(tensor)) = &mut kind.value
        else {
            panic!("a tensor")
        };
        for dim in &mut tensor.shape.as_mut().unwrap().dim[2..] {
            dim.value = Some(tensor_shape_proto::dimension::Value::DimValue(size));
        }
        let said = refusal(&Model::from_proto(proto).unwrap()).to_string();
        assert!(said.contains(&size.to_string()), "{size}: {said}");
    }
}

#[test]
fn loops_of_very_many_steps_are_refused() {
    let body = {
        let mut builder = Builder::new(GREY, Batch::Any);
        builder.node("Identity", &["image"], "logits", &[]);
        let mut graph = builder.finish(&[3]).graph().clone();
        graph.name = "body".into();
        graph
    };
    let model = with_big(|builder| {
        builder.ints("steps", &[1 << 62]);
        builder.floats("one", &[1], &[1.0]);
        builder.node("Identity", &["one"], "big", &[]);
    });
    let mut proto = model.to_proto();
    let graph = proto.graph.as_mut().unwrap();
    let identity = graph
        .node
        .iter_mut()
        .find(|node| node.op_type == "Identity")
        .unwrap();
    *identity = NodeProto {
        op_type: "Loop".into(),
        input: ["steps", "", "one"].map(str::to_owned).to_vec(),
        output: vec!["big".into()],
        attribute: vec![AttributeProto {
            name: "body".into(),
            r#type: AttributeType::Graph as i32,
            g: Some(body),
            ..AttributeProto::default()
        }],
        ..NodeProto::default()
    };
    let error = refusal(&Model::from_proto(proto).unwrap());
    assert!(
        matches!(
            &error,
            RuntimeError::Onnx(Error::TooMany { what: "steps", .. })
        ),
        "{error}"
    );
}

#[test]
fn a_graph_of_very_many_nodes_is_refused_by_their_number() {
    let mut builder = Builder::new(GREY, Batch::Any);
    let name = |index: usize| match index {
        0 => "image".to_owned(),
        index => format!("t{index}"),
    };
    for index in 0..40_000 {
        builder.node("Relu", &[&name(index)], &name(index + 1), &[]);
    }
    builder.node("Flatten", &["t40000"], "logits", &[]);
    let said = refusal(&builder.finish(&[30])).to_string();
    assert!(
        said.contains("at most 32768 nodes") && said.contains("40001"),
        "{said}"
    );
}

#[test]
fn a_stored_gradient_graph_that_would_fill_memory_is_not_used() {
    let model = plain();
    let mut proto = differentiate(&model).unwrap().to_proto();
    let graph = proto.graph.as_mut().unwrap();
    graph
        .initializer
        .push(TensorProto::int64s("size", &[1], &[10_000_000_000]));
    graph.node.push(NodeProto {
        op_type: "ConstantOfShape".into(),
        input: vec!["size".into()],
        output: vec!["big".into()],
        ..NodeProto::default()
    });
    let gradient = Model::from_proto(proto).unwrap().to_bytes();
    let classifier =
        Classifier::from_bytes(&model.to_bytes(), Some(&gradient), &options()).unwrap();
    let said = classifier.assumptions().join("\n");
    assert!(
        said.contains("not used") && said.contains("bytes of memory"),
        "{said}"
    );
    assert!(classifier.can_attack().is_ok());
}

#[cfg(unix)]
#[test]
fn files_without_end_are_refused_by_what_they_are() {
    use std::os::unix::fs::symlink;
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("model.onnx");
    symlink("/dev/zero", &path).unwrap();
    let error = Classifier::load(&path, &options()).unwrap_err();
    assert!(matches!(error, RuntimeError::Read { .. }), "{error}");
    assert!(error.to_string().contains("not an ordinary file"));
    fs::remove_file(&path).unwrap();
    fs::write(&path, plain().to_bytes()).unwrap();
    symlink("/dev/zero", dir.path().join("gradient.onnx")).unwrap();
    for attacks_on_demand in [false, true] {
        let options = LoadOptions {
            attacks_on_demand,
            ..options()
        };
        let classifier = Classifier::load(&path, &options).unwrap();
        let ready = tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap();
        ready.block_on(classifier.prepare_attacks()).unwrap();
        let said = classifier.assumptions().join("\n");
        assert!(
            said.contains("gradient.onnx") && said.contains("not an ordinary file"),
            "{said}"
        );
    }
}
