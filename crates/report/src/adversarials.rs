//! Adversarial images in NumPy's format: `ids` int64 `[n]`, `images` float32 `[n, channels, height, width]`.

use std::{
    collections::HashMap,
    fs::{self, File},
    io::{BufReader, Cursor, Read},
    path::Path,
};

use buckler_attack::Evaluated;
use buckler_onnx::write_atomic;
use ndarray::{Array, Array1, Array3, Array4, ArrayView, Axis, Dimension, stack};
use ndarray_npy::{NpzWriter, ReadNpyExt, ReadableElement, ViewElement, ViewNpyError, ViewNpyExt};
use zip::ZipArchive;

use crate::{Folder, Measured, ReportError};

/// What stands in front of the values of an array.
const HEADER_BYTES: u64 = 4096;

/// Images of one file at most, which holds a block of them.
const MAX_IDS: u64 = 1 << 20;

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

/// The adversarial of one image of so many values, if one is saved.
pub(crate) fn find(
    folder: &Folder,
    measured: &Measured,
    id: u64,
    values: usize,
) -> Result<Option<Array3<f32>>, ReportError> {
    for name in &measured.adversarials {
        let path = folder.file(name);
        if ids(&path)?.contains(&id) {
            return Ok(load(&path, values)?.remove(&id));
        }
    }
    Ok(None)
}

/// The ids of the images in a file, without reading these.
pub(crate) fn ids(path: &Path) -> Result<Vec<u64>, ReportError> {
    let broken = |error: &dyn ToString| ReportError::broken(path, error.to_string());
    let ids: Array1<i64> = array(path, "ids", MAX_IDS * 8)?;
    let id = |&id: &i64| u64::try_from(id).map_err(|_| broken(&format!("{id} is not an id")));
    ids.iter().map(id).collect()
}

/// The images in a file, each of so many values.
pub(crate) fn load(path: &Path, values: usize) -> Result<Images, ReportError> {
    let broken = |error: &dyn ToString| ReportError::broken(path, error.to_string());
    let ids = ids(path)?;
    let bytes = ids.len().saturating_mul(values).saturating_mul(4);
    let images: Array4<f32> = array(path, "images", bytes as u64)?;
    if ids.len() != images.len_of(Axis(0)) {
        let (ids, images) = (ids.len(), images.len_of(Axis(0)));
        return Err(broken(&format!("{ids} ids for {images} images")));
    }
    let images = images.outer_iter().map(|image| image.to_owned());
    Ok(ids.into_iter().zip(images).collect())
}

/// An array of a file, which takes so many bytes at most, whatever its headers say.
fn array<T, D>(path: &Path, name: &str, most: u64) -> Result<Array<T, D>, ReportError>
where
    T: ReadableElement + ViewElement + Clone,
    D: Dimension,
{
    let broken = |error: &dyn ToString| ReportError::broken(path, error.to_string());
    // A pipe would be waited for.
    let metadata = fs::metadata(path).map_err(ReportError::file(path))?;
    if !metadata.is_file() {
        return Err(broken(&"it is not a file"));
    }
    let file = File::open(path).map_err(ReportError::file(path))?;
    let mut archive = ZipArchive::new(BufReader::new(file)).map_err(|e| broken(&e))?;
    let entry = archive.by_name(&format!("{name}.npy"));
    let entry = entry.map_err(|e| broken(&format!("{name}: {e}")))?;
    let most = most.saturating_add(HEADER_BYTES);
    let mut bytes = Vec::new();
    entry
        .take(most.saturating_add(1))
        .read_to_end(&mut bytes)
        .map_err(ReportError::file(path))?;
    if bytes.len() as u64 > most {
        return Err(broken(&format!(
            "its {name} take more than {most} bytes, and should not"
        )));
    }
    // The view holds the shape against the bytes that are there, before anything is made of that size.
    match ArrayView::<T, D>::view_npy(&bytes) {
        Ok(view) => Ok(view.to_owned()),
        Err(ViewNpyError::MisalignedData) => {
            Array::read_npy(bytes.as_slice()).map_err(|e| broken(&format!("{name}: {e}")))
        }
        Err(error) => Err(broken(&format!("{name}: {error}"))),
    }
}
