//! Attacks on request, and the reports that answer them.

use std::{
    collections::BTreeSet,
    ops::ControlFlow,
    sync::atomic::{AtomicUsize, Ordering},
};

use buckler_attack::{
    AnyAttack, AttackReport, Distances, Examination, Examined, LabelSource, Norm, Observer, Pgd,
    Progress, Samples, Status, Victim, examine, round_to_8_bits,
};
use ndarray::{Axis, concatenate};
use serde::{Deserialize, Serialize};

use crate::{
    rechecks::grey,
    support::{Counted, Linear, Masked, at_margin, smooth, threat},
};

fn request(samples: &Samples, epsilon: f64) -> Examination {
    Examination {
        attack: AnyAttack::Pgd(Pgd {
            seed: 5,
            ..Pgd::new(threat(Norm::Linf, epsilon))
        }),
        images: samples.images.clone(),
        labels: None,
        target: None,
        halvings: None,
        class_names: vec!["cat".to_owned(), "dog".to_owned()],
    }
}

async fn one<V: Victim>(victim: &V, request: &Examination) -> Examined {
    examine(victim, request, &()).await.unwrap().remove(0)
}

async fn found() -> (Counted<Linear>, Samples, Examined) {
    let (victim, samples) = at_margin(Norm::Linf, 0.05, 4);
    let examined = one(&victim, &request(&samples, 0.06)).await;
    (victim, samples, examined)
}

#[tokio::test]
async fn the_smallest_radius_is_that_of_the_margin_and_says_how_far_it_was_searched() {
    let (victim, samples) = at_margin(Norm::Linf, 0.0371, 5);
    let request = Examination {
        halvings: Some(6),
        ..request(&samples, 0.1)
    };
    let report = one(&victim, &request).await.report;
    let found = report.min_eps.unwrap();
    let unit = 0.1 / 64.0;
    assert!(
        (0.0371 - 1e-6..0.0371 + unit).contains(&found.value),
        "{found:?}"
    );
    assert!(found.nothing_at < 0.0371 && found.value - found.nothing_at <= unit + 1e-6);
    assert_eq!(found.value, report.adversarial.unwrap().linf);
    assert!(
        found.complete && report.note.contains("within 0.03"),
        "{}",
        report.note
    );
    assert_eq!(report.gradient_evaluations, victim.gradients());

    // Stopped after the first radius: what was found stays, and the answer says that it was not done.
    let queries = AtomicUsize::new(0);
    let stop = Stopping(|| queries.fetch_add(1, Ordering::Relaxed) > 30);
    let stopped = examine(&victim, &request, &stop)
        .await
        .unwrap()
        .remove(0)
        .report;
    let found = stopped.min_eps.unwrap();
    assert!(!found.complete && found.value > 0.0371 && found.nothing_at < 0.0371);
    assert!(stopped.note.contains("stopped"), "{}", stopped.note);
}

/// Ends an attack as soon as it says so.
struct Stopping<F>(F);

impl<F: Fn() -> bool + Send + Sync> Observer for Stopping<F> {
    fn observe(&self, _: Progress) -> ControlFlow<()> {
        match (self.0)() {
            true => ControlFlow::Break(()),
            false => ControlFlow::Continue(()),
        }
    }
}

#[tokio::test]
async fn a_found_adversarial_is_reported_with_its_image_and_distances() {
    let (
        victim,
        samples,
        Examined {
            report,
            adversarial,
        },
    ) = found().await;
    assert_eq!(report.outcome, Status::AdversarialFound);
    assert_eq!(
        (report.label, report.label_source),
        (0, LabelSource::Predicted)
    );
    assert_eq!((report.clean.class, report.clean.name.as_str()), (0, "cat"));
    let image = adversarial.unwrap();
    let distances = Distances::between(samples.images.iter(), image.iter());
    let adversarial = report.adversarial.unwrap();
    assert_eq!(adversarial.prediction.name, "dog");
    assert_eq!(adversarial.linf, distances.linf as f32);
    assert_eq!(adversarial.l2, distances.l2 as f32);
    assert_eq!(adversarial.l1, distances.l1 as f32);
    assert_eq!(adversarial.l0, distances.l0);
    assert!((adversarial.linf_255 - 255.0 * adversarial.linf).abs() < 1e-4);
    let rounded = round_to_8_bits(&image).insert_axis(Axis(0));
    let logits = victim.logits(rounded).await.unwrap();
    assert_eq!(
        report.png.unwrap().still_adversarial,
        logits[[0, 1]] > logits[[0, 0]]
    );
    assert_eq!(report.gradient_evaluations, victim.gradients());
    // The count above includes the pass for the rounded image made by this test.
    assert_eq!(report.forward_evaluations + 1, victim.forwards());
}

#[tokio::test]
async fn the_json_has_the_documented_names_and_survives_a_round_trip() {
    let (_, _, Examined { report, .. }) = found().await;
    let json = serde_json::to_value(&report).unwrap();
    let names: BTreeSet<&str> = json
        .as_object()
        .unwrap()
        .keys()
        .map(String::as_str)
        .collect();
    let expected = [
        "outcome",
        "attack",
        "norm",
        "eps",
        "eps_value",
        "steps",
        "step_size",
        "restarts",
        "objective",
        "seed",
        "label",
        "label_source",
        "clean",
        "adversarial",
        "png",
        "tried",
        "gradient_evaluations",
        "forward_evaluations",
        "zero_gradient",
        "note",
    ];
    assert_eq!(names, BTreeSet::from(expected));
    assert_eq!(json["outcome"], "adversarial_found");
    assert_eq!(json["attack"], "pgd");
    assert_eq!(json["eps"], "0.06");
    assert_eq!(json["seed"], 5);
    assert_eq!(json["label_source"], "predicted");
    assert_eq!(json["clean"]["top"].as_array().unwrap().len(), 2);
    let text = serde_json::to_string(&report).unwrap();
    assert_eq!(serde_json::from_str::<AttackReport>(&text).unwrap(), report);
}

