use std::collections::{HashMap, hash_map::Entry};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use buckler_attack::{AttackConfig, Epsilon, Norm, ObjectiveKind, Samples};
use buckler_data::{DataSource, LoadOptions, Split};
use buckler_runtime::{Classifier, LoadOptions as ModelOptions};
use buckler_train::{Checkpoint, ComputeDevice, HeadConfig, Recipe, TrainOptions};
use serde::Serialize;
use tokio::runtime::Runtime;

use crate::commands::train::train_recipe;
use crate::evaluation;
use crate::output::{Output, percent};
use crate::publish::publish;
use crate::training_args::{TrainingArgs, source};

/// Train several recipes with the same seed and attack what comes out
///
/// One table: clean accuracy, PGD-20 on cross-entropy, PGD-20 on the margin (which no scale of the logits can mislead), and
/// the time of the training. Recipes that are trained already in the folder are not trained again; a run that was
/// interrupted goes on.
#[derive(clap::Args)]
#[command(
    after_help = "Example:\n  buckler compare mnist-small-pgd-at mnist-small-trades --with-linear --data mnist --out runs/compare"
)]
pub struct Args {
    /// Built-in recipes' names, or TOML files
    #[arg(required = true)]
    recipes: Vec<String>,
    /// Train each recipe with a linear head as well: is it hypersphere embedding that helps?
    #[arg(long)]
    with_linear: bool,
    #[command(flatten)]
    training: TrainingArgs,
    /// Seed of every training and of the attacks
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Epochs of every training, instead of the recipes'
    #[arg(long)]
    epochs: Option<usize>,
    /// Radius of the attacks [default: the recipe's, or that of the first one that has an adversary]
    #[arg(long)]
    eps: Option<Epsilon>,
    /// Test images to attack
    #[arg(long, default_value_t = 1000)]
    limit: usize,
    /// Folder of runs, models and the report (compare.md, compare.json)
    #[arg(long, default_value = "runs/compare")]
    out: PathBuf,
}

#[derive(Serialize)]
struct Row {
    recipe: String,
    framework: &'static str,
    head: String,
    eps: String,
    best_epoch: usize,
    epochs: usize,
    clean_accuracy: f64,
    pgd_accuracy: f64,
    margin_accuracy: f64,
    training_seconds: f64,
    stopped: Option<String>,
}

#[derive(Serialize)]
struct Report {
    data: String,
    images: usize,
    seed: u64,
    rows: Vec<Row>,
}

const STEPS: usize = 20;

pub fn run(args: &Args, output: Output) -> Result<()> {
    let recipes = recipes(args)?;
    let threat = recipes.iter().find_map(threat_of);
    let runtime = Runtime::new()?;
    buckler_runtime::init()?;
    let mut sources = HashMap::new();
    let mut rows = Vec::new();
    for recipe in &recipes {
        let source = source(args.training.data.as_ref(), recipe)?;
        let samples = match sources.entry((source.to_string(), recipe.image_size)) {
            Entry::Occupied(entry) => entry.into_mut(),
            Entry::Vacant(entry) => {
                let options = LoadOptions {
                    size: Some(args.limit),
                    image_size: recipe.image_size,
                    ..LoadOptions::default()
                };
                let data = source.load(Split::Test, &options)?;
                entry.insert(evaluation::samples(&data)?)
            }
        };
        let threat = threat_of(recipe).or(threat);
        let attack = AttackConfig {
            norm: threat.map(|(norm, _)| norm),
            eps: args.eps.or(threat.map(|(_, eps)| eps)),
            steps: Some(STEPS),
            seed: args.seed,
            ..AttackConfig::default()
        };
        rows.push(row(&runtime, args, recipe, &source, samples, &attack)?);
    }
    let report = Report {
        data: recipes
            .first()
            .map_or(String::new(), |recipe| recipe.data.clone()),
        images: args.limit,
        seed: args.seed,
        rows,
    };
    let text = markdown(&report);
    write(&args.out.join("compare.md"), &text)?;
    write(
        &args.out.join("compare.json"),
        &serde_json::to_string_pretty(&report)?,
    )?;
    output.print(&report, |_| text)
}

