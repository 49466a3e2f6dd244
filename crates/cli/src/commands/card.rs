//! Writes the card of a model as a form to fill in, or checks a card.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use buckler_onnx::{Card, Model, printable, write_atomic};
use buckler_runtime::{Classifier, LoadOptions};
use serde::Serialize;

use crate::as_text;
use crate::output::Output;

/// Write a commented card to fill in, or check a card
///
/// The card is JSON with comments: every key with its meaning, what the graph or an earlier card says filled in, and examples to
/// uncomment. Beside the model, as card.json, it is read by all commands and by the server. docs/card.md is its reference.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  buckler card model.onnx
  buckler card model.onnx --out -
  buckler card model.onnx --check
  buckler card card.json --check")]
pub struct Args {
    /// The model; with --check also a card, which is checked against the model.onnx beside it if there is one
    model: PathBuf,
    /// Where to write, `-` for stdout [default: card.json beside the model]
    #[arg(long, value_name = "FILE", conflicts_with = "check")]
    out: Option<PathBuf>,
    /// Replace the file; what it states is kept where it is a card
    #[arg(long, conflicts_with = "check")]
    force: bool,
    /// Write nothing: check the card inside the model and the one beside it, and that the model loads with them
    #[arg(long)]
    check: bool,
}

#[derive(Serialize)]
struct Written {
    #[serde(serialize_with = "as_text::path")]
    card: PathBuf,
}

#[derive(Serialize)]
struct Checked {
    /// The files that were read.
    cards: Vec<String>,
    /// The model that was loaded with them.
    #[serde(serialize_with = "as_text::optional")]
    model: Option<PathBuf>,
    assumptions: Vec<String>,
}

pub fn run(args: &Args, output: Output) -> Result<()> {
    match args.check {
        true => check(&args.model, output),
        false => write(args, output),
    }
}

fn write(args: &Args, output: Output) -> Result<()> {
    let to_stdout = args.out.as_deref() == Some(Path::new("-"));
    let beside = beside(&args.model);
    let path = args.out.clone().unwrap_or_else(|| beside.clone());
    let exists = !to_stdout && path.symlink_metadata().is_ok();
    ensure!(
        args.force || !exists,
        "{} exists: replace it with --force, or write elsewhere with --out",
        path.display()
    );
    let model = Model::read(&args.model)
        .with_context(|| format!("cannot read {}", args.model.display()))?;
    let inside = model.card()?;
    // What would be lost is kept, and what would be read before the file goes first.
    let replaced = if exists { &path } else { &beside };
    let earlier = match replaced.is_file() {
        true => Some(
            Card::read(replaced)
                .context("what the earlier card states would be lost: mend it, or move it away")?,
        ),
        false => None,
    };
    if inside.is_some() {
        tracing::warn!("the model has a card inside, which goes before a card.json beside it");
    }
    let card = inside.or(earlier).unwrap_or_else(|| Card {
        name: name(&args.model),
        ..Card::default()
    });
    let text = card.template(&model);
    if to_stdout {
        return Output { json: false }.print(&text, String::clone);
    }
    // Of a link, the file that it leads to.
    let target = path.canonicalize().unwrap_or_else(|_| path.clone());
    write_atomic(&target, text.as_bytes())
        .with_context(|| format!("cannot write {}", path.display()))?;
    output.print(&Written { card: path }, |written| {
        format!(
            "{}\nnext: fill it in, then buckler card {} --check",
            written.card.display(),
            args.model.display()
        )
    })
}

fn check(path: &Path, output: Output) -> Result<()> {
    let is_card = path
        .extension()
        .is_some_and(|extension| extension.eq_ignore_ascii_case("json"));
    let mut cards = Vec::new();
    let model = match is_card {
        true => {
            Card::read(path)?;
            cards.push(path.display().to_string());
            let model = path.with_file_name("model.onnx");
            // Of another name it is the card of another model, or of none.
            let belongs = path.file_name() == Some(OsStr::new("card.json"));
            (belongs && model.is_file()).then_some(model)
        }
        false => {
            let inside = Model::read(path)
                .with_context(|| format!("cannot read {}", path.display()))?
                .card()?;
            if inside.is_some() {
                cards.push(path.display().to_string());
            }
            if Card::beside(path)?.is_some() {
                cards.push(beside(path).display().to_string());
            }
            if cards.is_empty() {
                bail!(
                    "{} has no card, inside or beside it: write one with `buckler card {}`",
                    path.display(),
                    path.display()
                );
            }
            Some(path.to_owned())
        }
    };
    let assumptions = match &model {
        Some(model) => {
            let classifier = Classifier::load(model, &LoadOptions::default())
                .with_context(|| format!("cannot load {}", model.display()))?;
            classifier.assumptions().to_vec()
        }
        None => Vec::new(),
    };
    let checked = Checked {
        cards,
        model,
        assumptions,
    };
    output.print(&checked, |checked| {
        let mut lines: Vec<String> = checked
            .cards
            .iter()
            .map(|card| format!("{card}: a card that can be used"))
            .collect();
        if let Some(model) = &checked.model {
            lines.push(format!("{} loads with it", model.display()));
        }
        lines.extend(
            checked
                .assumptions
                .iter()
                .map(|text| format!("note: {}", printable(text))),
        );
        lines.join("\n")
    })
}

/// The file that the loader reads.
fn beside(model: &Path) -> PathBuf {
    model.with_file_name("card.json")
}

/// A name for a model that has none: the file's, or that of its folder where the file is called model.onnx, as
/// `NAME/VERSION/model.onnx`.
fn name(model: &Path) -> String {
    let text = |part: Option<&OsStr>| part.and_then(OsStr::to_str).unwrap_or_default().to_owned();
    let stem = text(model.file_stem());
    let absolute = std::path::absolute(model).unwrap_or_else(|_| model.to_owned());
    let mut folders = absolute
        .ancestors()
        .skip(1)
        .map(|folder| text(folder.file_name()));
    let is_version =
        |name: &String| !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_digit());
    let found = match stem.as_str() {
        "model" => folders
            .find(|name| !is_version(name))
            .filter(|name| !name.is_empty()),
        _ => None,
    };
    let name = found.unwrap_or(stem);
    // Of a path anything can be a part.
    let proposed = Card {
        name,
        ..Card::default()
    };
    match proposed.check("") {
        Ok(()) => proposed.name,
        Err(_) => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_model_is_named_after_its_file_or_its_folder() {
        for (path, expected) in [
            ("/models/mnist-he/1/model.onnx", "mnist-he"),
            ("/models/resnet18.onnx", "resnet18"),
            ("/exports/vit/model.onnx", "vit"),
            ("/1/model.onnx", "model"),
            ("/models/a\u{1b}[2J.onnx", ""),
        ] {
            assert_eq!(name(Path::new(path)), expected, "{path}");
        }
    }
}
