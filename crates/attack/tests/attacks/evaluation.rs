//! Accuracies, and what may count towards them.

use std::sync::Mutex;

use buckler_attack::{
    Attack, AttackError, Epsilon, Evaluation, EvaluationProgress, Fgsm, Flag, Gradient, InputSpec,
    Norm, Objective, Observer, Outcome, Parameters, Pgd, Samples, Status, Threat, Victim,
    VictimError, accuracy, evaluate, flags, linearity, smallest_eps, worst_cases,
};
use ndarray::{Array2, Array4, Axis};

use crate::support::{SMALL, at_margin, smooth, threat};

/// Forty samples, three of them with a label the model gets wrong.
fn subject() -> (impl Victim, Samples) {
    let (victim, mut samples) = smooth(40);
    for row in [0, 17, 39] {
        samples.labels[row] = (samples.labels[row] + 1) % 4;
    }
    (victim, samples)
}

async fn run(attack: &impl Attack, batch: usize) -> Evaluation {
    let (victim, samples) = subject();
    evaluate(&victim, &samples, attack, batch, |_| ())
        .await
        .unwrap()
}

fn pgd(norm: Norm, epsilon: f64) -> Pgd {
    Pgd {
        restarts: 2,
        ..Pgd::new(threat(norm, epsilon))
    }
}

#[tokio::test]
async fn an_empty_ball_leaves_exactly_the_clean_accuracy() {
    for norm in [Norm::Linf, Norm::L2] {
        let evaluation = run(&pgd(norm, 0.0), 16).await;
        assert_eq!(evaluation.clean_accuracy, 37.0 / 40.0);
        assert_eq!(evaluation.accuracy_under_attack, evaluation.clean_accuracy);
        assert_eq!(evaluation.gradient_evaluations, 0);
    }
}

#[tokio::test]
async fn accuracy_falls_with_the_radius_down_to_nothing() {
    for (norm, radii) in [
        (Norm::Linf, [0.005, 0.01, 0.02, 0.05, 0.1, 1.0]),
        (Norm::L2, [0.02, 0.05, 0.1, 0.3, 0.6, 7.0]),
    ] {
        let mut accuracies = Vec::new();
        for radius in radii {
            accuracies.push(run(&pgd(norm, radius), 40).await.accuracy_under_attack);
        }
        assert!(
            accuracies.windows(2).all(|a| a[0] >= a[1]),
            "{norm}: {accuracies:?}"
        );
        assert!(accuracies[0] > 0.6, "{norm}: {accuracies:?}");
        assert_eq!(accuracies[5], 0.0, "{norm}: {accuracies:?}");
    }
}

#[tokio::test]
async fn batches_change_nothing_and_the_sums_add_up() {
    let attack = pgd(Norm::Linf, 0.02);
    let whole = run(&attack, 1000).await;
    for batch in [1, 7] {
        assert_eq!(run(&attack, batch).await, whole);
    }
    let broken = whole.samples.iter().filter(|r| r.broken).count();
    assert_eq!(whole.adversarial_found + 3, broken);
    assert_eq!(whole.accuracy_under_attack, (40 - broken) as f64 / 40.0);
    assert!(whole.adversarial_after_rounding <= whole.adversarial_found);
    let sum: u64 = whole.samples.iter().map(|r| r.gradient_evaluations).sum();
    assert_eq!(whole.gradient_evaluations, sum);
    for record in whole.samples.iter().filter(|r| r.linf.is_some()) {
        assert_eq!(record.outcome, Status::AdversarialFound);
        assert!(record.linf.unwrap() <= 0.02 + 1e-6);
        assert_ne!(record.prediction, Some(record.label));
    }
}

