//! Model repositories on disk.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod left_out;
#[path = "../models/mod.rs"]
mod models;
mod on_demand;
mod slow;

use std::{fs, path::Path};

use buckler_attack::InputSpec;
use buckler_onnx::proto::StringStringEntryProto;
use buckler_runtime::{LoadOptions, NotServed, Repository, RuntimeError};
use models::{Batch, linear, numbers};
use prost::Message;

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
    let listed: Vec<_> = repository
        .index()
        .into_iter()
        .map(|listed| (listed.name, listed.version, listed.ready))
        .collect();
    let expected = [
        ("ant", "1", true),
        ("broken", "1", false),
        ("empty", "1", false),
        ("zebra", "10", true),
    ];
    assert_eq!(
        listed,
        expected.map(|(name, version, ready)| (name.to_owned(), version.to_owned(), ready))
    );
    assert_eq!(classes(&repository, "zebra"), 10);
    assert_eq!(classes(&repository, "ant"), 4);
    assert!(reason(&repository, "empty").contains("model.onnx"));
    assert!(reason(&repository, "no-version").contains("does not exist"));
    assert!(repository.get("zebra", Some("10")).is_ok());
    let error = repository.get("zebra", Some("2")).unwrap_err().to_string();
    assert!(error.contains("`2`") && error.contains("10"), "{error}");
}

fn classes(repository: &Repository, name: &str) -> usize {
    repository.get(name, None).unwrap().classifier.classes()
}

fn reason(repository: &Repository, name: &str) -> String {
    repository.get(name, None).unwrap_err().to_string()
}

/// A repository of the model `m`, in version 1 with two classes.
fn one() -> (tempfile::TempDir, Repository) {
    let root = tempfile::tempdir().unwrap();
    store(root.path(), "m/1", 2);
    let repository = Repository::open(root.path(), &LoadOptions::default()).unwrap();
    (root, repository)
}

#[test]
fn a_new_version_takes_over_once_it_has_been_the_same_in_two_looks() {
    let (root, repository) = one();
    store(root.path(), "m/2", 3);
    repository.refresh().unwrap();
    assert_eq!(classes(&repository, "m"), 2);
    store(root.path(), "m/2", 4);
    repository.refresh().unwrap();
    assert_eq!(classes(&repository, "m"), 2);
    let old = repository.get("m", None).unwrap();
    repository.refresh().unwrap();
    assert_eq!(classes(&repository, "m"), 4);
    assert_eq!(old.classifier.classes(), 2);
    let fresh = repository.get("m", None).unwrap();
    repository.refresh().unwrap();
    repository.refresh().unwrap();
    let same = repository.get("m", None).unwrap();
    assert!(
        std::sync::Arc::ptr_eq(&fresh, &same),
        "loaded again without a change"
    );
}

#[test]
fn a_broken_new_version_leaves_the_old_one_at_work_and_is_listed_with_its_reason() {
    let (root, repository) = one();
    fs::create_dir_all(root.path().join("m/2")).unwrap();
    fs::write(root.path().join("m/2/model.onnx"), b"?").unwrap();
    for _ in 0..3 {
        repository.refresh().unwrap();
    }
    assert_eq!(repository.get("m", None).unwrap().version, "1");
    assert!(repository.load("m").is_err());
    assert_eq!(repository.get("m", None).unwrap().version, "1");
    let index = repository.index();
    assert_eq!(
        index
            .iter()
            .map(|listed| (listed.version.as_str(), listed.ready))
            .collect::<Vec<_>>(),
        [("1", true), ("2", false)]
    );
    assert!(!index[1].reason.is_empty());
    let again = Repository::open(root.path(), &LoadOptions::default()).unwrap();
    assert_eq!(again.get("m", None).unwrap().version, "1");
    store(root.path(), "m/2", 5);
    repository.refresh().unwrap();
    repository.refresh().unwrap();
    assert_eq!(classes(&repository, "m"), 5);
    assert_eq!(repository.index().len(), 1);
}

#[test]
fn an_unloaded_model_stays_so_until_a_request_loads_it() {
    let (root, repository) = one();
    repository.unload("m").unwrap();
    store(root.path(), "m/2", 3);
    repository.refresh().unwrap();
    repository.refresh().unwrap();
    assert!(reason(&repository, "m").contains("unloaded"));
    assert_eq!(repository.index()[0].version, "1");
    assert_eq!(repository.load("m").unwrap().version, "2");
    assert_eq!(classes(&repository, "m"), 3);
}

