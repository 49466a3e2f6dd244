pub(super) use crate::dataset::byte;
use crate::dataset::unit;

/// An image being worked on: planes of numbers that are in `[0, 1]` at the beginning and the end, of one size.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Picture {
    pub(super) height: usize,
    pub(super) width: usize,
    /// One or three of `height * width` values, row-major.
    pub(super) planes: Vec<Vec<f32>>,
}

impl Picture {
    pub(super) fn new(bytes: &[u8], [_, height, width]: [usize; 3]) -> Self {
        let planes = bytes
            .chunks_exact((height * width).max(1))
            .map(|plane| plane.iter().copied().map(unit).collect())
            .collect();
        Self {
            height,
            width,
            planes,
        }
    }

    /// Bytes in the layout of [`Picture::new`], values outside `[0, 1]` clipped.
    pub(super) fn bytes(&self) -> Vec<u8> {
        self.planes.iter().flatten().copied().map(byte).collect()
    }

    /// The planes replaced by what `change` makes of each.
    pub(super) fn map(mut self, change: impl FnMut(Vec<f32>) -> Vec<f32>) -> Self {
        self.planes = self.planes.into_iter().map(change).collect();
        self
    }

    /// All values, in the order of channels, rows and columns.
    pub(super) fn values_mut(&mut self) -> impl Iterator<Item = &mut f32> {
        self.planes.iter_mut().flatten()
    }

    /// The luma of every pixel (ITU-R BT.601, as OpenCV's grey); for a grey image its values.
    pub(super) fn luma(&self) -> Vec<f32> {
        match self.planes.as_slice() {
            [red, green, blue] => red
                .iter()
                .zip(green)
                .zip(blue)
                .map(|((red, green), blue)| 0.299 * red + 0.587 * green + 0.114 * blue)
                .collect(),
            planes => planes.first().cloned().unwrap_or_default(),
        }
    }
}
