mod corruptions;
mod sheet;

use std::path::Path;

use image::RgbImage;

pub use self::corruptions::{corruption_sheet, write_corruption_preview};
use self::sheet::{Grid, usual_scale, write_png};
use crate::{Augmentation, DataError, Dataset, dataset::byte, stream::augmentation_stream};

/// A sheet of examples: one row per class in the order of the classes, in it the first `per_class` images of the class,
/// every pixel enlarged to `scale` x `scale`. Where a class has fewer images, the cell stays black. With an
/// `augmentation` the images are shown as a network would see them in the epoch 0 of seed 0.
///
/// # Errors
/// When `per_class` or `scale` is 0, a side of the sheet would be longer than 16384 pixels, an image cannot be decoded,
/// or the augmentation does not fit the images.
pub fn sample_sheet(
    dataset: &Dataset,
    per_class: usize,
    scale: usize,
    augmentation: Option<&Augmentation>,
) -> Result<RgbImage, DataError> {
    let augmentation = augmentation.cloned().unwrap_or_default();
    augmentation.check(dataset)?;
    let (columns, rows) = (per_class, dataset.classes().len());
    let grid = Grid::new(rows, columns, dataset.shape(), scale)?;

    let mut cells: Vec<Vec<Vec<u8>>> = vec![Vec::new(); rows];
    for (index, &label) in dataset.labels().iter().enumerate() {
        if let Some(row) = cells.get_mut(usize::from(label))
            && row.len() < columns
        {
            let mut image = Vec::new();
            let mut rng = augmentation_stream(0, 0, index);
            dataset.augmented(index, &augmentation, &mut rng, &mut image)?;
            row.push(image.into_iter().map(byte).collect());
        }
    }
    Ok(grid.sheet(&cells))
}

/// Writes [`sample_sheet`] to `path` as PNG, small images at twice their size. The file appears complete or not at all:
/// it is written beside its place and renamed.
///
/// # Errors
/// Those of [`sample_sheet`], and when the file cannot be written.
pub fn write_preview(
    dataset: &Dataset,
    per_class: usize,
    augmentation: Option<&Augmentation>,
    path: &Path,
) -> Result<(), DataError> {
    let scale = usual_scale(dataset.height());
    write_png(
        &sample_sheet(dataset, per_class, scale, augmentation)?,
        path,
    )
}

#[cfg(test)]
mod tests {
    use super::{sheet::GAP_COLOUR, *};
    use crate::Split;

    fn dataset() -> Dataset {
        let classes = vec!["a".into(), "b".into()];
        let pixels = vec![10, 11, 12, 20, 21, 22, 30, 31, 32];
        Dataset::new(
            "toy",
            Split::Test,
            classes,
            [3, 1, 1],
            pixels,
            vec![1, 0, 1],
        )
        .unwrap()
    }

    #[test]
    fn rows_are_classes_and_columns_their_images_in_order() {
        let sheet = sample_sheet(&dataset(), 2, 3, None).unwrap();
        assert_eq!(sheet.dimensions(), (12, 12));
        let centre = |column: u32, row: u32| sheet.get_pixel(3 + 5 * column, 3 + 5 * row).0;
        assert_eq!(centre(0, 0), [20, 21, 22]);
        assert_eq!(centre(1, 0), [0, 0, 0]);
        assert_eq!(centre(0, 1), [10, 11, 12]);
        assert_eq!(centre(1, 1), [30, 31, 32]);
        assert_eq!(sheet.get_pixel(0, 0).0, GAP_COLOUR);
        assert_eq!(sheet.get_pixel(11, 3).0, GAP_COLOUR);
    }

    #[test]
    fn sheets_of_no_or_of_monstrous_size_are_refused() {
        for (per_class, scale) in [(0, 1), (1, 0), (usize::MAX, 1), (1, usize::MAX), (6000, 1)] {
            let error = sample_sheet(&dataset(), per_class, scale, None).unwrap_err();
            assert!(
                matches!(error, DataError::OutOfRange { .. }),
                "{per_class} {scale}: {error}"
            );
        }
    }

    #[test]
    fn a_preview_is_a_png_and_leaves_nothing_else_behind() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("preview.png");
        for _ in 0..2 {
            write_preview(&dataset(), 2, None, &path).unwrap();
        }
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
        let read = image::open(&path).unwrap().into_rgb8();
        assert_eq!(read, sample_sheet(&dataset(), 2, 2, None).unwrap());
    }

    #[test]
    fn augmented_images_are_shown_as_they_are_learnt_from() {
        let pixels = (0..4 * 9).collect();
        let (classes, shape) = (vec!["a".into()], [1, 3, 3]);
        let data = Dataset::new("toy", Split::Train, classes, shape, pixels, vec![0; 4]).unwrap();
        let augmentation = Augmentation {
            pad: 2,
            flip: true,
            ..Default::default()
        };
        let sheet = sample_sheet(&data, 4, 1, Some(&augmentation)).unwrap();
        assert_ne!(sheet, sample_sheet(&data, 4, 1, None).unwrap());
        for index in 0..4 {
            let rng = &mut augmentation_stream(0, 0, index);
            let mut image = vec![];
            data.augmented(index, &augmentation, rng, &mut image)
                .unwrap();
            for (at, value) in (0u32..).zip(image) {
                let (x, y) = (2 + 5 * index as u32 + at % 3, 2 + at / 3);
                assert_eq!(sheet.get_pixel(x, y).0, [byte(value); 3]);
            }
        }
        let wide = Augmentation {
            pad: 3,
            ..Default::default()
        };
        assert!(sample_sheet(&data, 4, 1, Some(&wide)).is_err());
    }

    #[test]
    fn a_preview_in_no_directory_is_an_error_that_names_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("absent").join("preview.png");
        let message = write_preview(&dataset(), 2, None, &path)
            .unwrap_err()
            .to_string();
        assert!(message.contains(&path.display().to_string()), "{message}");
    }
}
