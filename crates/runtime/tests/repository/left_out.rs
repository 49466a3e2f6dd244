//! What lies in the directory and is not a model.
use std::fs;

use buckler_runtime::{LoadOptions, NotServed, Repository};

use crate::{classes, one, store};

fn left_out(repository: &Repository) -> Vec<(String, String)> {
    let left = repository.left_out().into_iter();
    left.map(|left| (left.path, left.reason)).collect()
}

#[test]
fn a_reserved_name_is_not_a_model() {
    let (root, repository) = one();
    store(root.path(), "stats/1", 2);
    for _ in 0..2 {
        repository.refresh().unwrap();
    }
    assert!(matches!(
        repository.get("stats", None),
        Err(NotServed::Unknown { .. })
    ));
    assert!(matches!(
        repository.load("stats"),
        Err(NotServed::Unknown { .. })
    ));
    let [(path, reason)] = left_out(&repository).try_into().unwrap();
    assert_eq!(path, "stats");
    assert!(
        reason.contains("/v2/models/stats") && reason.contains("rename"),
        "{reason}"
    );
    assert_eq!(
        repository.index().len(),
        1,
        "only what is a model is listed"
    );
}

#[test]
fn what_is_in_the_wrong_place_or_named_otherwise_is_listed_with_the_reason() {
    let root = tempfile::tempdir().unwrap();
    store(root.path(), "good/7", 5);
    store(root.path(), "good/007", 3);
    store(root.path(), "good/abc", 3);
    store(root.path(), "good/99999999999999999999", 3);
    store(root.path(), "good/-1", 3);
    fs::copy(
        root.path().join("good/7/model.onnx"),
        root.path().join("good/model.onnx"),
    )
    .unwrap();
    fs::copy(
        root.path().join("good/7/model.onnx"),
        root.path().join("loose.ONNX"),
    )
    .unwrap();
    store(root.path(), "flat", 3);
    fs::create_dir_all(root.path().join("empty")).unwrap();
    store(root.path(), "line\nend/1", 3);
    // Passed over.
    store(root.path(), ".new/1", 3);
    store(root.path(), "good/.trash", 3);
    fs::create_dir_all(root.path().join("lost+found")).unwrap();
    fs::write(root.path().join("README.md"), "models").unwrap();
    fs::write(root.path().join("good/notes.txt"), "notes").unwrap();

    let repository = Repository::open(root.path(), &LoadOptions::default()).unwrap();
    assert_eq!(repository.index().len(), 1);
    assert_eq!(classes(&repository, "good"), 5);
    let found = left_out(&repository);
    let expected = [
        ("empty", "no version"),
        ("flat/model.onnx", "`flat/1/model.onnx`"),
        ("good/-1", "whole number"),
        ("good/007", "`7` is version 7 too"),
        ("good/99999999999999999999", "18446744073709551615"),
        ("good/abc", "whole number"),
        ("good/model.onnx", "`good/1/model.onnx`"),
        ("line\\nend", "do not print"),
        ("loose.ONNX", "`loose/1/model.onnx`"),
    ];
    let paths: Vec<&str> = found.iter().map(|(path, _)| path.as_str()).collect();
    assert_eq!(paths, expected.map(|(path, _)| path));
    for ((path, reason), (_, part)) in found.iter().zip(expected) {
        assert!(reason.contains(part), "{path}: {reason}");
    }
}

#[test]
#[cfg(unix)]
fn names_that_are_not_utf_8_and_links_that_lead_nowhere_are_listed() {
    use std::{
        ffi::OsStr,
        os::unix::{ffi::OsStrExt, fs::symlink},
    };
    let (root, repository) = one();
    let odd = OsStr::from_bytes(b"caf\xe9");
    for folder in [root.path().to_owned(), root.path().join("m")] {
        // Not every file system takes such a name.
        if fs::create_dir_all(folder.join(odd).join("1")).is_err() {
            return;
        }
    }
    symlink("nowhere", root.path().join("gone")).unwrap();
    symlink("nowhere", root.path().join("m/3")).unwrap();
    repository.refresh().unwrap();
    let found = left_out(&repository);
    let paths: Vec<&str> = found.iter().map(|(path, _)| path.as_str()).collect();
    assert_eq!(paths, ["caf\u{fffd}", "gone", "m/3", "m/caf\u{fffd}"]);
    assert!(found[0].1.contains("UTF-8"), "{found:?}");
    assert!(found[1].1.contains("cannot be read"), "{found:?}");
    assert_eq!(classes(&repository, "m"), 2);
}

#[test]
fn the_list_is_that_of_the_last_look() {
    let (root, repository) = one();
    assert_eq!(left_out(&repository), []);
    fs::create_dir_all(root.path().join("m/latest")).unwrap();
    repository.refresh().unwrap();
    assert_eq!(left_out(&repository).len(), 1);
    fs::rename(root.path().join("m/latest"), root.path().join("m/2")).unwrap();
    store(root.path(), "m/2", 4);
    for _ in 0..2 {
        repository.refresh().unwrap();
    }
    assert_eq!(left_out(&repository), []);
    assert_eq!(classes(&repository, "m"), 4);
}

#[test]
fn a_great_many_of_them_are_listed_in_part() {
    let (root, repository) = one();
    for number in 0..1100 {
        fs::create_dir(root.path().join(format!("m/v{number}"))).unwrap();
    }
    repository.refresh().unwrap();
    assert_eq!(left_out(&repository).len(), 1000);
    assert_eq!(classes(&repository, "m"), 2);
}
