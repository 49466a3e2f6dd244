use std::path::PathBuf;

use anyhow::{Context, Result};
use buckler_runtime::{Classifier, ImageLimits};
use ndarray::{Array4, Axis, stack};

/// Image files as the model takes them, `[images, channels, height, width]`.
pub fn load_images(classifier: &Classifier, paths: &[PathBuf]) -> Result<Array4<f32>> {
    let images = paths
        .iter()
        .map(|path| {
            let bytes =
                std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
            classifier
                .decode(&bytes, &ImageLimits::default())
                .with_context(|| path.display().to_string())
        })
        .collect::<Result<Vec<_>>>()?;
    let views: Vec<_> = images.iter().map(|image| image.view()).collect();
    Ok(stack(Axis(0), &views)?)
}
