use burn::optim::SgdConfig;
use burn::tensor::{TensorData, Tolerance};
use rand::Rng;

use super::*;
use crate::network::Precision;
use crate::testing::redrawn;

/// The built-in digits recipe with a WRN-10-1 or a SmallCNN, changed by lines of TOML.
fn recipe(network: &str, changes: &str) -> Recipe {
    let text = format!(
        "base = \"digits-he\"\nname = \"test\"\nnetwork = {network}\noptimizer = {{ weight_decay = 0.0 }}\n{changes}"
    );
    Recipe::parse(&text, "test").unwrap()
}

const WITHOUT_BATCH_NORM: &str = "{ kind = \"small-cnn\", width = 0.1 }";
const WITH_BATCH_NORM: &str = "{ kind = \"wide-resnet\", depth = 10, width = 1 }";

fn state(recipe: &Recipe) -> TrainingState {
    let device = Device::flex().autodiff();
    let image = [1, 16, 16];
    let precision = Precision::F32;
    let network = Network::init(
        &recipe.network,
        None,
        &recipe.head,
        image,
        4,
        precision,
        &device,
    )
    .unwrap();
    TrainingState {
        network: redrawn(network, 2),
        optimizer: SgdConfig::new().init(),
        average: None,
        perturbation: None,
        devices: vec![Device::flex()],
    }
}

fn batch(rows: usize) -> Batch {
    let device = Device::flex();
    let mut rng = ChaCha8Rng::seed_from_u64(7);
    // Noise, brighter in the quarter of the image that is the label's.
    let pixels: Vec<f32> = (0..rows * 256)
        .map(|i| {
            let (row, y, x) = (i / 256, i / 16 % 16, i % 16);
            let lit = row % 4 == y / 8 * 2 + x / 8;
            0.5 * rng.random::<f32>() + if lit { 0.5 } else { 0.0 }
        })
        .collect();
    let labels: Vec<i64> = (0..rows as i64).map(|row| row % 4).collect();
    Batch {
        images: Tensor::from_data(TensorData::new(pixels, [rows, 1, 16, 16]), &device),
        labels: Tensor::from_data(TensorData::new(labels, [rows]), &device),
        position: 5.0,
        number: 0,
        learning_rate: 0.05,
    }
}

fn step(state: &mut TrainingState, recipe: &Recipe, rows: usize) -> f64 {
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    state.step(recipe, &batch(rows), &mut rng).unwrap()
}

fn close(a: Tensor<2>, b: Tensor<2>) {
    a.into_data()
        .assert_approx_eq::<f32>(&b.into_data(), Tolerance::absolute(2e-5));
}

#[test]
fn gradients_of_parts_of_a_batch_add_up_to_those_of_the_whole() {
    let whole = recipe(WITHOUT_BATCH_NORM, "");
    let parts = recipe(WITHOUT_BATCH_NORM, "training = { micro_batch = 3 }");
    let (mut a, mut b) = (state(&whole), state(&parts));
    let before = a.network.head.weight.val().inner();
    let (loss_a, loss_b) = (step(&mut a, &whole, 8), step(&mut b, &parts, 8));
    assert!((loss_a - loss_b).abs() < 1e-4, "{loss_a} {loss_b}");
    let [a, b] = [a, b].map(|state| state.network.head.weight.val().inner());
    let moved: f32 = (a.clone() - before).abs().max().into_scalar();
    assert!(moved > 1e-3, "{moved}");
    close(a, b);
}

#[test]
fn several_devices_add_up_to_one() {
    for kind in ["plain", "free-at"] {
        let changes = match kind {
            // Next to no random starts, which are drawn for every device.
            "plain" => {
                "framework = { kind = \"alp\", beta = 0.5 }\nadversary = { eps = 1e-9, step_size = 1e-9 }"
            }
            _ => "framework = { kind = \"free-at\", replays = 2 }\nadversary = { steps = 1 }",
        };
        let recipe = recipe(WITHOUT_BATCH_NORM, changes);
        let (mut one, mut three) = (state(&recipe), state(&recipe));
        three.devices = vec![Device::flex(); 3];
        let before = one.network.head.weight.val().inner();
        let (loss_a, loss_b) = (step(&mut one, &recipe, 8), step(&mut three, &recipe, 8));
        assert!((loss_a - loss_b).abs() < 1e-4, "{loss_a} {loss_b}");
        let [a, b] = [one, three].map(|state| state.network.head.weight.val().inner());
        let moved: f32 = (a.clone() - before).abs().max().into_scalar();
        assert!(moved > 1e-3, "{moved}");
        close(a, b);
    }
}

#[test]
fn several_devices_craft_inside_the_ball_and_train() {
    let recipe = recipe(WITH_BATCH_NORM, "");
    let mut state = state(&recipe);
    state.devices = vec![Device::flex(); 2];
    let adversary = recipe.adversary.as_ref().unwrap();
    let adversary = adversary.at(5.0, recipe.framework).unwrap();
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let batch = batch(5);
    let crafted = state.craft(&adversary, &state.network.valid(), &batch, &mut rng);
    assert_eq!(crafted.dims(), [5, 1, 16, 16]);
    let distance: f32 = (crafted - batch.images.clone()).abs().max().into_scalar();
    assert!(distance > 0.1 && distance <= 0.3 + 1e-6, "{distance}");
    let losses: Vec<f64> = (0..20).map(|_| step(&mut state, &recipe, 8)).collect();
    assert!(losses[19] < losses[0], "{losses:?}");
}

