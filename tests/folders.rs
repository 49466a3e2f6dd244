//! Measuring on folders of images: whose classes they are, files that cannot be read, and what is written where.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "../crates/runtime/tests/models/mod.rs"]
mod models;
mod support;

use std::fs;
use std::path::{Path, PathBuf};

use buckler_attack::InputSpec;
use buckler_onnx::{Card, ChannelOrder, Model, Normalization, Preprocessing};
use image::{Rgb, RgbImage};
use models::{Batch, card, linear, numbers};
use serde_json::{Value, json};
use support::{failure, json, run, text};

const RGB: InputSpec = InputSpec {
    channels: 3,
    height: 16,
    width: 16,
};

const CIFAR: [&str; 10] = [
    "airplane",
    "automobile",
    "bird",
    "cat",
    "deer",
    "dog",
    "frog",
    "horse",
    "ship",
    "truck",
];

/// A linear model with class names, or without.
fn model(path: &Path, classes: usize, names: &[&str]) {
    let weights = numbers(RGB.values() * classes, 5);
    let mut model = linear(RGB, &weights, &vec![0.0; classes], Batch::Any);
    if !names.is_empty() {
        let mut card = card("tiny", names);
        (card.input.channels, card.input.height, card.input.width) = (3, 16, 16);
        card.input.preprocessing = Some(Preprocessing::default());
        card.input.channel_order = Some(ChannelOrder::Rgb);
        card.input.normalization = Some(Normalization {
            mean: vec![0.0],
            std: vec![1.0],
        });
        model.set_card(&card).unwrap();
    }
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    model.write(path).unwrap();
}

/// A folder with some images of each class to test on.
fn data(dir: &Path, classes: &[&str], each: usize) -> String {
    for (class, name) in classes.iter().enumerate() {
        let folder = dir.join("val").join(name);
        fs::create_dir_all(&folder).unwrap();
        for index in 0..each {
            let seed = (class * 1000 + index) as u64 + 1;
            let values = numbers(16 * 16 * 3, seed);
            let image = RgbImage::from_fn(16, 16, |x, y| {
                let at = |channel: u32| values[((y * 16 + x) * 3 + channel) as usize];
                Rgb([0, 1, 2].map(|channel| (127.5 * (at(channel) + 1.0)) as u8))
            });
            image.save(folder.join(format!("{index}.png"))).unwrap();
        }
    }
    format!("folder:{}", text(dir))
}

struct Setting {
    dir: tempfile::TempDir,
    model: PathBuf,
    data: String,
}

fn setting(classes: usize, names: &[&str], folders: &[&str], each: usize) -> Setting {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("models/tiny/1/model.onnx");
    model(&path, classes, names);
    let data = data(&dir.path().join("pictures"), folders, each);
    Setting {
        dir,
        model: path,
        data,
    }
}

impl Setting {
    fn args<'a>(&'a self, command: &'a str, more: &[&'a str]) -> Vec<&'a str> {
        let base = [command, text(&self.model), "--data", self.data.as_str()];
        [&base[..], more].concat()
    }

    fn evaluate<'a>(&'a self, more: &[&'a str]) -> Vec<&'a str> {
        self.args(
            "evaluate",
            &[&["--eps", "0.01", "--steps", "3"], more].concat(),
        )
    }
}

/// The labels in a report by the folders of the images.
fn labels(report: &Value) -> Vec<(String, u64)> {
    let files = report["files"].as_array().unwrap();
    let samples = report["evaluations"][0]["samples"].as_array().unwrap();
    assert_eq!(files.len(), samples.len());
    let pairs = files.iter().zip(samples);
    let mut labels: Vec<(String, u64)> = pairs
        .map(|(file, sample)| {
            let class = file.as_str().unwrap().split('/').nth(1).unwrap();
            (class.to_owned(), sample["label"].as_u64().unwrap())
        })
        .collect();
    labels.sort();
    labels.dedup();
    labels
}

fn pairs(expected: &[(&str, u64)]) -> Vec<(String, u64)> {
    let pairs = expected.iter();
    pairs
        .map(|(class, label)| ((*class).to_owned(), *label))
        .collect()
}

