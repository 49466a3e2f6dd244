//! Reports that were tampered with, and sealed again by whoever did it: every change is found out, or is of a kind that is
//! listed as not verified.

use std::{
    fs,
    io::{Read, Write},
    path::Path,
};

use buckler_report::{Report, Verification};
use serde_json::{Value, json};
use zip::{ZipArchive, ZipWriter, write::SimpleFileOptions};

use crate::{finished, verified};

/// What becomes of a doctored report.
enum Verdict {
    /// A problem, a figure that differs, or an error says this.
    Found(&'static str),
    /// It holds, and this kind of statement is among those that are not verified.
    Listed(&'static str),
}

use Verdict::{Found, Listed};

type Doctoring = (&'static str, fn(&mut Value, &Path), Verdict);

/// A record of an evaluation with some outcome, and with the index given among these.
fn record<'a>(
    report: &'a mut Value,
    evaluation: usize,
    outcome: &str,
    nth: usize,
) -> &'a mut Value {
    let samples = report["evaluations"][evaluation]["samples"].as_array_mut();
    let of_outcome = samples
        .unwrap()
        .iter_mut()
        .filter(|r| r["outcome"] == outcome);
    of_outcome.into_iter().nth(nth).unwrap()
}

fn array<'a>(report: &'a mut Value, pointer: &str) -> &'a mut Vec<Value> {
    report.pointer_mut(pointer).unwrap().as_array_mut().unwrap()
}

/// Makes the counts and accuracies of an evaluation those of its records.
fn recount(report: &mut Value, evaluation: usize) {
    let parsed: Report = serde_json::from_value(report.clone()).unwrap();
    let of = &parsed.evaluations[evaluation].evaluation;
    let made = buckler_attack::Evaluation::of(of.parameters.clone(), of.samples.clone());
    // As text, which writes single precision as a report does.
    let made: Value = serde_json::from_str(&serde_json::to_string(&made).unwrap()).unwrap();
    for (key, value) in made.as_object().unwrap() {
        report["evaluations"][evaluation][key] = value.clone();
    }
}

/// Makes the worst cases those of the evaluations.
fn worst_again(report: &mut Value) {
    let parsed: Report = serde_json::from_value(report.clone()).unwrap();
    let evaluations: Vec<_> = parsed.evaluations.iter().map(|m| &m.evaluation).collect();
    let worst = buckler_attack::worst_cases(&evaluations).unwrap();
    let worst = serde_json::to_string(&worst).unwrap();
    report["worst_cases"] = serde_json::from_str(&worst).unwrap();
}

/// Turns an adversarial that was found into none, in all that speaks of it.
fn unfind(report: &mut Value, evaluation: usize) {
    let record = record(report, evaluation, "adversarial_found", 0);
    let clean = record["clean_prediction"].clone();
    record["outcome"] = json!("not_found");
    record["broken"] = json!(false);
    record["prediction"] = clean;
    for key in ["linf", "l2", "l1", "png_still_adversarial"] {
        record[key] = Value::Null;
    }
    recount(report, evaluation);
}

fn adversarials(dir: &Path, file: &str) -> std::path::PathBuf {
    dir.join("adversarials").join(file)
}