/// The running means of the last batch norm.
fn running_mean(state: &TrainingState) -> Vec<f32> {
    struct Last(Vec<f32>);
    impl burn::module::ModuleVisitor for Last {
        fn visit_float<const D: usize>(&mut self, param: &burn::module::Param<Tensor<D>>) {
            if D == 1 {
                self.0
                    .extend(param.val().into_data().try_to_vec::<f32>().unwrap());
            }
        }
    }
    let mut last = Last(Vec::new());
    state.network.valid().visit(&mut last);
    last.0
}

#[test]
fn iterative_crafting_leaves_batch_norm_alone_and_single_step_crafting_does_not() {
    let device = Device::flex();
    for (kind, moves) in [("pgd-at", false), ("fast-at", true)] {
        let changes = format!("framework = {{ kind = \"{kind}\" }}\nadversary = {{ steps = 1 }}");
        let recipe = recipe(WITH_BATCH_NORM, &changes);
        let state = state(&recipe);
        let before = running_mean(&state);
        let adversary = recipe.adversary.as_ref().unwrap();
        let adversary = adversary.at(5.0, recipe.framework).unwrap();
        let attacked = if moves {
            state.network.clone().no_grad()
        } else {
            state.network.valid()
        };
        let Batch { images, labels, .. } = batch(4);
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let crafted = adversary.craft(&attacked, images, labels, &mut rng);
        assert_eq!(crafted.device(), device);
        assert_eq!(running_mean(&state) != before, moves, "{kind}");
    }
}

#[test]
fn without_batch_norm_a_single_step_trains_as_one_iteration_does() {
    let [fast, pgd] = ["fast-at", "pgd-at"].map(|kind| {
        let changes = format!("framework = {{ kind = \"{kind}\" }}\nadversary = {{ steps = 1 }}");
        recipe(WITHOUT_BATCH_NORM, &changes)
    });
    let mut a = state(&fast);
    let mut b = state(&pgd);
    let before = a.network.head.weight.val().inner();
    step(&mut a, &fast, 8);
    step(&mut b, &pgd, 8);
    let [a, b] = [a, b].map(|state| state.network.head.weight.val().inner());
    let moved: f32 = (a.clone() - before).abs().max().into_scalar();
    assert!(moved > 1e-3, "{moved}");
    close(a, b);
}

#[test]
fn the_free_perturbation_stays_in_the_ball_and_outlives_its_batch() {
    for (norm, epsilon) in [("linf", 0.1f32), ("l2", 1.0)] {
        let changes = format!(
            "framework = {{ kind = \"free-at\", replays = 3 }}\ntraining = {{ batch_size = 6 }}\n\
             adversary = {{ norm = \"{norm}\", eps = {epsilon}, steps = 1, step_size = {epsilon}, warmup_epochs = 0.0 }}"
        );
        let recipe = recipe(WITH_BATCH_NORM, &changes);
        let mut state = state(&recipe);
        step(&mut state, &recipe, 6);
        let first = state.perturbation.clone().unwrap();
        assert_eq!(first.dims(), [6, 1, 16, 16]);
        let size = match norm {
            "linf" => first.clone().abs().max(),
            _ => crate::ball::lengths(first.clone()).max(),
        };
        let size: f32 = size.into_scalar();
        assert!(
            size > 0.5 * epsilon && size <= epsilon * (1.0 + 1e-6),
            "{size}"
        );
        // A smaller batch uses and changes the first rows.
        step(&mut state, &recipe, 4);
        let second = state.perturbation.clone().unwrap();
        let changed: Vec<f32> = (second - first)
            .abs()
            .sum_dims(&[1, 2, 3])
            .into_data()
            .try_to_vec()
            .unwrap();
        assert!(changed[..4].iter().all(|row| *row > 0.0), "{changed:?}");
        assert_eq!(changed[4..], [0.0, 0.0]);
    }
}

#[test]
fn every_framework_lowers_its_objective_on_one_batch() {
    for framework in [
        "{ kind = \"pgd-at\" }",
        "{ kind = \"alp\", beta = 0.5 }",
        "{ kind = \"trades\", beta = 6.0 }",
        "{ kind = \"mart\", beta = 5.0 }",
        "{ kind = \"free-at\", replays = 2 }",
        "{ kind = \"fast-at\" }",
    ] {
        for head in [
            "{ kind = \"linear\" }",
            "{ kind = \"hypersphere\", scale = 10.0, margin = 0.2 }",
        ] {
            for norm in ["linf", "l2"] {
                let single = framework.contains("free") || framework.contains("fast");
                let steps = if single { 1 } else { 2 };
                let changes = format!(
                    "framework = {framework}\nhead = {head}\nawp = {{ gamma = 0.001 }}\n\
                     adversary = {{ norm = \"{norm}\", eps = 0.02, steps = {steps}, step_size = 0.02 }}"
                );
                let recipe = recipe(WITHOUT_BATCH_NORM, &changes);
                let mut state = state(&recipe);
                let losses: Vec<f64> = (0..30).map(|_| step(&mut state, &recipe, 8)).collect();
                let lowest = losses[15..].iter().copied().fold(f64::INFINITY, f64::min);
                assert!(
                    lowest < 0.97 * losses[0],
                    "{framework} {head} {norm}: {losses:?}"
                );
            }
        }
    }
}
