use std::path::PathBuf;

use anyhow::Result;
use buckler_data::{DataSource, LoadOptions, Split, write_preview};
use buckler_train::Recipe;
use serde::Serialize;

use crate::as_text;
use crate::output::Output;
use crate::test_set;

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
#[command(
    after_help = "Example:\n  buckler data preview digits --out digits.png\n  buckler data preview cifar10 --augmented cifar10-pgd-at --out cifar10.png"
)]
struct Preview {
    /// `digits` (drawn, needs no files), `mnist[:DIR]`, `cifar10[:DIR]`, `cifar100[:DIR]` or `folder:DIR`
    data: DataSource,
    /// The PNG file
    #[arg(long, default_value = "preview.png")]
    out: PathBuf,
    /// Samples of each class
    #[arg(long, default_value_t = 16)]
    per_class: usize,
    /// As the images go into training by this recipe
    #[arg(long, value_name = "RECIPE")]
    augmented: Option<String>,
    /// Side of the images of a folder [default: 224]
    #[arg(long)]
    image_size: Option<usize>,
    /// Seed of drawn data
    #[arg(long, default_value_t = 0)]
    seed: u64,
}

#[derive(Serialize)]
struct Report {
    #[serde(serialize_with = "as_text::path")]
    sheet: PathBuf,
    data: String,
    images: usize,
    classes: Vec<String>,
}

pub fn run(args: &Args, output: Output) -> Result<()> {
    let Command::Preview(args) = &args.command;
    let options = LoadOptions {
        seed: args.seed,
        image_size: args.image_size,
        ..LoadOptions::default()
    };
    let augmentation = match &args.augmented {
        Some(name) => Some(Recipe::find(name)?.augmentation),
        None => None,
    };
    let data = test_set::load(&args.data, Split::Train, &options)?;
    write_preview(&data, args.per_class, augmentation.as_ref(), &args.out)?;
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
