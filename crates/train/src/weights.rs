//! What is done to all weights of a network at once.

use burn::module::{Module, ModuleMapper, ModuleVisitor, Param};
use burn::optim::GradientsParams;
use burn::tensor::Tensor;

use crate::network::Network;

/// Keeps `g / ||g||` finite for a dead gradient.
const TINY: f64 = 1e-12;

/// Adversarial weight perturbation (Wu et al. 2020, arXiv 2004.05884): every tensor with more than one dimension moves
/// by `gamma * ||w|| * g / ||g||` along its gradient `g`.
pub(crate) fn perturb(network: Network, gradients: &GradientsParams, gamma: f64) -> Network {
    struct Ascent<'a> {
        gradients: &'a GradientsParams,
        gamma: f64,
    }
    impl ModuleMapper for Ascent<'_> {
        fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
            let gradient = self.gradients.get::<D>(param.id).filter(|_| D > 1);
            let Some(gradient) = gradient else {
                return param;
            };
            param.map(|weight| {
                let weight = weight.inner();
                let length = length(weight.clone()) / length(gradient.clone()).add_scalar(TINY);
                let step = gradient * length.mul_scalar(self.gamma).reshape([1; D]);
                Tensor::from_inner(weight + step).require_grad()
            })
        }
    }
    network.map(&mut Ascent { gradients, gamma })
}

/// Scales all gradients so that the length of all of them together is at most `max_norm`, as PyTorch's
/// `clip_grad_norm_`.
pub(crate) fn clip_gradients(
    network: &Network,
    gradients: GradientsParams,
    max_norm: f64,
) -> GradientsParams {
    struct Squares<'a> {
        gradients: &'a GradientsParams,
        sum: Option<Tensor<1>>,
    }
    impl ModuleVisitor for Squares<'_> {
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            if let Some(gradient) = self.gradients.get::<D>(param.id) {
                let square = (gradient.clone() * gradient).sum();
                self.sum = Some(match self.sum.take() {
                    Some(sum) => sum + square,
                    None => square,
                });
            }
        }
    }
    struct Scale {
        from: GradientsParams,
        to: GradientsParams,
        factor: Tensor<1>,
    }
    impl ModuleVisitor for Scale {
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            if let Some(gradient) = self.from.remove::<D>(param.id) {
                let scaled = gradient * self.factor.clone().reshape([1; D]);
                self.to.register(param.id, scaled);
            }
        }
    }
    let mut squares = Squares {
        gradients: &gradients,
        sum: None,
    };
    network.visit(&mut squares);
    let Some(sum) = squares.sum else {
        return gradients;
    };
    let factor = sum
        .sqrt()
        .add_scalar(1e-6)
        .recip()
        .mul_scalar(max_norm)
        .clamp_max(1.0);
    let mut scale = Scale {
        from: gradients,
        to: GradientsParams::new(),
        factor,
    };
    network.visit(&mut scale);
    scale.to
}

/// Exponential moving average of weights and running statistics: `decay * average + (1 - decay) * network`; both in
/// evaluation mode.
pub(crate) fn average(average: Network, network: &Network, decay: f64) -> Network {
    struct Collect(GradientsParams);
    impl ModuleVisitor for Collect {
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            self.0.register(param.id, param.val());
        }
    }
    struct Blend {
        newest: GradientsParams,
        decay: f64,
    }
    impl ModuleMapper for Blend {
        fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
            match self.newest.remove::<D>(param.id) {
                Some(newest) => {
                    let decay = self.decay;
                    param.map(|old| old.mul_scalar(decay) + newest.mul_scalar(1.0 - decay))
                }
                None => param,
            }
        }
    }
    let mut collect = Collect(GradientsParams::new());
    network.visit(&mut collect);
    let blended = average.map(&mut Blend {
        newest: collect.0,
        decay,
    });
    Network {
        // Constants: blending would let them drift by rounding.
        normalization: network.normalization.clone(),
        ..blended
    }
}

fn length<const D: usize>(x: Tensor<D>) -> Tensor<1> {
    (x.clone() * x).sum().sqrt()
}

#[cfg(test)]
#[path = "weights/tests.rs"]
mod tests;