#[test]
fn models_come_and_go_with_their_directories() {
    let (root, repository) = one();
    store(root.path(), "n/1", 3);
    for _ in 0..2 {
        repository.refresh().unwrap();
    }
    assert_eq!(classes(&repository, "n"), 3);
    fs::remove_dir_all(root.path().join("m")).unwrap();
    repository.refresh().unwrap();
    assert_eq!(classes(&repository, "m"), 2, "after one look");
    repository.refresh().unwrap();
    assert!(matches!(
        repository.get("m", None),
        Err(NotServed::Unknown { .. })
    ));
}

#[test]
fn a_directory_that_is_away_for_a_moment_is_served_on() {
    let (root, repository) = one();
    let served = repository.get("m", None).unwrap();
    for away in ["m", "m/1", "m/1/model.onnx"] {
        for _ in 0..3 {
            let (from, to) = (root.path().join(away), root.path().join("aside"));
            fs::rename(&from, &to).unwrap();
            repository.refresh().unwrap();
            let during = repository.get("m", None).unwrap();
            assert!(std::sync::Arc::ptr_eq(&served, &during), "{away}");
            fs::rename(&to, &from).unwrap();
            repository.refresh().unwrap();
        }
        let after = repository.get("m", None).unwrap();
        assert!(std::sync::Arc::ptr_eq(&served, &after), "{away}");
    }
}

#[test]
#[cfg(unix)]
fn a_link_that_leads_nowhere_concerns_its_model_alone() {
    use std::os::unix::fs::symlink;
    let (root, repository) = one();
    store(root.path(), "b/1", 3);
    symlink("nowhere", root.path().join("b/1/card.json")).unwrap();
    store(root.path(), "notes/1", 4);
    symlink("nowhere", root.path().join("notes/1/README.md")).unwrap();
    fs::create_dir_all(root.path().join("loop/1")).unwrap();
    symlink("model.onnx", root.path().join("loop/1/model.onnx")).unwrap();
    symlink("nowhere", root.path().join("gone")).unwrap();
    store(root.path(), "m/2", 5);
    for _ in 0..2 {
        repository.refresh().unwrap();
    }
    for repository in [
        repository,
        Repository::open(root.path(), &LoadOptions::default()).unwrap(),
    ] {
        assert_eq!(classes(&repository, "m"), 5);
        assert_eq!(classes(&repository, "notes"), 4);
        assert!(reason(&repository, "b").contains("card.json"));
        assert!(reason(&repository, "loop").contains("model.onnx"));
        fs::remove_file(root.path().join("b/1/card.json")).unwrap_or_default();
        for _ in 0..2 {
            repository.refresh().unwrap();
        }
        assert_eq!(classes(&repository, "b"), 3);
        symlink("nowhere", root.path().join("b/1/card.json")).unwrap();
    }
}

#[test]
fn weights_in_a_folder_below_are_watched_and_a_model_that_lacked_them_is_tried_again() {
    let (root, repository) = one();
    let directory = root.path().join("far/1");
    fs::create_dir_all(directory.join("weights")).unwrap();
    let model = linear(INPUT, &numbers(8, 1), &[0.0; 2], Batch::Any);
    let mut proto = model.to_proto();
    let graph = proto.graph.as_mut().unwrap();
    let weights = graph.initializer.first_mut().unwrap();
    let floats = std::mem::take(&mut weights.float_data);
    let raw: Vec<u8> = floats
        .iter()
        .flat_map(|value| value.to_le_bytes())
        .collect();
    weights.data_location = Some(1);
    let entry = |key: &str, value: &str| StringStringEntryProto {
        key: key.into(),
        value: value.into(),
    };
    weights.external_data = vec![entry("location", "weights/w.bin")];
    fs::write(directory.join("model.onnx"), proto.encode_to_vec()).unwrap();
    for _ in 0..2 {
        repository.refresh().unwrap();
    }
    assert!(reason(&repository, "far").contains("w.bin"));
    fs::write(directory.join("weights/w.bin"), &raw).unwrap();
    for _ in 0..2 {
        repository.refresh().unwrap();
    }
    let first = repository.get("far", None).unwrap();
    let other: Vec<u8> = raw.iter().copied().chain([0; 4]).collect();
    fs::write(directory.join("weights/w.bin"), other).unwrap();
    for _ in 0..2 {
        repository.refresh().unwrap();
    }
    let second = repository.get("far", None).unwrap();
    assert!(!std::sync::Arc::ptr_eq(&first, &second));
}