#[test]
fn a_folder_with_some_of_the_models_classes_is_matched_by_name() {
    let setting = setting(10, &CIFAR, &["Cat", "dog", "ship"], 3);
    let report = json(&setting.evaluate(&[]));
    assert_eq!(
        labels(&report),
        pairs(&[("Cat", 3), ("dog", 5), ("ship", 8)])
    );
    assert_eq!(report["classes"]["by"], "name");
    assert_eq!(report["assumptions"], json!([]));
    let output = run(&setting.evaluate(&[]));
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    let line = "classes: 3 of the data set, matched with the model's 10 by name: Cat -> 3, dog -> 5, ship -> 8";
    assert!(printed.contains(line), "{printed}");
    for command in ["corruptions", "certify"] {
        let more: &[&str] = match command {
            "certify" => &["--sigma", "0.1", "--n", "20", "--n0", "5"],
            _ => &["--only", "contrast", "--severity", "1"],
        };
        let report = json(&setting.args(command, more));
        assert_eq!(
            report["classes"]["classes"],
            json!({"Cat": 3, "dog": 5, "ship": 8}),
            "{command}"
        );
    }
    let report = json(&setting.args("certify", &["--eps", "0.001"]));
    let samples = report["radii"][0]["attacked"][0]["samples"]
        .as_array()
        .unwrap();
    let mut seen: Vec<u64> = samples
        .iter()
        .map(|s| s["label"].as_u64().unwrap())
        .collect();
    seen.sort_unstable();
    assert_eq!(seen, [3, 3, 3, 5, 5, 5, 8, 8, 8]);
}

#[test]
fn folders_named_by_numbers_are_the_models_indices() {
    let numbers = ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9", "10", "11"];
    let setting = setting(12, &[], &numbers, 2);
    let report = json(&setting.evaluate(&[]));
    for (class, label) in labels(&report) {
        assert_eq!(class, label.to_string());
    }
    assert_eq!(report["classes"]["by"], "number");
}

#[test]
fn classes_that_do_not_fit_are_refused_with_both_lists_and_can_be_given() {
    let setting = setting(10, &CIFAR, &["tabby", "dog", "boat"], 2);
    let error = failure(&setting.evaluate(&[]), 1);
    for part in [
        "`boat`, `tabby`",
        "`airplane`, `automobile`",
        "--class-map FILE",
    ] {
        assert!(error.contains(part), "{part}: {error}");
    }
    let map = setting.dir.path().join("classes.toml");
    fs::write(&map, "tabby = \"cat\"\nboat = 8\n").unwrap();
    let given = ["--class-map", text(&map)];
    let report = json(&setting.evaluate(&given));
    assert_eq!(
        labels(&report),
        pairs(&[("boat", 8), ("dog", 5), ("tabby", 3)])
    );
    assert_eq!(report["classes"]["by"], "given");
    json(&setting.args(
        "corruptions",
        &[&given[..], &["--only", "fog", "--severity", "1"]].concat(),
    ));
    json(&setting.args("certify", &[&given[..], &["--eps", "0.001"]].concat()));
    fs::write(&map, "tabby = \"tiger\"\n").unwrap();
    let error = failure(&setting.evaluate(&given), 1);
    assert!(
        error.contains("`tiger`, which is not a class of the model")
            && error.contains("classes.toml"),
        "{error}"
    );
    assert!(!error.contains("--class-map FILE"), "{error}");
    // Some classes are given, and others are missing.
    fs::write(&map, "tabby = \"cat\"\n").unwrap();
    let error = failure(&setting.evaluate(&given), 1);
    assert!(
        error.contains("1 of the data set's 3 classes are not among the model's 10: `boat`")
            && error.contains("or add the classes that are missing to the class map")
            && error.contains("classes.toml"),
        "{error}"
    );
    assert!(!error.contains("--class-map FILE"), "{error}");
    fs::write(
        &map,
        "{\"tabby\": \"cat\", \"tabby\": \"dog\", \"boat\": 8}",
    )
    .unwrap();
    let error = failure(&setting.evaluate(&given), 1);
    assert!(error.contains("class `tabby` comes twice"), "{error}");

    let other = tempfile::tempdir().unwrap();
    let few = data(other.path(), &["a", "b"], 1);
    let path = other.path().join("model.onnx");
    model(&path, 3, &[]);
    let error = failure(
        &["evaluate", text(&path), "--data", &few, "--eps", "0.1"],
        1,
    );
    assert!(
        error.contains("2 classes (`a`, `b`) and the model 3"),
        "{error}"
    );
}

