//! What a comparison keeps of an earlier one in the same folder.

use super::*;

/// The small recipe under another name.
fn named(dir: &Path, name: &str) -> PathBuf {
    let recipe = std::fs::read_to_string(small_recipe(dir, 1)).unwrap();
    let path = dir.join(format!("{name}.toml"));
    std::fs::write(&path, recipe.replace("\"small\"", &format!("\"{name}\""))).unwrap();
    path
}

fn table(out: &Path) -> serde_json::Value {
    serde_json::from_slice(&std::fs::read(out.join("compare.json")).unwrap()).unwrap()
}

fn recipes(table: &serde_json::Value) -> Vec<&str> {
    let rows = table["rows"].as_array().unwrap();
    rows.iter()
        .map(|row| row["recipe"].as_str().unwrap())
        .collect()
}

fn compare<'a>(recipe: &'a str, out: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    [&["compare", recipe, "--out", out], more].concat()
}

#[test]
fn figures_of_an_earlier_comparison_are_not_lost() {
    let dir = tempfile::tempdir().unwrap();
    let (first, second) = (named(dir.path(), "first"), named(dir.path(), "second"));
    let out = dir.path().join("compare");
    let (first, second, out_dir) = (text(&first), text(&second), text(&out));
    let few = ["--limit", "20"];
    json(&compare(first, out_dir, &few));
    let files =
        || ["compare.json", "compare.md"].map(|name| std::fs::read(out.join(name)).unwrap());
    let before = files();

    // A run of other epochs is in the folder: nothing is measured.
    for changed in [["--epochs", "3"], ["--eps", "8"]] {
        failure(&compare(first, out_dir, &[few, changed].concat()), 1);
        assert!(files() == before, "{changed:?}");
    }
    // The table has one number of images, one seed and one radius.
    for changed in [
        &["--limit", "30"][..],
        &["--limit", "20", "--seed", "1"],
        &["--limit", "20", "--eps", "0.2"],
    ] {
        let error = failure(&compare(second, out_dir, changed), 1);
        assert!(
            error.contains("figures of first") && error.contains(changed[changed.len() - 1]),
            "{error}"
        );
        assert!(files() == before, "{changed:?}");
    }
    assert!(!out.join("runs/second").exists(), "nothing was trained");

    let own = json(&compare(second, out_dir, &few));
    assert_eq!(recipes(&own), ["second"]);
    let both = table(&out);
    assert_eq!(recipes(&both), ["first", "second"]);
    let earlier: serde_json::Value = serde_json::from_slice(&before[0]).unwrap();
    assert_eq!(both["rows"][0], earlier["rows"][0]);
    let markdown = std::fs::read_to_string(out.join("compare.md")).unwrap();
    assert!(
        markdown.contains("| first |") && markdown.contains("| second |"),
        "{markdown}"
    );
    // With other images for all of them nothing is mixed.
    json(&compare(first, out_dir, &[second, "--limit", "10"]));
    assert_eq!(table(&out)["images"], 10);
}

#[test]
fn a_second_comparison_in_the_same_folder_is_refused_by_name() {
    let dir = tempfile::tempdir().unwrap();
    let recipe = small_recipe(dir.path(), 1);
    let lock = buckler_onnx::FileLock::acquire(&dir.path().join("compare.lock")).unwrap();
    if lock.unsupported.is_some() {
        return;
    }
    let compare = ["compare", text(&recipe), "--out", text(dir.path())];
    let error = failure(&compare, 1);
    assert!(
        error.contains(&format!("is in use by process {} on ", std::process::id()))
            && error.contains("--out"),
        "{error}"
    );
    assert!(!dir.path().join("compare.json").exists());
}