#[test]
fn what_is_served_although_its_files_cannot_be_loaded_any_more_says_so() {
    let (root, repository) = one();
    fs::write(root.path().join("m/1/card.json"), "{").unwrap();
    for _ in 0..2 {
        repository.refresh().unwrap();
    }
    assert_eq!(classes(&repository, "m"), 2);
    let [listed] = repository.index().try_into().unwrap();
    assert!(listed.ready);
    assert!(
        listed.reason.contains("card.json") && listed.reason.contains("what was loaded before"),
        "{}",
        listed.reason
    );
    fs::remove_file(root.path().join("m/1/card.json")).unwrap();
    for _ in 0..2 {
        repository.refresh().unwrap();
    }
    let [listed] = repository.index().try_into().unwrap();
    assert_eq!((listed.ready, listed.reason.as_str()), (true, ""));
}

#[test]
fn a_request_loads_and_unloads_what_the_directory_holds_and_nothing_else() {
    let (root, repository) = one();
    store(root.path(), "n/1", 3);
    assert_eq!(repository.load("n").unwrap().classifier.classes(), 3);
    let outside = tempfile::tempdir_in(root.path().parent().unwrap()).unwrap();
    store(outside.path(), "1", 2);
    let way_out = format!(
        "../{}",
        outside.path().file_name().unwrap().to_str().unwrap()
    );
    for name in ["nothing", "", ".", "..", "m/1", way_out.as_str()] {
        assert!(
            matches!(repository.load(name), Err(NotServed::Unknown { .. })),
            "{name}"
        );
        assert!(
            matches!(repository.unload(name), Err(NotServed::Unknown { .. })),
            "{name}"
        );
    }
    assert_eq!(repository.index().len(), 2);
}

#[test]
fn a_repository_that_cannot_be_read_is_an_error_that_names_it() {
    let error = Repository::open("/nowhere/models".as_ref(), &LoadOptions::default()).unwrap_err();
    assert!(matches!(error, RuntimeError::Read { .. }));
    assert!(error.to_string().contains("/nowhere/models"), "{error}");
}

#[test]
#[cfg(unix)]
fn files_outside_of_the_directory_are_served_only_where_links_may_be_followed() {
    use std::os::unix::fs::symlink;
    let elsewhere = tempfile::tempdir().unwrap();
    store(elsewhere.path(), "far/1", 3);
    let root = tempfile::tempdir().unwrap();
    store(root.path(), "plain/1", 2);
    let version = |name: &str| {
        let directory = root.path().join(name).join("1");
        fs::create_dir_all(&directory).unwrap();
        directory
    };
    // Links inside, as mounted volumes have them.
    symlink(root.path().join("plain"), root.path().join("twin")).unwrap();
    symlink(
        "../../plain/1/model.onnx",
        version("inside").join("model.onnx"),
    )
    .unwrap();
    // Links out: a file, a version, a card alone.
    let far = elsewhere.path().join("far/1");
    symlink(far.join("model.onnx"), version("file").join("model.onnx")).unwrap();
    symlink(elsewhere.path().join("far"), root.path().join("folder")).unwrap();
    fs::write(far.join("card.json"), "{}").unwrap();
    fs::copy(far.join("model.onnx"), version("card").join("model.onnx")).unwrap();
    symlink(far.join("card.json"), version("card").join("card.json")).unwrap();

    let ready = |options: &LoadOptions| -> Vec<(String, bool)> {
        let repository = Repository::open(root.path(), options).unwrap();
        for listed in repository.index() {
            let reason = listed.reason;
            assert!(
                listed.ready || reason.contains("leads out") && reason.contains("`follow_links`"),
                "{reason}"
            );
        }
        let index = repository.index().into_iter();
        index.map(|listed| (listed.name, listed.ready)).collect()
    };
    let expected = |out: bool| {
        ["card", "file", "folder", "inside", "plain", "twin"].map(|name| {
            (
                name.to_owned(),
                out || ["inside", "plain", "twin"].contains(&name),
            )
        })
    };
    assert_eq!(ready(&LoadOptions::default()), expected(false));
    let follow = LoadOptions {
        follow_links: true,
        ..LoadOptions::default()
    };
    assert_eq!(ready(&follow), expected(true));
}
