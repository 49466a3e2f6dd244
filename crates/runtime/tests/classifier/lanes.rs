//! Predictions and attacks beside each other.
use std::{
    fs,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use buckler_attack::{Objective, Victim, VictimError};
use buckler_runtime::{Batch as Run, Classifier, Lane, LoadOptions, RuntimeError, Watch};

use crate::models::{Batch, brittle, smooth_network};
use crate::{CLASSES, GREY, RGB, images, loaded, options};

fn separate(watch: Option<Watch>) -> LoadOptions {
    LoadOptions {
        separate_attacks: true,
        name: Some("net".to_owned()),
        watch,
        ..options()
    }
}

#[tokio::test]
async fn an_attacker_sees_the_classifier_and_every_batch_is_told_with_its_lane() {
    let told = Arc::new(Mutex::new(Vec::new()));
    let watch = Watch::new({
        let told = Arc::clone(&told);
        move |run: &Run<'_>| {
            assert!(run.model == "net" && run.computed > Duration::ZERO);
            let queries = run.waited.len();
            told.lock().unwrap().push((run.lane, run.rows, queries));
        }
    });
    let model = smooth_network(RGB, CLASSES, Batch::Any).to_bytes();
    let classifier = Classifier::from_bytes(&model, None, &separate(Some(watch))).unwrap();
    let attacker = classifier.attacker("someone".into());
    let images = images(3, RGB, 1);
    let logits = classifier.logits(images.clone()).await.unwrap();
    assert_eq!(attacker.logits(images.clone()).await.unwrap(), logits);
    let objectives = vec![Objective::Margin { label: 1 }; 3];
    let own = classifier.gradient(images.clone(), objectives.clone());
    let own = own.await.unwrap();
    let other = attacker.gradient(images.clone(), objectives).await.unwrap();
    assert_eq!((own.input, own.loss), (other.input, other.loss));
    let features = attacker.features_of(images.clone()).await.unwrap();
    assert_eq!(features, classifier.features_of(images).await.unwrap());
    let (forward, gradient) = classifier.seconds_per_row();
    assert!(forward > 0.0 && gradient > 0.0);
    drop(classifier);
    drop(attacker);
    let told = told.lock().unwrap();
    let sums = |lane| {
        let of_lane = told.iter().filter(|(of, ..)| *of == lane);
        of_lane.fold((0, 0), |(rows, queries), run| {
            (rows + run.1, queries + run.2)
        })
    };
    assert_eq!(sums(Lane::Predict), (3, 1));
    assert_eq!(sums(Lane::Attack), (15, 5));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn queries_of_many_tenants_get_the_answers_that_they_get_alone() {
    let model = smooth_network(RGB, CLASSES, Batch::Any).to_bytes();
    let classifier = Classifier::from_bytes(&model, None, &separate(None)).unwrap();
    let mut tasks = tokio::task::JoinSet::new();
    for number in 0..24u64 {
        let attacker = classifier.attacker(format!("tenant {}", number % 5).into());
        tasks.spawn(async move {
            let rows = 1 + number as usize % 20;
            let images = images(rows, RGB, number);
            let mut answers = Vec::new();
            for label in 0..CLASSES {
                let objectives = vec![Objective::CrossEntropy { label }; rows];
                let gradient = attacker.gradient(images.clone(), objectives).await.unwrap();
                answers.push((gradient.input, gradient.loss));
            }
            (number, attacker.logits(images).await.unwrap(), answers)
        });
    }
    let crowd = tasks.join_all().await;
    for (number, logits, answers) in crowd {
        let rows = 1 + number as usize % 20;
        let images = images(rows, RGB, number);
        assert_eq!(classifier.logits(images.clone()).await.unwrap(), logits);
        for (label, answer) in answers.into_iter().enumerate() {
            let objectives = vec![Objective::CrossEntropy { label }; rows];
            let alone = classifier
                .gradient(images.clone(), objectives)
                .await
                .unwrap();
            assert_eq!((alone.input, alone.loss), answer);
        }
    }
}

/// Thread names of this process with their scheduling policies (proc(5)).
#[cfg(target_os = "linux")]
fn policies() -> Vec<(String, u32)> {
    let threads = fs::read_dir("/proc/self/task").unwrap();
    let stat = |thread: std::io::Result<fs::DirEntry>| {
        // A thread may end meanwhile.
        let stat = fs::read_to_string(thread.ok()?.path().join("stat")).ok()?;
        let (_, named) = stat.split_once('(')?;
        let (name, fields) = named.rsplit_once(')')?;
        let policy = fields.split_whitespace().nth(38)?.parse().ok()?;
        Some((name.to_owned(), policy))
    };
    threads.filter_map(stat).collect()
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn threads_of_attacks_run_only_when_no_other_thread_wants_their_processor() {
    const SCHED_OTHER: u32 = 0;
    const SCHED_IDLE: u32 = 5;
    let model = smooth_network(RGB, CLASSES, Batch::Any).to_bytes();
    let options = LoadOptions {
        name: Some("idle".to_owned()),
        threads: 3,
        ..separate(None)
    };
    let classifier = Classifier::from_bytes(&model, None, &options).unwrap();
    let objectives = vec![Objective::Margin { label: 1 }];
    let attacker = classifier.attacker("someone".into());
    attacker
        .gradient(images(1, RGB, 4), objectives)
        .await
        .unwrap();
    // The thread of predictions is started from one in the background.
    let predicting = classifier.clone();
    let asking = std::thread::spawn(|| {
        buckler_runtime::in_background();
        let runtime = tokio::runtime::Builder::new_current_thread().build();
        let runtime = runtime.unwrap();
        runtime.block_on(async move { predicting.logits(images(1, RGB, 4)).await })
    });
    asking.join().unwrap().unwrap();
    // A thread puts itself in the background as soon as it runs.
    let started = Instant::now();
    loop {
        let policies = policies();
        let of = |name: &str| -> Vec<u32> {
            let named = policies.iter().filter(|(other, _)| other == name);
            named.map(|&(_, policy)| policy).collect()
        };
        // Two threads beside the lane's own, for each of its two graphs.
        let helpers = of("attack run");
        if of("attack idle") == [SCHED_IDLE]
            && of("predict idle") == [SCHED_OTHER]
            && helpers.len() >= 4
            && helpers.iter().all(|&policy| policy == SCHED_IDLE)
        {
            break;
        }
        assert!(started.elapsed() < Duration::from_secs(30), "{policies:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn one_callers_failing_rows_fail_nobody_elses() {
    let classifier = loaded(&brittle(GREY));
    let mut poison = images(1, GREY, 1);
    poison[[0, 0, 0, 0]] = 7.0;
    let (healthy, poisoned, also) = tokio::join!(
        classifier.logits(images(2, GREY, 1)),
        classifier.logits(poison),
        classifier.logits(images(1, GREY, 2)),
    );
    assert_eq!(healthy.unwrap().dim(), (2, 3));
    assert!(matches!(poisoned, Err(VictimError::Runtime(_))));
    assert_eq!(also.unwrap().dim(), (1, 3));
}

#[tokio::test]
async fn a_gradient_graph_made_at_load_is_kept_and_found_again() {
    let folder = tempfile::tempdir().unwrap();
    let options = LoadOptions {
        gradient_cache: Some(folder.path().join("gradients")),
        ..options()
    };
    let model = smooth_network(RGB, CLASSES, Batch::Any).to_bytes();
    let gradient = async |classifier: Classifier| {
        let objectives = vec![Objective::Margin { label: 1 }];
        classifier
            .gradient(images(1, RGB, 4), objectives)
            .await
            .unwrap()
            .input
    };
    let made = gradient(Classifier::from_bytes(&model, None, &options).unwrap()).await;
    let version = fs::read_dir(folder.path().join("gradients"))
        .unwrap()
        .next();
    let mut kept = fs::read_dir(version.unwrap().unwrap().path()).unwrap();
    let kept = kept.next().unwrap().unwrap().path();
    let written = fs::metadata(&kept).unwrap().modified().unwrap();
    let found = gradient(Classifier::from_bytes(&model, None, &options).unwrap()).await;
    assert_eq!(made, found);
    assert_eq!(fs::metadata(&kept).unwrap().modified().unwrap(), written);
    fs::write(&kept, b"broken").unwrap();
    let again = gradient(Classifier::from_bytes(&model, None, &options).unwrap()).await;
    assert_eq!(made, again);
    assert!(fs::metadata(&kept).unwrap().len() > 100);
}

#[test]
fn a_model_that_cannot_run_where_it_is_wanted_says_so_with_the_remedy() {
    let model = smooth_network(RGB, CLASSES, Batch::Any).to_bytes();
    let options = LoadOptions {
        provider: "cuda:0".parse().unwrap(),
        ..options()
    };
    // With a GPU and a runtime for it there is nothing to refuse.
    if let Err(error) = Classifier::from_bytes(&model, None, &options) {
        let message = error.to_string();
        assert!(matches!(error, RuntimeError::Provider { .. }), "{message}");
        assert!(
            message.contains("`cuda:0`") && message.contains("onnxruntime-gpu"),
            "{message}"
        );
    }
}
