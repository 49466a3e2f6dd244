//! Which models an export replaces, what stays on their cards, and what an import needs.

use super::*;

/// A run that is hardly trained at all, so that its exported gradient agrees with the trainer's.
fn trained(dir: &Path, name: &str, more: &[&str]) -> PathBuf {
    let recipe = small_recipe(dir, 1);
    let run = dir.join(name);
    let args = ["train", text(&recipe), "--out", text(&run)];
    let rate = ["--set", "optimizer.learning_rate=1e-8"];
    json(&[&args[..], &rate, more].concat());
    run
}

fn card(model: &Path) -> serde_json::Value {
    serde_json::from_slice(&std::fs::read(model.join("card.json")).unwrap()).unwrap()
}

#[test]
fn an_export_over_the_model_of_another_run_of_the_recipe_needs_force() {
    let dir = tempfile::tempdir().unwrap();
    let first = trained(dir.path(), "first", &[]);
    let other_seed = trained(dir.path(), "seed", &["--set", "seed=4"]);
    let longer = trained(dir.path(), "longer", &["--set", "training.epochs=2"]);
    let out = dir.path().join("model");
    let model = out.join("model.onnx");
    let export = |run| ["export", text(run), "--out", text(&out)];
    json(&export(&first));
    let before = std::fs::read(&model).unwrap();
    let old_card = std::fs::read(out.join("card.json")).unwrap();
    for (run, differing) in [
        (&other_seed, "seed 3, this one 4"),
        (&longer, "epochs 1, this one 2"),
    ] {
        let error = failure(&export(run), 1);
        assert!(
            error.contains("the model `small` of another run")
                && error.contains(differing)
                && error.contains("--force"),
            "{error}"
        );
        assert!(std::fs::read(&model).unwrap() == before);
    }
    json(&[&export(&other_seed)[..], &["--force"]].concat());
    // As an export leaves it that was killed before it wrote the card.
    std::fs::write(out.join("card.json"), old_card).unwrap();
    json(&export(&other_seed));
    assert_eq!(card(&out)["training"]["seed"], 4);

    let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
    let foreign = manifest.join("../../models/mnist-he/1/model.onnx");
    std::fs::copy(&foreign, &model).unwrap();
    let error = failure(&export(&other_seed), 1);
    assert!(
        error.contains("the model `mnist-he`") && error.contains("--force"),
        "{error}"
    );
    assert!(std::fs::read(&model).unwrap() == std::fs::read(&foreign).unwrap());
}

#[test]
fn exporting_the_same_weights_again_keeps_the_figures_on_the_card() {
    let dir = tempfile::tempdir().unwrap();
    let first = trained(dir.path(), "first", &[]);
    let other = trained(dir.path(), "other", &["--set", "seed=4"]);
    let out = dir.path().join("model");
    let model = out.join("model.onnx");
    let export = ["export", text(&first), "--out", text(&out)];
    json(&export);
    let measure = ["evaluate", text(&model), "--data", "digits", "--limit", "8"];
    let attack = ["--eps", "0.01", "--steps", "1", "--write-card"];
    json(&[&measure[..], &attack].concat());
    let measured = card(&out)["measured"].clone();
    assert!(!measured.as_array().unwrap().is_empty());

    json(&[&export[..], &["--description", "again"]].concat());
    let again = card(&out);
    assert_eq!(again["description"], "again");
    assert_eq!(again["measured"], measured);
    let inside = buckler_onnx::Model::read(&model).unwrap().card().unwrap();
    assert_eq!(
        serde_json::to_value(inside.unwrap().measured).unwrap(),
        measured
    );

    let output = support::run(&["export", text(&other), "--out", text(&out), "--force"]);
    let log = support::stderr(&output);
    assert!(output.status.success(), "{log}");
    assert!(log.contains("were of other weights"), "{log}");
    assert!(card(&out).get("measured").is_none());
}

