//! Writes figures onto the card of the model that they were measured on.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow, ensure};
use buckler_attack::InputSpec;
use buckler_onnx::{Card, Input, Measurement, Model, Normalization, write_atomic};
use buckler_runtime::Classifier;
use sha2::{Digest, Sha256};

use crate::output::check_writable;

/// A card that can be written: checked before a measurement that may take hours.
pub struct MeasuredCard {
    model: PathBuf,
    /// The file that the model's path leads to, through links.
    target: PathBuf,
    sha256: String,
    card: Card,
    /// The model's `card.json`; `None` where there is none, and where the one beside belongs to another model.
    beside: Option<PathBuf>,
}

impl MeasuredCard {
    /// Checks that the card can be written into the model, and finds the `card.json` that belongs to it: that beside `model.onnx`, or
    /// one that has the checksum of this file. Links are kept, and the files that they lead to are written.
    pub fn new(path: &Path, classifier: &Classifier) -> Result<Self> {
        let name = path.file_name().and_then(|name| name.to_str());
        let name = name.with_context(|| format!("{} has no file name", path.display()))?;
        let bytes = fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
        let model = Model::from_bytes(&bytes).with_context(|| {
            format!(
                "the card cannot be written into {}: leave out `--write-card`",
                path.display()
            )
        })?;
        let dir = match path.parent() {
            Some(dir) if !dir.as_os_str().is_empty() => dir,
            _ => Path::new("."),
        };
        let target = replaceable(path)?;
        let beside = dir.join("card.json");
        let file = match beside.is_file() {
            true => Some(Card::read(&beside)?),
            false => None,
        };
        let belongs = match &file {
            // Other models in the folder have their cards inside alone.
            None => name == "model.onnx",
            Some(card) => name == "model.onnx" || card.sha256.contains_key(name),
        };
        let file = file.filter(|_| belongs);
        if belongs {
            replaceable(&beside)?;
        }
        let checksums = file.as_ref().map(|card| card.sha256.clone());
        let mut card = match model.card()?.or(file) {
            Some(card) => card,
            None => new_card(path, classifier),
        };
        card.sha256 = checksums.unwrap_or_default();
        Ok(Self {
            model: path.to_owned(),
            target,
            sha256: format!("{:x}", Sha256::digest(&bytes)),
            card,
            beside: belongs.then_some(beside),
        })
    }

    /// Adds figures, replacing those of the same attack on the same data, and states the normalisation that they were measured with.
    pub fn write(
        mut self,
        measurements: Vec<Measurement>,
        normalization: Option<Normalization>,
    ) -> Result<()> {
        for measured in measurements {
            self.card.measured.retain(|old| {
                (&old.data, &old.attack, old.images)
                    != (&measured.data, &measured.attack, measured.images)
            });
            self.card.measured.push(measured);
        }
        if let Some(normalization) = normalization {
            self.card.input.normalization = Some(normalization);
        }
        let (path, target) = (&self.model, &self.target);
        let bytes = fs::read(target).with_context(|| format!("cannot read {}", path.display()))?;
        ensure!(
            format!("{:x}", Sha256::digest(&bytes)) == self.sha256,
            "{} was changed while it was measured: its card is not written",
            path.display()
        );
        let mut model = Model::from_bytes(&bytes)?;
        model.set_card(&self.card)?;
        let bytes = model.to_bytes();
        write_atomic(target, &bytes)
            .with_context(|| format!("cannot write {}", target.display()))?;
        tracing::info!("the card was written into {}", through(path, target));
        if let (Some(beside), Some(name)) = (&self.beside, path.file_name()) {
            let sha256 = format!("{:x}", Sha256::digest(&bytes));
            let name = name.to_string_lossy().into_owned();
            self.card.sha256.insert(name, sha256);
            self.card.write(beside)?;
            let target = beside.canonicalize().unwrap_or_else(|_| beside.clone());
            tracing::info!("the card was written to {}", through(beside, &target));
        }
        Ok(())
    }
}

/// The file that a path leads to, through links; the path itself where there is nothing yet. Checks that it can be replaced.
fn replaceable(path: &Path) -> Result<PathBuf> {
    let target = match path.symlink_metadata() {
        Ok(_) => path.canonicalize(),
        Err(_) => Ok(path.to_owned()),
    };
    let target = target.with_context(|| format!("cannot read {}", path.display()))?;
    let refused = |reason: &str| {
        anyhow!(
            "the card cannot be written into {}: {reason}, or leave out `--write-card`",
            through(path, &target)
        )
    };
    let is_read_only = |file: fs::Metadata| file.permissions().readonly();
    ensure!(
        !target.metadata().is_ok_and(is_read_only),
        refused("the file is read-only; make it writable")
    );
    match check_writable(&target) {
        Ok(()) => Ok(target),
        Err(error) => Err(refused(&format!("{error}; make its folder writable"))),
    }
}

/// A path, with the file that it leads to where it is a link.
fn through(path: &Path, target: &Path) -> String {
    let is_link = path.symlink_metadata();
    match is_link.is_ok_and(|file| file.file_type().is_symlink()) {
        true => format!(
            "{}, to which {} is a link",
            target.display(),
            path.display()
        ),
        false => path.display().to_string(),
    }
}

/// What is known of a model that has no card.
fn new_card(path: &Path, classifier: &Classifier) -> Card {
    let InputSpec {
        channels,
        height,
        width,
    } = classifier.input();
    let name = path.file_stem().unwrap_or_default().to_string_lossy();
    Card {
        name: name.into_owned(),
        input: Input {
            channels,
            height,
            width,
            ..Input::default()
        },
        ..Card::default()
    }
}
