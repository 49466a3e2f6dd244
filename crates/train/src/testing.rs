//! Networks for tests. Seeding a device is for the whole process, and tests run in parallel: weights come from the host.

use burn::module::{Module, ModuleMapper, Param};
use burn::tensor::{Tensor, TensorData};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rand_distr::StandardNormal;

use crate::network::Network;

/// The network with weights drawn as by He et al. 2015 over the fan in, and biases of zero.
pub(crate) fn redrawn(network: Network, seed: u64) -> Network {
    struct Redraw(ChaCha8Rng);
    impl ModuleMapper for Redraw {
        fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
            if D < 2 {
                return param;
            }
            let dims = param.val().dims();
            // Convolutions are `[out, in, height, width]`, matrices `[in, out]`.
            let fan_in: usize = if D == 2 {
                dims[0]
            } else {
                dims[1..].iter().product()
            };
            let deviation = (2.0 / fan_in as f32).sqrt();
            let values: Vec<f32> = (0..dims.iter().product())
                .map(|_| deviation * self.0.sample::<f32, _>(StandardNormal))
                .collect();
            param.map(|old| {
                let new = Tensor::from_data(TensorData::new(values, dims), &old.device());
                new.set_require_grad(old.is_require_grad())
            })
        }
    }
    let mut network = network.map(&mut Redraw(ChaCha8Rng::seed_from_u64(seed)));
    network.head.bias = network
        .head
        .bias
        .map(|bias| bias.map(|old| old.zeros_like().set_require_grad(old.is_require_grad())));
    network
}
