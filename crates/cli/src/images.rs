//! Image files as a model takes them.
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use buckler_runtime::{Classifier, ImageLimits, Prepared};
use ndarray::{Array3, Array4, Axis, stack};

/// Each image file as the model takes it, or why it cannot be used; errors name the file.
pub fn load_each(classifier: &Classifier, paths: &[PathBuf]) -> Vec<Result<Prepared>> {
    paths
        .iter()
        .map(|path| {
            load(classifier, path).with_context(|| format!("cannot use image `{}`", path.display()))
        })
        .collect()
}

/// Image files as the model takes them, `[images, channels, height, width]`, and what was done to them that their owner
/// may not expect, one line each.
///
/// # Errors
/// When a file cannot be read or decoded.
pub fn load_images(
    classifier: &Classifier,
    paths: &[PathBuf],
) -> Result<(Array4<f32>, Vec<String>)> {
    let images: Vec<Prepared> = load_each(classifier, paths)
        .into_iter()
        .collect::<Result<_>>()?;
    let notes = paths
        .iter()
        .zip(&images)
        .flat_map(|(path, image)| notes(path, image))
        .collect();
    Ok((stacked(images.iter().map(|image| &image.pixels))?, notes))
}

/// What was done to the image in `path` that its owner may not expect, one line each.
pub fn notes(path: &Path, image: &Prepared) -> Vec<String> {
    let lines = image.notes.iter();
    lines
        .map(|note| format!("{}: {note}", path.display()))
        .collect()
}

/// Images of one shape, `[images, channels, height, width]`.
///
/// # Errors
/// When there are none, or their shapes differ.
pub fn stacked<'a>(images: impl IntoIterator<Item = &'a Array3<f32>>) -> Result<Array4<f32>> {
    let views: Vec<_> = images.into_iter().map(|image| image.view()).collect();
    Ok(stack(Axis(0), &views)?)
}

fn load(classifier: &Classifier, path: &Path) -> Result<Prepared> {
    let bytes = std::fs::read(path)?;
    Ok(classifier.decode(&bytes, &ImageLimits::FILES)?)
}