#[test]
fn a_recipe_may_name_the_folder_that_it_is_trained_on() {
    let dir = tempfile::tempdir().unwrap();
    let data = format!("folder:{}", text(&folder(dir.path(), 12)));
    let recipe = |data: &str| {
        let path = dir.path().join("folder.toml");
        let toml = format!(
            r#"
            base = "digits-plain"
            name = "folder"
            data = "{data}"
            image_size = "16x16"
            training = {{ epochs = 1, batch_size = 4, images = 20 }}
            validation = {{ images = 4 }}
            "#
        );
        std::fs::write(&path, toml).unwrap();
        path
    };
    let path = recipe(&data);
    let (run, out) = (dir.path().join("run"), dir.path().join("model"));
    let train = ["train", text(&path), "--out", text(&run)];
    json(&train);
    json(&[&train[..], &["--resume"]].concat());
    json(&["export", text(&run), "--out", text(&out)]);
    assert_eq!(card(&out)["training"]["data"], "folder");

    recipe("digits");
    let set = format!("data={data}");
    let run = dir.path().join("set");
    let train = ["train", text(&path), "--out", text(&run), "--set", &set];
    let error = failure(&[&train[..], &["--data", "digits"]].concat(), 1);
    assert!(error.contains("name two data sets"), "{error}");
    json(&train);
}

/// The weights of a small network for CIFAR-10, and a recipe of it with `more`.
fn pytorch(dir: &Path, more: &str) -> (PathBuf, PathBuf) {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
    let file = manifest.join("../train/tests/pytorch/wrn-10-1-he.pt");
    let recipe = dir.join("imported.toml");
    let toml = format!(
        r#"
        base = "cifar10-trades-he"
        name = "imported"
        network = {{ kind = "wide-resnet", depth = 10, width = 1 }}
        {more}
        "#
    );
    std::fs::write(&recipe, toml).unwrap();
    (file, recipe)
}

#[test]
fn an_import_does_without_data_of_the_recipe_that_cannot_be_loaded() {
    let dir = tempfile::tempdir().unwrap();
    let (file, recipe) = pytorch(dir.path(), "");
    let stored = dir.path().join("data");
    std::fs::create_dir_all(stored.join("cifar10")).unwrap();
    let out = dir.path().join("model");
    let import = |more: &[&str]| {
        buckler()
            .args(["export", text(&file), "--recipe", text(&recipe)])
            .args(["--out", text(&out), "--normalization", "recipe"])
            .args(more)
            .env("BUCKLER_DATA", &stored)
            .output()
            .unwrap()
    };
    let asked_for = import(&["--data", "cifar10"]);
    let error = support::stderr(&asked_for);
    assert_eq!(asked_for.status.code(), Some(1), "{error}");
    assert!(error.contains("test_batch.bin"), "{error}");
    assert!(!out.exists());

    let output = import(&[]);
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        output.status.success()
            && told.contains("note: accuracy was not checked")
            && told.contains("test_batch.bin"),
        "{told}{}",
        support::stderr(&output)
    );
    assert!(out.join("model.onnx").is_file());
}

#[test]
fn the_normalization_of_a_recipe_without_one_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let (file, recipe) = pytorch(dir.path(), "normalization = false\n image_size = 32");
    let out = dir.path().join("model");
    let root = ten_classes(dir.path());
    let data = format!("folder:{}", text(&root));
    let args = ["export", text(&file), "--recipe", text(&recipe)];
    let place = ["--out", text(&out), "--data", &data];
    let export = [&args[..], &place].concat();
    let error = failure(&[&export[..], &["--normalization", "recipe"]].concat(), 1);
    assert!(
        error.contains("--normalization recipe: recipe imported has no normalisation")
            && error.contains("`--normalization none`"),
        "{error}"
    );
    assert!(!out.exists());

    std::fs::rename(root.join("val"), root.join("train")).unwrap();
    let train = ["train", text(&recipe), "--data", &data, "--out", text(&out)];
    let small = ["--set", "validation.images=10"];
    let init = ["--init", text(&file), "--init-normalization", "recipe"];
    let error = failure(&[&train[..], &small, &init].concat(), 1);
    assert!(
        error.contains("--init-normalization recipe: recipe imported has no normalisation"),
        "{error}"
    );
    assert!(!out.exists());
}
