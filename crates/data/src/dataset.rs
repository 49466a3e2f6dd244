use std::fmt;

use crate::DataError;

/// Which part of a data set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Split {
    /// The images to learn from; a validation part is held out of these.
    Train,
    /// The images to report on.
    Test,
}

impl fmt::Display for Split {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Split::Train => "train",
            Split::Test => "test",
        })
    }
}

/// Labelled images of one shape, as bytes in memory.
///
/// Every label is the index of a class, and every image has `channels * height * width` bytes: [`Dataset::new`] checks
/// it once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dataset {
    name: String,
    split: Split,
    classes: Vec<String>,
    shape: [usize; 3],
    pixels: Vec<u8>,
    labels: Vec<u16>,
}

impl Dataset {
    /// Puts a data set together: `shape` is `[channels, height, width]` with one or three channels, `pixels` is
    /// `[labels.len(), channels, height, width]`, row-major.
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
            pixels,
            labels,
        })
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

    /// All images, `[len, channels, height, width]`, row-major.
    pub fn pixels(&self) -> &[u8] {
        &self.pixels
    }

    /// All labels, one per image.
    pub fn labels(&self) -> &[u16] {
        &self.labels
    }

    /// Image `index`, `[channels, height, width]`, or `None` when there are not that many.
    pub fn image(&self, index: usize) -> Option<&[u8]> {
        let start = index.checked_mul(self.image_len())?;
        self.pixels.get(start..start.checked_add(self.image_len())?)
    }

    /// The label of image `index`, or `None` when there are not that many.
    pub fn label(&self, index: usize) -> Option<u16> {
        self.labels.get(index).copied()
    }

    /// The images at `indices` (a range, or any sequence) one after another as numbers in `[0, 1]` (byte / 255).
    ///
    /// # Errors
    /// When there is no image at an index.
    pub fn to_f32(&self, indices: impl IntoIterator<Item = usize>) -> Result<Vec<f32>, DataError> {
        let indices = indices.into_iter();
        // Bounded, because `0..usize::MAX` is an error to report and not a reason to run out of memory.
        let count = indices.size_hint().0.min(self.len());
        let mut values = Vec::with_capacity(count * self.image_len());
        for index in indices {
            let image = self.image(index).ok_or_else(|| self.no_such(index))?;
            values.extend(image.iter().map(|&byte| f32::from(byte) / 255.0));
        }
        Ok(values)
    }

    /// The first `n` images, or all of them when there are fewer.
    #[must_use]
    pub fn take(mut self, n: usize) -> Self {
        let n = n.min(self.len());
        self.labels.truncate(n);
        self.pixels.truncate(n * self.image_len());
        self
    }

    /// Holds out the last `n` images: removes them here and returns them as a data set of their own, for validation.
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
        Ok(Self {
            name: self.name.clone(),
            split: self.split,
            classes: self.classes.clone(),
            shape: self.shape,
            pixels: self.pixels.split_off(kept * self.image_len()),
            labels: self.labels.split_off(kept),
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
mod tests {
    use super::*;

    fn dataset(n: u8) -> Dataset {
        let pixels = (0..n).flat_map(|i| [i, 255 - i]).collect();
        let labels = (0..n).map(|i| u16::from(i % 2)).collect();
        let classes = vec!["even".into(), "odd".into()];
        Dataset::new("toy", Split::Train, classes, [1, 1, 2], pixels, labels).unwrap()
    }

    #[test]
    fn images_and_labels_are_found_by_index_and_not_beyond_the_end() {
        let data = dataset(3);
        assert_eq!(data.image(2), Some(&[2, 253][..]));
        assert_eq!(data.label(1), Some(1));
        for index in [3, usize::MAX / 2, usize::MAX] {
            assert_eq!(data.image(index), None);
            assert_eq!(data.label(index), None);
            assert!(matches!(
                data.to_f32([0, index]),
                Err(DataError::Index { len: 3, .. })
            ));
        }
        assert!(data.to_f32(0..usize::MAX).is_err());
    }

    #[test]
    fn numbers_are_the_bytes_over_255_in_the_order_asked_for() {
        let data = dataset(3);
        assert_eq!(
            data.to_f32([2, 0]).unwrap(),
            [2.0 / 255.0, 253.0 / 255.0, 0.0, 1.0]
        );
        assert_eq!(data.to_f32(0..0).unwrap(), []);
    }

    #[test]
    fn split_off_and_what_remains_are_the_whole() {
        let whole = dataset(10);
        let mut train = whole.clone();
        let held_out = train.split_off(3).unwrap();
        assert_eq!((train.len(), held_out.len()), (7, 3));
        assert_eq!([train.pixels(), held_out.pixels()].concat(), whole.pixels());
        assert_eq!([train.labels(), held_out.labels()].concat(), whole.labels());
        assert_eq!(whole.take(7), train);
    }

    #[test]
    fn split_off_leaves_at_least_one_image_on_either_side() {
        for n in [0, 4, 5, usize::MAX] {
            let mut data = dataset(4);
            assert!(data.split_off(n).is_err(), "{n}");
            assert_eq!(data, dataset(4));
        }
    }

    #[test]
    fn take_of_more_than_there_is_changes_nothing() {
        assert_eq!(dataset(4).take(9), dataset(4));
        assert!(dataset(4).take(0).is_empty());
    }

    #[test]
    fn parts_that_do_not_fit_are_named() {
        let build = |shape, pixels: usize, label| {
            let pixels = vec![0; pixels];
            Dataset::new(
                "toy",
                Split::Test,
                vec!["a".into()],
                shape,
                pixels,
                vec![label],
            )
            .unwrap_err()
            .to_string()
        };
        assert!(build([2, 1, 1], 2, 0).contains("channels is 2, expected 1 or 3"));
        assert!(build([1, 0, 1], 0, 0).contains("height is 0"));
        assert!(build([1, 2, 2], 3, 0).contains("is 3, expected 1 x 1 x 2 x 2"));
        assert!(build([1, 1, 1], 1, 7).contains("label of image 0 is 7, expected less than 1"));
        assert!(build([1, usize::MAX, 2], 0, 0).contains("pixel values is 0"));
    }
}
