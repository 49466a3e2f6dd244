//! Labelled images of one shape.
mod files;
mod numbers;

use std::{
    borrow::Cow,
    path::{Path, PathBuf},
};

use rand_chacha::ChaCha8Rng;

pub use self::files::Skipped;
pub(crate) use self::numbers::{byte, in_threads, unit};
use crate::{
    Augmentation, DataError, Preprocessing, Split,
    augment::Placement,
    folder::{Remarks, other_order},
    image_file,
};

/// Labelled images of one shape: as bytes in memory, or in files that are decoded when they are asked for.
///
/// Every label is the index of a class, and every image in memory has `channels * height * width` bytes:
/// [`Dataset::new`] checks it once.
#[derive(Clone, Debug, PartialEq)]
pub struct Dataset {
    name: String,
    split: Split,
    classes: Vec<String>,
    shape: [usize; 3],
    images: Images,
    labels: Vec<u16>,
    remarks: Remarks,
}

/// Where the images are; as many as there are labels.
#[derive(Clone, Debug, PartialEq)]
enum Images {
    /// `[len, channels, height, width]`, row-major.
    Memory(Vec<u8>),
    /// One file per image, of any size; the shape is that of the pixels made of it.
    Files(Vec<PathBuf>, Preprocessing),
}

impl Dataset {
    /// Puts a data set in memory together: `shape` is `[channels, height, width]` with one or three channels, `pixels`
    /// is `[labels.len(), channels, height, width]`, row-major.
    ///
    /// # Errors
    /// When the parts do not fit together, a label names no class, or the shape is empty or neither grey nor RGB.
    pub fn new(
        name: impl Into<String>,
        split: Split,
        classes: Vec<String>,
        shape: [usize; 3],
        pixels: Vec<u8>,
        labels: Vec<u16>,
    ) -> Result<Self, DataError> {
        let name = name.into();
        let wrong = |what: String, found, expected: String| DataError::Inconsistent {
            name: name.clone(),
            what,
            found,
            expected,
        };
        let [channels, height, width] = shape;
        if channels != 1 && channels != 3 {
            return Err(wrong(
                "the number of channels".into(),
                channels,
                "1 or 3".into(),
            ));
        }
        for (side, value) in [("height", height), ("width", width)] {
            if value == 0 {
                return Err(wrong(format!("the {side}"), value, "at least 1".into()));
            }
        }
        let expected = shape
            .iter()
            .try_fold(labels.len(), |product, &side| product.checked_mul(side));
        if expected != Some(pixels.len()) {
            return Err(wrong(
                "the number of pixel values".into(),
                pixels.len(),
                format!("{} x {channels} x {height} x {width}", labels.len()),
            ));
        }
        let stray = labels
            .iter()
            .enumerate()
            .find(|&(_, &label)| usize::from(label) >= classes.len());
        if let Some((index, &label)) = stray {
            return Err(wrong(
                format!("the label of image {index}"),
                label.into(),
                format!("less than {}, the number of classes", classes.len()),
            ));
        }
        Ok(Self {
            name,
            split,
            classes,
            shape,
            images: Images::Memory(pixels),
            labels,
            remarks: Remarks::default(),
        })
    }

    /// Image files with the class of each.
    pub(crate) fn from_files(
        name: impl Into<String>,
        split: Split,
        classes: Vec<String>,
        preprocessing: Preprocessing,
        files: Vec<(PathBuf, u16)>,
        remarks: Remarks,
    ) -> Self {
        let (files, labels) = files.into_iter().unzip();
        Self {
            name: name.into(),
            split,
            classes,
            shape: preprocessing.shape(),
            images: Images::Files(files, preprocessing),
            labels,
            remarks,
        }
    }

    /// The name of the data set, such as `mnist`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The part of the data set these images come from.
    pub fn split(&self) -> Split {
        self.split
    }

    /// The names of the classes; a label is an index into it.
    pub fn classes(&self) -> &[String] {
        &self.classes
    }

    /// `[channels, height, width]` of every image.
    pub fn shape(&self) -> [usize; 3] {
        self.shape
    }

    /// 1 for grey images, 3 for RGB.
    pub fn channels(&self) -> usize {
        self.shape[0]
    }

    /// Rows of an image.
    pub fn height(&self) -> usize {
        self.shape[1]
    }

    /// Columns of an image.
    pub fn width(&self) -> usize {
        self.shape[2]
    }

    /// Bytes of one image: `channels * height * width`.
    pub fn image_len(&self) -> usize {
        self.shape.iter().product()
    }

