//! Reports of models that are opened with options: verified anywhere, resumed as they were begun, and held to their command.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "../crates/runtime/tests/models/mod.rs"]
mod models;
mod support;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use buckler_attack::InputSpec;
use buckler_onnx::{ChannelOrder, Normalization, proto::DataType};
use image::{Rgb, RgbImage};
use models::{Batch, Builder, card, linear, named, numbers, port};
use serde_json::{Value, json};
use support::{buckler, failure, json, run, text};

const RGB: InputSpec = InputSpec {
    channels: 3,
    height: 16,
    width: 16,
};

const FOLDERS: [&str; 3] = ["tabby", "hound", "liner"];

/// A folder with a model, images of three classes, and the model's class for each.
struct Setting {
    dir: tempfile::TempDir,
}

impl Setting {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        for (class, name) in FOLDERS.iter().enumerate() {
            let folder = dir.path().join("pictures/val").join(name);
            fs::create_dir_all(&folder).unwrap();
            for index in 0..6 {
                let values = numbers(16 * 16 * 3, (class * 100 + index) as u64 + 1);
                let image = RgbImage::from_fn(16, 16, |x, y| {
                    let at = |channel: u32| values[((y * 16 + x) * 3 + channel) as usize];
                    let tint = |channel| if channel as usize == class { 40.0 } else { 0.0 };
                    Rgb([0, 1, 2].map(|channel| (100.0 + tint(channel) + 60.0 * at(channel)) as u8))
                });
                image.save(folder.join(format!("{index}.png"))).unwrap();
            }
        }
        fs::write(
            dir.path().join("classes.txt"),
            "tabby 2\nhound 1\nliner 0\n",
        )
        .unwrap();
        Self { dir }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Leaves open the size of its images and which of two outputs is meant, and tells colours apart.
    fn with_odd_model(self) -> Self {
        let mut builder = Builder::new(RGB, Batch::Any);
        let weights = [4.0, -1.0, 0.5, -2.0, 5.0, 1.0, 0.0, 1.5, 3.0];
        builder.floats("A", &[3, 3], &weights);
        builder.floats("B", &[3, 3], &weights.map(|weight| -2.0 * weight));
        builder.node("GlobalMaxPool", &["image"], "pooled", &[]);
        builder.node("Flatten", &["pooled"], "flat", &[]);
        builder.node("MatMul", &["flat", "A"], "a", &[]);
        builder.node("MatMul", &["flat", "B"], "b", &[]);
        let open = named("image", DataType::Float, &["n", "c", "h", "w"]);
        let outputs = vec![port("a", None, &[3]), port("b", None, &[3])];
        let model = builder.finish_as(Some(open), outputs);
        model.write(self.path("model.onnx")).unwrap();
        self
    }

    /// Names its classes on the card beside it.
    fn with_plain_model(self) -> Self {
        let weights = numbers(RGB.values() * 3, 5);
        let model = linear(RGB, &weights, &[0.0; 3], Batch::Any);
        model.write(self.path("model.onnx")).unwrap();
        self.write_card(|_| ());
        self
    }

    /// As that, with noise of a size of its own on the logits of every run.
    fn with_random_model(self, size: f32) -> Self {
        let setting = self.with_plain_model();
        let mut builder = Builder::new(RGB, Batch::Any);
        builder.floats("A", &[RGB.values(), 3], &numbers(RGB.values() * 3, 5));
        builder.floats("size", &[], &[size]);
        builder.node("Flatten", &["image"], "flat", &[]);
        builder.node("MatMul", &["flat", "A"], "scores", &[]);
        builder.node("RandomNormalLike", &["scores"], "noise", &[]);
        builder.node("Mul", &["noise", "size"], "sized", &[]);
        builder.node("Add", &["scores", "sized"], "logits", &[]);
        let model = builder.finish(&[3]);
        model.write(setting.path("model.onnx")).unwrap();
        setting
    }

    fn write_card(&self, change: impl Fn(&mut buckler_onnx::Card)) {
        let mut card = card("plain", &FOLDERS);
        (card.input.channels, card.input.height, card.input.width) = (3, 16, 16);
        change(&mut card);
        card.write(self.path("card.json")).unwrap();
    }

    fn evaluate(&self, more: &[&str]) -> Vec<String> {
        let data = format!("folder:{}", text(&self.path("pictures")));
        let model = self.path("model.onnx");
        let base = ["evaluate", text(&model), "--data", &data];
        [&base[..], more]
            .concat()
            .iter()
            .map(|w| (*w).to_owned())
            .collect()
    }

