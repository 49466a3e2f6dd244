//! The attack on features.

use std::sync::{Arc, atomic::Ordering};

use buckler_attack::{
    AnyAttack, Attack, AttackConfig, AttackError, AttackKind, Examination, FeatureAttack, Limits,
    Norm, Outcome, SampleError, Samples, Source, Status, Victim, VictimError, evaluate, examine,
};
use ndarray::{Array2, Axis, stack};

use crate::support::{Counted, Linear, SMALL, allowed, images, labelled, smooth, threat};

fn attack(epsilon: f64) -> FeatureAttack {
    FeatureAttack {
        restarts: 10,
        ..FeatureAttack::new(threat(Norm::Linf, epsilon))
    }
}

fn select(samples: &Samples, rows: &[usize]) -> Samples {
    let some = |values: &[usize]| rows.iter().map(|&i| values[i]).collect();
    Samples {
        images: samples.images.select(Axis(0), rows),
        labels: some(&samples.labels),
        targets: samples.targets.as_deref().map(some),
        ids: rows.iter().map(|&i| samples.ids[i]).collect(),
    }
}

fn distance(a: &[f32], b: &[f32]) -> f64 {
    let product = |a: &[f32], b: &[f32]| -> f64 {
        let pairs = a.iter().zip(b);
        pairs.map(|(&a, &b)| f64::from(a) * f64::from(b)).sum()
    };
    1.0 - product(a, b) / (product(a, a) * product(b, b)).sqrt()
}

fn found(outcomes: &[Outcome]) -> usize {
    let found = |outcome: &&Outcome| outcome.status == Status::AdversarialFound;
    outcomes.iter().filter(found).count()
}

#[tokio::test]
async fn features_come_closer_to_the_source_and_images_break_where_the_ball_lets_them() {
    let (victim, samples) = smooth(20);
    let mut broken = Vec::new();
    for epsilon in [0.005, 0.03, 0.3] {
        let attack = attack(epsilon).prepare(&victim, &samples).await.unwrap();
        let outcomes = attack.run(&victim, &samples, &()).await.unwrap();
        for (row, outcome) in outcomes.iter().enumerate() {
            if let Some(image) = &outcome.adversarial {
                assert!(allowed(&samples, row, image, attack.threat));
            }
        }
        broken.push(found(&outcomes));
    }
    // All classes can be reached in a ball as large as the scatter of the images.
    assert!(
        broken[0] < broken[1] && broken[1] < 20 && broken[2] == 20,
        "{broken:?}"
    );

    // Towards a single source of a class that is not reached, the last point tried is closer to it than the image.
    for source in 0..4 {
        let label = samples.labels[source];
        let others: Vec<usize> = (0..20).filter(|&i| samples.labels[i] != label).collect();
        let pool = victim.features_of(samples.images.clone()).await.unwrap();
        let features = pool.row(source).to_vec();
        let one = FeatureAttack {
            sources: Arc::new(vec![Source {
                id: 0,
                label,
                features: features.clone(),
            }]),
            ..attack(0.01)
        };
        let some = select(&samples, &others);
        let outcomes = one.run(&victim, &some, &()).await.unwrap();
        let before = victim.features_of(some.images.clone()).await.unwrap();
        let mut closer = 0;
        for (outcome, before) in outcomes.iter().zip(before.outer_iter()) {
            let kept = outcome
                .adversarial
                .as_ref()
                .or(outcome.best.as_ref())
                .unwrap();
            let kept = stack(Axis(0), &[kept.view()]).unwrap();
            let after = victim.features_of(kept).await.unwrap();
            let [before, after] = [before.to_vec(), after.row(0).to_vec()];
            closer += usize::from(distance(&after, &features) < distance(&before, &features));
        }
        assert!(
            closer * 10 >= others.len() * 8,
            "{closer} of {}",
            others.len()
        );
    }
}

#[tokio::test]
async fn order_company_and_batch_change_nothing_neither_in_the_pool_nor_in_the_run() {
    let (victim, samples) = smooth(12);
    let attack = attack(0.03);
    let prepared = attack.prepare(&victim, &samples).await.unwrap();
    let shuffled = select(&samples, &[7, 3, 11, 0, 5, 1, 9, 2, 10, 4, 8, 6]);
    let small = FeatureAttack {
        max_batch: 2,
        ..attack
    };
    let small = small.prepare(&victim, &shuffled).await.unwrap();
    assert_eq!(prepared.sources, small.sources);
    let all = prepared.run(&victim, &samples, &()).await.unwrap();
    let order = [9, 1, 4];
    let some = small
        .run(&victim, &select(&samples, &order), &())
        .await
        .unwrap();
    for (&i, outcome) in order.iter().zip(&some) {
        assert_eq!(&all[i], outcome);
    }
    let other = FeatureAttack { seed: 1, ..small };
    let other = other.prepare(&victim, &samples).await.unwrap();
    assert_ne!(prepared.sources, other.sources);
}

#[tokio::test]
async fn it_costs_what_it_says_and_passes_over_sources_of_the_images_own_class() {
    let (victim, samples) = smooth(12);
    let attack = attack(1e-4).prepare(&victim, &samples).await.unwrap();
    let rows = victim.feature_rows.load(Ordering::SeqCst);
    assert_eq!(attack.sources.len() as u64, rows);
    let outcomes = attack.run(&victim, &samples, &()).await.unwrap();
    assert_eq!(victim.feature_rows.load(Ordering::SeqCst), rows);
    for (outcome, label) in outcomes.iter().zip(&samples.labels) {
        let others = attack
            .sources
            .iter()
            .filter(|source| source.label != *label);
        let sources = others.count().min(10);
        assert!(sources > 0);
        assert_eq!(outcome.restarts_used, sources);
        assert_eq!(outcome.gradient_evaluations, 50 * sources as u64);
        assert_eq!(outcome.forward_evaluations, 1 + sources as u64);
        let rows = outcome.gradient_evaluations + outcome.forward_evaluations - 1;
        assert!(rows <= attack.most_queries(4));
    }
    assert!(outcomes.iter().any(|outcome| outcome.restarts_used == 10));
    assert_eq!(attack.most_queries(4), 510);
}

