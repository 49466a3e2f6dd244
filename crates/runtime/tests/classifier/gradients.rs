use crate::models::{Batch, linear, numbers, smooth_network};
use crate::{CLASSES, GREY, RGB, images, loaded};
use buckler_attack::{Objective, Victim};
use ndarray::{Array4, Axis, concatenate};

fn every_objective() -> Vec<Objective> {
    vec![
        Objective::CrossEntropy { label: 1 },
        Objective::TargetedCrossEntropy { target: 2 },
        Objective::Margin { label: 0 },
        Objective::TargetedMargin { target: 3 },
        Objective::Cotangent(vec![0.5, -1.0, 2.0, 0.25]),
        Objective::Dlr { label: 3 },
        Objective::TargetedDlr {
            label: 0,
            target: 2,
        },
        Objective::KullbackLeibler(vec![0.5, 0.0, 0.125, 0.375]),
    ]
}

/// The derivative of an objective with respect to the logits.
fn logit_gradient(objective: &Objective, logits: &[f64]) -> Vec<f64> {
    let largest = logits.iter().copied().fold(f64::MIN, f64::max);
    let total: f64 = logits.iter().map(|z| (z - largest).exp()).sum();
    let one = |class: usize, i: usize| f64::from(u8::from(class == i));
    let rival = |class: usize| {
        (0..logits.len())
            .filter(|&i| i != class)
            .max_by(|&a, &b| logits[a].total_cmp(&logits[b]))
            .unwrap()
    };
    let mut order: Vec<usize> = (0..logits.len()).collect();
    order.sort_by(|&a, &b| logits[b].total_cmp(&logits[a]));
    let ratio = |i: usize, up: usize, down: usize, low: &[usize]| {
        let share = 1.0 / low.len() as f64;
        let spread = logits[order[0]] - low.iter().map(|&k| logits[k] * share).sum::<f64>();
        let slope = one(order[0], i) - low.iter().map(|&k| one(k, i) * share).sum::<f64>();
        let gap = logits[up] - logits[down];
        (one(up, i) - one(down, i) - gap / spread * slope) / spread
    };
    (0..logits.len())
        .map(|i| {
            let probability = (logits[i] - largest).exp() / total;
            match objective {
                Objective::CrossEntropy { label } => probability - one(*label, i),
                Objective::TargetedCrossEntropy { target } => one(*target, i) - probability,
                Objective::Margin { label } => one(rival(*label), i) - one(*label, i),
                Objective::TargetedMargin { target } => one(*target, i) - one(rival(*target), i),
                Objective::Cotangent(values) => f64::from(values[i]),
                Objective::Dlr { label } => ratio(i, rival(*label), *label, &order[2..3]),
                Objective::TargetedDlr { label, target } => ratio(i, *target, *label, &order[2..4]),
                Objective::KullbackLeibler(p) => {
                    probability * p.iter().sum::<f32>() as f64 - f64::from(p[i])
                }
                Objective::FeatureDistance(_) => panic!("not a function of the logits"),
            }
        })
        .collect()
}

#[tokio::test]
async fn a_linear_models_gradients_have_their_closed_form_for_every_objective() {
    let weights = numbers(GREY.values() * CLASSES, 3);
    let bias = numbers(CLASSES, 4);
    let classifier = loaded(&linear(GREY, &weights, &bias, Batch::Any));
    classifier.can_attack().unwrap();
    let images = images(every_objective().len(), GREY, 5);
    let answer = classifier
        .gradient(images.clone(), every_objective())
        .await
        .unwrap();
    let forward = classifier.logits(images.clone()).await.unwrap();
    for (row, objective) in every_objective().iter().enumerate() {
        let pixels: Vec<f64> = images
            .index_axis(Axis(0), row)
            .iter()
            .map(|&x| x.into())
            .collect();
        let logits: Vec<f64> = (0..CLASSES)
            .map(|k| {
                let products = pixels
                    .iter()
                    .enumerate()
                    .map(|(i, x)| x * f64::from(weights[i * CLASSES + k]));
                f64::from(bias[k]) + products.sum::<f64>()
            })
            .collect();
        for (k, expected) in logits.iter().enumerate() {
            assert!((f64::from(answer.logits[[row, k]]) - expected).abs() < 1e-5);
            assert!((f64::from(forward[[row, k]]) - expected).abs() < 1e-5);
        }
        let rounded: Vec<f32> = logits.iter().map(|&z| z as f32).collect();
        let loss = f64::from(answer.loss[row]);
        assert!(
            (loss - objective.value(&rounded)).abs() < 1e-5,
            "{objective:?}: {loss}"
        );
        let slope = logit_gradient(objective, &logits);
        for (i, got) in answer.input.index_axis(Axis(0), row).iter().enumerate() {
            let expected: f64 = (0..CLASSES)
                .map(|k| slope[k] * f64::from(weights[i * CLASSES + k]))
                .sum();
            assert!(
                (f64::from(*got) - expected).abs() < 1e-5,
                "{objective:?}, pixel {i}: {got}, {expected}"
            );
        }
    }
}

