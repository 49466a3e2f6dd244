use burn::tensor::{Device, Int, Tolerance};
use rand::SeedableRng;

use super::*;
use crate::head::HeadConfig;
use crate::loss::cross_entropy;
use crate::network::{NetworkConfig, Precision};
use crate::testing::redrawn;

fn network(device: &Device) -> Network {
    let config = NetworkConfig::WideResnet {
        depth: 10,
        width: 1,
    };
    let network = Network::init(
        &config,
        None,
        &HeadConfig::Linear {},
        [3, 8, 8],
        4,
        Precision::F32,
        device,
    );
    redrawn(network.unwrap(), 1)
}

fn images(device: &Device) -> Tensor<4> {
    let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(3);
    crate::ball::gaussian(1.0, [4, 3, 8, 8], device, &mut rng)
}

fn loss(network: &Network, images: Tensor<4>) -> Tensor<1> {
    let labels = Tensor::<1, Int>::from_ints([0, 1, 2, 3], &images.device());
    cross_entropy(network.forward(images).logits, labels, 0.0).mean()
}

fn gradients(network: &Network, device: &Device) -> GradientsParams {
    GradientsParams::from_grads(loss(network, images(device)).backward(), network)
}

/// Every tensor of a network with its number of dimensions.
fn tensors(network: &Network) -> Vec<(usize, Vec<f32>)> {
    struct All(Vec<(usize, Vec<f32>)>);
    impl ModuleVisitor for All {
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            let values = param.val().into_data().try_to_vec().unwrap();
            self.0.push((D, values));
        }
    }
    let mut all = All(Vec::new());
    network.valid().visit(&mut all);
    all.0
}

fn norm(values: impl Iterator<Item = f32>) -> f64 {
    values.map(|v| f64::from(v).powi(2)).sum::<f64>().sqrt()
}

#[test]
fn a_perturbation_moves_every_matrix_by_gamma_times_its_length_and_raises_the_loss() {
    let device = Device::flex().autodiff();
    let network = network(&device);
    // The forward pass behind them moves the running statistics.
    let gradients = gradients(&network, &device);
    let before = tensors(&network);
    let perturbed = perturb(network.clone(), &gradients, 0.01);
    let mut matrices = 0;
    for ((dims, old), (_, new)) in before.iter().zip(tensors(&perturbed)) {
        let moved = norm(old.iter().zip(&new).map(|(a, b)| a - b));
        if *dims > 1 {
            matrices += 1;
            let share = moved / norm(old.iter().copied());
            assert!((share - 0.01).abs() < 1e-4, "{share}");
        } else {
            assert_eq!(moved, 0.0);
        }
    }
    assert!(matrices > 5);
    assert_eq!(before, tensors(&network));
    let value = |network: &Network| {
        let x = images(&device).inner();
        loss(&network.valid(), x).into_scalar::<f32>()
    };
    assert!(value(&perturbed) > value(&network));
    let differentiable = loss(&perturbed, images(&device)).backward();
    assert!(!GradientsParams::from_grads(differentiable, &perturbed).is_empty());
}

#[test]
fn clipping_keeps_the_direction_and_bounds_the_length_of_all_gradients_together() {
    let device = Device::flex().autodiff();
    let network = network(&device);
    let length = |gradients: &GradientsParams| {
        struct Sum<'a>(&'a GradientsParams, f64);
        impl ModuleVisitor for Sum<'_> {
            fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
                if let Some(gradient) = self.0.get::<D>(param.id) {
                    let values: Vec<f32> = gradient.into_data().try_to_vec().unwrap();
                    self.1 += norm(values.into_iter()).powi(2);
                }
            }
        }
        let mut sum = Sum(gradients, 0.0);
        network.visit(&mut sum);
        sum.1.sqrt()
    };
    let whole = length(&gradients(&network, &device));
    let clipped = clip_gradients(&network, gradients(&network, &device), whole / 3.0);
    assert!((length(&clipped) / whole - 1.0 / 3.0).abs() < 1e-4);
    let id = network.head.weight.id;
    let (a, b) = (
        gradients(&network, &device).get::<2>(id).unwrap(),
        clipped.get::<2>(id).unwrap(),
    );
    b.mul_scalar(3.0)
        .into_data()
        .assert_approx_eq::<f32>(&a.into_data(), Tolerance::relative(1e-3));
    let untouched = clip_gradients(&network, gradients(&network, &device), whole * 3.0);
    assert!((length(&untouched) / whole - 1.0).abs() < 1e-6);
}

#[test]
fn an_average_is_the_weighted_mean_of_weights_and_running_statistics() {
    let device = Device::flex().autodiff();
    let network = network(&device);
    let before = network.valid();
    // A forward pass in training mode moves the running statistics; the perturbation moves the weights.
    let after = perturb(network.clone(), &gradients(&network, &device), 0.1);
    let (old, new) = (tensors(&before), tensors(&after));
    let blended = average(before, &after.valid(), 0.75);
    let mut moved = 0;
    for (((_, old), (_, new)), (_, blended)) in old.iter().zip(&new).zip(tensors(&blended)) {
        for ((old, new), got) in old.iter().zip(new).zip(blended) {
            assert!((0.75 * old + 0.25 * new - got).abs() < 1e-6);
            moved += usize::from(old != new);
        }
    }
    assert!(moved > 1000);
}
