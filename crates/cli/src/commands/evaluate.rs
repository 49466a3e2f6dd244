use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use buckler_attack::{AnyAttack, AttackKind, AttackSpec, Epsilon, Evaluation};
use buckler_data::{DataSource, Split};
use buckler_report::{Entry, Folder, Plan, Report, RunProgress, Subject, images_sha256};
use buckler_runtime::Classifier;
use tokio::runtime::Runtime;

use crate::attack_args::AttackOptions;
use crate::evaluation::samples;
use crate::model_args::ModelArgs;
use crate::output::{Output, percent, table};
use crate::{evaluation, publish};

/// Measure accuracy on a test set, clean and under attack
///
/// An image counts as fooled when it is misclassified to begin with, or when an adversarial image was found and passed
/// the re-check: inside the ball, inside [0, 1], misclassified by a fresh forward pass. Several attacks and radii are taken
/// together image by image. What makes the figures doubtful, such as masked gradients, is said.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  buckler evaluate models/mnist-he/1/model.onnx --data mnist --eps 0.1,0.2,0.3 --steps 40 --limit 1000
  buckler evaluate models/mnist-he/1/model.onnx --data mnist --attack autoattack --eps 0.3 --limit 1000 --report mnist-he-report
  buckler evaluate models/mnist-he/1/model.onnx --data mnist --verify mnist-he-report/report.json")]
pub struct Args {
    #[command(flatten)]
    model: ModelArgs,
    /// Data set as NAME[:DIR]
    #[arg(long)]
    data: DataSource,
    /// Radii of the ball in pixel units, separated by commas
    #[arg(long, value_delimiter = ',', required_unless_present = "verify")]
    eps: Vec<Epsilon>,
    /// Attacks, separated by commas: `fgsm`, `pgd`, `mim`, `apgd-ce`, `apgd-dlr`, `apgd-t`, `fab`, `fab-t`, `square`, `cw`,
    /// `deepfool`, `multi-targeted`, `spsa`, `autoattack`, `autoattack-plus`, `autoattack-rand`. Options of one
    /// attack stand with it, such as `pgd:steps=50:step_size=2/255,square:queries=5000,mim:variants=ni+di`. Of the options below
    /// each takes what it knows
    #[arg(
        long,
        value_delimiter = ',',
        default_value = "pgd",
        value_name = "ATTACK[:OPTION=VALUE...]"
    )]
    attack: Vec<AttackSpec>,
    #[command(flatten)]
    options: AttackOptions,
    /// Also bisect the smallest radius that fools each image, up to the largest of --eps, to 1/256 of it; attacks that look
    /// for the closest adversarial anyway are left out
    #[arg(long)]
    min_eps: bool,
    /// Also compare, at every radius, the rise of the loss that the gradient predicts with that under PGD
    #[arg(long)]
    linearity: bool,
    /// Only the first so many test images
    #[arg(long)]
    limit: Option<usize>,
    /// Write report.json, report.md, report.html and the adversarial images here, and keep the state of the run meanwhile
    #[arg(long, value_name = "DIR")]
    report: Option<PathBuf>,
    /// Go on with the run that was interrupted
    #[arg(long, requires = "report")]
    resume: bool,
    /// Recompute the claims of a report.json from the adversarial images saved beside it; measures nothing new
    #[arg(long, value_name = "FILE", conflicts_with_all = ["eps", "report", "min_eps", "linearity", "limit", "write_card"])]
    verify: Option<PathBuf>,
    /// Add the figures to the model's card, inside the model and beside it, replacing those of the same attack
    #[arg(long, conflicts_with = "report")]
    write_card: bool,
}

/// How often `--min-eps` halves.
const HALVINGS: u32 = 8;