#[test]
fn given_classes_that_the_folder_does_not_have_are_refused_or_stated() {
    let setting = setting(10, &CIFAR, &["tabby", "dog"], 3);
    let map = setting.dir.path().join("classes.toml");
    let given = ["--class-map", text(&map)];
    for (content, part) in [
        ("tabby = \"cat\"\nDog = \"horse\"\n", "did you mean `dog`?"),
        ("hund = \"dog\"\n", "which has `dog`, `tabby`"),
    ] {
        fs::write(&map, content).unwrap();
        let error = failure(&setting.evaluate(&given), 1);
        assert!(error.contains(part), "{error}");
    }
    fs::write(&map, "tabby = \"cat\"\nsiamese = \"cat\"\n").unwrap();
    let dir = setting.dir.path().join("report");
    let more = [&given[..], &["--report", text(&dir)]].concat();
    let report = json(&setting.evaluate(&more));
    let line =
        "1 of the given classes are not classes of the data set and were not used: `siamese`";
    let assumptions = report["assumptions"].as_array().unwrap();
    assert!(
        assumptions.iter().any(|stated| stated == line),
        "{assumptions:?}"
    );
    // With the file and without it.
    let path = dir.join("report.json");
    for more in [&given[..], &[]] {
        let args = [&["--verify", text(&path)], more].concat();
        let verification = json(&setting.args("evaluate", &args));
        assert_eq!(verification["problems"], json!([]), "{more:?}");
    }
}

#[test]
fn what_is_left_out_of_a_folder_and_what_lies_deeper_is_stated_everywhere() {
    let setting = setting(10, &CIFAR, &["cat", "dog"], 3);
    let val = setting.dir.path().join("pictures/val");
    fs::create_dir_all(val.join("cat/sub")).unwrap();
    fs::copy(val.join("cat/0.png"), val.join("cat/sub/9.png")).unwrap();
    fs::write(val.join("dog/scan.tif"), "x").unwrap();
    let dir = setting.dir.path().join("report");
    let lines = [
        "1 of the folder's 7 images lie in folders below that of their class and are taken for its images: val/cat/sub/9.png",
        "1 entry of the folder was left out, which is not an image by its name (png, jpg, jpeg, webp, bmp, gif) or a link back: val/dog/scan.tif",
    ];
    for args in [
        setting.evaluate(&["--report", text(&dir)]),
        setting.args("corruptions", &["--only", "fog", "--severity", "1"]),
        setting.args("certify", &["--eps", "0.001"]),
    ] {
        let report = json(&args);
        let assumptions = report["assumptions"].as_array().unwrap();
        for line in lines {
            let stated = assumptions.iter().any(|stated| stated == line);
            assert!(stated, "{line}: {assumptions:?}");
        }
        assert_eq!(report["images"], 7);
    }
    let output = run(&setting.evaluate(&[]));
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    for line in lines {
        assert!(printed.contains(line), "{printed}");
    }
    let page = fs::read_to_string(dir.join("report.md")).unwrap();
    assert!(
        page.contains("scan.tif") && page.contains("9.png"),
        "{page}"
    );
    let path = dir.join("report.json");
    let verification = json(&setting.args("evaluate", &["--verify", text(&path)]));
    assert_eq!(verification["problems"], json!([]));
}

#[test]
fn numbers_that_are_taken_for_indices_are_stated() {
    let one_to_nine = ["1", "2", "3", "4", "5", "6", "7", "8", "9"];
    let setting = setting(10, &[], &one_to_nine, 1);
    let report = json(&setting.evaluate(&[]));
    let stated = report["assumptions"].to_string();
    assert!(
        stated.contains("taken for indices from 0; no class is 0: if they were counted from 1, every label is wrong by one"),
        "{stated}"
    );
    // Classes that are other numbers are never taken for them.
    let half: Vec<String> = (5..15).map(|number| number.to_string()).collect();
    let half: Vec<&str> = half.iter().map(String::as_str).collect();
    let path = setting.dir.path().join("models/half/1/model.onnx");
    model(&path, 10, &half);
    let args = [
        "evaluate",
        text(&path),
        "--data",
        &setting.data,
        "--eps",
        "0.1",
    ];
    let error = failure(&args, 1);
    assert!(
        error.contains(
            "4 of the data set's 9 classes are not among the model's 10: `1`, `2`, `3`, `4`"
        ),
        "{error}"
    );
}