    /// The number of images.
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// Whether there are no images.
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }

    /// How many directory entries were left out when the data set was loaded because they are no images by their name, or
    /// links back to where the images come from; hidden ones do not count. 0 for data sets that are not folders.
    pub fn ignored(&self) -> usize {
        self.remarks.ignored()
    }

    /// What was assumed of the files of a folder: which were left out, and which lie below the directories of their classes.
    /// Of the whole split, whatever part of it this is; empty for data sets that are not folders.
    pub fn assumptions(&self) -> Vec<String> {
        self.remarks.sentences()
    }

    /// The classes in the order of text, where they are in the order of the numbers in their names and the two differ: `10`
    /// before `2`, as torchvision's `ImageFolder` and Keras number the classes of a folder.
    pub fn classes_as_text(&self) -> Option<Vec<String>> {
        other_order(&self.classes)
    }

    /// All labels, one per image.
    pub fn labels(&self) -> &[u16] {
        &self.labels
    }

    /// The label of image `index`, or `None` when there are not that many.
    pub fn label(&self, index: usize) -> Option<u16> {
        self.labels.get(index).copied()
    }

    /// The file of image `index`, or `None` when the images are in memory or there are not that many.
    pub fn path(&self, index: usize) -> Option<&Path> {
        match &self.images {
            Images::Memory(_) => None,
            Images::Files(files, _) => files.get(index).map(PathBuf::as_path),
        }
    }

    /// What turns the files into pixels, or `None` when the images are in memory.
    pub fn preprocessing(&self) -> Option<&Preprocessing> {
        match &self.images {
            Images::Memory(_) => None,
            Images::Files(_, preprocessing) => Some(preprocessing),
        }
    }

    /// Image `index` as bytes, `[channels, height, width]`. A file is decoded again each time, as
    /// [`Dataset::preprocessing`] says; its pixels are rounded to the nearest byte, where [`Dataset::to_f32`] keeps the
    /// precision of files with 16 bits.
    ///
    /// # Errors
    /// When there are not that many images, or the file cannot be decoded.
    pub fn image(&self, index: usize) -> Result<Cow<'_, [u8]>, DataError> {
        let image = match &self.images {
            Images::Memory(pixels) => {
                let length = self.image_len();
                index
                    .checked_mul(length)
                    .and_then(|start| pixels.get(start..start.checked_add(length)?))
                    .map(Cow::Borrowed)
            }
            Images::Files(files, preprocessing) => match files.get(index) {
                Some(path) => {
                    let pixels = image_file::plain(path, preprocessing)?.pixels;
                    Some(Cow::Owned(pixels.iter().copied().map(byte).collect()))
                }
                None => None,
            },
        };
        image.ok_or_else(|| self.no_such(index))
    }

    /// Appends image `index`, augmented by what `rng` decides, to `out`, which stays as it is when that fails. Values
    /// are in `[0, 1]`.
    pub(crate) fn augmented(
        &self,
        index: usize,
        augmentation: &Augmentation,
        rng: &mut ChaCha8Rng,
        out: &mut Vec<f32>,
    ) -> Result<(), DataError> {
        let shape = self.shape;
        match &self.images {
            Images::Memory(_) => {
                let image = self.image(index)?;
                Placement::draw(augmentation, shape, rng).write(&image, shape, unit, out);
            }
            Images::Files(files, preprocessing) => {
                let path = files.get(index).ok_or_else(|| self.no_such(index))?;
                let image = match augmentation.random_resized_crop {
                    true => image_file::random_crop(path, preprocessing, rng)?,
                    false => image_file::plain(path, preprocessing)?.pixels,
                };
                let pixels = image.as_slice().unwrap_or_default();
                Placement::draw(augmentation, shape, rng).write(pixels, shape, |value| value, out);
            }
        }
        Ok(())
    }

    /// The first `n` images, or all of them when there are fewer. Every source mixes its classes, so that a part of a
    /// data set is one of all classes.
    #[must_use]
    pub fn take(mut self, n: usize) -> Self {
        let n = n.min(self.len());
        self.labels.truncate(n);
        let length = self.image_len();
        match &mut self.images {
            Images::Memory(pixels) => pixels.truncate(n * length),
            Images::Files(files, _) => files.truncate(n),
        }
        self
    }

    /// Holds out the last `n` images: removes them here and returns them as a data set of their own, for validation.
    /// Every source mixes its classes, so that the part is one of all classes.
    ///
    /// # Errors
    /// When `n` is 0 or nothing would be left to train on.
    pub fn split_off(&mut self, n: usize) -> Result<Self, DataError> {
        if n == 0 || n >= self.len() {
            return Err(DataError::OutOfRange {
                what: "validation part",
                value: n,
                min: 1,
                max: self.len().saturating_sub(1),
            });
        }
        let kept = self.len() - n;
        let length = self.image_len();
        let images = match &mut self.images {
            Images::Memory(pixels) => Images::Memory(pixels.split_off(kept * length)),
            Images::Files(files, preprocessing) => {
                Images::Files(files.split_off(kept), *preprocessing)
            }
        };
        Ok(Self {
            name: self.name.clone(),
            split: self.split,
            classes: self.classes.clone(),
            shape: self.shape,
            images,
            labels: self.labels.split_off(kept),
            remarks: self.remarks.clone(),
        })
    }

    pub(crate) fn no_such(&self, index: usize) -> DataError {
        DataError::Index {
            name: self.name.clone(),
            split: self.split,
            index,
            len: self.len(),
        }
    }
}

#[cfg(test)]
mod tests;
