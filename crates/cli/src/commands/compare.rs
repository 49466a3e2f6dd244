use std::collections::{HashMap, hash_map};
use std::num::NonZero;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow, bail};
use buckler_attack::{AttackConfig, Epsilon, InputSpec, Limits, Norm, ObjectiveKind, Samples};
use buckler_data::{DataSource, Split};
use buckler_onnx::{FileLock, LockError};
use buckler_runtime::{Classifier, LoadOptions as ModelOptions};
use buckler_train::{Checkpoint, ComputeDevice, HeadConfig, ImageSize, Recipe, TrainOptions};
use tokio::runtime::Runtime;

mod table;

use self::table::{Figures, Report, Row, markdown};
use crate::commands::train::train_recipe;
use crate::evaluation;
use crate::output::Output;
use crate::publish::publish;
use crate::training_args::{TrainingArgs, load_options, source, with_remedy_of_compare};

/// Train several recipes with the same seed and attack what comes out
///
/// One table: clean accuracy, PGD-20 on cross-entropy, PGD-20 on the margin (which no scale of the logits can mislead), and
/// the time of the training. Recipes that are trained already in the folder are not trained again; a run that was
/// interrupted goes on. A recipe that fails has the reason in its row, and the others are trained all the same. The rows of
/// an earlier comparison in the folder stay in the table where it was of the same data, images, seed and radius.
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
    epochs: Option<NonZero<usize>>,
    /// Radius of the attacks [default: the recipe's, or that of the first one that has an adversary]
    #[arg(long, allow_negative_numbers = true)]
    eps: Option<Epsilon>,
    /// Test images to attack
    #[arg(long, default_value = "1000")]
    limit: NonZero<usize>,
    /// Folder of runs, models and the report (compare.md, compare.json)
    #[arg(long, default_value = "runs/compare")]
    out: PathBuf,
}

/// Steps of both attacks.
const STEPS: usize = 20;

/// The table, for programs.
const JSON: &str = "compare.json";

/// A recipe to train, or why it cannot be.
struct Entry {
    name: String,
    recipe: Result<Recipe>,
}

pub fn run(args: &Args, output: Output) -> Result<()> {
    let entries = entries(args);
    for Entry { name, recipe } in &entries {
        if let Err(error) = recipe {
            tracing::error!("{name}: {error:#}; the other recipes are trained");
        }
    }
    let threat = entries
        .iter()
        .find_map(|entry| threat_of(entry.recipe.as_ref().ok()?));
    let mut bench = Bench {
        args,
        runtime: Runtime::new()?,
        threat,
        samples: HashMap::new(),
    };
    buckler_runtime::init()?;
    std::fs::create_dir_all(&args.out)
        .with_context(|| format!("cannot create {}", args.out.display()))?;
    let _lock = lock(&args.out)?;
    let earlier = Report::read(&args.out.join(JSON))?;
    let data = entries
        .iter()
        .find_map(|entry| Some(entry.recipe.as_ref().ok()?.data.clone()))
        .or_else(|| Some(earlier.as_ref()?.data.clone()));
    let mut report = Report {
        data: data.unwrap_or_else(|| "no data set".to_owned()),
        images: args.limit.get(),
        seed: args.seed,
        eps: args.eps.map(|eps| eps.to_string()),
        rows: Vec::new(),
    };
    let names: Vec<&str> = entries.iter().map(|entry| entry.name.as_str()).collect();
    if let Some(earlier) = &earlier {
        check_kept(earlier, &report, &names, &args.out)?;
    }
    for Entry { name, recipe } in entries {
        let trained = recipe
            .as_ref()
            .ok()
            .map(|recipe| (recipe.framework.name(), recipe.head.to_string()));
        let result = recipe.and_then(|recipe| {
            let figures = bench.figures(&recipe);
            figures.inspect_err(|error| tracing::error!("{name}: {error:#}"))
        });
        let (figures, error) = match result {
            Ok(figures) => (Some(figures), None),
            Err(error) => (None, Some(format!("{error:#}"))),
        };
        report.rows.push(Row {
            recipe: name,
            framework: trained
                .as_ref()
                .map(|(framework, _)| (*framework).to_owned()),
            head: trained.map(|(_, head)| head),
            figures,
            error,
        });
        // After every recipe: what was computed is kept.
        if let Some(table) = report.over(earlier.as_ref()) {
            write(&args.out.join("compare.md"), &markdown(&table))?;
            write(&args.out.join(JSON), &serde_json::to_string_pretty(&table)?)?;
        }
    }
    if report.over(earlier.as_ref()).is_none() {
        tracing::warn!(
            "{}: nothing was measured, so the table of the earlier comparison stays as it is",
            args.out.display()
        );
    }
    output.print(&report, markdown)?;
    let failed: Vec<&str> = report
        .rows
        .iter()
        .filter(|row| row.error.is_some())
        .map(|row| row.recipe.as_str())
        .collect();
    match failed.is_empty() {
        true => Ok(()),
        false => bail!(
            "{} of {} recipes failed: {}",
            failed.len(),
            report.rows.len(),
            failed.join(", ")
        ),
    }
}

