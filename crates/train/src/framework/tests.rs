use burn::tensor::{Device, TensorData};
use proptest::prelude::*;

use super::*;
use crate::head::HeadConfig;

const CLASSES: usize = 4;
const ROWS: usize = 3;
const FRAMEWORKS: [Framework; 7] = [
    Framework::Plain {},
    Framework::PgdAt {},
    Framework::Alp { beta: 0.5 },
    Framework::Trades { beta: 6.0 },
    Framework::Mart { beta: 5.0 },
    Framework::FreeAt { replays: 8 },
    Framework::FastAt {},
];

/// The objectives again, in double precision, one row after another, from the papers and not from the code above.
struct Reference {
    scale: f64,
    margin: f64,
    smoothing: f64,
}

fn softmax(logits: &[f64]) -> Vec<f64> {
    let highest = logits.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let exp: Vec<f64> = logits.iter().map(|z| (z - highest).exp()).collect();
    let sum: f64 = exp.iter().sum();
    exp.iter().map(|e| e / sum).collect()
}

impl Reference {
    fn ce(&self, cosines: &[f64], label: usize) -> f64 {
        let logits: Vec<f64> = cosines
            .iter()
            .enumerate()
            .map(|(k, c)| self.scale * (c - if k == label { self.margin } else { 0.0 }))
            .collect();
        let p = softmax(&logits);
        let target = |k| {
            let share = self.smoothing / CLASSES as f64;
            if k == label {
                1.0 - self.smoothing + share
            } else {
                share
            }
        };
        (0..CLASSES).map(|k| -target(k) * p[k].ln()).sum()
    }

    fn p(&self, cosines: &[f64]) -> Vec<f64> {
        softmax(&cosines.iter().map(|c| self.scale * c).collect::<Vec<_>>())
    }

    fn kl(&self, clean: &[f64], adversarial: &[f64]) -> f64 {
        let (p, q) = (self.p(clean), self.p(adversarial));
        p.iter().zip(&q).map(|(p, q)| p * (p / q).ln()).sum()
    }

    fn row(&self, framework: Framework, clean: &[f64], adversarial: &[f64], label: usize) -> f64 {
        match framework {
            Framework::Plain {}
            | Framework::PgdAt {}
            | Framework::FreeAt { .. }
            | Framework::FastAt {} => self.ce(adversarial, label),
            Framework::Alp { beta } => {
                let squares = clean.iter().zip(adversarial).map(|(a, b)| (a - b).powi(2));
                0.5 * self.ce(clean, label)
                    + 0.5 * self.ce(adversarial, label)
                    + f64::from(beta) * squares.sum::<f64>() / CLASSES as f64
            }
            Framework::Trades { beta } => {
                self.ce(clean, label) + f64::from(beta) * self.kl(clean, adversarial)
            }
            Framework::Mart { beta } => {
                let q = self.p(adversarial);
                let runner_up = (0..CLASSES)
                    .filter(|k| *k != label)
                    .map(|k| q[k])
                    .fold(0.0, f64::max);
                self.ce(adversarial, label) - (1.0001 - runner_up).ln()
                    + f64::from(beta) * self.kl(clean, adversarial) * (1.0 - self.p(clean)[label])
            }
        }
    }

    fn mean(
        &self,
        framework: Framework,
        clean: &[f64],
        adversarial: &[f64],
        labels: &[usize],
    ) -> f64 {
        let rows = clean.chunks(CLASSES).zip(adversarial.chunks(CLASSES));
        rows.zip(labels)
            .map(|((clean, adversarial), label)| self.row(framework, clean, adversarial, *label))
            .sum::<f64>()
            / labels.len() as f64
    }
}

fn tensor(values: &[f64], device: &Device) -> Tensor<2> {
    let values: Vec<f32> = values.iter().map(|v| *v as f32).collect();
    Tensor::from_data(TensorData::new(values, [ROWS, CLASSES]), device)
}

fn close(got: f64, expected: f64, what: &str) -> Result<(), TestCaseError> {
    prop_assert!(
        (got - expected).abs() <= 2e-4 * (1.0 + expected.abs()),
        "{what}: {got}, expected {expected}"
    );
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]
    #[test]
    fn objectives_and_their_gradients_are_the_papers(
        clean in prop::collection::vec(-1.0..1.0f64, ROWS * CLASSES),
        adversarial in prop::collection::vec(-1.0..1.0f64, ROWS * CLASSES),
        labels in prop::collection::vec(0..CLASSES, ROWS),
        smoothing in prop::sample::select(vec![0.0f32, 0.1]),
        hypersphere: bool,
    ) {
        // At a tie MART's runner-up has no derivative.
        let tied = |row: &[f64]| (0..CLASSES).any(|i| (0..i).any(|j| (row[i] - row[j]).abs() < 1e-4));
        prop_assume!(!adversarial.chunks(CLASSES).any(tied));
        let device = Device::flex().autodiff();
        let config = if hypersphere {
            HeadConfig::Hypersphere { feature_norm: true, weight_norm: true, scale: 10.0, margin: 0.2 }
        } else {
            HeadConfig::Linear {}
        };
        let head = Head::init(&config, 7, CLASSES, &device);
        let reference = Reference {
            scale: f64::from(head.scale),
            margin: f64::from(head.margin),
            smoothing: f64::from(smoothing),
        };
        let ids: Vec<i64> = labels.iter().map(|label| *label as i64).collect();
        for framework in FRAMEWORKS {
            let leaves = [tensor(&clean, &device), tensor(&adversarial, &device)]
                .map(Tensor::require_grad);
            let value = framework.objective(Terms {
                head: &head,
                labels: Tensor::from_data(TensorData::new(ids.clone(), [ROWS]), &device),
                clean: framework.pairs().then(|| leaves[0].clone()),
                trained: leaves[1].clone(),
                label_smoothing: smoothing,
            });
            let expected = reference.mean(framework, &clean, &adversarial, &labels);
            close(f64::from(value.clone().into_scalar::<f32>()), expected, framework.name())?;

            let gradients = value.backward();
            for (side, leaf) in leaves.iter().enumerate() {
                let got: Vec<f32> = match leaf.grad(&gradients) {
                    Some(gradient) => gradient.into_data().try_to_vec().unwrap(),
                    None => vec![0.0; ROWS * CLASSES],
                };
                for (i, got) in got.into_iter().enumerate() {
                    let at = |h: f64| {
                        let mut moved = [clean.clone(), adversarial.clone()];
                        moved[side][i] += h;
                        reference.mean(framework, &moved[0], &moved[1], &labels)
                    };
                    let expected = (at(1e-6) - at(-1e-6)) / 2e-6;
                    close(f64::from(got), expected, framework.name())?;
                }
            }
        }
    }
}