fn threat_of(recipe: &Recipe) -> Option<(Norm, Epsilon)> {
    let adversary = recipe.adversary.as_ref()?;
    Some((adversary.norm, adversary.eps))
}

/// The recipes to train, each under a name of its own.
fn recipes(args: &Args) -> Result<Vec<Recipe>> {
    let mut recipes = Vec::new();
    for name in &args.recipes {
        let mut recipe = args.training.recipe(name)?;
        recipe.seed = args.seed;
        if let Some(epochs) = args.epochs {
            recipe.training.epochs = epochs;
        }
        let linear = (args.with_linear && recipe.head != HeadConfig::Linear).then(|| {
            let mut linear = recipe.clone();
            linear.name = format!("{}-linear", recipe.name);
            linear.head = HeadConfig::Linear;
            linear
        });
        recipes.push(recipe);
        recipes.extend(linear);
    }
    for (i, recipe) in recipes.iter().enumerate() {
        ensure!(
            recipes[..i].iter().all(|other| other.name != recipe.name),
            "two recipes have the name `{}`: give each one its own",
            recipe.name
        );
    }
    Ok(recipes)
}

fn row(
    runtime: &Runtime,
    args: &Args,
    recipe: &Recipe,
    source: &DataSource,
    samples: &Samples,
    attack: &AttackConfig,
) -> Result<Row> {
    let options = TrainOptions {
        resume: true,
        ..TrainOptions::default()
    };
    let out = args.out.join("runs").join(&recipe.name);
    let run = train_recipe(recipe, source, &args.training.device, &out, options)?;
    let checkpoint = Checkpoint::load(&run.best_checkpoint()?, &ComputeDevice::Cpu.open()?)?;
    let dir = args.out.join("models").join(&recipe.name).join("1");
    publish(&checkpoint, &recipe.name, &dir)?;
    let classifier = Classifier::load(&dir.join("model.onnx"), &ModelOptions::default())?;
    let evaluate = |objective| {
        let config = AttackConfig {
            objective: Some(objective),
            ..attack.clone()
        };
        let attack = evaluation::checked(&classifier, &config)?;
        evaluation::run(runtime, &recipe.name, &classifier, samples, &attack)
    };
    let pgd = evaluate(ObjectiveKind::CrossEntropy)?;
    let margin = evaluate(ObjectiveKind::Margin)?;
    Ok(Row {
        recipe: recipe.name.clone(),
        framework: recipe.framework.name(),
        head: recipe.head.to_string(),
        eps: pgd.parameters.eps.to_string(),
        best_epoch: checkpoint.state.epochs,
        epochs: run.epochs().len(),
        clean_accuracy: pgd.clean_accuracy,
        pgd_accuracy: pgd.accuracy_under_attack,
        margin_accuracy: margin.accuracy_under_attack,
        training_seconds: run.epochs().iter().map(|epoch| epoch.seconds).sum(),
        stopped: run.stopped().map(str::to_owned),
    })
}

fn markdown(report: &Report) -> String {
    let mut text = format!(
        "{}: the first {} test images, seed {}\n\n| recipe | framework | head | eps | best epoch | clean | PGD-{STEPS} | margin PGD-{STEPS} | training |\n|---|---|---|--:|--:|--:|--:|--:|--:|\n",
        report.data, report.images, report.seed
    );
    for row in &report.rows {
        let early = if row.stopped.is_some() {
            " (stopped)"
        } else {
            ""
        };
        text.push_str(&format!(
            "| {} | {} | {} | {} | {}/{}{early} | {} | {} | {} | {:.0} s |\n",
            row.recipe,
            row.framework,
            row.head,
            row.eps,
            row.best_epoch,
            row.epochs,
            percent(row.clean_accuracy),
            percent(row.pgd_accuracy),
            percent(row.margin_accuracy),
            row.training_seconds
        ));
    }
    text
}

fn write(path: &Path, text: &str) -> Result<()> {
    buckler_onnx::write_atomic(path, text.as_bytes())
        .with_context(|| format!("cannot write {}", path.display()))
}
