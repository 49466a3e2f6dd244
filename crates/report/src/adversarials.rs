//! Adversarial images in NumPy's format: `ids` int64 `[n]`, `images` float32 `[n, channels, height, width]`.

use std::{
    collections::HashMap,
    fs::File,
    io::{BufReader, Cursor},
    path::Path,
};

use buckler_attack::Evaluated;
use buckler_onnx::write_atomic;
use ndarray::{Array1, Array3, Array4, Axis, stack};
use ndarray_npy::{NpzReader, NpzWriter};

use crate::{Folder, Measured, ReportError};

/// Writes the adversarials among the images; answers whether there are any.
pub(crate) fn store(path: &Path, evaluated: &[Evaluated]) -> Result<bool, ReportError> {
    let found = evaluated.iter().filter_map(|evaluated| {
        let image = evaluated.adversarial.as_ref()?;
        Some((evaluated.record.id as i64, image.view()))
    });
    let (ids, images): (Vec<i64>, Vec<_>) = found.unzip();
    if images.is_empty() {
        return Ok(false);
    }
    let broken = |error: &dyn ToString| ReportError::broken(path, error.to_string());
    let images = stack(Axis(0), &images).map_err(|e| broken(&e))?;
    let mut bytes = Cursor::new(Vec::new());
    let mut writer = NpzWriter::new_compressed(&mut bytes);
    let ids = Array1::from_vec(ids);
    writer.add_array("ids", &ids).map_err(|e| broken(&e))?;
    writer
        .add_array("images", &images)
        .map_err(|e| broken(&e))?;
    writer.finish().map_err(|e| broken(&e))?;
    write_atomic(path, bytes.get_ref()).map_err(ReportError::file(path))?;
    Ok(true)
}

/// Adversarials by the ids of their images.
pub(crate) type Images = HashMap<u64, Array3<f32>>;

/// The adversarial of one image, if one is saved.
pub(crate) fn find(
    folder: &Folder,
    measured: &Measured,
    id: u64,
) -> Result<Option<Array3<f32>>, ReportError> {
    for name in &measured.adversarials {
        let path = folder.file(name);
        if ids(&path)?.contains(&id) {
            return Ok(load(&path)?.remove(&id));
        }
    }
    Ok(None)
}

/// The ids of the images in a file, without reading these.
pub(crate) fn ids(path: &Path) -> Result<Vec<u64>, ReportError> {
    let broken = |error: &dyn ToString| ReportError::broken(path, error.to_string());
    let ids: Array1<i64> = open(path)?.by_name("ids").map_err(|e| broken(&e))?;
    let id = |&id: &i64| u64::try_from(id).map_err(|_| broken(&format!("{id} is not an id")));
    ids.iter().map(id).collect()
}

/// The images in a file.
pub(crate) fn load(path: &Path) -> Result<Images, ReportError> {
    let broken = |error: &dyn ToString| ReportError::broken(path, error.to_string());
    let ids = ids(path)?;
    let images: Array4<f32> = open(path)?.by_name("images").map_err(|e| broken(&e))?;
    if ids.len() != images.len_of(Axis(0)) {
        let (ids, images) = (ids.len(), images.len_of(Axis(0)));
        return Err(broken(&format!("{ids} ids for {images} images")));
    }
    let images = images.outer_iter().map(|image| image.to_owned());
    Ok(ids.into_iter().zip(images).collect())
}

fn open(path: &Path) -> Result<NpzReader<BufReader<File>>, ReportError> {
    let file = File::open(path).map_err(ReportError::file(path))?;
    NpzReader::new(BufReader::new(file)).map_err(|e| ReportError::broken(path, e))
}