pub fn run(args: &Args, output: Output) -> Result<()> {
    if let Some(path) = &args.verify {
        return verify(args, path, output);
    }
    let classifier = args.model.load()?;
    let plan = plan(args, &classifier)?;
    let samples = samples(&evaluation::test_set(&args.data, &classifier, args.limit)?)?;
    let data = format!("{}/{}", args.data.name(), Split::Test);
    let subject = Subject {
        buckler: env!("CARGO_PKG_VERSION").to_owned(),
        model: args.model.model.display().to_string(),
        sha256: classifier.sha256().to_owned(),
        assumptions: classifier.assumptions().to_vec(),
        normalization: args.model.normalization(),
        data,
        images_sha256: images_sha256(&samples),
        command: command_line(args),
    };
    let folder = match &args.report {
        Some(path) => Some(Folder::open(path, &subject, &plan, args.resume)?),
        None => None,
    };
    let bar = evaluation::bar(plan.entries.len() * samples.len());
    let on_progress = |progress: RunProgress| {
        let RunProgress { entry, evaluation } = progress;
        bar.set_position((entry * evaluation.images + evaluation.done) as u64);
        if let Some(entry) = plan.entries.get(entry) {
            bar.set_prefix(entry.parameters().to_string());
        }
        bar.set_message(evaluation::standing(&evaluation));
    };
    let no_gradient = classifier.can_attack().err();
    let report = Runtime::new()?.block_on(buckler_report::run(
        &classifier,
        &samples,
        &plan,
        subject,
        no_gradient,
        folder.as_ref(),
        on_progress,
    ));
    bar.finish_and_clear();
    let report = report?;
    if let Some(folder) = &folder {
        buckler_report::write(folder, &report, &samples, classifier.class_names())?;
    }
    if args.write_card {
        write_card(args, &report)?;
    }
    output.print(&report, describe)
}

/// Every attack at every radius, and where it was asked for the smallest radius of each image.
fn plan(args: &Args, classifier: &Classifier) -> Result<Plan> {
    let mut entries = Vec::new();
    let mut foreign: Option<Vec<&str>> = None;
    for spec in &args.attack {
        let (_, left_out) = args.options.config(spec.attack(), None).fitted();
        foreign = Some(match foreign {
            None => left_out,
            Some(others) => others
                .into_iter()
                .filter(|n| left_out.contains(n))
                .collect(),
        });
    }
    if let Some(name) = foreign.unwrap_or_default().first() {
        bail!(
            "`--{}` has no meaning for {}: leave it out",
            name.replace('_', "-"),
            list(&args.attack)
        );
    }
    let largest = args.eps.iter().copied();
    let largest = largest.max_by(|a, b| a.value().total_cmp(&b.value()));
    for spec in &args.attack {
        let entry = |eps, halvings| -> Result<Entry> {
            let config = args.options.fitted(spec, eps);
            Ok(Entry {
                attack: evaluation::checked(classifier, &config)?,
                halvings,
            })
        };
        for &eps in &args.eps {
            entries.push(entry(Some(eps), None)?);
        }
        if args.min_eps && !spec.attack().seeks_closest() {
            entries.push(entry(largest, Some(HALVINGS))?);
        }
    }
    let mut linearity = Vec::new();
    let mut specs = args.attack.iter();
    let pgd = specs.find(|spec| spec.attack() == AttackKind::Pgd).cloned();
    let pgd = pgd.unwrap_or_else(|| AttackKind::Pgd.into());
    for &eps in args.eps.iter().filter(|_| args.linearity) {
        let config = args.options.fitted(&pgd, Some(eps));
        if let AnyAttack::Pgd(pgd) = evaluation::checked(classifier, &config)? {
            linearity.push(pgd);
        }
    }
    Ok(Plan { entries, linearity })
}

fn list(attacks: &[AttackSpec]) -> String {
    let names = attacks.iter().map(|spec| format!("`{}`", spec.attack()));
    let names: Vec<String> = names.collect();
    names.join(", ")
}

fn describe(report: &Report) -> String {
    let rows = report.evaluations.iter().map(|measured| {
        let evaluation = &measured.evaluation;
        let images = evaluation.images.max(1) as f64;
        vec![
            evaluation.parameters.to_string(),
            percent(evaluation.accuracy_under_attack),
            format!("{:.1}", evaluation.gradient_evaluations as f64 / images),
            format!("{:.3}", measured.seconds / images),
        ]
    });
    let header = ["attack", "accuracy", "gradients per image", "seconds"];
    let mut text = format!(
        "{} images of {}, clean accuracy {}\n{}\n",
        report.images,
        report.subject.data,
        percent(report.clean_accuracy),
        table(&header, rows)
    );
    for worst in &report.worst_cases {
        if report.evaluations.len() > 1 {
            let curve = worst.curve.iter();
            let curve: Vec<String> = curve
                .map(|point| format!("{} at {}", percent(point.accuracy), point.eps))
                .collect();
            text.push_str(&format!(
                "\nworst case, {}: {}",
                worst.norm,
                curve.join(", ")
            ));
        }
        if report.seeks_smallest(worst.norm)
            && let Some(median) = worst.median()
        {
            text.push_str(&format!("\nmedian smallest {}: {median:.4}", worst.norm));
        }
    }
    for linearity in &report.linearity {
        let (ball, mean) = (&linearity.parameters, &linearity.mean);
        text.push_str(&format!(
            "\nloss in {} {}: {:.4}, rises by {:.4} as the gradient predicts ({:.4} within [0, 1]), by {:.4} after that step, by {:.4} under PGD",
            ball.norm, ball.eps, mean.loss, mean.predicted, mean.predicted_in_box, mean.one_step, mean.iterated
        ));
    }
    for flag in &report.flags {
        text.push_str(&format!("\nflag: {flag}"));
    }
    text
}

