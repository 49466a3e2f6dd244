//! Model repositories on disk.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod models;

use std::{fs, path::Path};

use buckler_attack::InputSpec;
use buckler_runtime::{LoadOptions, Repository, RuntimeError};
use models::{Batch, linear, numbers};

const INPUT: InputSpec = InputSpec {
    channels: 1,
    height: 2,
    width: 2,
};

fn store(root: &Path, version: &str, classes: usize) {
    let directory = root.join(version);
    fs::create_dir_all(&directory).unwrap();
    linear(
        INPUT,
        &numbers(4 * classes, 1),
        &vec![0.0; classes],
        Batch::Any,
    )
    .write(directory.join("model.onnx"))
    .unwrap();
}

#[test]
fn the_highest_version_counts_and_a_broken_model_does_not_stop_the_others() {
    let root = tempfile::tempdir().unwrap();
    store(root.path(), "zebra/2", 2);
    store(root.path(), "zebra/10", 10);
    store(root.path(), "zebra/latest", 3);
    store(root.path(), "ant/1", 4);
    fs::create_dir_all(root.path().join("broken/1")).unwrap();
    fs::write(root.path().join("broken/1/model.onnx"), b"?").unwrap();
    fs::create_dir_all(root.path().join("empty/1")).unwrap();
    fs::create_dir_all(root.path().join("no-version")).unwrap();
    fs::write(root.path().join("README.md"), b"hello").unwrap();

    let repository = Repository::open(root.path(), &LoadOptions::default()).unwrap();
    let names: Vec<_> = repository
        .entries()
        .iter()
        .map(|entry| entry.name.as_str())
        .collect();
    assert_eq!(names, ["ant", "broken", "empty", "zebra"]);
    let zebra = repository.get("zebra").unwrap();
    assert_eq!(
        (
            zebra.version.as_str(),
            zebra.classifier().unwrap().classes()
        ),
        ("10", 10)
    );
    assert_eq!(
        repository
            .get("ant")
            .unwrap()
            .classifier()
            .unwrap()
            .classes(),
        4
    );
    assert!(repository.get("broken").unwrap().classifier().is_err());
    assert!(
        repository
            .get("empty")
            .unwrap()
            .classifier()
            .unwrap_err()
            .contains("model.onnx")
    );
    assert!(repository.get("no-version").is_none());
}

#[test]
fn a_repository_that_cannot_be_read_is_an_error_that_names_it() {
    let error = Repository::open("/nowhere/models".as_ref(), &LoadOptions::default()).unwrap_err();
    assert!(matches!(error, RuntimeError::Read { .. }));
    assert!(error.to_string().contains("/nowhere/models"), "{error}");
}
