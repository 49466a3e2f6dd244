mod settings;
mod stated_command;
mod verify;

use std::path::{Path, PathBuf};

use anyhow::{Result, anyhow, bail};
use buckler_attack::{AnyAttack, AttackKind, AttackSpec, Epsilon, Evaluation, SampleSource};
use buckler_report::{
    Entry, Folder, FolderLock, Plan, Report, ReportError, RunProgress, Subject, fixed,
};
use buckler_runtime::Classifier;
use tokio::runtime::Runtime;

use crate::attack_args::AttackOptions;
use crate::measured_card::MeasuredCard;
use crate::model_args::ModelArgs;
use crate::output::{Output, percent, table};
use crate::test_set::{TestSet, TestSetArgs};
use crate::{command_line, evaluation};

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
    #[command(flatten)]
    test_set: TestSetArgs,
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
    /// Write report.json, report.md, report.html and the adversarial images here, and keep the state of the run meanwhile
    #[arg(long, value_name = "DIR")]
    report: Option<PathBuf>,
    /// Go on with the run that was interrupted
    #[arg(long, requires = "report")]
    resume: bool,
    /// Recompute the claims of a report.json from the model, the data and the adversarial images saved beside it, and list what cannot
    /// be verified; measures nothing new
    #[arg(long, value_name = "FILE", conflicts_with_all = ["eps", "attack", "norm", "steps", "step_size", "restarts", "objective", "variants", "seed", "report", "min_eps", "linearity", "limit", "write_card"])]
    verify: Option<PathBuf>,
    /// Add the figures to the model's card, inside the model and beside it, replacing those of the same attack
    #[arg(long, conflicts_with = "report")]
    write_card: bool,
}

/// How often `--min-eps` halves.
const HALVINGS: u32 = 8;

pub fn run(args: &Args, output: Output) -> Result<()> {
    if let Some(path) = &args.verify {
        return verify::run(args, path, output);
    }
    let lock = match &args.report {
        Some(path) => Some(lock(path, args.resume)?),
        None => None,
    };
    let classifier = args.model.load()?;
    let plan = plan(args, &classifier)?;
    let card = match args.write_card {
        true => Some(MeasuredCard::new(&args.model.model, &classifier)?),
        false => None,
    };
    let samples = args.test_set.load(&classifier)?;
    let subject = Subject {
        command: command_line::repeatable(),
        ..subject(&args.model, &classifier, &samples)
    };
    let folder = match lock {
        Some(lock) => Some(Folder::open(lock, &subject, &plan)?),
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
    // What was measured is shown before anything else can fail.
    let notes = samples.notes();
    output.print(&report, |report| describe(report, &notes))?;
    if let Some(folder) = &folder {
        buckler_report::write(folder, &report, &samples, classifier.class_names())?;
    }
    if let Some(card) = card {
        let evaluations = report.evaluations.iter().map(|m| &m.evaluation);
        let evaluations: Vec<&Evaluation> = evaluations.collect();
        let Subject { data, command, .. } = &report.subject;
        let measured = evaluation::measurements(data, command, &evaluations);
        card.write(measured, args.model.normalization())?;
    }
    Ok(())
}

/// The model and the data at hand.
fn subject(model: &ModelArgs, classifier: &Classifier, samples: &TestSet) -> Subject {
    Subject {
        buckler: env!("CARGO_PKG_VERSION").to_owned(),
        model: model.model.display().to_string(),
        sha256: classifier.sha256().to_owned(),
        assumptions: samples.assumptions(classifier),
        normalization: model.normalization(),
        settings: Some(settings::of(classifier, &model.options(None))),
        data: samples.name.clone(),
        images_sha256: samples.images_sha256.clone(),
        classes: Some(samples.classes.clone()),
        files: samples.files.clone(),
        skipped: samples.skipped.clone(),
        command: String::new(),
    }
}

/// Nobody else writes to the report's folder from now on.
fn lock(path: &Path, resume: bool) -> Result<FolderLock> {
    FolderLock::acquire(path, resume).map_err(|error| match error {
        ReportError::Unfinished(_) => anyhow!("{error} (`--resume` goes on with it)"),
        error => error.into(),
    })
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
    for (index, entry) in entries.iter().enumerate() {
        let same = |other: &&Entry| {
            (other.parameters(), other.halvings) == (entry.parameters(), entry.halvings)
        };
        if entries.iter().take(index).any(|other| same(&other)) {
            bail!("`{}` is asked for twice: leave one out", entry.parameters());
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

fn describe(report: &Report, notes: &[String]) -> String {
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
            "\nloss in {} {}: {}, rises by {} as the gradient predicts ({} within [0, 1]), by {} after that step, by {} under PGD",
            ball.norm,
            ball.eps,
            fixed(mean.loss, 4),
            fixed(mean.predicted, 4),
            fixed(mean.predicted_in_box, 4),
            fixed(mean.one_step, 4),
            fixed(mean.iterated, 4)
        ));
    }
    for note in notes {
        text.push_str(&format!("\n{note}"));
    }
    for assumption in &report.subject.assumptions {
        text.push_str(&format!("\nassumed: {assumption}"));
    }
    for flag in &report.flags {
        text.push_str(&format!("\nflag: {flag}"));
    }
    text
}
