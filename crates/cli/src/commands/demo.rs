use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, Result};
use buckler_attack::{AttackConfig, Epsilon, Evaluation, Samples};
use buckler_data::{DataSource, LoadOptions, Split};
use buckler_runtime::{Classifier, LoadOptions as ModelOptions, encode_png};
use buckler_server::Config;
use buckler_train::{Checkpoint, ComputeDevice, Recipe, Run, TrainOptions};
use ndarray::Axis;
use serde::Serialize;
use tokio::runtime::Runtime;

use crate::commands::{serve, train::train_recipe};
use crate::evaluation;
use crate::output::{Output, percent, table};
use crate::publish::{Parity, publish, update_card};
use crate::training_args::with_remedy;

/// Both networks of the demonstration: without a defence, and with hypersphere embedding inside adversarial training.
const RECIPES: [&str; 2] = ["digits-plain", "digits-he"];
const EPSILONS: [f32; 3] = [0.1, 0.2, 0.3];
const STEPS: usize = 20;
const TEST_IMAGES: usize = 500;

/// Train, export, attack and serve two small networks: a few minutes on a laptop's CPU
///
/// Trains on digits that the program draws itself, one network plainly and one with hypersphere embedding inside
/// adversarial training, exports both to ONNX with their gradient graphs, attacks both, and serves them.
#[derive(clap::Args)]
#[command(after_help = "Example:\n  buckler demo --no-serve --json")]
pub struct Args {
    /// Port to serve on, on the loopback address
    #[arg(long, env = "BUCKLER_PORT", default_value_t = 8080)]
    port: u16,
    /// Stop after the table
    #[arg(long)]
    no_serve: bool,
    /// Folder for runs, models and the sample image; what an earlier demo left there is replaced
    #[arg(long, default_value = "buckler-demo")]
    out: PathBuf,
}

#[derive(Serialize)]
struct Report {
    models: Vec<ModelReport>,
    seconds: f64,
}

#[derive(Serialize)]
struct ModelReport {
    name: String,
    clean_accuracy: f64,
    robust: Vec<Robust>,
    parity: Parity,
}

#[derive(Serialize)]
struct Robust {
    eps: f32,
    attack: String,
    accuracy: f64,
}

pub fn run(args: &Args, output: Output) -> Result<()> {
    let started = Instant::now();
    let runtime = Runtime::new()?;
    // Found or fetched before the training, so that a missing library is known at once.
    buckler_runtime::init()?;
    let source = DataSource::Digits;
    let options = LoadOptions {
        size: Some(TEST_IMAGES),
        ..LoadOptions::default()
    };
    let samples = evaluation::samples(&source.load(Split::Test, &options)?)?;
    let models = RECIPES
        .iter()
        .map(|name| build(&runtime, name, &source, &samples, &args.out))
        .collect::<Result<Vec<_>>>()?;
    let report = Report {
        models,
        seconds: started.elapsed().as_secs_f64(),
    };
    output.print(&report, text)?;
    let sample = save_sample(&samples, &args.out)?;
    if args.no_serve {
        return Ok(());
    }
    eprintln!("{}", invitation(args.port, &sample));
    let config = Config {
        bind: format!("127.0.0.1:{}", args.port),
        default_model: Some("digits-he".to_owned()),
        ..Config::new(args.out.join("models"))
    };
    serve::serve(&runtime, config)
}

/// Trains, publishes and attacks the network of one recipe.
fn build(
    runtime: &Runtime,
    name: &str,
    source: &DataSource,
    samples: &Samples,
    out: &Path,
) -> Result<ModelReport> {
    let recipe = Recipe::find(name)?;
    let run_dir = out.join("runs").join(name);
    // Of an earlier demonstration; what is not a run is refused by the training.
    if Run::open(&run_dir).is_ok() {
        std::fs::remove_dir_all(&run_dir)
            .with_context(|| format!("cannot remove {}", run_dir.display()))?;
    }
    let device = ComputeDevice::Cpu;
    let run = train_recipe(
        &recipe,
        source,
        &[device],
        &run_dir,
        None,
        TrainOptions::default(),
    )
    .map_err(with_remedy)?;
    let checkpoint = Checkpoint::load(&run.best_checkpoint()?, &device.open()?)?;
    let dir = out.join("models").join(name).join("1");
    let parity = publish(&checkpoint, name, &dir)?;

    let classifier = Classifier::load(&dir.join("model.onnx"), &ModelOptions::default())?;
    let evaluations = EPSILONS
        .iter()
        .map(|eps| {
            let config = AttackConfig {
                eps: Some(Epsilon::new(*eps)?),
                steps: Some(STEPS),
                ..AttackConfig::default()
            };
            let attack = evaluation::checked(&classifier, &config)?;
            evaluation::run(runtime, name, &classifier, samples, &attack)
        })
        .collect::<Result<Vec<_>>>()?;
    let mut card = classifier.card().clone();
    let figures: Vec<&Evaluation> = evaluations.iter().collect();
    card.measured = evaluation::measurements("digits/test", "buckler demo", &figures);
    update_card(&dir, &card)?;
    Ok(report(name, parity, &evaluations))
}

fn report(name: &str, parity: Parity, evaluations: &[Evaluation]) -> ModelReport {
    ModelReport {
        name: name.to_owned(),
        clean_accuracy: evaluations
            .first()
            .map_or(0.0, |first| first.clean_accuracy),
        robust: evaluations
            .iter()
            .map(|evaluation| Robust {
                eps: evaluation.parameters.eps_value,
                attack: format!(
                    "{}-{}",
                    evaluation.parameters.attack, evaluation.parameters.steps
                ),
                accuracy: evaluation.accuracy_under_attack,
            })
            .collect(),
        parity,
    }
}

fn text(report: &Report) -> String {
    let under = EPSILONS.map(|eps| format!("PGD-{STEPS} eps {eps}"));
    let mut header = vec!["model", "clean"];
    header.extend(under.iter().map(String::as_str));
    header.extend(["logits differ", "gradients differ"]);
    let rows = report.models.iter().map(|model| {
        let mut row = vec![model.name.clone(), percent(model.clean_accuracy)];
        row.extend(model.robust.iter().map(|robust| percent(robust.accuracy)));
        row.push(format!("{:.1e}", model.parity.logits_max_abs));
        row.push(format!("{:.1e}", model.parity.gradient_rel_l2));
        row
    });
    format!(
        "{}\n\naccuracy on {TEST_IMAGES} test images; the last two columns: ONNX Runtime against the trainer\n{:.0} seconds",
        table(&header, rows),
        report.seconds
    )
}

/// The first test image as a file to send.
fn save_sample(samples: &Samples, out: &Path) -> Result<PathBuf> {
    let path = out.join("digit.png");
    let png = encode_png(samples.images.index_axis(Axis(0), 0))?;
    buckler_onnx::write_atomic(&path, &png)
        .with_context(|| format!("cannot write {}", path.display()))?;
    Ok(path)
}

fn invitation(port: u16, sample: &Path) -> String {
    let sample = sample.display();
    format!(
        "Try, in another terminal:\n  \
         curl -F image=@{sample} 'http://127.0.0.1:{port}/predict'\n  \
         curl -F image=@{sample} 'http://127.0.0.1:{port}/attack?model=digits-plain&eps=0.2'\n  \
         curl -F image=@{sample} 'http://127.0.0.1:{port}/attack?model=digits-he&eps=0.2'\n\
         or open http://127.0.0.1:{port}/ in a browser. Ctrl-C stops the server."
    )
}
