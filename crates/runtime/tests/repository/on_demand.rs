//! Lanes that are made when they are first asked for.
use std::{fs, path::Path};

use buckler_attack::{InputSpec, Objective, Victim, VictimError};
use buckler_onnx::{GradientInfo, Model, differentiate};
use buckler_runtime::{Classifier, LoadOptions, Repository};
use ndarray::Array4;

use crate::{
    INPUT,
    models::{Batch, linear, numbers, rounded, smooth_network},
};

fn images(rows: usize, input: InputSpec) -> Array4<f32> {
    let shape = (rows, input.channels, input.height, input.width);
    let values = numbers(rows * input.values(), 5);
    let values = values.iter().map(|value| (value + 1.0) / 2.0).collect();
    Array4::from_shape_vec(shape, values).unwrap()
}

fn write(root: &Path, name: &str, model: &Model) -> std::path::PathBuf {
    let directory = root.join(name).join("1");
    fs::create_dir_all(&directory).unwrap();
    let path = directory.join("model.onnx");
    model.write(&path).unwrap();
    path
}

fn separate() -> LoadOptions {
    LoadOptions {
        separate_attacks: true,
        ..LoadOptions::default()
    }
}

async fn gradient(victim: &impl Victim) -> Result<Array4<f32>, VictimError> {
    let objectives = vec![Objective::Margin { label: 1 }; 2];
    let answer = victim.gradient(images(2, INPUT), objectives).await;
    answer.map(|gradient| gradient.input)
}

