//! Models that take too long to load.
use std::{fs, path::Path, time::Duration};

use buckler_attack::{Objective, Victim, VictimError};
use buckler_onnx::{Model, differentiate, proto::*};
use buckler_runtime::{LoadOptions, NotServed, Repository};
use ndarray::Array4;

use crate::{
    INPUT, classes,
    models::{Batch, linear, named, numbers},
    reason, store,
};

/// Puts a loop without an end before an output of a graph, `axes` its shape.
fn with_loop(model: &Model, output: &str, axes: &[&str]) -> Model {
    let mut proto = model.to_proto();
    let graph = proto.graph.as_mut().unwrap();
    for tensor in graph
        .node
        .iter_mut()
        .flat_map(|node| node.input.iter_mut().chain(&mut node.output))
    {
        if tensor == output {
            *tensor = "before-the-loop".into();
        }
    }
    let node = |operator: &str, input: &str, output: &str| NodeProto {
        op_type: operator.into(),
        input: vec![input.into()],
        output: vec![output.into()],
        ..NodeProto::default()
    };
    let values = |name: &str| named(name, DataType::Float, axes);
    let body = GraphProto {
        name: "body".into(),
        node: vec![
            node("Identity", "go", "go-on"),
            node("Tanh", "before", "after"),
        ],
        input: vec![
            named("turn", DataType::Int64, &[]),
            named("go", DataType::Bool, &[]),
            values("before"),
        ],
        output: vec![named("go-on", DataType::Bool, &[]), values("after")],
        ..GraphProto::default()
    };
    graph.initializer.push(TensorProto {
        name: "yes".into(),
        data_type: DataType::Bool as i32,
        int32_data: vec![1],
        ..TensorProto::default()
    });
    graph.node.push(NodeProto {
        op_type: "Loop".into(),
        // A number of turns that is stated is bounded.
        input: vec![String::new(), "yes".into(), "before-the-loop".into()],
        output: vec![output.into()],
        attribute: vec![AttributeProto {
            name: "body".into(),
            r#type: AttributeType::Graph as i32,
            g: Some(body),
            ..AttributeProto::default()
        }],
        ..NodeProto::default()
    });
    Model::from_proto(proto).unwrap()
}

fn endless() -> Model {
    let model = linear(INPUT, &numbers(12, 1), &[0.0; 3], Batch::Any);
    with_loop(&model, "logits", &["batch", "3"])
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
        load_timeout: Duration::from_secs(1),
        ..LoadOptions::default()
    };
    let repository = Repository::open(root.path(), &options).unwrap();
    assert_eq!(classes(&repository, "c"), 4);
    assert_eq!(classes(&repository, "b-newer"), 2);
    let why = reason(&repository, "a-slow");
    assert!(
        why.contains("longer than 1 s") && why.contains("`load_timeout`"),
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
    assert!(
        matches!(&error, NotServed::NotReady { reason, .. } if reason.contains("longer than 1 s"))
    );
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
    // What was given up is cancelled.
    #[cfg(target_os = "linux")]
    {
        let started = std::time::Instant::now();
        let slow =
            |name: &String| ["load a-slow", "load b-newer", "load d"].contains(&name.as_str());
        while crate::on_demand::threads().iter().any(slow) {
            assert!(started.elapsed() < Duration::from_secs(60));
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

#[test]
fn a_model_is_unloaded_and_removed_while_it_is_loading() {
    let root = tempfile::tempdir().unwrap();
    store(root.path(), "m/1", 2);
    let options = LoadOptions {
        load_timeout: Duration::from_secs(1),
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

#[tokio::test]
async fn gradients_that_do_not_end_being_made_are_given_up_and_predictions_go_on() {
    let root = tempfile::tempdir().unwrap();
    let model = linear(INPUT, &numbers(12, 1), &[0.0; 3], Batch::Any);
    write(root.path(), "m/1", &model);
    let gradient = with_loop(
        &differentiate(&model).unwrap(),
        "gradient",
        &["batch", "1", "2", "2"],
    );
    gradient
        .write(root.path().join("m/1/gradient.onnx"))
        .unwrap();
    let options = LoadOptions {
        load_timeout: Duration::from_secs(1),
        separate_attacks: true,
        ..LoadOptions::default()
    };
    let repository = Repository::open(root.path(), &options).unwrap();
    let entry = repository.get("m", None).unwrap();
    let image = || Array4::zeros((1, 1, 2, 2));
    let mut asking = tokio::task::JoinSet::new();
    for _ in 0..5 {
        let attacker = entry.classifier.attacker("someone".into());
        asking.spawn(async move {
            let objectives = vec![Objective::Margin { label: 1 }];
            attacker.gradient(image(), objectives).await
        });
    }
    entry.classifier.logits(image()).await.unwrap();
    for answer in asking.join_all().await {
        assert!(
            matches!(&answer, Err(VictimError::NoGradient(reason)) if reason.contains("making its gradients took longer")),
            "{answer:?}"
        );
    }
    assert!(entry.classifier.can_attack().is_err());
    let attacker = entry.classifier.attacker("someone".into());
    let logits = attacker.logits(image()).await.unwrap();
    assert_eq!(logits, entry.classifier.logits(image()).await.unwrap());
}

#[test]
#[cfg(unix)]
fn a_pipe_in_place_of_a_file_is_not_read() {
    let root = tempfile::tempdir().unwrap();
    for (name, file) in [
        ("a", "model.onnx"),
        ("b", "card.json"),
        ("c", "gradient.onnx"),
    ] {
        let directory = root.path().join(name).join("1");
        fs::create_dir_all(&directory).unwrap();
        if file != "model.onnx" {
            store(root.path(), &format!("{name}/1"), 2);
        }
        let made = std::process::Command::new("mkfifo")
            .arg(directory.join(file))
            .status();
        assert!(made.unwrap().success());
    }
    store(root.path(), "d/1", 3);
    let repository = Repository::open(root.path(), &LoadOptions::default()).unwrap();
    assert_eq!(classes(&repository, "d"), 3);
    for (name, file) in [
        ("a", "model.onnx"),
        ("b", "card.json"),
        ("c", "gradient.onnx"),
    ] {
        let why = reason(&repository, name);
        assert!(why.contains(file) && why.contains("a pipe"), "{why}");
    }
}