#[test]
fn classes_taken_in_their_order_are_an_assumption_that_is_stated_everywhere() {
    let setting = setting(3, &[], &["cat", "dog", "ship"], 2);
    let report = json(&setting.evaluate(&[]));
    let assumptions = report["assumptions"].as_array().unwrap();
    let stated = |line: &Value| {
        line.as_str()
            .unwrap()
            .contains("`cat` for 0 to `ship` for 2")
    };
    assert!(assumptions.iter().any(stated), "{assumptions:?}");
    let output = run(&setting.evaluate(&[]));
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        printed.contains("assumed: the model names no classes: the data set's 3"),
        "{printed}"
    );
}

#[test]
fn one_broken_file_is_named_or_left_out_and_listed() {
    let setting = setting(10, &CIFAR, &["cat", "dog"], 4);
    let broken = setting.dir.path().join("pictures/val/cat/broken.jpg");
    fs::write(&broken, b"").unwrap();
    let report_dir = setting.dir.path().join("report");
    let certify = ["--eps", "0.001"];
    for args in [
        setting.evaluate(&[]),
        setting.args("corruptions", &["--only", "fog"]),
        setting.args("certify", &certify),
        setting.args("certify", &["--sigma", "0.1", "--n", "20"]),
    ] {
        let error = failure(&args, 1);
        assert!(
            error.contains("broken.jpg") && error.contains("--skip-broken"),
            "{error}"
        );
        let report = json(&[&args[..], &["--skip-broken"]].concat());
        assert_eq!(report["images"], 8, "{args:?}");
        assert_eq!(
            report["skipped"][0]["file"], "val/cat/broken.jpg",
            "{args:?}"
        );
        let output = run(&[&args[..], &["--skip-broken"]].concat());
        let printed = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(
            printed.contains("left out: 1 files that cannot be read: val/cat/broken.jpg"),
            "{printed}"
        );
    }
    json(&setting.evaluate(&["--skip-broken", "--report", text(&report_dir)]));
    let page = fs::read_to_string(report_dir.join("report.md")).unwrap();
    assert!(page.contains("val/cat/broken.jpg"), "{page}");
    let path = report_dir.join("report.json");
    let verification = json(&setting.args("evaluate", &["--verify", text(&path)]));
    assert_eq!(verification["problems"], json!([]));
    // A file that is left out although it can be read.
    fs::copy(
        setting.dir.path().join("pictures/val/cat/0.png"),
        broken.with_extension("png"),
    )
    .unwrap();
    assert!(
        !run(&setting.args("evaluate", &["--verify", text(&path)]))
            .status
            .success()
    );
}

#[test]
fn a_report_names_its_files_and_a_command_that_measures_it_again() {
    let setting = setting(10, &CIFAR, &["cat", "dog"], 3);
    let dir = setting.dir.path().join("report");
    let report = json(&setting.evaluate(&["--report", text(&dir), "--limit", "5"]));
    assert_eq!(report["data"], "folder:pictures/test");
    assert_eq!(report["files"].as_array().unwrap().len(), 5);
    let command = report["command"].as_str().unwrap();
    assert!(
        command.contains(&setting.data) && !command.contains("--report"),
        "{command}"
    );
    let words: Vec<&str> = command.split(' ').collect();
    let again = json(&words[1..]);
    assert_eq!(
        again["evaluations"][0]["samples"],
        report["evaluations"][0]["samples"]
    );
}

/// Verifies a report that was doctored and sealed again.
fn doctored(setting: &Setting, dir: &Path, doctor: impl Fn(&mut Value)) -> (bool, Value) {
    let path = dir.join("report.json");
    let before = fs::read(&path).unwrap();
    let mut report: Value = serde_json::from_slice(&before).unwrap();
    doctor(&mut report);
    let sealed: buckler_report::Report = serde_json::from_value(report).unwrap();
    fs::write(
        &path,
        serde_json::to_vec(&sealed.sealed().unwrap()).unwrap(),
    )
    .unwrap();
    let output = run(&setting.args("evaluate", &["--verify", text(&path), "--json"]));
    fs::write(&path, before).unwrap();
    let verification = serde_json::from_slice(&output.stdout).unwrap_or(Value::Null);
    (output.status.success(), verification)
}