#[tokio::test]
async fn an_evaluation_survives_a_round_trip_through_json() {
    let evaluation = run(&pgd(Norm::L2, 0.1), 40).await;
    let json = serde_json::to_string(&evaluation).unwrap();
    assert!(
        json.starts_with(r#"{"attack":"pgd","norm":"l2","eps":"0.1","#),
        "{json}"
    );
    assert_eq!(
        serde_json::from_str::<Evaluation>(&json).unwrap(),
        evaluation
    );
}

#[tokio::test]
async fn progress_counts_up_to_all_images() {
    let (victim, samples) = subject();
    let seen: Mutex<Vec<EvaluationProgress>> = Mutex::default();
    let attack = pgd(Norm::Linf, 0.02);
    let evaluation = evaluate(&victim, &samples, &attack, 16, |p| {
        seen.lock().unwrap().push(p)
    })
    .await
    .unwrap();
    let seen = seen.into_inner().unwrap();
    let finished: Vec<usize> = seen
        .iter()
        .filter(|p| p.attack.is_none())
        .map(|p| p.done)
        .collect();
    assert_eq!(finished, [16, 32, 40]);
    let last = seen.last().unwrap();
    assert_eq!((last.images, last.clean_correct), (40, 37));
    assert_eq!(
        last.broken,
        evaluation.samples.iter().filter(|r| r.broken).count()
    );
}

/// Claims that every clean image is adversarial.
#[derive(Clone)]
struct Liar(Threat);

impl Attack for Liar {
    fn name(&self) -> &'static str {
        "liar"
    }

    fn threat(&self) -> Threat {
        self.0
    }

    fn parameters(&self) -> Parameters {
        Pgd::new(self.0).parameters()
    }

    fn most_queries(&self, _: usize) -> u64 {
        1
    }

    async fn run<V: Victim, O: Observer>(
        &self,
        victim: &V,
        samples: &Samples,
        observer: &O,
    ) -> Result<Vec<Outcome>, AttackError> {
        let mut outcomes = Pgd::new(threat(self.0.norm, 0.0))
            .run(victim, samples, observer)
            .await?;
        for (outcome, image) in outcomes.iter_mut().zip(samples.images.outer_iter()) {
            outcome.status = Status::AdversarialFound;
            outcome.adversarial = Some(image.to_owned());
        }
        Ok(outcomes)
    }
}

#[tokio::test]
async fn adversarials_that_fail_their_recheck_do_not_count() {
    let evaluation = run(&Liar(threat(Norm::Linf, 0.1)), 40).await;
    assert_eq!(evaluation.accuracy_under_attack, evaluation.clean_accuracy);
    let demoted = evaluation
        .samples
        .iter()
        .filter(|r| r.demoted.is_some())
        .count();
    assert_eq!(demoted, 37);
}

#[tokio::test]
async fn the_worst_case_is_taken_image_by_image_in_each_norm() {
    let linf = run(&pgd(Norm::Linf, 0.015), 40).await;
    let l2 = run(&pgd(Norm::L2, 0.09), 40).await;
    let fgsm = run(&Fgsm::new(threat(Norm::Linf, 0.03)), 40).await;
    let all = [&linf, &l2, &fgsm];
    let worst = worst_cases(&all).unwrap();
    assert_eq!(worst.len(), 2);
    let (in_linf, in_l2) = (&worst[0], &worst[1]);
    assert_eq!((in_linf.norm, in_l2.norm), (Norm::Linf, Norm::L2));
    assert_eq!(in_l2.curve[0].accuracy, l2.accuracy_under_attack);
    let radii: Vec<String> = in_linf.curve.iter().map(|p| p.eps.to_string()).collect();
    assert_eq!(radii, ["0.015", "0.03"]);
    assert_eq!(in_linf.curve[0].accuracy, linf.accuracy_under_attack);
    assert!(in_linf.curve[1].accuracy <= fgsm.accuracy_under_attack);
    assert_eq!(in_linf.clean_accuracy, linf.clean_accuracy);
    for (row, record) in in_linf.samples.iter().enumerate() {
        let broken = linf.samples[row].broken || fgsm.samples[row].broken;
        assert_eq!(record.smallest.is_some(), broken);
        let wrong = !linf.samples[row].is_right();
        assert_eq!(record.smallest == Some(0.0), wrong);
        assert_eq!(record.broken_by.is_some(), broken && !wrong);
    }
}

#[tokio::test]
async fn an_image_that_a_random_model_misclassifies_once_is_broken_without_an_attack() {
    let one = run(&pgd(Norm::Linf, 0.03), 40).await;
    let mut other = one.clone();
    let drawn = &mut other.samples[3];
    assert!(drawn.is_right());
    drawn.clean_prediction = Some(drawn.label + 1);
    for pair in [[&one, &other], [&other, &one]] {
        let worst = worst_cases(&pair).unwrap().remove(0);
        let record = &worst.samples[3];
        assert_eq!((record.smallest, record.broken_by), (Some(0.0), None));
        assert!(worst.curve[0].accuracy <= one.accuracy_under_attack);
    }
}