const DOCTORINGS: &[Doctoring] = &[
    (
        "no evaluations",
        |r, _| r["evaluations"] = json!([]),
        Found("which the report does not have"),
    ),
    (
        "no evaluations, and nothing that speaks of them",
        |r, _| {
            r["evaluations"] = json!([]);
            r["worst_cases"] = json!([]);
            r["flags"] = json!([]);
            r["seconds"] = json!(0.0);
        },
        Found("no evaluation"),
    ),
    (
        "no worst cases",
        |r, _| r["worst_cases"] = json!([]),
        Found("0 worst cases in linf"),
    ),
    (
        "a worst case left out",
        |r, _| drop(array(r, "/worst_cases").pop()),
        Found("0 worst cases in l2"),
    ),
    (
        "a worst case twice",
        |r, _| {
            let first = r["worst_cases"][0].clone();
            array(r, "/worst_cases").push(first);
        },
        Found("2 worst cases in linf"),
    ),
    (
        "a worst case of a norm that was not measured",
        |r, _| {
            let mut first = r["worst_cases"][0].clone();
            first["norm"] = json!("l1");
            array(r, "/worst_cases").push(first);
        },
        Found("worst case in l1"),
    ),
    (
        "worst cases swapped",
        |r, _| array(r, "/worst_cases").swap(0, 1),
        Listed("searches"),
    ),
    (
        "a worst case's radius left out",
        |r, _| drop(array(r, "/worst_cases/0/curve").remove(1)),
        Found("does not have eps 0.1"),
    ),
    (
        "a worst case's radii swapped",
        |r, _| array(r, "/worst_cases/0/curve").swap(0, 1),
        Found("ascending"),
    ),
    (
        "a worst case's radius twice",
        |r, _| {
            let point = r["worst_cases"][0]["curve"][1].clone();
            array(r, "/worst_cases/0/curve").push(point);
        },
        Found("several times"),
    ),
    (
        "another radius in the worst case",
        |r, _| r["worst_cases"][0]["curve"][0]["eps"] = json!("0.03"),
        Found("does not have eps 0.02"),
    ),
    (
        "another value of a radius in the worst case",
        |r, _| r["worst_cases"][0]["curve"][0]["eps_value"] = json!(0.03),
        Found("eps 0.02 is 0.02"),
    ),
    (
        "a smallest distance",
        |r, _| {
            let records = array(r, "/worst_cases/0/samples");
            let found = records
                .iter_mut()
                .find(|r| r["smallest"].as_f64() > Some(0.0))
                .unwrap();
            found["smallest"] = json!(0.5);
        },
        Found("the closest adversarial is"),
    ),
    (
        "records of the worst case cut",
        |r, _| array(r, "/worst_cases/0/samples").truncate(1),
        Found("1 records for 150 images"),
    ),
    (
        "fewer images in the worst case",
        |r, _| r["worst_cases"][1]["images"] = json!(100),
        Found("150 images of clean accuracy"),
    ),
    (
        "an accuracy",
        |r, _| r["evaluations"][0]["accuracy_under_attack"] = json!(0.95),
        Found("DIFFERS"),
    ),
    (
        "a worst accuracy",
        |r, _| r["worst_cases"][0]["curve"][0]["accuracy"] = json!(0.95),
        Found("DIFFERS"),
    ),
    (
        "the clean accuracy",
        |r, _| r["clean_accuracy"] = json!(0.99),
        Found("DIFFERS"),
    ),
    (
        "an evaluation's clean accuracy",
        |r, _| r["evaluations"][2]["clean_accuracy"] = json!(0.99),
        Found("the clean accuracy under"),
    ),
    (
        "records cut to one with its figures",
        |r, _| {
            for evaluation in 0..4 {
                array(r, &format!("/evaluations/{evaluation}/samples")).truncate(1);
                recount(r, evaluation);
            }
            worst_again(r);
            r["clean_accuracy"] = json!(1.0);
            r["images"] = json!(1);
        },
        Found("no record"),
    ),
    (
        "a record left out",
        |r, _| {
            array(r, "/evaluations/0/samples").remove(5);
            recount(r, 0);
        },
        Found("images 5 have no record"),
    ),
    (
        "a broken record replaced by a copy of another",
        |r, _| {
            let broken = record(r, 0, "adversarial_found", 0)["id"].as_u64().unwrap();
            let held = record(r, 0, "not_found", 0).clone();
            r["evaluations"][0]["samples"][broken as usize] = held;
            recount(r, 0);
        },
        Found("several records"),
    ),
    (
        "records swapped",
        |r, _| array(r, "/evaluations/1/samples").swap(0, 1),
        Found("in another order"),
    ),
    (
        "a record of an image that does not exist",
        |r, _| {
            let mut held = record(r, 0, "not_found", 0).clone();
            held["id"] = json!(999);
            array(r, "/evaluations/0/samples").push(held);
            recount(r, 0);
        },
        Found("images 999 have a record and were not measured"),
    ),
    (
        "evaluations swapped",
        |r, _| array(r, "/evaluations").swap(0, 1),
        Found("the command stands for an evaluation under pgd linf eps=0.02"),
    ),
    (
        "an evaluation left out",
        |r, _| drop(array(r, "/evaluations").remove(1)),
        Found("which the report does not have"),
    ),
    (
        "an evaluation too many",
        |r, _| {
            let first = r["evaluations"][0].clone();
            array(r, "/evaluations").push(first);
        },
        Found("its command does not stand for"),
    ),
    (
        "a larger radius",
        |r, _| r["evaluations"][0]["eps"] = json!("0.05"),
        Found("the report has one under pgd linf eps=0.05"),
    ),
    (
        "another value of a radius",
        |r, _| r["evaluations"][0]["eps_value"] = json!(0.05),
        Found("eps 0.02 is 0.02"),
    ),
    (
        "more steps",
        |r, _| r["evaluations"][1]["steps"] = json!(1000),
        Found("steps=1000"),
    ),
    (
        "more restarts",
        |r, _| r["evaluations"][1]["restarts"] = json!(10),
        Found("restarts=10"),
    ),
    (
        "another step size",
        |r, _| r["evaluations"][0]["step_size"] = json!(0.001),
        Found("step_size=0.001"),
    ),
    (
        "another seed",
        |r, _| r["evaluations"][0]["seed"] = json!(5),
        Found("seed=5"),
    ),
    (
        "another objective",
        |r, _| r["evaluations"][0]["objective"] = json!("margin"),
        Found("objective=margin"),
    ),
    (
        "another attack",
        |r, _| r["evaluations"][1]["attack"] = json!("autoattack"),
        Found("autoattack linf"),
    ),
    (
        "another norm",
        |r, _| r["evaluations"][0]["norm"] = json!("l2"),
        Found("pgd l2"),
    ),
    (
        "fewer halvings",
        |r, _| r["evaluations"][2]["options"]["halvings"] = json!(20.0),
        Found("halvings=20"),
    ),
    (
        "an adversarial that was found, not found",
        |r, _| unfind(r, 1),
        Found("an adversarial image is saved that fools the model"),
    ),
    (
        "an adversarial not found, and its images deleted",
        |r, dir| {
            unfind(r, 1);
            fs::remove_file(adversarials(dir, "01-000000.npz")).unwrap();
            array(r, "/evaluations/1/adversarials").remove(0);
        },
        Found("no adversarial image is saved for it"),
    ),
    (
        "all adversarials of an attack not found, and the files deleted, but not its counts",
        |r, dir| {
            for _ in 0..record_count(r, 1) {
                unfind(r, 1);
            }
            for file in array(r, "/evaluations/1/adversarials").drain(..) {
                fs::remove_file(dir.join(file.as_str().unwrap())).unwrap();
            }
            worst_again(r);
        },
        Found("took fewer queries"),
    ),
    (
        "a held image called found",
        |r, _| {
            let record = record(r, 0, "not_found", 0);
            record["outcome"] = json!("adversarial_found");
        },
        Found("no adversarial image is saved for it"),
    ),
    (
        "a misclassified image called held",
        |r, _| {
            let record = record(r, 0, "misclassified_clean", 0);
            record["outcome"] = json!("not_found");
            record["broken"] = json!(false);
            recount(r, 0);
        },
        Found("nothing is to be looked for"),
    ),
    (
        "a held image called misclassified",
        |r, _| record(r, 0, "not_found", 0)["outcome"] = json!("misclassified_clean"),
        Found("the report says misclassified_clean, and it is not"),
    ),
    (
        "a search that was stopped",
        |r, _| record(r, 0, "not_found", 0)["outcome"] = json!("incomplete"),
        Found("stopped before it was done"),
    ),
    (
        "a label",
        |r, _| r["evaluations"][0]["samples"][3]["label"] = json!(7),
        Found("the report says label 7"),
    ),
    (
        "a clean prediction",
        |r, _| record(r, 0, "misclassified_clean", 0)["clean_prediction"] = json!(8),
        Found("the report says clean prediction Some(8)"),
    ),
    (
        "the class of an adversarial",
        |r, _| record(r, 1, "adversarial_found", 0)["prediction"] = json!(9),
        Found("the report says Some(9)"),
    ),
    (
        "broken",
        |r, _| record(r, 1, "adversarial_found", 0)["broken"] = json!(false),
        Found("the report says broken false"),
    ),
    (
        "a target",
        |r, _| record(r, 1, "adversarial_found", 0)["target"] = json!(2),
        Found("the report says target Some(2)"),
    ),
    (
        "a distance in another norm",
        |r, _| record(r, 1, "adversarial_found", 0)["l2"] = json!(9.0),
        Found("away in l2, the report says 9"),
    ),
    (
        "whether an adversarial survives rounding",
        |r, _| {
            let record = record(r, 1, "adversarial_found", 0);
            let before = record["png_still_adversarial"] == true;
            record["png_still_adversarial"] = json!(!before);
        },
        Found("the report says otherwise"),
    ),
    (
        "who found an adversarial",
        |r, _| record(r, 1, "adversarial_found", 0)["found_by"] = json!("square"),
        Found("not one of the attacks"),
    ),
    (
        "a distance of what was not found",
        |r, _| record(r, 0, "not_found", 0)["linf"] = json!(0.01),
        Found("speaks of an adversarial image"),
    ),
    (
        "adversarials counted",
        |r, _| r["evaluations"][1]["adversarial_found"] = json!(1),
        Found("adversarials, the report says 1"),
    ),
    (
        "adversarials after rounding",
        |r, _| r["evaluations"][1]["adversarial_after_rounding"] = json!(1),
        Found("after rounding, the report says 1"),
    ),
    (
        "gradients in all",
        |r, _| r["evaluations"][1]["gradient_evaluations"] = json!(1),
        Found("gradients, the report says 1"),
    ),
    (
        "forward passes in all",
        |r, _| r["evaluations"][1]["forward_evaluations"] = json!(1),
        Found("forward passes, the report says 1"),
    ),
    (
        "zero gradients in all",
        |r, _| r["evaluations"][1]["zero_gradients"] = json!(1),
        Found("zero gradient, the report says 1"),
    ),
    (
        "an evaluation's images",
        |r, _| r["evaluations"][1]["images"] = json!(1000),
        Found("images, the report says 1000"),
    ),
    (
        "the report's images",
        |r, _| r["images"] = json!(1000),
        Found("there are 150 images, the report says 1000"),
    ),
    (
        "more queries than the attack makes",
        |r, _| {
            record(r, 0, "not_found", 0)["gradient_evaluations"] = json!(1_000_000);
            recount(r, 0);
        },
        Found("more than the attack makes"),
    ),
    (
        "an attack on a misclassified image",
        |r, _| {
            record(r, 0, "misclassified_clean", 0)["gradient_evaluations"] = json!(3);
            recount(r, 0);
        },
        Found("speaks of an attack on it"),
    ),
    (
        "a few queries of one image",
        |r, _| {
            record(r, 0, "adversarial_found", 0)["forward_evaluations"] = json!(4);
            recount(r, 0);
        },
        Listed("counts of single images"),
    ),
    (
        "a negative cross-entropy",
        |r, _| record(r, 0, "not_found", 0)["loss"] = json!(-9.0),
        Found("a loss of -9 where"),
    ),
    (
        "a cross-entropy that is too large for the class predicted",
        |r, _| record(r, 0, "not_found", 0)["loss"] = json!(1.2),
        Found("a cross_entropy is from"),
    ),
    (
        "a cross-entropy that is too small for an adversarial",
        |r, _| record(r, 1, "adversarial_found", 0)["loss"] = json!(0.1),
        Found("a cross_entropy is from"),
    ),
    (
        "a loss that can be",
        |r, _| record(r, 0, "not_found", 0)["loss"] = json!(0.6),
        Listed("predictions of images with `not_found`, and losses"),
    ),
    (
        "a loss of an adversarial that can be",
        |r, _| record(r, 1, "adversarial_found", 0)["loss"] = json!(5.0),
        Listed("predictions of images with `not_found`, and losses"),
    ),
    (
        "a class that the model does not have, of what was not found",
        |r, _| record(r, 0, "not_found", 0)["prediction"] = json!(77),
        Found("class 77 is predicted, and the model has 3"),
    ),
    (
        "an adversarial's class, of what was not found",
        |r, _| {
            let record = record(r, 0, "not_found", 0);
            record["prediction"] = json!((record["label"].as_u64().unwrap() + 1) % 3);
            record["loss"] = json!(0.8);
        },
        Found("which would be an adversarial"),
    ),
    (
        "no prediction of what was not found",
        |r, _| record(r, 0, "not_found", 0)["prediction"] = Value::Null,
        Found("no prediction, which every image that is attacked has"),
    ),
    (
        "a margin of the wrong sign",
        |r, _| {
            let record = record(r, 3, "not_found", 0);
            record["loss"] = json!(-record["loss"].as_f64().unwrap() - 0.1);
        },
        Found("a margin is from"),
    ),
    (
        "a dropped adversarial that is none",
        |r, _| record(r, 0, "not_found", 0)["demoted"] = json!("the logits differ"),
        Found("which is not one"),
    ),
    (
        "a loss of what was not attacked",
        |r, _| record(r, 0, "misclassified_clean", 0)["loss"] = json!(-0.5),
        Found("a loss of -0.5"),
    ),
    (
        "a flag that nothing raises",
        |r, _| array(r, "/flags").push(json!({"flag": "randomised", "differing": 1, "images": 32})),
        Found("that its figures do not raise"),
    ),
    (
        "zero gradients of a held image without their flag",
        |r, _| {
            record(r, 0, "not_found", 0)["zero_gradient"] = json!(true);
            recount(r, 0);
        },
        Found("does not have the flag"),
    ),
    (
        "a dropped adversarial without its flag",
        |r, _| record(r, 0, "not_found", 0)["demoted"] = json!("the logits differ"),
        Found("does not have the flag"),
    ),
    (
        "the seconds in all",
        |r, _| r["seconds"] = json!(1e6),
        Found("seconds, the report says 1000000"),
    ),
    (
        "the seconds of an evaluation",
        |r, _| {
            let sum: f64 = r["evaluations"]
                .as_array()
                .unwrap()
                .iter()
                .skip(1)
                .map(|e| e["seconds"].as_f64().unwrap())
                .sum();
            r["evaluations"][0]["seconds"] = json!(12.0);
            r["seconds"] = json!(sum + 12.0);
        },
        Listed("seconds"),
    ),
    (
        "the model's SHA-256",
        |r, _| r["sha256"] = json!("def"),
        Found("the model with the SHA-256"),
    ),
    (
        "the images' SHA-256",
        |r, _| r["images_sha256"] = json!("def"),
        Found("the images with the SHA-256"),
    ),
    (
        "the data's name",
        |r, _| r["data"] = json!("cifar10/test"),
        Found("the data is noise/test"),
    ),
    (
        "an assumption",
        |r, _| r["assumptions"] = json!(["the sky is blue"]),
        Found("an assumption that nothing needs"),
    ),
    (
        "a normalisation",
        |r, _| r["normalization"] = json!({"mean": [0.5], "std": [0.5]}),
        Found("the normalisation that was asked for is none"),
    ),
    (
        "a normalisation of the card",
        |r, _| r["settings"]["input"]["normalization"] = json!({"mean": [0.5], "std": [0.5]}),
        Found("`input.normalization` {\"mean\":[0.5],\"std\":[0.5]}, and with none here"),
    ),
    (
        "how the model was opened",
        |r, _| drop(r.as_object_mut().unwrap().remove("settings")),
        Listed("how the model was opened"),
    ),
    (
        "classes",
        |r, _| r["classes"] = json!({"by": "given", "of": 3, "classes": {"a": 1}}),
        Found("matched with the model's in another way"),
    ),
    (
        "files of images",
        |r, _| r["files"] = json!(["a.png"]),
        Found("the images' files are others"),
    ),
    (
        "files left out",
        |r, _| r["skipped"] = json!([{"file": "b.png", "reason": "broken"}]),
        Found("the report leaves out"),
    ),
    (
        "the version",
        |r, _| r["buckler"] = json!("99"),
        Listed("version"),
    ),
    (
        "the model's name",
        |r, _| r["model"] = json!("better.onnx"),
        Listed("version"),
    ),
    (
        "no linearity",
        |r, _| drop(r.as_object_mut().unwrap().remove("linearity")),
        Found("stands for the linearity under"),
    ),
    (
        "a mean of the linearity",
        |r, _| r["linearity"][0]["mean"]["one_step"] = json!(9.0),
        Found("the means of the linearity"),
    ),
    (
        "a loss of the linearity",
        |r, _| r["linearity"][0]["samples"][3]["loss"] = json!(9.0),
        Found("image 3 in the linearity in linf 0.02: the loss"),
    ),
    (
        "records of the linearity",
        |r, _| drop(array(r, "/linearity/0/samples").pop()),
        Found("one record for each image"),
    ),
    (
        "a field that no report has",
        |r, _| r["certified_accuracy"] = json!(1.0),
        Found("certified_accuracy"),
    ),
    (
        "a field that no record has",
        |r, _| r["evaluations"][0]["samples"][0]["proof"] = json!("yes"),
        Found("proof"),
    ),
    (
        "a file of adversarials not named",
        |r, _| drop(array(r, "/evaluations/0/adversarials").pop()),
        Found("belongs to no evaluation"),
    ),
    (
        "a file outside the folder",
        |r, _| r["evaluations"][0]["adversarials"][0] = json!("../report.json"),
        Found("not a file beside the report"),
    ),
    (
        "a file named twice",
        |r, _| {
            let name = r["evaluations"][1]["adversarials"][0].clone();
            array(r, "/evaluations/0/adversarials").push(name);
        },
        Found("is named twice"),
    ),
    (
        "files swapped between attacks",
        |r, _| {
            let name = r["evaluations"][0]["adversarials"][0].clone();
            let other = r["evaluations"][1]["adversarials"][0].clone();
            r["evaluations"][1]["adversarials"][0] = name;
            r["evaluations"][0]["adversarials"][0] = other;
        },
        Found("outside eps 0.02"),
    ),
    (
        "a file swapped between blocks of images",
        |_, dir| {
            let (first, second) = (
                adversarials(dir, "01-000000.npz"),
                adversarials(dir, "01-000128.npz"),
            );
            fs::copy(first, second).unwrap();
        },
        Found("two images are saved for image"),
    ),
    (
        "a file cut off",
        |_, dir| {
            let path = adversarials(dir, "01-000000.npz");
            let bytes = fs::read(&path).unwrap();
            fs::write(path, &bytes[..bytes.len() / 2]).unwrap();
        },
        Found("01-000000.npz"),
    ),
    (
        "a file that says it holds more images than memory does",
        |_, dir| oversized(&adversarials(dir, "01-000000.npz"), "1000000000000000"),
        Found("01-000000.npz"),
    ),
    (
        "a file that holds more images than were measured",
        |_, dir| oversized(&adversarials(dir, "01-000000.npz"), "100000"),
        Found("its images take more than"),
    ),
    #[cfg(unix)]
    (
        "a device in place of a file",
        |_, dir| {
            let path = adversarials(dir, "01-000000.npz");
            fs::remove_file(&path).unwrap();
            std::os::unix::fs::symlink("/dev/zero", path).unwrap();
        },
        Found("it is not a file"),
    ),
    (
        "a file that no record needs",
        |_, dir| {
            let (from, to) = ("01-000000.npz", "09-000000.npz");
            fs::copy(adversarials(dir, from), adversarials(dir, to)).unwrap();
        },
        Found("belongs to no evaluation"),
    ),
    (
        "the page for people",
        |_, dir| fs::write(dir.join("report.md"), "100 %").unwrap(),
        Listed("report.md: it is not what"),
    ),
];

