mod smoothing;

use std::path::PathBuf;

use anyhow::Result;
use buckler_attack::Samples;
use buckler_data::{DataSource, LoadOptions, Split};
use buckler_runtime::Classifier;

use crate::evaluation;
use crate::model_args::ModelArgs;
use crate::output::Output;

/// Prove, for every image of a test set, within what distance no perturbation changes the class
///
/// Randomised smoothing (Cohen et al. 2019) certifies the smoothed classifier, the class most often seen under Gaussian noise,
/// in l2. A model that was not trained on noise certifies little.
#[derive(clap::Args)]
#[command(after_help = "Example:
  buckler certify models/mnist-he/1/model.onnx --data mnist --sigma 0.25 --limit 100 --curve curve.svg")]
pub struct Args {
    #[command(flatten)]
    model: ModelArgs,
    /// Data set as NAME[:DIR]
    #[arg(long)]
    data: DataSource,
    /// Only the first so many test images
    #[arg(long)]
    limit: Option<usize>,
    #[command(flatten)]
    smoothing: smoothing::Args,
    /// Draw certified accuracy over the radius as an SVG
    #[arg(long, value_name = "FILE")]
    curve: Option<PathBuf>,
}

pub fn run(args: &Args, output: Output) -> Result<()> {
    smoothing::run(args, output)
}

impl Args {
    fn samples(&self, classifier: &Classifier) -> Result<Samples> {
        let options = LoadOptions {
            size: self.limit,
            image_size: matches!(self.data, DataSource::Folder { .. })
                .then(|| classifier.input().height),
            ..LoadOptions::default()
        };
        evaluation::samples(&self.data.load(Split::Test, &options)?)
    }
}