#[tokio::test]
async fn evaluations_of_other_images_are_not_taken_together() {
    let one = run(&pgd(Norm::Linf, 0.01), 40).await;
    let mut shuffled = one.clone();
    shuffled.samples.swap(0, 1);
    let error = worst_cases(&[&one, &shuffled]).unwrap_err().to_string();
    assert!(error.contains("image 0"), "{error}");
    let mut fewer = one.clone();
    fewer.samples.pop();
    let error = worst_cases(&[&one, &fewer]).unwrap_err().to_string();
    assert!(error.contains("39 images instead of 40"), "{error}");
    assert_eq!(worst_cases(&[]).unwrap(), vec![]);
}

#[tokio::test]
async fn bisection_finds_the_margin_of_a_linear_classifier() {
    for norm in [Norm::Linf, Norm::L2] {
        let margin = 0.0371;
        let (victim, samples) = at_margin(norm, margin, 5);
        let largest = Epsilon::new(0.1).unwrap();
        let attack_at = |epsilon| Pgd::new(Threat { norm, epsilon });
        let found = smallest_eps(&victim, &samples, largest, 8, attack_at, &())
            .await
            .unwrap();
        let distance = f64::from(found[0].record.distance(norm).unwrap());
        assert!(distance >= margin - 1e-6, "{norm}: {distance}");
        // In L2 the attack itself needs a little more room than the margin.
        let room = if norm == Norm::L2 { 0.05 * margin } else { 0.0 };
        let reach = margin + room + 0.1 / 256.0 + 1e-6;
        assert!(distance <= reach, "{norm}: {distance}");
        assert!(found[0].adversarial.is_some());
        assert_eq!(found[0].record.gradient_evaluations, victim.gradients());

        let smallest = Epsilon::new(0.03).unwrap();
        let held = smallest_eps(&victim, &samples, smallest, 8, attack_at, &())
            .await
            .unwrap();
        assert_eq!(held[0].record.outcome, Status::NotFound);
        assert!(!held[0].record.broken);
    }
}

#[tokio::test]
async fn bisection_depends_on_no_company_and_agrees_with_single_evaluations() {
    let (victim, samples) = subject();
    let attack_at = |epsilon| {
        let norm = Norm::Linf;
        Pgd::new(Threat { norm, epsilon })
    };
    let largest = Epsilon::new(0.08).unwrap();
    let all = smallest_eps(&victim, &samples, largest, 4, attack_at, &())
        .await
        .unwrap();
    for row in [3, 17, 31] {
        let alone = samples.range(row..row + 1);
        let one = smallest_eps(&victim, &alone, largest, 4, attack_at, &())
            .await
            .unwrap();
        assert_eq!(one[0], all[row]);
    }
    let whole = run(&attack_at(largest), 40).await;
    let clean = accuracy(&victim, &samples).await.unwrap();
    assert_eq!(clean, whole.clean_accuracy);
    let records = all.into_iter().map(|evaluated| evaluated.record).collect();
    let bisected = Evaluation::of(whole.parameters.clone(), records);
    assert_eq!(bisected.accuracy_under_attack, whole.accuracy_under_attack);
}

#[tokio::test]
async fn an_evaluation_needs_images() {
    let (victim, _) = subject();
    let none = Samples::new(
        Array4::zeros((0, SMALL.channels, SMALL.height, SMALL.width)),
        vec![],
    );
    assert_eq!(none.images.len_of(Axis(0)), 0);
    let error = evaluate(&victim, &none, &pgd(Norm::Linf, 0.1), 8, |_| ())
        .await
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "no images: an accuracy needs at least one"
    );
}

#[tokio::test]
async fn an_evaluation_can_be_spawned_on_a_thread_pool() {
    let task = tokio::spawn(async {
        let (victim, samples) = subject();
        evaluate(&victim, &samples, &pgd(Norm::Linf, 0.02), 8, |_| ()).await
    });
    assert_eq!(task.await.unwrap().unwrap().images, 40);
}

