use anyhow::Result;
use buckler_train::{Agreement, ComputeDevice};
use serde::Serialize;

use crate::output::Output;

/// List the devices that this build can train on, or check one against the CPU
#[derive(clap::Args)]
#[command(after_help = "Example:\n  buckler devices\n  buckler devices --check cuda:0")]
pub struct Args {
    /// Compare one step of adversarial training (PreActResNet-18 with hypersphere embedding) with the CPU's
    #[arg(long, value_name = "DEVICE")]
    check: Option<ComputeDevice>,
}

#[derive(Serialize)]
struct Report {
    device: String,
    #[serde(flatten)]
    agreement: Agreement,
}

pub fn run(args: &Args, output: Output) -> Result<()> {
    if let Some(device) = args.check {
        return check(device, output);
    }
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

fn check(device: ComputeDevice, output: Output) -> Result<()> {
    let report = Report {
        device: device.to_string(),
        agreement: Agreement::measure(&device.open()?)?,
    };
    output.print(&report, |report| {
        let Agreement {
            loss_cpu,
            loss_device,
            gradient_rel_l2,
            crafted_loss_device,
            seconds_cpu,
            seconds_device,
        } = report.agreement;
        format!(
            "loss {loss_device:.6} on {0}, {loss_cpu:.6} on the CPU\ngradients of all weights within {gradient_rel_l2:.1e} of their length\nloss {crafted_loss_device:.6} at the adversarial images that {0} crafts itself\n{seconds_device:.3} s a pass, {seconds_cpu:.3} s on the CPU",
            report.device
        )
    })
}