/// Writes a file of adversarials that holds so many images by its header, and at most 100000.
fn oversized(path: &Path, images: &str) {
    let mut ids = Vec::new();
    let mut archive = ZipArchive::new(fs::File::open(path).unwrap()).unwrap();
    let mut entry = archive.by_name("ids.npy").unwrap();
    entry.read_to_end(&mut ids).unwrap();
    let shape = format!("({images}, 3, 4, 4)");
    let header = format!("{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}, }}");
    let mut values = b"\x93NUMPY\x01\x00".to_vec();
    values.extend(118u16.to_le_bytes());
    values.extend(format!("{header:<117}\n").as_bytes());
    let held = images.parse::<usize>().unwrap().min(100_000);
    values.resize(values.len() + held * 48 * 4, 0);
    let mut writer = ZipWriter::new(fs::File::create(path).unwrap());
    for (name, bytes) in [("ids.npy", ids), ("images.npy", values)] {
        let options = SimpleFileOptions::default();
        writer.start_file(name, options).unwrap();
        writer.write_all(&bytes).unwrap();
    }
    writer.finish().unwrap();
}

fn record_count(report: &Value, evaluation: usize) -> usize {
    let records = report["evaluations"][evaluation]["samples"]
        .as_array()
        .unwrap();
    records
        .iter()
        .filter(|r| r["outcome"] == "adversarial_found")
        .count()
}