/// Has no finite logits for images that begin with a zero.
struct Blind<V>(V);

impl<V: Victim> Blind<V> {
    fn blind(images: &Array4<f32>, mut logits: Array2<f32>) -> Array2<f32> {
        for (image, mut row) in images.outer_iter().zip(logits.outer_iter_mut()) {
            if image.iter().next() == Some(&0.0) {
                row.fill(f32::NAN);
            }
        }
        logits
    }
}

impl<V: Victim> Victim for Blind<V> {
    fn input(&self) -> InputSpec {
        self.0.input()
    }

    fn classes(&self) -> usize {
        self.0.classes()
    }

    async fn logits(&self, images: Array4<f32>) -> Result<Array2<f32>, VictimError> {
        let logits = self.0.logits(images.clone()).await?;
        Ok(Self::blind(&images, logits))
    }

    async fn gradient(
        &self,
        images: Array4<f32>,
        objectives: Vec<Objective>,
    ) -> Result<Gradient, VictimError> {
        let answer = self.0.gradient(images.clone(), objectives).await?;
        Ok(Gradient {
            logits: Self::blind(&images, answer.logits),
            ..answer
        })
    }
}

#[tokio::test]
async fn an_image_without_finite_logits_counts_as_broken_and_the_others_are_attacked() {
    let (victim, mut samples) = subject();
    let attack = pgd(Norm::Linf, 0.01);
    let whole = evaluate(&victim, &samples, &attack, 16, |_| ())
        .await
        .unwrap();
    for row in [4, 20] {
        samples.images.index_axis_mut(Axis(0), row)[[0, 0, 0]] = 0.0;
    }
    let victim = Blind(victim);
    let evaluation = evaluate(&victim, &samples, &attack, 16, |_| ())
        .await
        .unwrap();
    for (row, (record, before)) in evaluation.samples.iter().zip(&whole.samples).enumerate() {
        if [4, 20].contains(&row) {
            assert_eq!((record.clean_prediction, record.prediction), (None, None));
            assert!(record.broken && record.linf.is_none());
            assert_eq!(
                (record.gradient_evaluations, record.forward_evaluations),
                (0, 1)
            );
        } else {
            assert_eq!(record, before);
        }
    }
    assert_eq!(evaluation.clean_accuracy, 35.0 / 40.0);
    let raised = flags(&[&evaluation], 4, None);
    assert!(
        raised.contains(&Flag::NoPrediction {
            without: 2,
            images: 40
        }),
        "{raised:?}"
    );
    assert_eq!(accuracy(&victim, &samples).await.unwrap(), 35.0 / 40.0);
    let json = serde_json::to_string(&evaluation).unwrap();
    assert_eq!(
        serde_json::from_str::<Evaluation>(&json).unwrap(),
        evaluation
    );

    let largest = Epsilon::new(0.05).unwrap();
    let attack_at = |epsilon| {
        Pgd::new(Threat {
            norm: Norm::Linf,
            epsilon,
        })
    };
    let smallest = smallest_eps(&victim, &samples, largest, 3, attack_at, &())
        .await
        .unwrap();
    assert_eq!(smallest.len(), 40);
    assert_eq!(smallest[20].record.clean_prediction, None);
    assert!(smallest[21].record.clean_prediction.is_some());
    let linearity = linearity(&victim, &samples, &attack).await.unwrap();
    assert_eq!((linearity.images, linearity.samples.len()), (38, 38));
    assert!(
        linearity
            .samples
            .iter()
            .all(|record| ![4, 20].contains(&record.id))
    );
}

#[tokio::test]
async fn images_without_any_finite_logits_are_all_broken() {
    let (victim, mut samples) = subject();
    samples.images.fill(0.0);
    let (victim, attack) = (Blind(victim), pgd(Norm::L2, 0.1));
    let evaluation = evaluate(&victim, &samples, &attack, 16, |_| ())
        .await
        .unwrap();
    assert_eq!(
        (evaluation.clean_accuracy, evaluation.accuracy_under_attack),
        (0.0, 0.0)
    );
    assert_eq!(evaluation.gradient_evaluations, 0);
}
