//! Models that take too long to load.
use std::{fs, path::Path, time::Duration};

use buckler_onnx::{Model, proto::*};
use buckler_runtime::{LoadOptions, NotServed, Repository};

use crate::{
    INPUT, classes,
    models::{Batch, Builder, named, numbers},
    reason, store,
};

/// A linear model whose logits go through a loop without an end worth waiting for.
fn endless() -> Model {
    let mut builder = Builder::new(INPUT, Batch::Any);
    builder.floats("W", &[4, 3], &numbers(12, 1));
    builder.floats("b", &[3], &[0.0; 3]);
    builder.ints("times", &[i64::MAX]);
    builder.node("Flatten", &["image"], "flat", &[]);
    builder.node("Gemm", &["flat", "W", "b"], "z", &[]);
    builder.node("Loop", &["times", "", "z"], "logits", &[]);
    let mut model = builder.finish(&[3]).to_proto();
    let node = |operator: &str, input: &str, output: &str| NodeProto {
        op_type: operator.into(),
        input: vec![input.into()],
        output: vec![output.into()],
        ..NodeProto::default()
    };
    let scores = |name: &str| named(name, DataType::Float, &["batch", "3"]);
    let body = GraphProto {
        name: "body".into(),
        node: vec![
            node("Identity", "go", "go-on"),
            node("Tanh", "before", "after"),
        ],
        input: vec![
            named("turn", DataType::Int64, &[]),
            named("go", DataType::Bool, &[]),
            scores("before"),
        ],
        output: vec![named("go-on", DataType::Bool, &[]), scores("after")],
        ..GraphProto::default()
    };
    let graph = model.graph.as_mut().unwrap();
    graph.node.last_mut().unwrap().attribute = vec![AttributeProto {
        name: "body".into(),
        r#type: AttributeType::Graph as i32,
        g: Some(body),
        ..AttributeProto::default()
    }];
    Model::from_proto(model).unwrap()
}

fn write(root: &Path, name: &str, model: &Model) {
    let directory = root.join(name);
    fs::create_dir_all(&directory).unwrap();
    model.write(directory.join("model.onnx")).unwrap();
}

#[test]
fn a_model_that_does_not_end_loading_is_given_up_and_the_others_are_served() {
    let root = tempfile::tempdir().unwrap();
    write(root.path(), "a-slow/1", &endless());
    store(root.path(), "b-newer/1", 2);
    write(root.path(), "b-newer/2", &endless());
    store(root.path(), "c/1", 4);
    let options = LoadOptions {
        load_timeout: Duration::from_millis(500),
        ..LoadOptions::default()
    };
    let repository = Repository::open(root.path(), &options).unwrap();
    assert_eq!(classes(&repository, "c"), 4);
    assert_eq!(classes(&repository, "b-newer"), 2);
    let why = reason(&repository, "a-slow");
    assert!(
        why.contains("longer than 0.5 s") && why.contains("`load_timeout`"),
        "{why}"
    );
    let index = repository.index();
    let slow = |version: &str, name: &str| {
        let mut index = index.iter();
        let listed =
            index.find(|listed| (listed.name.as_str(), listed.version.as_str()) == (name, version));
        let listed = listed.unwrap();
        !listed.ready && !listed.loading && listed.reason.contains("`load_timeout`")
    };
    assert!(slow("1", "a-slow") && slow("2", "b-newer"), "{index:?}");
    // By request, where it is told; other models are loaded and looked for as before.
    let error = repository.load("a-slow").unwrap_err();
    assert!(matches!(&error, NotServed::NotReady { reason, .. } if reason.contains("0.5 s")));
    assert_eq!(repository.load("c").unwrap().version, "1");
    store(root.path(), "a-slow/1", 5);
    write(root.path(), "d/1", &endless());
    store(root.path(), "e/1", 3);
    for _ in 0..2 {
        repository.refresh().unwrap();
    }
    assert_eq!(classes(&repository, "a-slow"), 5);
    assert_eq!(classes(&repository, "e"), 3);
    assert!(reason(&repository, "d").contains("`load_timeout`"));
}

#[test]
fn a_model_is_unloaded_and_removed_while_it_is_loading() {
    let root = tempfile::tempdir().unwrap();
    store(root.path(), "m/1", 2);
    let options = LoadOptions {
        load_timeout: Duration::from_secs(2),
        ..LoadOptions::default()
    };
    let repository = Repository::open(root.path(), &options).unwrap();
    write(root.path(), "m/2", &endless());
    std::thread::scope(|scope| {
        let loading = scope.spawn(|| repository.load("m"));
        while !repository.index().iter().any(|listed| listed.loading) {
            assert!(!loading.is_finished(), "{:?}", repository.index());
            std::thread::yield_now();
        }
        assert_eq!(classes(&repository, "m"), 2, "served on meanwhile");
        store(root.path(), "n/1", 3);
        for _ in 0..2 {
            repository.refresh().unwrap();
        }
        assert_eq!(classes(&repository, "n"), 3);
        repository.unload("m").unwrap();
        assert!(reason(&repository, "m").contains("unloaded"));
        assert!(loading.join().unwrap().is_err());
    });
    assert!(reason(&repository, "m").contains("unloaded"));
}
