use serde::{Deserialize, Serialize};

/// The most rows and columns.
const MAX_SIDE: usize = 1024;

/// Size of the images that a folder is cut to: `224` for a square, `[height, width]`, or as text `"HEIGHTxWIDTH"`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(untagged, try_from = "Written")]
pub enum ImageSize {
    /// As many rows as columns.
    Square(usize),
    /// Rows and columns.
    Sides([usize; 2]),
}

/// The forms in which a recipe writes an [`ImageSize`].
#[derive(Deserialize)]
#[serde(
    untagged,
    expecting = "write a side in pixels such as 32, or [height, width] such as [20, 48]"
)]
enum Written {
    Square(usize),
    Sides([usize; 2]),
    Text(String),
}

impl TryFrom<Written> for ImageSize {
    type Error = String;

    fn try_from(written: Written) -> Result<Self, String> {
        let text = match written {
            Written::Square(side) => return Ok(Self::Square(side)),
            Written::Sides(sides) => return Ok(Self::Sides(sides)),
            Written::Text(text) => text,
        };
        let sides = match text.split_once('x') {
            Some((height, width)) => height.parse().ok().zip(width.parse().ok()),
            None => None,
        };
        let square = || text.parse().ok().map(Self::Square);
        sides
            .map(|(height, width)| Self::Sides([height, width]))
            .or_else(square)
            .ok_or_else(|| {
                format!(
                    "`{}` is not an image size: write a side in pixels such as 32, or [height, width] such as [20, 48]",
                    text.escape_debug()
                )
            })
    }
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
