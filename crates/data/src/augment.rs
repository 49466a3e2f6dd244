//! Augmentation: what a [`crate::Loader`] does to an image before a network learns from it.
mod placement;
mod region;

use serde::{Deserialize, Serialize};

pub(crate) use self::{placement::Placement, region::Region};
use crate::{DataError, Dataset};

/// The random changes that are made to an image each time it is learnt from. Without any the image stays as it is.
///
/// How an image is changed depends on the seed, the epoch and the image's index alone: not on the batch it is in, nor on
/// who prepares it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Augmentation {
    /// Pads the image by so many black pixels on every side and cuts a random part of its old size out; 0 for none.
    pub pad: usize,
    /// Mirrors the image left to right, every other time on average.
    pub flip: bool,
    /// The side of a black square around a random pixel, of which less is seen at the border; 0 for none (DeVries and
    /// Taylor, Improved Regularization of Convolutional Neural Networks with Cutout, 2017).
    pub cutout: usize,
    /// Cuts a random part of 8 to 100 % of the area, with sides as 3:4 to 4:3, out of the file's full image and scales
    /// it to the image size, bilinear and antialiased (Szegedy et al., Going Deeper with Convolutions, 2015). For
    /// folders only: what lies in memory has no fuller image.
    pub random_resized_crop: bool,
}

impl Augmentation {
    /// Whether it makes sense for the images of `dataset`.
    ///
    /// # Errors
    /// When the padding is as wide as the image, the cut-out square larger than the image, or the random resized crop
    /// asked for where images are not files.
    pub fn check(&self, dataset: &Dataset) -> Result<(), DataError> {
        let [_, height, width] = dataset.shape();
        let side = height.min(width);
        let at_most = |what, value, max| match value > max {
            true => Err(DataError::OutOfRange {
                what,
                value,
                min: 0,
                max,
            }),
            false => Ok(()),
        };
        at_most("augmentation with `pad`", self.pad, side.saturating_sub(1))?;
        at_most("augmentation with `cutout`", self.cutout, side)?;
        if self.random_resized_crop && !dataset.is_empty() && dataset.path(0).is_none() {
            return Err(DataError::NoFullImages {
                name: dataset.name().to_owned(),
            });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;
    use crate::{Preprocessing, Split};

    fn memory(height: usize, width: usize) -> Dataset {
        let pixels = vec![0; height * width];
        let shape = [1, height, width];
        Dataset::new(
            "toy",
            Split::Train,
            vec!["a".into()],
            shape,
            pixels,
            vec![0],
        )
        .unwrap()
    }

    fn refusal(augmentation: &Augmentation, dataset: &Dataset) -> String {
        augmentation.check(dataset).unwrap_err().to_string()
    }

    #[test]
    fn padding_is_narrower_than_the_image_and_the_square_no_larger() {
        let data = memory(6, 4);
        let pad = |pad| Augmentation {
            pad,
            ..Default::default()
        };
        let cutout = |cutout| Augmentation {
            cutout,
            ..Default::default()
        };
        pad(3).check(&data).unwrap();
        assert_eq!(
            refusal(&pad(4), &data),
            "augmentation with `pad` of 4: it must be in 0..=3"
        );
        cutout(4).check(&data).unwrap();
        assert_eq!(
            refusal(&cutout(5), &data),
            "augmentation with `cutout` of 5: it must be in 0..=4"
        );
    }

    #[test]
    fn resized_crops_are_for_files() {
        let crop = Augmentation {
            random_resized_crop: true,
            ..Default::default()
        };
        let message = refusal(&crop, &memory(4, 4));
        assert!(message.contains("`random_resized_crop`"), "{message}");
        assert!(message.contains("`toy`"), "{message}");
        let files = vec![(PathBuf::from("a.png"), 0)];
        let preprocessing = Preprocessing::center_crop(4);
        let classes = vec!["a".into()];
        let files = Dataset::from_files(
            "folder",
            Split::Train,
            classes,
            preprocessing,
            files,
            Default::default(),
        );
        crop.check(&files).unwrap();
    }

    #[test]
    fn settings_not_named_are_off_and_unknown_ones_are_refused() {
        let parsed: Augmentation = toml::from_str("pad = 4\nflip = true").unwrap();
        let expected = Augmentation {
            pad: 4,
            flip: true,
            ..Default::default()
        };
        assert_eq!(parsed, expected);
        assert_eq!(
            toml::from_str::<Augmentation>("").unwrap(),
            Augmentation::default()
        );
        assert!(toml::from_str::<Augmentation>("flips = true").is_err());
    }
}