#[tokio::test]
async fn every_image_has_its_number_of_sources_where_the_pool_has_as_many() {
    let (victim, samples) = smooth(60);
    let prepared = attack(0.01).prepare(&victim, &samples).await.unwrap();
    assert!(prepared.sources.len() < 40, "{}", prepared.sources.len());
    for label in 0..4 {
        let others = prepared.sources.iter().filter(|s| s.label != label).count();
        assert!(others >= 10, "{label}: {others}");
    }
    let targets = samples.labels.iter().map(|label| (label + 1) % 4).collect();
    let targeted = samples.with_targets(targets);
    let prepared = attack(0.01).prepare(&victim, &targeted).await.unwrap();
    for target in 0..4 {
        let there = targeted.labels.iter().filter(|&&label| label == target);
        let of_class = prepared.sources.iter().filter(|s| s.label == target);
        assert_eq!(of_class.count(), there.count().min(10), "{target}");
    }
    for outcome in prepared.run(&victim, &targeted, &()).await.unwrap() {
        let target = targeted.targets.as_ref().unwrap()[outcome.id as usize];
        let reached = outcome.status == Status::AdversarialFound;
        assert!(!reached || outcome.prediction == target);
    }
}

#[tokio::test]
async fn an_evaluation_takes_it_like_any_other() {
    let (victim, samples) = smooth(15);
    let config = AttackConfig {
        attack: AttackKind::Feature,
        eps: Some("0.03".parse().unwrap()),
        steps: Some(20),
        restarts: Some(5),
        ..AttackConfig::default()
    };
    let attack = config.validate(&Limits::for_input(SMALL)).unwrap();
    assert_eq!(
        attack.to_string(),
        "feature linf eps=0.03 steps=20 step_size=0.003922 restarts=5 seed=0"
    );
    let attack = attack.prepare(&victim, &samples).await.unwrap();
    let [large, small] = [15, 4].map(|batch| evaluate(&victim, &samples, &attack, batch, |_| ()));
    let (large, small) = (large.await.unwrap(), small.await.unwrap());
    assert_eq!(large, small);
    assert!(large.adversarial_found > 0 && large.accuracy_under_attack > 0.0);
}

#[tokio::test]
async fn without_sources_it_is_refused_with_the_remedy_before_any_gradient() {
    let (victim, samples) = smooth(3);
    let unprepared = AnyAttack::Feature(attack(0.1));
    let error = unprepared.run(&victim, &samples, &()).await.unwrap_err();
    assert!(matches!(
        error,
        AttackError::Samples(SampleError::NoSources)
    ));
    let request = Examination {
        attack: unprepared,
        images: samples.images.clone(),
        labels: None,
        target: None,
        halvings: None,
        class_names: vec![],
    };
    let message = examine(&victim, &request, &())
        .await
        .unwrap_err()
        .to_string();
    assert!(message.contains("run it on a data set"), "{message}");

    let alike = Samples::new(images(4, 0.0, 1.0, 3), vec![2; 4]);
    let message = attack(0.1)
        .prepare(&victim, &alike)
        .await
        .unwrap_err()
        .to_string();
    assert!(message.contains("a class other than 2"), "{message}");
    assert_eq!(victim.gradients(), 0);

    let mixed = Samples::new(images(4, 0.0, 1.0, 3), vec![2, 2, 2, 1]);
    let prepared = attack(0.1).prepare(&victim, &mixed).await.unwrap();
    let targeted = mixed.with_targets(vec![1, 1, 3, 2]);
    let message = prepared
        .run(&victim, &targeted, &())
        .await
        .unwrap_err()
        .to_string();
    assert!(
        message.contains("image 2") && message.contains("class 3"),
        "{message}"
    );
}

#[tokio::test]
async fn a_victim_without_features_says_so() {
    let network = Linear::random(3, SMALL.values(), 1);
    let samples = labelled(&network, images(10, 0.0, 1.0, 2));
    let victim = Counted::new(network, SMALL);
    let error = attack(0.1).prepare(&victim, &samples).await.unwrap_err();
    assert!(matches!(
        error,
        AttackError::Victim(VictimError::NoFeatures)
    ));
    assert!(error.to_string().contains("output `features`"));
    // So does one that has never heard of them.
    struct Plain(Counted<Linear>);
    impl Victim for Plain {
        fn input(&self) -> buckler_attack::InputSpec {
            self.0.input()
        }
        fn classes(&self) -> usize {
            self.0.classes()
        }
        async fn logits(&self, images: ndarray::Array4<f32>) -> Result<Array2<f32>, VictimError> {
            self.0.logits(images).await
        }
        async fn gradient(
            &self,
            images: ndarray::Array4<f32>,
            objectives: Vec<buckler_attack::Objective>,
        ) -> Result<buckler_attack::Gradient, VictimError> {
            self.0.gradient(images, objectives).await
        }
    }
    let plain = Plain(victim);
    assert_eq!(plain.features(), None);
    let answer = plain.features_of(samples.images.clone()).await;
    assert!(matches!(answer, Err(VictimError::NoFeatures)));
}
