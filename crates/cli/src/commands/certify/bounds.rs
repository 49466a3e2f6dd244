//! Bounds over all images of a box, beside what an attack finds in it.

use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Context, Result, bail};
use buckler_attack::{
    AttackConfig, AttackKind, Epsilon, Evaluation, Flag, Norm, SampleSource, flags,
};
use buckler_data::ClassMap;
use buckler_onnx::Bounding;
use buckler_report::Skipped;
use buckler_runtime::{Certifier, Classifier};
use indicatif::ProgressBar;
use ndarray::Axis;
use serde::Serialize;
use tokio::runtime::Runtime;

use crate::as_text;
use crate::evaluation;
use crate::output::{Output, percent, table};
use crate::test_set::TestSet;

#[derive(clap::Args)]
pub struct BoundsArgs {
    /// Radii of linf balls in pixel units, separated by commas, within which the class is to be proven
    #[arg(long, value_delimiter = ',', conflicts_with = "sigma")]
    eps: Vec<Epsilon>,
    /// How bounds are computed: `ibp` (intervals), `crown-ibp` (lines through the network, between intervals) or `crown` (lines
    /// throughout: tightest and dearest), separated by commas [default: all that the model admits, but `crown`]
    #[arg(long, value_delimiter = ',')]
    method: Vec<Bounding>,
    /// Attacks that give the other end: what they break cannot be proven
    #[arg(long, value_delimiter = ',', default_value = "pgd")]
    attack: Vec<AttackKind>,
}

/// Images put to a certifier at once.
const BATCH: usize = 32;

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
    images: usize,
    clean_accuracy: f64,
    /// What makes the figures under attack doubtful.
    flags: Vec<Flag>,
    radii: Vec<Row>,
}

#[derive(Serialize)]
struct Row {
    eps: Epsilon,
    eps_value: f32,
    certified: Vec<Certified>,
    attacked: Vec<Evaluation>,
}

#[derive(Serialize)]
struct Certified {
    method: Bounding,
    /// The share of images whose class is proven to be the true one in the whole ball: a lower bound of the accuracy under
    /// any attack.
    accuracy: f64,
    seconds_per_image: f64,
    /// The images' ids.
    images: Vec<u64>,
    /// Images with a bound that is not finite, of which nothing can be proven.
    not_finite: usize,
}

pub fn run(args: &super::Args, output: Output) -> Result<()> {
    let classifier = args.model.load()?;
    let certifiers = certifiers(args)?;
    let samples = args.test_set.load(&classifier)?;
    let runtime = Runtime::new()?;
    let bar = evaluation::bar(args.bounds.eps.len() * certifiers.len() * samples.len());
    let mut all_certified = Vec::new();
    for &eps in &args.bounds.eps {
        let mut certified = Vec::new();
        for certifier in &certifiers {
            bar.set_prefix(format!("{} eps={eps}", certifier.method()));
            certified.push(runtime.block_on(certify(certifier, &samples, eps, &bar))?);
        }
        all_certified.push(certified);
    }
    bar.finish_and_clear();
    let mut radii = Vec::new();
    for (&eps, certified) in args.bounds.eps.iter().zip(all_certified) {
        let attacked = attacked(args, &runtime, &classifier, &samples, eps)?;
        for certified in &certified {
            refute(certified, &attacked)?;
        }
        radii.push(Row {
            eps,
            eps_value: eps.value(),
            certified,
            attacked,
        });
    }
    let clean = radii.first().and_then(|row| row.attacked.first());
    let evaluations: Vec<&Evaluation> = radii.iter().flat_map(|row| &row.attacked).collect();
    let no_gradient = classifier.can_attack().err();
    let flags = flags(&evaluations, classifier.classes(), no_gradient);
    let report = Report {
        model: args.model.model.clone(),
        sha256: classifier.sha256().to_owned(),
        assumptions: certifiers
            .first()
            .map_or_else(Vec::new, |first| first.assumptions().to_vec())
            .into_iter()
            .chain(samples.own_assumptions())
            .collect(),
        data: samples.name.clone(),
        images_sha256: samples.images_sha256.clone(),
        classes: samples.classes.clone(),
        skipped: samples.skipped.clone(),
        images: samples.len(),
        clean_accuracy: clean.map_or(0.0, |evaluation| evaluation.clean_accuracy),
        flags,
        radii,
    };
    let notes = samples.notes();
    output.print(&report, |report| describe(report, &notes))
}

/// Those that were asked for, or else those that the model admits.
fn certifiers(args: &super::Args) -> Result<Vec<Certifier>> {
    let load = |method| {
        Certifier::load(&args.model.model, &args.model.options(None), method).with_context(|| {
            format!(
                "{method} gives no bounds for {}",
                args.model.model.display()
            )
        })
    };
    if !args.bounds.method.is_empty() {
        return args.bounds.method.iter().copied().map(load).collect();
    }
    let mut certifiers = vec![load(Bounding::Ibp)?];
    match load(Bounding::CrownIbp) {
        Ok(certifier) => certifiers.push(certifier),
        Err(error) => tracing::warn!("{error:#}"),
    }
    Ok(certifiers)
}

