use std::path::PathBuf;

use anyhow::Result;
use buckler_data::{DataSource, LoadOptions, Split, write_preview};
use serde::Serialize;

use crate::output::Output;

/// Look at data sets
#[derive(clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand)]
enum Command {
    Preview(Preview),
}

/// Write a sheet of samples, one row per class, as a PNG
#[derive(clap::Args)]
#[command(after_help = "Example:\n  buckler data preview digits --out digits.png")]
struct Preview {
    /// Data set as NAME[:DIR]: `digits` (drawn, needs no files) or `mnist`
    data: DataSource,
    /// The PNG file
    #[arg(long, default_value = "preview.png")]
    out: PathBuf,
    /// Samples of each class
    #[arg(long, default_value_t = 16)]
    per_class: usize,
    /// Seed of drawn data
    #[arg(long, default_value_t = 0)]
    seed: u64,
}

#[derive(Serialize)]
struct Report {
    sheet: PathBuf,
    data: String,
    images: usize,
    classes: Vec<String>,
}

pub fn run(args: &Args, output: Output) -> Result<()> {
    let Command::Preview(args) = &args.command;
    let options = LoadOptions {
        size: None,
        seed: args.seed,
    };
    let data = args.data.load(Split::Train, &options)?;
    write_preview(&data, args.per_class, &args.out)?;
    let report = Report {
        sheet: args.out.clone(),
        data: args.data.name().to_owned(),
        images: data.len(),
        classes: data.classes().to_vec(),
    };
    output.print(&report, |report| {
        format!(
            "{}: {} of each of {} classes of {}",
            report.sheet.display(),
            args.per_class,
            report.classes.len(),
            report.data
        )
    })
}