#[tokio::test]
async fn a_server_can_add_its_own_fields_around_a_report() {
    #[derive(Serialize, Deserialize, PartialEq, Debug)]
    struct Answer {
        model: String,
        #[serde(flatten)]
        report: AttackReport,
    }
    let (_, _, Examined { report, .. }) = found().await;
    let answer = Answer {
        model: "m".to_owned(),
        report,
    };
    let text = serde_json::to_string(&answer).unwrap();
    assert!(text.starts_with(r#"{"model":"m","outcome":"#), "{text}");
    assert_eq!(serde_json::from_str::<Answer>(&text).unwrap(), answer);
}

#[tokio::test]
async fn finding_nothing_is_not_called_a_proof() {
    let (victim, samples) = at_margin(Norm::Linf, 0.05, 4);
    let Examined {
        report,
        adversarial,
    } = one(&victim, &request(&samples, 0.04)).await;
    assert_eq!(report.outcome, Status::NotFound);
    assert!(adversarial.is_none() && report.adversarial.is_none() && report.png.is_none());
    assert!(report.note.contains("no proof"), "{}", report.note);
    assert_eq!((report.tried.steps, report.tried.restarts), (20, 1));
    let victim = Counted::new(Masked(victim.network), victim.input);
    let Examined { report, .. } = one(&victim, &request(&samples, 0.04)).await;
    assert!(report.zero_gradient);
    assert!(report.note.contains("gradient was zero"), "{}", report.note);
    for report in [report, found().await.2.report] {
        assert!(!serde_json::to_string(&report).unwrap().contains("robust"));
    }
}

#[tokio::test]
async fn an_adversarial_that_rounding_kills_is_reported_as_such() {
    let (victim, samples) = grey(0.3);
    let Examined { report, .. } = one(&victim, &request(&samples, 0.4 / 255.0)).await;
    assert_eq!(report.outcome, Status::AdversarialFound);
    let png = report.png.unwrap();
    assert!(!png.still_adversarial && png.within_eps);
    assert_eq!((png.linf, png.l2), (0.0, 0.0));
    assert_eq!(png.prediction.unwrap().name, "cat");
    assert!(
        report.note.contains("its PNG will not fool the model"),
        "{}",
        report.note
    );
}

#[tokio::test]
async fn a_given_label_the_model_gets_wrong_leaves_nothing_to_attack() {
    let (victim, samples) = at_margin(Norm::Linf, 0.05, 4);
    let request = Examination {
        labels: Some(vec![1]),
        ..request(&samples, 0.06)
    };
    let Examined { report, .. } = one(&victim, &request).await;
    assert_eq!(report.outcome, Status::MisclassifiedClean);
    assert_eq!((report.label, report.label_source), (1, LabelSource::Given));
    assert_eq!((victim.forwards(), victim.gradients()), (1, 0));
}

#[tokio::test]
async fn a_target_is_reached_or_refused() {
    let (victim, samples) = smooth(12);
    let target = samples.labels[0];
    let everywhere = Examination {
        target: Some(target),
        labels: Some(samples.labels.clone()),
        ..request(&samples, 0.5)
    };
    let keep: Vec<usize> = (0..12).filter(|&i| samples.labels[i] != target).collect();
    assert!(keep.len() > 3 && keep.len() < 12);
    let error = examine(&victim, &everywhere, &())
        .await
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("image 0: target") && error.contains("own label"),
        "{error}"
    );

    let elsewhere = Examination {
        images: samples.images.select(Axis(0), &keep),
        labels: None,
        ..everywhere
    };
    for examined in examine(&victim, &elsewhere, &()).await.unwrap() {
        assert_eq!(examined.report.outcome, Status::AdversarialFound);
        assert_eq!(examined.report.target, Some(target));
        assert_eq!(
            examined.report.adversarial.unwrap().prediction.class,
            target
        );
    }
}

#[tokio::test]
async fn an_image_gets_the_same_answer_in_any_company() {
    let (victim, samples) = smooth(5);
    let together = examine(&victim, &request(&samples, 0.02), &())
        .await
        .unwrap();
    let reversed = samples.images.select(Axis(0), &[4, 3, 2, 1, 0]);
    let twice = concatenate![Axis(0), reversed, samples.images];
    let other = Examination {
        images: twice,
        ..request(&samples, 0.02)
    };
    let other = examine(&victim, &other, &()).await.unwrap();
    for (row, examined) in together.iter().enumerate() {
        assert_eq!(examined, &other[4 - row]);
        assert_eq!(examined, &other[5 + row]);
    }
}

#[tokio::test]
async fn an_examination_can_be_spawned_on_a_thread_pool() {
    let (victim, samples) = smooth(3);
    let request = request(&samples, 0.02);
    let task = tokio::spawn(async move { examine(&victim, &request, &()).await });
    assert_eq!(task.await.unwrap().unwrap().len(), 3);
}