    /// The outcome of a verification with further options.
    fn verified(&self, more: &[&str]) -> (bool, Value) {
        let report = self.path("report/report.json");
        let args = self.evaluate(&[&["--verify", text(&report), "--json"], more].concat());
        let output = run(&words(&args));
        let verification = serde_json::from_slice(&output.stdout);
        let said = || Value::from(support::stderr(&output));
        (
            output.status.success(),
            verification.unwrap_or_else(|_| said()),
        )
    }

    /// The outcome for a report that was doctored and sealed again.
    fn doctored(&self, doctor: impl Fn(&mut Value)) -> (bool, String) {
        let path = self.path("report/report.json");
        let before = fs::read(&path).unwrap();
        let mut report: Value = serde_json::from_slice(&before).unwrap();
        doctor(&mut report);
        let sealed: buckler_report::Report = serde_json::from_value(report).unwrap();
        let sealed = serde_json::to_vec(&sealed.sealed().unwrap()).unwrap();
        fs::write(&path, sealed).unwrap();
        let (holds, said) = self.verified(&[]);
        fs::write(&path, before).unwrap();
        let problems = match said.get("problems") {
            Some(problems) => problems.to_string(),
            None => said.to_string(),
        };
        (holds, problems)
    }

    /// An evaluation into `report` that was killed when it had begun.
    fn interrupted(&self, more: &[&str]) {
        let report = self.path("report");
        let args = self.evaluate(&[more, &["--report", text(&report)]].concat());
        let mut child = buckler()
            .args(&args)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let started = Instant::now();
        while !report.join("state/plan.json").exists() {
            assert!(started.elapsed() < Duration::from_secs(120));
            std::thread::sleep(Duration::from_millis(2));
        }
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(!report.join("report.json").exists());
    }
}

fn words(args: &[String]) -> Vec<&str> {
    args.iter().map(String::as_str).collect()
}

fn lines(value: &Value, key: &str) -> Vec<String> {
    serde_json::from_value(value[key].clone()).unwrap()
}

const ODD: [&str; 10] = [
    "--output",
    "b",
    "--size",
    "8",
    "--channel-order",
    "bgr",
    "--mean",
    "0.4,0.5,0.6",
    "--std",
    "0.2,0.3,0.25",
];

const ATTACKS: [&str; 4] = [
    "--attack",
    "pgd,mim,fgsm,square:queries=50,fab:norm=l2:steps=10,fab:norm=l1:steps=10,deepfool:norm=l2,cw:steps=10",
    "--eps",
    "0.05,0.2",
];

#[test]
fn a_report_of_a_model_opened_with_options_holds_wherever_it_is_verified() {
    let setting = Setting::new().with_odd_model();
    let (map, report) = (setting.path("classes.txt"), setting.path("report"));
    let given = [&ODD[..], &["--class-map", text(&map)]].concat();
    let rest = ["--min-eps", "--linearity", "--report", text(&report)];
    let args = setting.evaluate(&[&given[..], &ATTACKS, &rest].concat());
    json(&words(&args));

    let (holds, said) = setting.verified(&[]);
    assert!(holds, "{said}");
    let taken = lines(&said, "not_verified");
    let taken = taken
        .iter()
        .find(|line| line.contains("of the command"))
        .unwrap();
    for option in ["`--output b`", "`--size 8x8`", "`--channel-order bgr`"] {
        assert!(taken.contains(option), "{taken}");
    }
    let (holds, said) = setting.verified(&given);
    assert!(holds, "{said}");
    let left = lines(&said, "not_verified");
    for line in [
        "options for the model",
        "normalisation:",
        "classes: matched",
    ] {
        assert!(!left.iter().any(|left| left.starts_with(line)), "{left:?}");
    }

    // Elsewhere, by relative paths.
    let elsewhere = tempfile::tempdir().unwrap();
    fs::rename(
        setting.path("model.onnx"),
        elsewhere.path().join("copy.onnx"),
    )
    .unwrap();
    for folder in ["pictures", "report"] {
        fs::rename(setting.path(folder), elsewhere.path().join(folder)).unwrap();
    }
    let output = buckler()
        .args(["evaluate", "copy.onnx", "--data", "folder:pictures"])
        .args(["--verify", "report/report.json"])
        .current_dir(elsewhere.path())
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
}

