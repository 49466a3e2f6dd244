//! What turns a decoded image into the pixels that a model takes. Training, evaluation, prediction and serving share it.
use crate::{DataError, MAX_IMAGE_SIZE};

/// From an image of any size and kind to `[channels, height, width]` in `[0, 1]`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Preprocessing {
    /// 1 for grey, 3 for RGB.
    pub channels: usize,
    /// Rows of the result.
    pub height: usize,
    /// Columns of the result.
    pub width: usize,
    /// How an image of another size is brought to this one.
    pub resize: Resize,
    /// With [`Resize::CenterCrop`]: side of the centre that is cut out over the side that the image is scaled to, in `(0, 1]`.
    pub crop_pct: f64,
    /// Red, green and blue under transparent pixels.
    pub background: [u8; 3],
    /// What becomes of colour where grey is asked for.
    pub grey: Grey,
}

impl Preprocessing {
    /// For pixels of this shape: both sides stretched, transparency over black, colour refused where grey is asked for.
    pub fn new([channels, height, width]: [usize; 3]) -> Self {
        Self {
            channels,
            height,
            width,
            resize: Resize::Stretch,
            crop_pct: 1.0,
            background: [0; 3],
            grey: Grey::Refuse,
        }
    }

    /// RGB of `side` x `side`, as is usual in testing on ImageNet: the shorter side scaled to `side * 256 / 224`, the centre
    /// cut out.
    pub fn center_crop(side: usize) -> Self {
        Self {
            resize: Resize::CenterCrop,
            crop_pct: 0.875,
            ..Self::new([3, side, side])
        }
    }

    /// That a data set can be made with it.
    pub(crate) fn check(&self) -> Result<(), DataError> {
        let wrong = |what: &str, found: String, expected: String| DataError::Preprocessing {
            what: what.to_owned(),
            found,
            expected,
        };
        if self.channels != 1 && self.channels != 3 {
            return Err(wrong(
                "the number of channels",
                self.channels.to_string(),
                "1 (grey) or 3 (RGB)".to_owned(),
            ));
        }
        for (what, side) in [("the height", self.height), ("the width", self.width)] {
            if !(1..=MAX_IMAGE_SIZE).contains(&side) {
                return Err(wrong(
                    what,
                    side.to_string(),
                    format!("1 to {MAX_IMAGE_SIZE}"),
                ));
            }
        }
        if !(0.1..=1.0).contains(&self.crop_pct) {
            return Err(wrong(
                "crop_pct",
                self.crop_pct.to_string(),
                "a number from 0.1 to 1".to_owned(),
            ));
        }
        Ok(())
    }

    /// `[channels, height, width]`.
    pub fn shape(&self) -> [usize; 3] {
        [self.channels, self.height, self.width]
    }
}

/// How an image of another size is brought to the model's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Resize {
    /// Scale both sides, ignoring the aspect ratio.
    #[default]
    Stretch,
    /// Scale by one factor until the size over `crop_pct` is covered, then cut out the centre.
    CenterCrop,
}

/// What becomes of colour images where grey ones are asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Grey {
    /// They are refused, unless all channels are equal in every pixel.
    #[default]
    Refuse,
    /// Luma, `0.299 R + 0.587 G + 0.114 B` (ITU-R BT.601), as Pillow converts.
    Luma,
}