#[tokio::test]
async fn a_convolutional_networks_gradients_agree_with_central_differences() {
    let classifier = loaded(&smooth_network(RGB, CLASSES, Batch::Any));
    let rows = every_objective().len();
    let images = images(rows, RGB, 6);
    let answer = classifier
        .gradient(images.clone(), every_objective())
        .await
        .unwrap();
    let step = 2e-3;
    for seed in 0..4 {
        // Along the signs of the gradient in some pixels, against them in others: a large derivative, a random direction.
        let direction =
            Array4::from_shape_vec(images.raw_dim(), numbers(images.len(), 10 + seed)).unwrap();
        let direction = direction.mapv(|value| if value < 0.5 { 1.0 } else { -1.0 })
            * answer.input.mapv(f32::signum);
        let above = classifier
            .logits(&images + &direction * step)
            .await
            .unwrap();
        let below = classifier
            .logits(&images - &direction * step)
            .await
            .unwrap();
        for (row, objective) in every_objective().iter().enumerate() {
            let value = |logits: &ndarray::Array2<f32>| objective.value(&logits.row(row).to_vec());
            let difference = (value(&above) - value(&below)) / (2.0 * f64::from(step));
            let (gradient, direction) = (
                answer.input.index_axis(Axis(0), row),
                direction.index_axis(Axis(0), row),
            );
            let derivative: f64 = gradient
                .iter()
                .zip(direction)
                .map(|(g, d)| f64::from(*g) * f64::from(*d))
                .sum();
            let error = (difference - derivative).abs();
            assert!(
                error < 0.01 * derivative.abs() + 1e-3,
                "{objective:?}: {difference}, {derivative}"
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn answers_are_bitwise_the_same_alone_and_among_concurrent_callers() {
    for (model, input) in [
        (smooth_network(RGB, CLASSES, Batch::Any), RGB),
        (
            linear(
                GREY,
                &numbers(GREY.values() * CLASSES, 3),
                &numbers(CLASSES, 4),
                Batch::Any,
            ),
            GREY,
        ),
    ] {
        let classifier = loaded(&model);
        let objective = |row: usize| every_objective()[row % 5].clone();
        let mut alone = Vec::new();
        for row in 0..40 {
            let image = images(1, input, 100 + row as u64);
            let gradient = classifier
                .gradient(image.clone(), vec![objective(row)])
                .await
                .unwrap();
            alone.push((classifier.logits(image).await.unwrap(), gradient));
        }
        // All at once, by one, two or three rows each.
        let mut callers = tokio::task::JoinSet::new();
        let mut start = 0;
        while start < 40 {
            let rows: Vec<usize> = (start..40.min(start + 1 + start % 3)).collect();
            start = rows.last().unwrap() + 1;
            let classifier = classifier.clone();
            callers.spawn(async move {
                let parts: Vec<_> = rows
                    .iter()
                    .map(|&row| images(1, input, 100 + row as u64))
                    .collect();
                let views: Vec<_> = parts.iter().map(|part| part.view()).collect();
                let batch = concatenate(Axis(0), &views).unwrap();
                let objectives = rows.iter().map(|&row| objective(row)).collect();
                let (logits, gradient) = tokio::join!(
                    classifier.logits(batch.clone()),
                    classifier.gradient(batch, objectives)
                );
                (rows, logits.unwrap(), gradient.unwrap())
            });
        }
        while let Some(answer) = callers.join_next().await {
            let (rows, logits, gradient) = answer.unwrap();
            for (place, row) in rows.into_iter().enumerate() {
                let (logits_alone, alone) = &alone[row];
                assert_eq!(logits.row(place), logits_alone.row(0));
                assert_eq!(gradient.logits.row(place), alone.logits.row(0));
                assert_eq!(gradient.loss[place], alone.loss[0]);
                assert_eq!(
                    gradient.input.index_axis(Axis(0), place),
                    alone.input.index_axis(Axis(0), 0)
                );
            }
        }
    }
}

#[tokio::test]
async fn a_model_with_a_fixed_batch_answers_any_number_of_rows() {
    let weights = numbers(GREY.values() * CLASSES, 3);
    let free = loaded(&linear(GREY, &weights, &[0.0; CLASSES], Batch::Any));
    let images = images(every_objective().len(), GREY, 7);
    let expected = free
        .gradient(images.clone(), every_objective())
        .await
        .unwrap();
    for size in [1, 3] {
        let fixed = loaded(&linear(GREY, &weights, &[0.0; CLASSES], Batch::Fixed(size)));
        fixed.can_attack().unwrap();
        let got = fixed
            .gradient(images.clone(), every_objective())
            .await
            .unwrap();
        assert!(
            (&got.input - &expected.input)
                .iter()
                .all(|difference| difference.abs() < 1e-6)
        );
        let logits = fixed.logits(images.clone()).await.unwrap();
        assert!(
            (&logits - &expected.logits)
                .iter()
                .all(|difference| difference.abs() < 1e-6)
        );
    }
}
