//! Randomised smoothing.

use std::path::PathBuf;

use anyhow::{Context, Result};
use buckler_attack::{Certification, Smoothing};
use buckler_data::Split;
use buckler_report::certified_curve;
use serde::Serialize;
use tokio::runtime::Runtime;

use crate::evaluation;
use crate::output::{Output, percent, table};

#[derive(clap::Args)]
pub struct SmoothingArgs {
    /// Standard deviation of the noise in pixel units
    #[arg(long)]
    pub sigma: Option<f64>,
    /// Draws that select the class
    #[arg(long, default_value_t = 100, requires = "sigma")]
    n0: usize,
    /// Draws that estimate its probability; the paper has 100000
    #[arg(long, default_value_t = 10_000, requires = "sigma")]
    n: usize,
    /// Probability that a certificate is wrong
    #[arg(long, default_value_t = 0.001, requires = "sigma")]
    alpha: f64,
}

#[derive(Serialize)]
struct Report {
    model: PathBuf,
    sha256: String,
    data: String,
    #[serde(flatten)]
    certification: Certification,
}

pub fn run(args: &super::Args, sigma: f64, output: Output) -> Result<()> {
    let SmoothingArgs { n0, n, alpha, .. } = args.smoothing;
    let smoothing = Smoothing {
        n0,
        n,
        alpha,
        seed: args.seed,
        ..Smoothing::new(sigma)
    };
    smoothing.check()?;
    let classifier = args.model.load()?;
    let samples = args.samples(&classifier)?;
    let bar = evaluation::bar(0);
    bar.set_prefix(format!("smoothing sigma={sigma}"));
    let certified =
        Runtime::new()?.block_on(smoothing.certify(&classifier, &samples, |progress| {
            bar.set_length(progress.draws);
            bar.set_position(progress.done);
        }));
    bar.finish_and_clear();
    let report = Report {
        model: args.model.model.clone(),
        sha256: classifier.sha256().to_owned(),
        data: format!("{}/{}", args.data.name(), Split::Test),
        certification: Certification::new(&smoothing, certified?),
    };
    if let Some(path) = &args.curve {
        let svg = certified_curve(&report.certification)?;
        buckler_onnx::write_atomic(path, svg.as_bytes())
            .with_context(|| format!("cannot write {}", path.display()))?;
    }
    output.print(&report, describe)
}

/// Quarters of sigma, as the paper's tables have them.
fn describe(report: &Report) -> String {
    let certification = &report.certification;
    let sigma = certification.smoothing.sigma;
    let rows = (0..=12).map(|step| 0.25 * sigma * f64::from(step));
    let rows = rows.map(|radius| {
        vec![
            format!("{radius:.4}"),
            percent(certification.accuracy_at(radius)),
        ]
    });
    format!(
        "{} images of {}, sigma {sigma}, {} + {} draws each, alpha {}\nsmoothed accuracy {}, abstained {}, average certified radius {:.4}\n{}",
        certification.images,
        report.data,
        certification.smoothing.n0,
        certification.smoothing.n,
        certification.smoothing.alpha,
        percent(certification.accuracy),
        percent(certification.abstained),
        certification.average_certified_radius,
        table(&["l2 radius", "certified accuracy"], rows)
    )
}