#[test]
fn a_verification_with_other_options_than_the_command_does_not_hold() {
    let setting = Setting::new().with_odd_model();
    let (map, report) = (setting.path("classes.txt"), setting.path("report"));
    let rest = [
        "--class-map",
        text(&map),
        "--eps",
        "0.05",
        "--report",
        text(&report),
    ];
    json(&words(&setting.evaluate(&[&ODD[..], &rest].concat())));
    for (option, value, stated) in [
        ("--output", "a", "b"),
        ("--channel-order", "rgb", "bgr"),
        ("--mean", "0.4,0.5,0.5", ""),
    ] {
        let more = [option, value, "--std", "0.2,0.3,0.25"];
        let more = if option == "--mean" {
            &more[..]
        } else {
            &more[..2]
        };
        let (holds, said) = setting.verified(more);
        assert!(!holds, "{option}: {said}");
        let problems = said["problems"].to_string();
        let contradiction = format!(
            "the command has `{option} {stated}`, this verification was given `{option} {value}`"
        );
        assert!(
            problems.contains(&contradiction)
                || problems.contains("the normalisation that was asked for is"),
            "{problems}"
        );
    }
    // The size decides the images.
    let (holds, said) = setting.verified(&["--size", "16"]);
    assert!(!holds, "{said}");
    let error = failure(
        &words(&setting.evaluate(&["--verify", text(&report), "--steps", "9"])),
        2,
    );
    assert!(error.contains("cannot be used with"), "{error}");
}

#[test]
fn a_command_that_is_not_about_the_report_is_found_out() {
    let setting = Setting::new().with_odd_model();
    let (map, report) = (setting.path("classes.txt"), setting.path("report"));
    let rest = [
        "--class-map",
        text(&map),
        "--eps",
        "0.05",
        "--report",
        text(&report),
    ];
    json(&words(&setting.evaluate(&[&ODD[..], &rest].concat())));
    let (holds, said) = setting.doctored(|_| ());
    assert!(holds, "{said}");
    let map = format!(" --class-map {}", text(&map));
    let data = format!("folder:{}", text(&setting.path("pictures")));
    let model = text(&setting.path("model.onnx")).to_owned();
    for (from, to, expected) in [
        (data.as_str(), "cifar10", "names the data `cifar10/test`"),
        (
            data.as_str(),
            "folder:/somewhere",
            "names the data `folder:somewhere/test`",
        ),
        (
            model.as_str(),
            "other/model.onnx",
            "names the model `other/model.onnx`",
        ),
        (" --output b", " --output a", "image"),
        (" --output b", "", "does not state the assumption"),
        (" --size 8", "", "leaves the size of images open"),
        (" --size 8", " --size 16", "the images with the SHA-256"),
        (" --channel-order bgr", "", "image"),
        (map.as_str(), "", "has no `--class-map`"),
        (
            " --eps",
            " --report elsewhere --eps",
            "does more than to measure",
        ),
        (" --eps", " --write-card --eps", "does more than to measure"),
        ("buckler ", "sudo ", "does more than to measure"),
        (
            " --mean 0.4,0.5,0.6",
            " --mean 0.4,0.5,0.5",
            "is not that of its command",
        ),
    ] {
        let (holds, said) = setting.doctored(|report| {
            let command = report["command"].as_str().unwrap();
            let changed = command.replace(from, to);
            assert_ne!(command, changed, "{from}");
            report["command"] = json!(changed);
        });
        assert!(!holds && said.contains(expected), "{from} -> {to}: {said}");
    }
    // What is not there says the same.
    let (holds, said) = setting.doctored(|report| {
        let command = report["command"].as_str().unwrap();
        report["command"] = json!(format!("{command} --skip-broken"));
    });
    assert!(holds, "{said}");
}

#[test]
fn options_that_a_command_lacks_are_found_out_where_they_open_the_model_in_another_way() {
    let setting = Setting::new().with_plain_model();
    let report = setting.path("report");
    let rest = ["--eps", "0.05", "--report", text(&report)];
    let bgr = ["--channel-order", "bgr"];
    json(&words(&setting.evaluate(&[&bgr[..], &rest].concat())));
    // The command no longer says what the figures were measured with.
    let path = report.join("report.json");
    let mut doctored: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    let command = doctored["command"].as_str().unwrap();
    doctored["command"] = json!(command.replace(" --channel-order bgr", ""));
    let sealed: buckler_report::Report = serde_json::from_value(doctored).unwrap();
    fs::write(
        &path,
        serde_json::to_vec(&sealed.sealed().unwrap()).unwrap(),
    )
    .unwrap();
    let (holds, said) = setting.verified(&bgr);
    assert!(!holds, "{said}");
    let problems = said["problems"].to_string();
    assert!(
        problems.contains("the command does not have `--channel-order bgr`")
            && problems.contains("input.channel_order"),
        "{problems}"
    );
}

