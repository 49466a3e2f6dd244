use serde::{Deserialize, Serialize};

/// The most rows and columns.
const MAX_SIDE: usize = 1024;

/// Size of the images that a folder is cut to: `224` for a square, or `[height, width]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(untagged)]
pub enum ImageSize {
    /// As many rows as columns.
    Square(usize),
    /// Rows and columns.
    Sides([usize; 2]),
}

impl ImageSize {
    /// `[height, width]`.
    pub fn sides(self) -> [usize; 2] {
        match self {
            Self::Square(side) => [side, side],
            Self::Sides(sides) => sides,
        }
    }

    pub(super) fn check(self) -> Result<(), String> {
        match self
            .sides()
            .iter()
            .find(|side| !(1..=MAX_SIDE).contains(*side))
        {
            Some(side) => Err(format!(
                "image_size holds {side}, a side must be in 1..={MAX_SIDE} pixels"
            )),
            None => Ok(()),
        }
    }
}
