//! Measures what a directory of models takes: time until all are ready, memory and threads, then the first prediction and the first
//! gradient of one model, and with `attack` of all.
//!
//! ```sh
//! cargo run -p buckler-runtime --example load_folder -- models [attack]
//! ```
use std::{env, error::Error, fs, path::PathBuf, time::Instant};

use buckler_attack::{Objective, Victim};
use buckler_runtime::{Entry, LoadOptions, Repository};
use ndarray::Array4;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let root = PathBuf::from(env::args().nth(1).unwrap_or_else(|| "models".to_owned()));
    let options = LoadOptions {
        separate_attacks: true,
        all_outputs: true,
        ..LoadOptions::default()
    };
    buckler_runtime::init()?;
    println!("start: {}", usage());
    let start = Instant::now();
    let repository = Repository::open(&root, &options)?;
    let index = repository.index();
    let ready = index.iter().filter(|listed| listed.ready).count();
    let seconds = start.elapsed().as_secs_f64();
    println!(
        "{ready} of {} models ready in {seconds:.2} s: {}",
        index.len(),
        usage()
    );
    for listed in index.iter().filter(|listed| !listed.ready) {
        println!("{} {}: {}", listed.name, listed.version, listed.reason);
    }
    let serving = repository.serving();
    let start = Instant::now();
    let attackable = serving
        .iter()
        .filter(|entry| entry.classifier.can_attack().is_ok())
        .count();
    println!(
        "{attackable} can be attacked, known after {:.1?}",
        start.elapsed()
    );
    let Some(entry) = serving.last() else {
        return Ok(());
    };
    let images = |entry: &Entry| {
        let input = entry.classifier.input();
        Array4::zeros((1, input.channels, input.height, input.width))
    };
    let gradient = async |entry: &Entry| {
        let attacker = entry.classifier.attacker("measurement".into());
        let objectives = vec![Objective::Margin { label: 0 }];
        attacker.gradient(images(entry), objectives).await
    };
    for turn in ["first", "second"] {
        let start = Instant::now();
        entry.classifier.logits(images(entry)).await?;
        println!("{turn} prediction: {:.1?}", start.elapsed());
        let start = Instant::now();
        gradient(entry).await?;
        println!("{turn} gradient: {:.1?}, {}", start.elapsed(), usage());
    }
    if env::args().nth(2).as_deref() == Some("attack") {
        let start = Instant::now();
        for entry in &serving {
            gradient(entry).await?;
        }
        println!("all attacked: {:.1?}, {}", start.elapsed(), usage());
    }
    Ok(())
}

/// Resident memory and threads of this process, where the system tells (proc(5)).
fn usage() -> String {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let field = |name: &str| {
        let line = status.lines().find(|line| line.starts_with(name));
        line.and_then(|line| line.split_whitespace().nth(1)?.parse::<u64>().ok())
            .unwrap_or(0)
    };
    let (memory, threads) = (field("VmRSS:") >> 10, field("Threads:"));
    format!("{memory} MiB, {threads} threads")
}