#[test]
fn a_random_model_is_evaluated_at_several_radii_and_verified() {
    let several = ["--attack", "square:queries=9", "--eps", "0.01,0.05"];
    let noisy = Setting::new().with_random_model(20.0);
    let report = json(&words(&noisy.evaluate(&several)));
    let flags = report["flags"].as_array().unwrap();
    let random = flags.iter().any(|flag| flag["flag"] == "randomised");
    assert!(random, "{flags:?}");
    let steady = Setting::new().with_random_model(1e-3);
    let folder = steady.path("report");
    let kept = [&several[..], &["--report", text(&folder)]].concat();
    json(&words(&steady.evaluate(&kept)));
    let (holds, said) = steady.verified(&[]);
    assert!(holds, "{said}");
}

#[test]
fn an_attack_that_is_asked_for_twice_is_refused() {
    let setting = Setting::new().with_plain_model();
    for twice in [
        ["--attack", "pgd,pgd", "--eps", "0.1"],
        ["--attack", "pgd", "--eps", "0.1,0.1"],
    ] {
        let error = failure(&words(&setting.evaluate(&twice)), 1);
        assert!(
            error.contains("is asked for twice: leave one out"),
            "{error}"
        );
    }
}

#[test]
fn what_a_card_decides_stands_in_the_report_and_is_verified() {
    let setting = Setting::new().with_plain_model();
    setting.write_card(|card| {
        card.input.normalization = Some(Normalization {
            mean: vec![0.3],
            std: vec![0.5],
        });
    });
    let report = setting.path("report");
    let measure = [
        "--attack",
        "fgsm",
        "--eps",
        "0.02",
        "--report",
        text(&report),
    ];
    json(&words(&setting.evaluate(&measure)));
    let page = fs::read_to_string(report.join("report.md")).unwrap();
    assert!(page.contains("mean [0.3], std [0.5]"), "{page}");
    let (holds, said) = setting.verified(&[]);
    assert!(holds, "{said}");
    setting.write_card(|_| ());
    let (holds, said) = setting.verified(&[]);
    assert!(!holds, "{said}");
    let problems = said["problems"].to_string();
    assert!(
        problems.contains("the model was opened with `input.normalization`")
            && problems.contains("its card or an option is another"),
        "{problems}"
    );
}

#[test]
fn an_evaluation_is_not_resumed_when_the_card_or_an_option_changed() {
    let setting = Setting::new().with_plain_model();
    let report = setting.path("report");
    let more = ["--attack", "square:queries=2000", "--eps", "0.02"];
    setting.interrupted(&more);
    let resume = [&more[..], &["--report", text(&report), "--resume"]].concat();
    let refused = |options: &[&str]| {
        let args = setting.evaluate(&[&resume[..], options].concat());
        failure(&words(&args), 1)
    };
    let error = refused(&["--channel-order", "bgr"]);
    assert!(error.contains("`input.channel_order`"), "{error}");
    setting.write_card(|card| card.classes.swap(0, 2));
    let error = refused(&[]);
    assert!(
        error.contains("unfinished evaluation is another one"),
        "{error}"
    );
    setting.write_card(|card| card.input.channel_order = Some(ChannelOrder::Bgr));
    let error = refused(&[]);
    assert!(
        error.contains("`input.channel_order`") && error.contains("its card or an option"),
        "{error}"
    );
    setting.write_card(|card| {
        card.description = "says nothing of answers".to_owned();
    });
    json(&words(&setting.evaluate(&resume)));
    let (holds, said) = setting.verified(&[]);
    assert!(holds, "{said}");
}

#[test]
fn an_interrupted_evaluation_with_options_is_resumed_with_them() {
    let setting = Setting::new().with_odd_model();
    let (map, report) = (setting.path("classes.txt"), setting.path("report"));
    let rest = [
        "--class-map",
        text(&map),
        "--attack",
        "square:queries=500",
        "--eps",
        "0.05",
    ];
    let options = [&ODD[..], &rest].concat();
    setting.interrupted(&options);
    let resumed =
        setting.evaluate(&[&options[..], &["--report", text(&report), "--resume"]].concat());
    let resumed = json(&words(&resumed));
    let whole = json(&words(&setting.evaluate(&options)));
    assert_eq!(
        resumed["evaluations"][0]["samples"],
        whole["evaluations"][0]["samples"]
    );
    let (holds, said) = setting.verified(&[]);
    assert!(holds, "{said}");
}

#[test]
fn a_command_that_cannot_begin_leaves_no_folder() {
    let setting = Setting::new();
    let report = setting.path("report");
    let args = setting.evaluate(&["--eps", "0.1", "--report", text(&report)]);
    failure(&words(&args), 1);
    assert!(!Path::new(&report).exists());
}