async fn certify(
    certifier: &Certifier,
    samples: &TestSet,
    eps: Epsilon,
    bar: &ProgressBar,
) -> Result<Certified> {
    let begun = Instant::now();
    let radius = eps.value();
    let mut images = Vec::new();
    let mut not_finite = 0;
    for start in (0..samples.len()).step_by(BATCH) {
        let part = samples.block(start..start + BATCH)?;
        // Rounded outwards, so that the box holds the ball.
        let lower = part.images.mapv(|x| (x - radius).next_down().max(0.0));
        let upper = part.images.mapv(|x| (x + radius).next_up().min(1.0));
        let margins = certifier.margins(lower, upper, &part.labels).await?;
        let rows = margins.axis_iter(Axis(0)).zip(&part.labels);
        for ((margins, &label), &id) in rows.zip(&part.ids) {
            let others = margins.iter().enumerate();
            let others: Vec<f32> = others
                .filter(|(class, _)| *class != label)
                .map(|(_, margin)| *margin)
                .collect();
            if others.iter().all(|margin| *margin > 0.0) {
                images.push(id);
            } else if others.iter().any(|margin| !margin.is_finite()) {
                not_finite += 1;
            }
        }
        bar.inc(part.len() as u64);
    }
    let count = samples.len().max(1) as f64;
    Ok(Certified {
        method: certifier.method(),
        accuracy: images.len() as f64 / count,
        seconds_per_image: begun.elapsed().as_secs_f64() / count,
        images,
        not_finite,
    })
}

fn attacked(
    args: &super::Args,
    runtime: &Runtime,
    classifier: &Classifier,
    samples: &TestSet,
    eps: Epsilon,
) -> Result<Vec<Evaluation>> {
    let attacks = args.bounds.attack.iter().map(|&attack| {
        let config = AttackConfig {
            attack,
            norm: Some(Norm::Linf),
            eps: Some(eps),
            seed: args.seed,
            ..AttackConfig::default()
        };
        let attack = evaluation::checked(classifier, &config)?;
        evaluation::run(runtime, &samples.name, classifier, samples, &attack)
    });
    attacks.collect()
}

/// An adversarial in a ball where there is proven to be none means that the proof is wrong.
fn refute(certified: &Certified, attacked: &[Evaluation]) -> Result<()> {
    for evaluation in attacked {
        for record in evaluation.samples.iter().filter(|record| record.broken) {
            if certified.images.contains(&record.id) {
                bail!(
                    "image {} is certified by {}, and {} breaks it: the bounds are wrong; please report this model",
                    record.id,
                    certified.method,
                    evaluation.parameters
                );
            }
        }
    }
    Ok(())
}

fn describe(report: &Report, notes: &[String]) -> String {
    let first = report.radii.first();
    let methods = first.map_or_else(Vec::new, |row| {
        let methods = row.certified.iter();
        methods
            .map(|c| format!("certified by {}", c.method))
            .collect()
    });
    let attacks = first.map_or_else(Vec::new, |row| {
        let attacks = row.attacked.iter();
        attacks
            .map(|e| format!("under {}", e.parameters.attack))
            .collect()
    });
    let mut header = vec!["linf eps"];
    header.extend(methods.iter().chain(&attacks).map(String::as_str));
    header.push("seconds per image");
    let rows = report.radii.iter().map(|row| {
        let mut cells = vec![row.eps.to_string()];
        cells.extend(row.certified.iter().map(|c| percent(c.accuracy)));
        let attacked = row.attacked.iter();
        cells.extend(attacked.map(|e| percent(e.accuracy_under_attack)));
        let seconds = row.certified.iter();
        let seconds: Vec<String> = seconds
            .map(|c| format!("{:.3}", c.seconds_per_image))
            .collect();
        cells.push(seconds.join(", "));
        cells
    });
    let mut text = format!(
        "{} images of {}, clean accuracy {}\n{}",
        report.images,
        report.data,
        percent(report.clean_accuracy),
        table(&header, rows)
    );
    for row in &report.radii {
        for certified in row.certified.iter().filter(|c| c.not_finite > 0) {
            text.push_str(&format!(
                "\n{} at {}: the bounds of {} of {} images are not finite, and nothing can be proven of these",
                certified.method, row.eps, certified.not_finite, report.images
            ));
        }
    }
    for flag in &report.flags {
        text.push_str(&format!("\nflag: {flag}"));
    }
    let mut certified = report.radii.iter().flat_map(|row| &row.certified);
    if certified.all(|c| c.images.is_empty() && c.method != Bounding::Crown) {
        text.push_str(
            "\nnothing is certified: `--method crown` is far tighter, and takes seconds per image",
        );
    }
    for note in notes {
        text.push_str(&format!("\n{note}"));
    }
    for assumption in &report.assumptions {
        text.push_str(&format!("\nassumed: {assumption}"));
    }
    text
}