/// Exits with a failure when a claim does not hold.
fn verify(args: &Args, path: &Path, output: Output) -> Result<()> {
    let report = Report::read(path)?;
    let classifier = args
        .model
        .load_normalized(report.subject.normalization.clone())?;
    let samples = samples(&evaluation::test_set(
        &args.data,
        &classifier,
        Some(report.images),
    )?)?;
    let verification = Runtime::new()?.block_on(buckler_report::verify(
        &classifier,
        classifier.sha256(),
        &samples,
        path,
    ))?;
    output.print(&verification, |verification| {
        let rows = verification.claims.iter().map(|claim| {
            vec![
                claim.what.clone(),
                percent(claim.stated),
                percent(claim.recomputed),
                if claim.holds() { "holds" } else { "DIFFERS" }.to_owned(),
            ]
        });
        let mut text = table(&["claim", "stated", "recomputed", ""], rows);
        for problem in &verification.problems {
            text.push_str(&format!("\n{problem}"));
        }
        text
    })?;
    if !verification.holds() {
        bail!("the report does not hold");
    }
    Ok(())
}

fn write_card(args: &Args, report: &Report) -> Result<()> {
    let dir = args
        .model
        .model
        .parent()
        .context("the model's path has no folder")?;
    let mut card = buckler_onnx::Model::read(&args.model.model)?
        .card()?
        .unwrap_or_default();
    if let Some(normalization) = args.model.normalization() {
        card.input.normalization = Some(normalization);
    }
    let evaluations: Vec<&Evaluation> = report.evaluations.iter().map(|m| &m.evaluation).collect();
    let Subject { data, command, .. } = &report.subject;
    for measured in evaluation::measurements(data, command, &evaluations) {
        card.measured.retain(|old| {
            (&old.data, &old.attack, old.images)
                != (&measured.data, &measured.attack, measured.images)
        });
        card.measured.push(measured);
    }
    publish::update_card(dir, &card)
}

/// What measures the same again, with the data set's name alone: where its files lie is nobody's business.
fn command_line(args: &Args) -> String {
    let eps: Vec<String> = args.eps.iter().map(Epsilon::to_string).collect();
    let attacks: Vec<String> = args.attack.iter().map(AttackSpec::to_string).collect();
    let options = &args.options;
    let mut line = format!(
        "buckler evaluate {} --data {} --attack {} --eps {} --seed {}",
        args.model.model.display(),
        args.data.name(),
        attacks.join(","),
        eps.join(","),
        options.seed
    );
    let mut add = |flag: &str, value: Option<String>| {
        if let Some(value) = value {
            line.push_str(&format!(" --{flag} {value}"));
        }
    };
    let normalization = args.model.normalization();
    let numbers = |values: &[f32]| {
        let values: Vec<String> = values.iter().map(f32::to_string).collect();
        values.join(",")
    };
    add("mean", normalization.as_ref().map(|n| numbers(&n.mean)));
    add("std", normalization.as_ref().map(|n| numbers(&n.std)));
    add("norm", options.norm.map(|norm| norm.to_string()));
    add(
        "objective",
        options.objective.map(|objective| objective.to_string()),
    );
    add(
        "variants",
        options.variants.map(|variants| variants.to_string()),
    );
    add("steps", options.steps.map(|n| n.to_string()));
    add("step-size", options.step_size.map(|size| size.to_string()));
    add("restarts", options.restarts.map(|n| n.to_string()));
    add("limit", args.limit.map(|n| n.to_string()));
    for (flag, given) in [("min-eps", args.min_eps), ("linearity", args.linearity)] {
        if given {
            line.push_str(&format!(" --{flag}"));
        }
    }
    line
}