#[test]
fn attacks_that_the_command_does_not_stand_for_are_found_out() {
    let setting = setting(10, &CIFAR, &["cat", "dog", "ship"], 6);
    let dir = setting.dir.path().join("report");
    let more = [
        "--attack",
        "pgd,square",
        "--report",
        text(&dir),
        "--linearity",
    ];
    json(&setting.evaluate(&more));
    let (holds, verification) = doctored(&setting, &dir, |_| ());
    assert!(holds, "{verification}");
    assert!(!verification["not_verified"].as_array().unwrap().is_empty());
    type Doctor = fn(&mut Value);
    let doctorings: [(&str, Doctor); 8] = [
        ("steps", |r| r["evaluations"][0]["steps"] = json!(100)),
        ("radius", |r| {
            r["evaluations"][0]["eps"] = json!("0.02");
            r["evaluations"][0]["eps_value"] = json!(0.02);
        }),
        ("command", |r| {
            r["command"] = json!("buckler evaluate m.onnx --data mnist --eps 0.02")
        }),
        ("no command", |r| r["command"] = json!("trust me")),
        ("an attack left out", |r| {
            r["evaluations"].as_array_mut().unwrap().pop();
        }),
        ("files", |r| r["files"][0] = json!("val/cat/other.png")),
        ("classes", |r| r["classes"]["classes"]["cat"] = json!(4)),
        ("more steps, in the command too", |r| {
            r["evaluations"][0]["steps"] = json!(100);
            r["evaluations"][1]["steps"] = json!(100);
            let size = r["evaluations"][0]["step_size"].as_f64().unwrap() * 3.0 / 100.0;
            r["evaluations"][0]["step_size"] = json!(size as f32);
            let command = r["command"]
                .as_str()
                .unwrap()
                .replace("--steps 3", "--steps 100");
            r["command"] = json!(command);
        }),
    ];
    for (name, doctor) in doctorings {
        let (holds, verification) = doctored(&setting, &dir, doctor);
        assert!(!holds, "{name}: {verification}");
    }
}

#[test]
fn figures_go_to_the_card_of_the_model_that_was_measured() {
    let setting = setting(10, &CIFAR, &["cat", "dog"], 3);
    let dir = setting.model.parent().unwrap();
    // Not called model.onnx, without a gradient graph, beside another model with its card.
    let other = dir.join("other.onnx");
    fs::copy(&setting.model, &other).unwrap();
    let mut beside = card("tiny", &CIFAR);
    (
        beside.input.channels,
        beside.input.height,
        beside.input.width,
    ) = (3, 16, 16);
    beside.write(dir.join("card.json")).unwrap();
    let before = (
        fs::read(&setting.model).unwrap(),
        fs::read(dir.join("card.json")).unwrap(),
    );
    let args = [
        "evaluate",
        text(&other),
        "--data",
        &setting.data,
        "--eps",
        "0.01",
        "--write-card",
    ];
    let printed = run(&args);
    assert!(printed.status.success(), "{}", support::stderr(&printed));
    assert!(String::from_utf8_lossy(&printed.stdout).contains("clean accuracy"));
    let measured = Model::read(&other).unwrap().card().unwrap().unwrap();
    assert_eq!(measured.measured.len(), 2);
    assert_eq!(measured.classes, CIFAR);
    let after = (
        fs::read(&setting.model).unwrap(),
        fs::read(dir.join("card.json")).unwrap(),
    );
    assert!(before == after, "another model's card was written");

    // The model beside whose name the card is.
    json(&setting.evaluate(&["--write-card"]));
    let inside = Model::read(&setting.model)
        .unwrap()
        .card()
        .unwrap()
        .unwrap();
    let beside = Card::read(dir.join("card.json")).unwrap();
    assert_eq!(inside.measured, beside.measured);
    assert_eq!(inside.measured.len(), 2);
    assert_eq!(beside.classes, CIFAR);
    assert!(beside.sha256.contains_key("model.onnx"));
    assert!(!dir.join("gradient.onnx").exists());
}

