use anyhow::Result;
use buckler_train::ComputeDevice;

use crate::output::Output;

/// List the devices that this build can train on
#[derive(clap::Args)]
#[command(after_help = "Example:\n  buckler devices --json")]
pub struct Args {}

pub fn run(_: &Args, output: Output) -> Result<()> {
    let devices: Vec<String> = ComputeDevice::available()
        .iter()
        .map(ComputeDevice::to_string)
        .collect();
    output.print(&devices, |devices| {
        let hint = if cfg!(feature = "cuda") {
            ""
        } else {
            "\nbuilt without CUDA: `cargo build --release --features cuda` adds it"
        };
        format!("{}{hint}", devices.join("\n"))
    })
}
