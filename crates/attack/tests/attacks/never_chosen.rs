//! Logits of minus infinity: classes that are never chosen.

use buckler_attack::{
    Attack, AttackConfig, AttackKind, Evaluation, Examination, Limits, Norm, Outcome, Pgd,
    Prediction, Samples, Status, accuracy, evaluate, examine,
};

use crate::support::{Counted, Mlp, Network, SMALL, all, images, labelled, smooth, threat};

/// The first classes of a network; the others are left out, or masked.
struct First {
    network: Mlp,
    classes: usize,
    masked: bool,
}

impl First {
    fn widen(&self, cotangent: &[f64]) -> Vec<f64> {
        let kept = cotangent.iter().take(self.classes).copied();
        let rest = std::iter::repeat(0.0);
        let all = self.network.logits(&vec![0.5; SMALL.values()]).len();
        kept.chain(rest).take(all).collect()
    }
}

impl Network for First {
    fn logits(&self, x: &[f64]) -> Vec<f64> {
        let mut z = self.network.logits(x);
        match self.masked {
            true => z
                .iter_mut()
                .skip(self.classes)
                .for_each(|z| *z = f64::NEG_INFINITY),
            false => z.truncate(self.classes),
        }
        z
    }

    fn pull_back(&self, x: &[f64], cotangent: &[f64]) -> Vec<f64> {
        self.network.pull_back(x, &self.widen(cotangent))
    }

    fn features(&self, x: &[f64]) -> Option<Vec<f64>> {
        self.network.features(x)
    }

    fn pull_back_features(&self, x: &[f64], cotangent: &[f64]) -> Vec<f64> {
        self.network.pull_back_features(x, cotangent)
    }
}

fn first(classes: usize, masked: bool) -> Counted<First> {
    let network = Mlp::random(5, SMALL.values(), 11);
    let network = First {
        network,
        classes,
        masked,
    };
    Counted::new(network, SMALL)
}

#[tokio::test]
async fn every_attack_answers_as_if_a_masked_class_were_not_there() {
    for classes in [2, 3, 4] {
        let (fewer, masked) = (first(classes, false), first(classes, true));
        let samples = labelled(&fewer.network, images(8, 0.1, 0.9, 12));
        let mut broken = 0;
        for attack in all(&masked, &samples).await {
            let mut outcomes = attack.run(&masked, &samples, &()).await.unwrap();
            let mut expected = attack.run(&fewer, &samples, &()).await.unwrap();
            for outcome in outcomes.iter_mut().chain(&mut expected) {
                assert!(outcome.loss.is_finite(), "{attack}");
                outcome.clean_logits.truncate(classes);
            }
            assert_eq!(outcomes, expected, "{attack} with {classes} of 5 classes");
            let found = |o: &&Outcome| o.status == Status::AdversarialFound;
            broken += outcomes.iter().filter(found).count();
        }
        assert!(broken > 20, "{broken} with {classes} of 5 classes");
    }
}

#[tokio::test]
async fn a_masked_class_is_never_reached_and_spreads_no_nan() {
    let victim = first(4, true);
    let samples = labelled(&victim.network, images(4, 0.1, 0.9, 12)).with_targets(vec![4; 4]);
    for attack in AttackKind::ALL {
        // There is no image of that class whose features would do.
        if attack == AttackKind::Feature {
            continue;
        }
        let config = AttackConfig {
            attack,
            steps: (attack == AttackKind::Spsa).then_some(3),
            ..AttackConfig::default()
        };
        let attack = config.validate(&Limits::for_input(SMALL)).unwrap();
        for outcome in attack.run(&victim, &samples, &()).await.unwrap() {
            assert_eq!(outcome.status, Status::NotFound, "{attack}");
            let finite = |image: &ndarray::Array3<f32>| image.iter().all(|v| v.is_finite());
            assert!(outcome.best.as_ref().is_none_or(finite), "{attack}");
        }
    }
}