#[tokio::test]
async fn gradients_are_made_for_the_first_attack_and_are_those_that_are_made_at_load() {
    let root = tempfile::tempdir().unwrap();
    let cache = tempfile::tempdir().unwrap();
    let path = write(root.path(), "m", &smooth_network(INPUT, 3, Batch::Any));
    let options = LoadOptions {
        gradient_cache: Some(cache.path().join("gradients")),
        ..separate()
    };
    let at_load = Classifier::load(&path, &separate()).unwrap();
    let repository = Repository::open(root.path(), &options).unwrap();
    let entry = repository.get("m", None).unwrap();
    let classifier = &entry.classifier;
    classifier.can_attack().unwrap();
    assert_eq!(Victim::features(classifier), Victim::features(&at_load));
    let (forward, estimate) = classifier.seconds_per_row();
    assert!(forward > 0.0 && estimate > forward);
    let made = || cache.path().join("gradients").exists();
    classifier.logits(images(2, INPUT)).await.unwrap();
    assert!(!made(), "before anybody asked");
    let attacker = classifier.attacker("someone".into());
    let expected = gradient(&at_load.attacker("someone".into())).await.unwrap();
    assert_eq!(gradient(&attacker).await.unwrap(), expected);
    assert!(made());
    assert_eq!(gradient(classifier).await.unwrap(), expected);
    let logits = attacker.logits(images(2, INPUT)).await.unwrap();
    assert_eq!(logits, classifier.logits(images(2, INPUT)).await.unwrap());
    assert_eq!(classifier.assumptions(), at_load.assumptions());
    let features = attacker.features_of(images(2, INPUT)).await.unwrap();
    let expected = at_load.features_of(images(2, INPUT)).await.unwrap();
    assert_eq!(features, expected);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_asks_first_and_goes_takes_nothing_from_those_who_wait() {
    let root = tempfile::tempdir().unwrap();
    write(root.path(), "m", &smooth_network(INPUT, 3, Batch::Any));
    let repository = Repository::open(root.path(), &separate()).unwrap();
    let entry = repository.get("m", None).unwrap();
    let mut callers = tokio::task::JoinSet::new();
    for caller in 0..12 {
        let attacker = entry.classifier.attacker(format!("caller {caller}").into());
        let call = callers.spawn(async move { gradient(&attacker).await });
        if caller % 3 == 0 {
            tokio::task::yield_now().await;
            call.abort();
        }
    }
    let mut answers = Vec::new();
    while let Some(answer) = callers.join_next().await {
        answers.extend(answer.ok());
    }
    assert!(answers.len() >= 8);
    let first = answers[0].as_ref().unwrap().clone();
    assert!(
        answers
            .iter()
            .all(|answer| *answer.as_ref().unwrap() == first)
    );
}

#[tokio::test]
async fn the_graph_tells_that_a_model_cannot_be_attacked() {
    let root = tempfile::tempdir().unwrap();
    write(root.path(), "m", &rounded(INPUT));
    let repository = Repository::open(root.path(), &separate()).unwrap();
    let entry = repository.get("m", None).unwrap();
    let classifier = &entry.classifier;
    assert!(classifier.can_attack().unwrap_err().contains("Round"));
    assert_eq!(classifier.obstacles()[0].operator, "Round");
    let refused = gradient(&classifier.attacker("someone".into())).await;
    assert!(matches!(refused, Err(VictimError::NoGradient(reason)) if reason.contains("Round")));
    // Attacks without gradients have their lane all the same.
    let attacker = classifier.attacker("someone".into());
    let logits = attacker.logits(images(2, INPUT)).await.unwrap();
    assert_eq!(logits, classifier.logits(images(2, INPUT)).await.unwrap());
}

/// A gradient graph that says it is the one of another model.
fn claimed(gradient: &Model, of: &Model) -> Model {
    let mut gradient = gradient.clone();
    let stated = gradient.metadata(GradientInfo::KEY).unwrap();
    let own = GradientInfo::of(&gradient).unwrap().unwrap().graph_sha256;
    let lie = stated.replace(&own, &of.graph_sha256());
    gradient.set_metadata(GradientInfo::KEY, &lie);
    gradient
}

#[tokio::test]
async fn a_stored_gradient_graph_that_lies_is_found_out_when_it_is_needed() {
    let root = tempfile::tempdir().unwrap();
    let model = linear(INPUT, &numbers(12, 1), &[0.0; 3], Batch::Any);
    let other = linear(INPUT, &numbers(12, 2), &[0.0; 3], Batch::Any);
    let lie = claimed(&differentiate(&other).unwrap(), &model);
    let path = write(root.path(), "m", &model);
    lie.write(path.with_file_name("gradient.onnx")).unwrap();
    let stuck = rounded(INPUT);
    let path = write(root.path(), "stuck", &stuck);
    let lie = claimed(&differentiate(&other).unwrap(), &stuck);
    lie.write(path.with_file_name("gradient.onnx")).unwrap();

    let repository = Repository::open(root.path(), &separate()).unwrap();
    let entry = repository.get("m", None).unwrap();
    let said = |entry: &buckler_runtime::Entry| entry.classifier.assumptions().join("\n");
    assert!(!said(&entry).contains("gradient graph"), "{}", said(&entry));
    entry.classifier.prepare_attacks().await.unwrap();
    assert!(
        said(&entry).contains("stored gradient graph is not used"),
        "{}",
        said(&entry)
    );
    entry.classifier.can_attack().unwrap();
    // Without another one, that is the reason from then on.
    let entry = repository.get("stuck", None).unwrap();
    entry.classifier.can_attack().unwrap();
    let refused = gradient(&entry.classifier).await;
    assert!(matches!(refused, Err(VictimError::NoGradient(reason)) if reason.contains("Round")));
    assert!(entry.classifier.can_attack().unwrap_err().contains("Round"));
    assert_eq!(entry.classifier.seconds_per_row().1, 0.0);
}

/// Names of this process's threads.
#[cfg(target_os = "linux")]
pub fn threads() -> Vec<String> {
    let threads = fs::read_dir("/proc/self/task").unwrap();
    let name = |thread: fs::DirEntry| fs::read_to_string(thread.path().join("comm")).ok();
    let names = threads.filter_map(|thread| name(thread.ok()?));
    names.map(|name| name.trim_end().to_owned()).collect()
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_model_that_nobody_asks_has_no_thread() {
    let root = tempfile::tempdir().unwrap();
    let model = smooth_network(INPUT, 3, Batch::Any);
    let names: Vec<String> = (0..6).map(|number| format!("q{number}")).collect();
    for name in &names {
        write(root.path(), name, &model);
    }
    let repository = Repository::open(root.path(), &separate()).unwrap();
    assert_eq!(repository.serving().len(), 6);
    let own = |threads: Vec<String>| -> Vec<String> {
        let names: Vec<_> = names.iter().map(|name| format!(" {name}")).collect();
        let own = |thread: &String| names.iter().any(|name| thread.ends_with(name.as_str()));
        threads.into_iter().filter(own).collect()
    };
    // Those that have loaded them end after they have told so.
    let started = std::time::Instant::now();
    while !own(threads()).is_empty() {
        assert!(started.elapsed().as_secs() < 30, "{:?}", own(threads()));
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    let entry = repository.get("q3", None).unwrap();
    entry.classifier.logits(images(2, INPUT)).await.unwrap();
    assert_eq!(own(threads()), ["predict q3"]);
    gradient(&entry.classifier.attacker("someone".into()))
        .await
        .unwrap();
    let mut found = own(threads());
    // The one that has made the graphs ends after it has told so.
    found.retain(|name| !name.starts_with("load"));
    found.sort();
    assert_eq!(found, ["attack q3", "predict q3"]);
}
