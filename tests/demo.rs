//! The demonstration does what the README says it does.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use support::{json, text};

#[test]
fn the_hypersphere_network_withstands_what_breaks_the_plain_one() {
    let dir = tempfile::tempdir().unwrap();
    let report = json(&["demo", "--no-serve", "--out", text(dir.path())]);
    let model = |name: &str| {
        let models = report["models"].as_array().unwrap();
        models
            .iter()
            .find(|model| model["name"] == name)
            .unwrap()
            .clone()
    };
    let (plain, he) = (model("digits-plain"), model("digits-he"));
    let clean = |model: &serde_json::Value| model["clean_accuracy"].as_f64().unwrap();
    assert!(clean(&plain) > 0.95, "{report}");
    assert!(clean(&he) > clean(&plain) - 0.05, "{report}");
    let robust = |model: &serde_json::Value| -> Vec<f64> {
        let entries = model["robust"].as_array().unwrap();
        entries
            .iter()
            .map(|entry| entry["accuracy"].as_f64().unwrap())
            .collect()
    };
    let (plain_robust, he_robust) = (robust(&plain), robust(&he));
    let telling = plain_robust
        .iter()
        .zip(&he_robust)
        .any(|(plain, he)| *plain < 0.10 && *he > 0.60);
    assert!(telling, "{report}");
    for model in [&plain, &he] {
        let parity = &model["parity"];
        assert!(
            parity["logits_max_abs"].as_f64().unwrap() <= 1e-4,
            "{report}"
        );
        assert!(
            parity["gradient_rel_l2"].as_f64().unwrap() <= 1e-3,
            "{report}"
        );
        let folder = dir
            .path()
            .join("models")
            .join(model["name"].as_str().unwrap());
        for file in ["model.onnx", "gradient.onnx", "card.json"] {
            assert!(folder.join("1").join(file).is_file(), "{file}");
        }
    }
}