#[tokio::test]
async fn an_image_whose_own_class_is_masked_is_misclassified() {
    let victim = first(4, true);
    let samples = labelled(&victim.network, images(4, 0.1, 0.9, 12));
    let wrong = Samples::new(samples.images.clone(), vec![4; 4]);
    for attack in all(&victim, &samples).await {
        let outcomes = attack.run(&victim, &wrong, &()).await.unwrap();
        for outcome in outcomes {
            assert_eq!(outcome.status, Status::MisclassifiedClean, "{attack}");
            assert!(outcome.loss.is_finite());
        }
    }
    assert_eq!(accuracy(&victim, &samples).await.unwrap(), 1.0);
    assert_eq!(accuracy(&victim, &wrong).await.unwrap(), 0.0);
}

#[tokio::test]
async fn figures_and_reports_with_masked_classes_survive_json() {
    // One class alone can be chosen: no margin is finite.
    let victim = first(1, true);
    let samples = labelled(&victim.network, images(3, 0.1, 0.9, 12));
    let limits = Limits::for_input(SMALL);
    for attack in AttackKind::ALL {
        if attack == AttackKind::Feature {
            continue;
        }
        let config = AttackConfig {
            attack,
            ..AttackConfig::default()
        };
        let attack = config.validate(&limits).unwrap();
        let evaluation = evaluate(&victim, &samples, &attack, 8, |_| ())
            .await
            .unwrap();
        assert_eq!(evaluation.accuracy_under_attack, 1.0, "{attack}");
        let json = serde_json::to_string(&evaluation).unwrap();
        assert!(!json.contains("\"loss\":null"), "{attack}: {json}");
        assert_eq!(
            serde_json::from_str::<Evaluation>(&json).unwrap(),
            evaluation
        );
        let request = Examination {
            attack,
            images: samples.images.clone(),
            labels: None,
            target: None,
            halvings: None,
            class_names: Vec::new(),
        };
        for examined in examine(&victim, &request, &()).await.unwrap() {
            let Prediction {
                class, probability, ..
            } = &examined.report.clean;
            assert_eq!((*class, *probability), (0, 1.0));
            let json = serde_json::to_string(&examined.report).unwrap();
            assert_eq!(
                serde_json::from_str::<buckler_attack::AttackReport>(&json).unwrap(),
                examined.report
            );
        }
    }
}

/// A network whose first logit is another value for images that are dark in their first pixel.
struct Wrong(Mlp, f64);

impl Network for Wrong {
    fn logits(&self, x: &[f64]) -> Vec<f64> {
        let mut z = self.0.logits(x);
        if x[0] < 0.05 {
            z[0] = self.1;
        }
        z
    }

    fn pull_back(&self, x: &[f64], cotangent: &[f64]) -> Vec<f64> {
        self.0.pull_back(x, cotangent)
    }
}

#[tokio::test]
async fn an_image_without_a_prediction_is_named() {
    for (value, shown) in [(f64::NAN, "NaN"), (f64::INFINITY, "inf")] {
        let (_, mut samples) = smooth(5);
        samples.images[[3, 0, 0, 0]] = 0.0;
        let victim = Counted::new(Wrong(Mlp::random(4, SMALL.values(), 11), value), SMALL);
        let attack = Pgd::new(threat(Norm::Linf, 0.01));
        let ids = samples.clone().with_ids(vec![10, 11, 12, 13, 14]);
        let error = attack.run(&victim, &ids, &()).await.unwrap_err();
        assert_eq!(error.image_without_prediction(), Some(13));
        let text = error.to_string();
        assert!(text.contains("image 13") && text.contains("class 0 is") && text.contains(shown));
        for labels in [None, Some(samples.labels.clone())] {
            let request = Examination {
                attack: buckler_attack::AnyAttack::Pgd(attack.clone()),
                images: samples.images.clone(),
                labels,
                target: None,
                halvings: None,
                class_names: Vec::new(),
            };
            let error = examine(&victim, &request, &()).await.unwrap_err();
            assert_eq!(error.image_without_prediction(), Some(3), "{error}");
        }
    }
}
