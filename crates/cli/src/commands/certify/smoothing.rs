//! Randomised smoothing.

use std::path::PathBuf;

use anyhow::{Context, Result};
use buckler_attack::{Certification, SampleSource, Smoothing};
use buckler_data::ClassMap;
use buckler_report::{Skipped, certified_curve};
use serde::Serialize;
use tokio::runtime::Runtime;

use crate::as_text;
use crate::evaluation;
use crate::output::{Output, check_writable, percent, table};

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

/// Images that are held at a time.
const BLOCK: usize = 128;

#[derive(Serialize)]
struct Report {
    #[serde(serialize_with = "as_text::path")]
    model: PathBuf,
    sha256: String,
    assumptions: Vec<String>,
    data: String,
    images_sha256: String,
    /// Class of the model for each class of the data set.
    classes: ClassMap,
    skipped: Vec<Skipped>,
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
    let samples = args.test_set.load(&classifier)?;
    if let Some(path) = &args.curve {
        check_writable(path).with_context(|| format!("cannot write {}", path.display()))?;
    }
    let runtime = Runtime::new()?;
    let each = (n0 as u64).saturating_add(n as u64);
    let bar = evaluation::bar(0);
    bar.set_length(each.saturating_mul(samples.len() as u64));
    bar.set_prefix(format!("smoothing sigma={sigma}"));
    let mut certified = Vec::with_capacity(samples.len());
    for start in (0..samples.len()).step_by(BLOCK) {
        let part = samples.block(start..start + BLOCK)?;
        let done = each.saturating_mul(start as u64);
        certified.extend(
            runtime.block_on(smoothing.certify(&classifier, &part, |progress| {
                bar.set_position(done.saturating_add(progress.done));
            }))?,
        );
    }
    bar.finish_and_clear();
    let report = Report {
        model: args.model.model.clone(),
        sha256: classifier.sha256().to_owned(),
        assumptions: samples.assumptions(&classifier),
        data: samples.name.clone(),
        images_sha256: samples.images_sha256.clone(),
        classes: samples.classes.clone(),
        skipped: samples.skipped.clone(),
        certification: Certification::new(&smoothing, certified),
    };
    let notes = samples.notes();
    output.print(&report, |report| describe(report, &notes))?;
    if let Some(path) = &args.curve {
        let svg = certified_curve(&report.certification)?;
        buckler_onnx::write_atomic(path, svg.as_bytes())
            .with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(())
}

/// Quarters of sigma, as the paper's tables have them.
fn describe(report: &Report, notes: &[String]) -> String {
    let certification = &report.certification;
    let sigma = certification.smoothing.sigma;
    let rows = (0..=12).map(|step| 0.25 * sigma * f64::from(step));
    let rows = rows.map(|radius| {
        vec![
            format!("{radius:.4}"),
            percent(certification.accuracy_at(radius)),
        ]
    });
    let mut text = format!(
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
    );
    let affected = certification.samples.iter();
    let affected: Vec<u64> = affected
        .map(|sample| sample.not_finite)
        .filter(|draws| *draws > 0)
        .collect();
    if !affected.is_empty() {
        text.push_str(&format!(
            "\nthe model's logits are not finite for {} of the draws around {} of the images, which count for no class",
            affected.iter().sum::<u64>(),
            affected.len()
        ));
    }
    for note in notes {
        text.push_str(&format!("\n{note}"));
    }
    for assumption in &report.assumptions {
        text.push_str(&format!("\nassumed: {assumption}"));
    }
    text
}
