use buckler_data::Split;
use burn::module::Module;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::*;
use crate::network::Precision;
use crate::testing::redrawn;

const IMAGES: usize = 24;

fn images(labels: Vec<u16>) -> Dataset {
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let pixels = (0..IMAGES * 256).map(|_| rng.random()).collect();
    let classes = ["a", "b", "c"].map(str::to_owned).to_vec();
    Dataset::new("toy", Split::Train, classes, [1, 16, 16], pixels, labels).unwrap()
}

#[test]
fn a_misclassified_image_does_not_withstand_an_attack_that_makes_it_right() {
    let text = "base = \"mnist-small-pgd-at\"\nname = \"toy\"\n\
                network = { kind = \"small-cnn\", width = 0.1 }\n\
                head = { kind = \"linear\" }\n\
                adversary = { eps = 1.0, steps = 1, step_size = 0.5 }\n\
                validation = { images = 16, steps = 1 }";
    let recipe = Recipe::parse(text, "toy").unwrap();
    let device = Device::flex();
    let mut became_right = 0;
    for seed in 0..10 {
        let network = Network::init(
            &recipe.network,
            None,
            &recipe.head,
            [1, 16, 16],
            3,
            Precision::F32,
            &device,
        );
        let network = redrawn(network.unwrap(), seed).valid();
        let all: Vec<usize> = (0..IMAGES).collect();
        let (pixels, labels) = gather(&images(vec![0; IMAGES]), &all).unwrap();
        let (x, _) = tensors(pixels, labels, [1, 16, 16], &device);
        let wrong: Vec<u16> = predicted(&network, x.clone())
            .iter()
            .map(|class| ((class + 1) % 3) as u16)
            .collect();
        let adversary = Adversary {
            threat: Threat {
                norm: Default::default(),
                epsilon: "1".parse().unwrap(),
            },
            steps: 1,
            step_size: 2.5,
            start: Start::Uniform,
            maximised: Maximised::CrossEntropy,
        };
        let labels: Vec<i64> = wrong.iter().map(|label| i64::from(*label)).collect();
        let y = Tensor::from_data(TensorData::new(labels, [IMAGES]), &device);
        let attacked = adversary.craft(&network, x, y, &mut ChaCha8Rng::seed_from_u64(seed));
        let truth: Vec<usize> = wrong.iter().map(|label| usize::from(*label)).collect();
        became_right += agreeing(&predicted(&network, attacked), &truth);

        let data = images(wrong);
        let validation = ValidationImages::check(&data, false).unwrap();
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let accuracy = validation
            .validate(&recipe, &network, &device, &mut rng)
            .unwrap();
        assert_eq!((accuracy.clean, accuracy.robust), (0.0, Some(0.0)));
    }
    assert!(
        became_right > 0,
        "no attack turned a misclassified image into a right one"
    );
}

#[test]
fn an_image_withstands_an_attack_when_it_is_right_before_and_under_it() {
    let (answers, attacked, labels) = ([0, 0, 1, 2], [0, 1, 0, 2], [0, 0, 0, 2]);
    assert_eq!(withstanding(&answers, &attacked, &labels), 2);
}
