use std::path::Path;

use image::RgbImage;

use super::sheet::{Grid, usual_scale, write_png};
use crate::{Corruption, DataError, Dataset, Severity, corruption::bytes_corrupted};

/// A sheet of what the corruptions make of image `index`: one row per corruption in the order of [`Corruption::ALL`], in
/// it the clean image and the five severities, every pixel enlarged to `scale` x `scale`. The images are those of
/// [`crate::corrupted`] with the same seed.
///
/// # Errors
/// When there is no such image or it cannot be decoded, its sides are not those [`crate::corrupt`] takes, `scale` is 0,
/// or a side of the sheet would be longer than 16384 pixels.
pub fn corruption_sheet(
    dataset: &Dataset,
    index: usize,
    seed: u64,
    scale: usize,
) -> Result<RgbImage, DataError> {
    let shape = dataset.shape();
    let columns = 1 + Severity::ALL.len();
    let grid = Grid::new(Corruption::ALL.len(), columns, shape, scale)?;
    let clean = dataset.image(index)?;
    let mut cells = Vec::with_capacity(Corruption::ALL.len());
    for corruption in Corruption::ALL {
        let mut row = vec![clean.to_vec()];
        for severity in Severity::ALL {
            let id = index as u64;
            row.push(bytes_corrupted(
                &clean, shape, corruption, severity, seed, id,
            )?);
        }
        cells.push(row);
    }
    Ok(grid.sheet(&cells))
}

/// Writes [`corruption_sheet`] to `path` as PNG, small images at twice their size. The file appears complete or not at
/// all: it is written beside its place and renamed.
///
/// # Errors
/// Those of [`corruption_sheet`], and when the file cannot be written.
pub fn write_corruption_preview(
    dataset: &Dataset,
    index: usize,
    seed: u64,
    path: &Path,
) -> Result<(), DataError> {
    let scale = usual_scale(dataset.height());
    write_png(&corruption_sheet(dataset, index, seed, scale)?, path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Split, corrupted, digits};

    #[test]
    fn rows_are_corruptions_and_columns_clean_and_severities() {
        let data = digits(Split::Test, 3, 1).unwrap();
        let sheet = corruption_sheet(&data, 2, 5, 1).unwrap();
        assert_eq!(sheet.dimensions(), (2 + 6 * 30, 2 + 15 * 30));
        let cell = |row: u32, column: u32| -> Vec<u8> {
            let pixels = (0..28).flat_map(|y| (0..28).map(move |x| (x, y)));
            let place = |(x, y)| sheet.get_pixel(2 + 30 * column + x, 2 + 30 * row + y).0[0];
            pixels.map(place).collect()
        };
        for (row, corruption) in (0..).zip(Corruption::ALL) {
            assert_eq!(cell(row, 0), *data.image(2).unwrap());
            for (column, severity) in (1..).zip(Severity::ALL) {
                let all = corrupted(&data, corruption, severity, 5).unwrap();
                assert_eq!(
                    cell(row, column),
                    *all.image(2).unwrap(),
                    "{corruption} {severity}"
                );
            }
        }
    }

    #[test]
    fn a_preview_is_a_png_and_of_no_image_an_error() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("preview.png");
        let data = digits(Split::Test, 1, 1).unwrap();
        write_corruption_preview(&data, 0, 0, &path).unwrap();
        let read = image::open(&path).unwrap().into_rgb8();
        assert_eq!(read, corruption_sheet(&data, 0, 0, 2).unwrap());
        assert!(write_corruption_preview(&data, 1, 0, &path).is_err());
        assert!(corruption_sheet(&data, 0, 0, 0).is_err());
    }
}
