use anyhow::{Result, ensure};
use buckler_load::Answer;
use tokio::runtime::Runtime;

use crate::output::Output;

/// Measure a server under load: throughput and latencies, an overload, clients that vanish or are hostile
///
/// Latencies are those of answers with a status from 200 to 299; others are counted apart. With --rate they count from the moment at which a
/// request was to be sent, so that a stall is charged for everybody who waited. All other scenarios exit with 1 when the
/// server does what it must not.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  buckler bench-serve http://127.0.0.1:8080 --image seven.png --connections 16
  buckler bench-serve http://127.0.0.1:8080 --image seven.png --rate 200 --attacks 1 --attack-images 16 --attack-param eps=0.3
  buckler bench-serve a=http://127.0.0.1:8080/predict b=http://127.0.0.1:8081/predict --request raw --body seven.png --rounds 5
  buckler bench-serve http://127.0.0.1:8080 --scenario overload --request attack --image seven.png --duration 60 --pid 4242
  buckler bench-serve http://127.0.0.1:8080 --scenario hostile --image seven.png --rate 50 --pid 4242")]
pub struct Args {
    #[command(flatten)]
    load: buckler_load::LoadArgs,
}

pub fn run(args: &Args, output: Output) -> Result<()> {
    let measured = args.load.run(|step| tracing::info!("{step}"));
    let answer = Runtime::new()?.block_on(measured)?;
    output.print(&answer, Answer::to_string)?;
    let failures = answer.failures();
    ensure!(
        failures.is_empty(),
        "the server did not stand it: {}",
        failures.join("; ")
    );
    Ok(())
}