#[test]
fn a_card_beside_a_model_without_one_inside_keeps_what_it_says() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("model.onnx");
    model(&path, 3, &[]);
    let names = ["cat", "dog", "ship"];
    let mut beside = card("three", &names);
    (
        beside.input.channels,
        beside.input.height,
        beside.input.width,
    ) = (3, 16, 16);
    let file = dir.path().join("card.json");
    beside.write(&file).unwrap();
    let commented = fs::read_to_string(&file).unwrap();
    fs::write(&file, format!("// Of the harbour.\n{commented}")).unwrap();
    let data = data(&dir.path().join("pictures"), &["ship", "dog"], 2);
    json(&[
        "evaluate",
        text(&path),
        "--data",
        &data,
        "--eps",
        "0.01",
        "--write-card",
    ]);
    let card = Card::read(&file).unwrap();
    let text = fs::read_to_string(&file).unwrap();
    assert!(text.starts_with("// Of the harbour.\n"), "{text}");
    assert_eq!((card.name.as_str(), card.measured.len()), ("three", 2));
    assert_eq!(card.classes, names);
}

#[cfg(unix)]
#[test]
fn figures_go_through_links_to_the_files_that_were_measured() {
    use std::os::unix::fs::symlink;
    let setting = setting(10, &CIFAR, &["cat", "dog"], 2);
    // As in caches of downloads: files under other names in another folder.
    let blobs = setting.dir.path().join("blobs");
    fs::create_dir_all(&blobs).unwrap();
    let dir = setting.dir.path().join("snapshot");
    fs::create_dir_all(&dir).unwrap();
    fs::copy(&setting.model, blobs.join("0123")).unwrap();
    let mut beside = card("tiny", &CIFAR);
    (
        beside.input.channels,
        beside.input.height,
        beside.input.width,
    ) = (3, 16, 16);
    beside.write(blobs.join("4567")).unwrap();
    symlink("../blobs/0123", dir.join("model.onnx")).unwrap();
    symlink("../blobs/4567", dir.join("card.json")).unwrap();
    let link = dir.join("model.onnx");
    let args = [
        "evaluate",
        text(&link),
        "--data",
        &setting.data,
        "--eps",
        "0.01",
        "--steps",
        "2",
        "--write-card",
    ];
    let output = run(&args);
    assert!(output.status.success(), "{}", support::stderr(&output));
    let said = support::stderr(&output);
    let blobs = blobs.canonicalize().unwrap();
    for (file, link) in [("0123", "model.onnx"), ("4567", "card.json")] {
        let (file, link) = (blobs.join(file), dir.join(link));
        let line = format!("{}, to which {} is a link", file.display(), link.display());
        assert!(said.contains(&line), "{said}");
        assert!(link.symlink_metadata().unwrap().file_type().is_symlink());
    }
    let inside = Model::read(blobs.join("0123")).unwrap();
    let inside = inside.card().unwrap().unwrap().measured;
    assert_eq!(inside.len(), 2);
    assert_eq!(Card::read(blobs.join("4567")).unwrap().measured, inside);
    assert_eq!(fs::read_dir(&blobs).unwrap().count(), 2);

    let mut permissions = fs::metadata(blobs.join("0123")).unwrap().permissions();
    permissions.set_readonly(true);
    fs::set_permissions(blobs.join("0123"), permissions).unwrap();
    let output = run(&args);
    assert_eq!(output.status.code(), Some(1));
    assert!(output.stdout.is_empty());
    let said = support::stderr(&output);
    let expected = format!("{}, to which", blobs.join("0123").display());
    assert!(
        said.contains(&expected) && said.contains("is read-only"),
        "{said}"
    );
}

#[test]
fn what_cannot_be_written_ends_a_command_before_it_measures() {
    let setting = setting(10, &CIFAR, &["cat"], 2);
    let missing = setting.dir.path().join("nowhere/curve.svg");
    let output = run(&setting.args("certify", &["--sigma", "0.1", "--curve", text(&missing)]));
    assert_eq!(output.status.code(), Some(1));
    assert!(output.stdout.is_empty());
    assert!(
        support::stderr(&output).contains("cannot write"),
        "{}",
        support::stderr(&output)
    );
}