/// One comparison in a folder at a time.
fn lock(out: &Path) -> Result<FileLock> {
    let path = out.join("compare.lock");
    let lock = FileLock::acquire(&path).map_err(|error| match error {
        LockError::Held(holder) => anyhow!(
            "{} is in use by {holder}: wait for it, or choose another --out",
            out.display()
        ),
        LockError::File(error) => anyhow!("cannot write {}: {error}", path.display()),
    })?;
    if let Some(error) = &lock.unsupported {
        tracing::warn!(
            "{}: the file system has no locks ({error}); let no other process compare in this folder",
            path.display()
        );
    }
    Ok(lock)
}

/// That the figures of recipes which this comparison does not measure fit into one table with its own.
fn check_kept(earlier: &Report, report: &Report, names: &[&str], out: &Path) -> Result<()> {
    let differing = earlier.differing(report);
    let others: Vec<&str> = earlier
        .rows
        .iter()
        .filter(|row| row.figures.is_some() && !names.contains(&row.recipe.as_str()))
        .map(|row| row.recipe.as_str())
        .collect();
    if others.is_empty() || differing.is_empty() {
        return Ok(());
    }
    bail!(
        "{} has figures of {} that would be lost: {}; compare with the same values, name those recipes too, or choose another --out",
        out.join(JSON).display(),
        others.join(", "),
        differing.join(", ")
    )
}

fn threat_of(recipe: &Recipe) -> Option<(Norm, Epsilon)> {
    let adversary = recipe.adversary.as_ref()?;
    Some((adversary.norm, adversary.eps))
}

/// The recipes to train, each under a name of its own.
fn entries(args: &Args) -> Vec<Entry> {
    let mut entries: Vec<Entry> = Vec::new();
    for given in &args.recipes {
        match recipe(args, given) {
            Ok(recipe) => {
                let linear = (args.with_linear && !matches!(recipe.head, HeadConfig::Linear {}))
                    .then(|| {
                        let mut linear = recipe.clone();
                        linear.name = format!("{}-linear", recipe.name);
                        linear.head = HeadConfig::Linear {};
                        linear
                    });
                for recipe in [Some(recipe), linear].into_iter().flatten() {
                    let name = recipe.name.clone();
                    let taken = entries.iter().any(|other| other.name == name);
                    let recipe = match taken {
                        false => Ok(recipe),
                        true => Err(anyhow!(
                            "another recipe has the name `{name}`: give each one its own"
                        )),
                    };
                    entries.push(Entry { name, recipe });
                }
            }
            Err(error) => entries.push(Entry {
                name: given.clone(),
                recipe: Err(error),
            }),
        }
    }
    entries
}

fn recipe(args: &Args, name: &str) -> Result<Recipe> {
    let mut recipe = args.training.recipe(name)?;
    recipe.seed = args.seed;
    if let Some(epochs) = args.epochs {
        recipe.training.epochs = epochs.get();
    }
    recipe
        .check()
        .map_err(|reason| anyhow!("recipe {name}: {reason}"))?;
    Ok(recipe)
}

/// What all recipes are trained and measured with.
struct Bench<'a> {
    args: &'a Args,
    runtime: Runtime,
    threat: Option<(Norm, Epsilon)>,
    samples: HashMap<(String, Option<ImageSize>, Option<usize>), Samples>,
}

impl Bench<'_> {
    fn figures(&mut self, recipe: &Recipe) -> Result<Figures> {
        let args = self.args;
        let source = source(args.training.data.as_ref(), recipe)?;
        let key = (source.to_string(), recipe.image_size, recipe.image_channels);
        let samples = match self.samples.entry(key) {
            hash_map::Entry::Occupied(entry) => entry.into_mut(),
            hash_map::Entry::Vacant(entry) => {
                let options = load_options(recipe, Some(args.limit.get()));
                let data = source.load(Split::Test, &options)?;
                entry.insert(evaluation::samples(&data)?)
            }
        };
        let threat = threat_of(recipe).or(self.threat);
        let attack = AttackConfig {
            norm: threat.map(|(norm, _)| norm),
            eps: args.eps.or(threat.map(|(_, eps)| eps)),
            steps: Some(STEPS),
            seed: args.seed,
            ..AttackConfig::default()
        };
        // Before the training, which may take hours.
        let (_, channels, height, width) = samples.images.dim();
        attack.validate(&Limits::for_input(InputSpec {
            channels,
            height,
            width,
        }))?;
        figures(&self.runtime, args, recipe, &source, samples, &attack)
    }
}

fn figures(
    runtime: &Runtime,
    args: &Args,
    recipe: &Recipe,
    source: &DataSource,
    samples: &Samples,
    attack: &AttackConfig,
) -> Result<Figures> {
    let options = TrainOptions {
        resume: true,
        ..TrainOptions::default()
    };
    let out = args.out.join("runs").join(&recipe.name);
    let run = train_recipe(recipe, source, &args.training.device, &out, None, options)
        .map_err(with_remedy_of_compare)?;
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
    Ok(Figures {
        eps: pgd.parameters.eps.to_string(),
        best_epoch: checkpoint.state.epochs,
        epochs: run.epochs().len(),
        clean_accuracy: pgd.clean_accuracy,
        pgd_accuracy: pgd.accuracy_under_attack,
        margin_accuracy: margin.accuracy_under_attack,
        training_seconds: run.epochs().iter().map(|epoch| epoch.seconds).sum(),
        stopped: run.stopped().map(str::to_owned),
        warning: run.best().and_then(|best| best.warning.clone()),
    })
}

fn write(path: &Path, text: &str) -> Result<()> {
    buckler_onnx::write_atomic(path, text.as_bytes())
        .with_context(|| format!("cannot write {}", path.display()))
}
