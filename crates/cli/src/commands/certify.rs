mod bounds;
mod smoothing;

use std::path::PathBuf;

use anyhow::Result;

use crate::model_args::ModelArgs;
use crate::output::Output;
use crate::test_set::TestSetArgs;

/// Prove, for every image of a test set, within what distance no perturbation changes the class
///
/// With --eps, bounds of the logits over all images of linf balls: a lower bound of the accuracy under any attack, beside what
/// attacks leave. Networks that were not trained for it are proven in small balls only.
///
/// With --sigma, randomised smoothing (Cohen et al. 2019), in l2: certifies the smoothed classifier, the class most often seen
/// under Gaussian noise, for models of any size. A model that was not trained on noise certifies little.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  buckler certify models/mnist-he/1/model.onnx --data mnist --eps 0.005,0.01,0.02 --limit 100
  buckler certify models/mnist-he/1/model.onnx --data mnist --sigma 0.25 --limit 100 --curve curve.svg")]
#[command(group(clap::ArgGroup::new("certificate").args(["eps", "sigma"]).required(true)))]
pub struct Args {
    #[command(flatten)]
    model: ModelArgs,
    #[command(flatten)]
    test_set: TestSetArgs,
    /// Seed of all that is drawn
    #[arg(long, default_value_t = 0)]
    seed: u64,
    #[command(flatten)]
    bounds: bounds::BoundsArgs,
    #[command(flatten)]
    smoothing: smoothing::SmoothingArgs,
    /// Draw certified accuracy over the radius as an SVG
    #[arg(long, value_name = "FILE", requires = "sigma")]
    curve: Option<PathBuf>,
}

pub fn run(args: &Args, output: Output) -> Result<()> {
    match args.smoothing.sigma {
        Some(sigma) => smoothing::run(args, sigma, output),
        None => bounds::run(args, output),
    }
}
