//! `buckler bench-serve` without the rest of Buckler:
//! `cargo run --release -p buckler-load --example bench_serve -- http://127.0.0.1:8080 --image seven.png`
use std::process::ExitCode;

use buckler_load::{LoadArgs, LoadError};
use clap::Parser;

#[derive(Parser)]
struct Cli {
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    load: LoadArgs,
}

#[tokio::main]
async fn main() -> Result<ExitCode, LoadError> {
    let Cli { json, load } = Cli::parse();
    let answer = load.run(|step| eprintln!("{step}")).await?;
    if json {
        println!("{:#}", serde_json::json!(answer));
    } else {
        println!("{answer}");
    }
    Ok(if answer.failures().is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}
