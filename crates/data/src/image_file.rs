//! From an image file of a data set to the pixels that a network sees. The format is that of the content, whatever the
//! name says.
use std::{fs::File, io::Read, path::Path};

use ndarray::Array3;
use rand_chacha::ChaCha8Rng;

use crate::{
    DataError, ImageLimits, Preprocessing,
    augment::Region,
    picture::{self, Picture, Prepared},
};

const LIMITS: ImageLimits = ImageLimits::FILES;

/// The file's image as it is seen when nothing is random.
pub(crate) fn plain(path: &Path, preprocessing: &Preprocessing) -> Result<Prepared, DataError> {
    let prepared = read(path)?.prepare(preprocessing);
    prepared.map_err(|error| broken(path, error))
}

/// A random part of the file's image, stretched to the size asked for.
pub(crate) fn random_crop(
    path: &Path,
    preprocessing: &Preprocessing,
    rng: &mut ChaCha8Rng,
) -> Result<Array3<f32>, DataError> {
    let picture = read(path)?;
    let region = Region::draw(picture.width(), picture.height(), rng);
    let prepared = picture.prepare_part(region, preprocessing);
    prepared
        .map(|prepared| prepared.pixels)
        .map_err(|error| broken(path, error))
}

/// Width and height of the file's image, upright.
pub(crate) fn announced(path: &Path) -> Result<(u32, u32), DataError> {
    picture::announced(&bytes(path)?, &LIMITS).map_err(|error| broken(path, error))
}

fn read(path: &Path) -> Result<Picture, DataError> {
    picture::decode(&bytes(path)?, &LIMITS).map_err(|error| broken(path, error))
}

fn bytes(path: &Path) -> Result<Vec<u8>, DataError> {
    let mut bytes = Vec::new();
    // One more than is allowed, so that longer files are found out without being read.
    File::open(path)
        .and_then(|file| {
            file.take(LIMITS.max_bytes as u64 + 1)
                .read_to_end(&mut bytes)
        })
        .map_err(|error| broken(path, format!("it cannot be read: {error}")))?;
    Ok(bytes)
}

fn broken(path: &Path, reason: impl ToString) -> DataError {
    DataError::Image {
        path: path.to_owned(),
        reason: reason.to_string(),
    }
}

#[cfg(test)]
mod tests;