/// All that a verification says, in lines.
fn lines(verification: &Verification) -> Vec<String> {
    let differing = verification.claims.iter().filter(|claim| !claim.holds());
    let differing = differing.map(|claim| format!("DIFFERS: {}", claim.what));
    verification
        .problems
        .iter()
        .cloned()
        .chain(differing)
        .collect()
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to.join("adversarials")).unwrap();
    for part in ["", "adversarials"] {
        for entry in fs::read_dir(from.join(part)).unwrap() {
            let path = entry.unwrap().path();
            if path.is_file() {
                fs::copy(&path, to.join(part).join(path.file_name().unwrap())).unwrap();
            }
        }
    }
}

#[tokio::test]
async fn every_doctored_report_is_found_out_or_of_a_kind_that_is_listed() {
    let whole = tempfile::tempdir().unwrap();
    finished(whole.path()).await;
    let json = fs::read(whole.path().join("report.json")).unwrap();
    let mut wrong = Vec::new();
    for (name, doctor, verdict) in DOCTORINGS {
        let dir = tempfile::tempdir().unwrap();
        copy(whole.path(), dir.path());
        let mut report: Value = serde_json::from_slice(&json).unwrap();
        doctor(&mut report, dir.path());
        // Sealed again, with what a report does not have left in.
        let sealed: Report = serde_json::from_value(report.clone()).unwrap();
        report["content_sha256"] = json!(sealed.sealed().unwrap().content_sha256);
        fs::write(dir.path().join("report.json"), report.to_string()).unwrap();
        let result = verified(dir.path(), "abc", 150).await;
        let (said, listed) = match &result {
            Ok(verification) => (lines(verification), verification.not_verified.clone()),
            Err(error) => (vec![error.to_string()], Vec::new()),
        };
        let as_expected = match verdict {
            Found(text) => said.iter().any(|line| line.contains(text)),
            Listed(text) => said.is_empty() && listed.iter().any(|line| line.starts_with(text)),
        };
        if !as_expected {
            wrong.push(format!("{name}: {said:#?}"));
        }
    }
    assert!(DOCTORINGS.len() >= 40);
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[tokio::test]
async fn a_change_by_hand_breaks_the_seal() {
    let dir = tempfile::tempdir().unwrap();
    finished(dir.path()).await;
    let path = dir.path().join("report.json");
    let mut report: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    record(&mut report, 0, "not_found", 0)["loss"] = json!(0.5);
    fs::write(&path, report.to_string()).unwrap();
    let verification = verified(dir.path(), "abc", 150).await.unwrap();
    assert_eq!(
        verification.problems.len(),
        1,
        "{:?}",
        verification.problems
    );
    assert!(verification.problems[0].contains("checksum"));
    report.as_object_mut().unwrap().remove("content_sha256");
    fs::write(&path, report.to_string()).unwrap();
    let verification = verified(dir.path(), "abc", 150).await.unwrap();
    assert!(!verification.holds());
    assert!(verification.problems[0].contains("no checksum"));
}

#[tokio::test]
async fn a_report_that_is_read_again_has_its_own_checksum() {
    let dir = tempfile::tempdir().unwrap();
    let (_, _, mut report) = finished(dir.path()).await;
    let mut seconds = 0.1;
    for step in 0..300 {
        seconds += 1.0 / f64::from(3 + step);
        report.seconds = seconds;
        report.evaluations[0].seconds = seconds / 7.0;
        let sealed = report.clone().sealed().unwrap();
        let text = serde_json::to_string(&sealed).unwrap();
        let read: Report = serde_json::from_str(&text).unwrap();
        assert_eq!(read.sealed().unwrap().content_sha256, sealed.content_sha256);
    }
}
