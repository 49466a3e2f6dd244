//! Image files as a model takes them.
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use buckler_runtime::{Classifier, ImageLimits, Prepared};
use ndarray::{Array4, Axis, stack};

use crate::failure;

/// The files of a command that could be used, and those that could not.
pub struct Images {
    /// Those that could, in their order.
    pub paths: Vec<PathBuf>,
    /// Their pixels, `[images, channels, height, width]`; `None` where there is none.
    pub pixels: Option<Array4<f32>>,
    /// What was done to them that their owner may not expect, one line each.
    pub notes: Vec<String>,
    /// The others, with the reason.
    pub failed: Vec<(PathBuf, String)>,
}

impl Images {
    /// Reads and decodes all files. One that cannot be used does not keep the others from it.
    pub fn load(classifier: &Classifier, paths: &[PathBuf]) -> Result<Self> {
        let mut images = Self {
            paths: Vec::new(),
            pixels: None,
            notes: Vec::new(),
            failed: Vec::new(),
        };
        let mut prepared = Vec::new();
        for path in paths {
            match load(classifier, path) {
                Ok(image) => {
                    let notes = image.notes.iter();
                    images
                        .notes
                        .extend(notes.map(|note| format!("{}: {note}", path.display())));
                    images.paths.push(path.clone());
                    prepared.push(image.pixels);
                }
                Err(error) => images
                    .failed
                    .push((path.clone(), failure::describe(&error))),
            }
        }
        let views: Vec<_> = prepared.iter().map(|pixels| pixels.view()).collect();
        if !views.is_empty() {
            images.pixels = Some(stack(Axis(0), &views)?);
        }
        Ok(images)
    }
}

/// A failure where there are `failed` files, which were reported, of `count`.
pub fn check(failed: usize, count: usize) -> Result<()> {
    match failed {
        0 => Ok(()),
        failed => bail!("{failed} of {count} images could not be used"),
    }
}

fn load(classifier: &Classifier, path: &Path) -> Result<Prepared> {
    let limits = &ImageLimits::FILES;
    Ok(classifier.decode(&read(path, limits.max_bytes)?, limits)?)
}

/// The file, or of a longer one so much that its length is refused. Of pipes and devices nobody knows when they end.
fn read(path: &Path, most: usize) -> Result<Vec<u8>> {
    const UNREADABLE: &str = "it cannot be read";
    let kind = std::fs::metadata(path).context(UNREADABLE)?;
    ensure!(
        kind.is_file(),
        "it is not an ordinary file: write the image to one"
    );
    let mut bytes = Vec::new();
    let file = File::open(path).context(UNREADABLE)?;
    let whole = file.take(most as u64 + 1).read_to_end(&mut bytes);
    whole.context(UNREADABLE)?;
    Ok(bytes)
}
