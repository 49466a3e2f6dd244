//! What was done to one image that its owner may not expect.
use std::fmt;

/// What was done to one image on the way to a model's pixels that its owner may not expect.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ImageNote {
    /// Some pixels were transparent, wholly or in part.
    Transparent {
        /// The colour under them: red, green, blue.
        background: [u8; 3],
    },
    /// The camera's orientation (EXIF) was applied.
    Oriented,
    /// CMYK was converted without a colour profile.
    Cmyk,
    /// The file is an animation.
    FirstFrame {
        /// The number of its frames.
        frames: u32,
    },
    /// A colour profile or gamma other than that of sRGB was not applied.
    ProfileIgnored,
    /// It has the model's size already, and was not cropped as the preprocessing says.
    NotCropped,
    /// Compressed data follow the last row, which a sound file does not have.
    LeftOver,
    /// Colours were converted to grey.
    Luma,
}

impl fmt::Display for ImageNote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Transparent {
                background: [red, green, blue],
            } => write!(
                f,
                "transparent pixels were laid over #{red:02x}{green:02x}{blue:02x}"
            ),
            Self::Oriented => f.write_str("it was turned as its EXIF orientation says"),
            Self::Cmyk => {
                f.write_str("CMYK was converted to RGB by formula, without a colour profile")
            }
            Self::FirstFrame { frames } => {
                write!(f, "only the first of its {frames} frames was taken")
            }
            Self::ProfileIgnored => f.write_str("its colour profile was ignored and sRGB assumed"),
            Self::NotCropped => f.write_str(
                "it has the model's size and was taken whole, without the crop that the card states",
            ),
            Self::LeftOver => {
                f.write_str("data are left over behind its last row: the file may be damaged")
            }
            Self::Luma => f.write_str("colours were converted to grey (luma)"),
        }
    }
}
