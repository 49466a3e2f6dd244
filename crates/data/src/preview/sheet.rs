use std::{
    io::{BufWriter, Write},
    path::Path,
};

use image::{ImageFormat, Rgb, RgbImage};
use tempfile::NamedTempFile;

use crate::DataError;

/// The longest side of a sheet in pixels, so that a slip of the finger does not ask for gigabytes.
const MAX_SIDE: usize = 16_384;
const GAP: usize = 2;
pub(super) const GAP_COLOUR: [u8; 3] = [64, 64, 96];
/// Images of fewer rows than this are doubled in a preview.
const SMALL: usize = 64;

/// How much images of so many rows are enlarged in a preview.
pub(super) fn usual_scale(height: usize) -> usize {
    if height < SMALL { 2 } else { 1 }
}

/// How rows and columns of images of one shape lie on a sheet.
pub(super) struct Grid {
    across: Axis,
    down: Axis,
    shape: [usize; 3],
}

impl Grid {
    /// Images of `shape`, every pixel enlarged to `scale` x `scale`.
    pub(super) fn new(
        rows: usize,
        columns: usize,
        shape: [usize; 3],
        scale: usize,
    ) -> Result<Self, DataError> {
        let [_, height, width] = shape;
        Ok(Self {
            across: Axis::new(columns, width, scale)?,
            down: Axis::new(rows, height, scale)?,
            shape,
        })
    }

    /// The sheet with the images `cells[row][column]`; where there is none, it is black.
    pub(super) fn sheet(&self, cells: &[Vec<Vec<u8>>]) -> RgbImage {
        let [channels, height, width] = self.shape;
        let plane = height * width;
        RgbImage::from_fn(self.across.length, self.down.length, |x, y| {
            let (Some((column, x)), Some((row, y))) = (self.across.locate(x), self.down.locate(y))
            else {
                return Rgb(GAP_COLOUR);
            };
            let image = cells.get(row).and_then(|row| row.get(column));
            let value = |channel: usize| {
                let offset = channel.min(channels - 1) * plane + y * width + x;
                image
                    .and_then(|image| image.get(offset))
                    .copied()
                    .unwrap_or(0)
            };
            Rgb([value(0), value(1), value(2)])
        })
    }
}

/// Writes a sheet as PNG. The file appears complete or not at all: it is written beside its place and renamed.
pub(super) fn write_png(sheet: &RgbImage, path: &Path) -> Result<(), DataError> {
    let failed = |source| DataError::Io {
        action: "write",
        path: path.to_owned(),
        source,
    };
    let mut writer = BufWriter::new(beside(path).map_err(failed)?);
    sheet
        .write_to(&mut writer, ImageFormat::Png)
        .map_err(|source| DataError::Encode {
            path: path.to_owned(),
            source,
        })?;
    writer.flush().map_err(failed)?;
    let file = writer
        .into_inner()
        .map_err(|error| failed(error.into_error()))?;
    file.persist(path).map_err(|error| failed(error.error))?;
    Ok(())
}

/// A temporary file in the directory of `path`.
fn beside(path: &Path) -> std::io::Result<NamedTempFile> {
    let dir = match path.parent() {
        Some(dir) if !dir.as_os_str().is_empty() => dir,
        _ => Path::new("."),
    };
    let mut builder = tempfile::Builder::new();
    // A preview is no secret: it gets the rights of any new file, not those of a temporary one.
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        builder.permissions(std::fs::Permissions::from_mode(0o666));
    }
    builder.prefix(".preview").suffix(".png").tempfile_in(dir)
}

/// One direction of the sheet: `cells` of `side` enlarged pixels, with a gap around each.
struct Axis {
    cell: usize,
    scale: usize,
    length: u32,
}

impl Axis {
    fn new(cells: usize, side: usize, scale: usize) -> Result<Self, DataError> {
        let limit = |what, value, max| match value {
            value if value == 0 || value > max => Err(DataError::OutOfRange {
                what,
                value,
                min: 1,
                max,
            }),
            value => Ok(value),
        };
        let scale = limit("preview scale", scale, MAX_SIDE)?;
        let cell = side.saturating_mul(scale).saturating_add(GAP);
        let max = MAX_SIDE.saturating_sub(GAP) / cell;
        let cells = limit("preview with a number of images side by side", cells, max)?;
        let length = (cells * cell + GAP) as u32;
        Ok(Self {
            cell,
            scale,
            length,
        })
    }

    /// Cell and pixel in it, or `None` in a gap.
    fn locate(&self, position: u32) -> Option<(usize, usize)> {
        let position = (position as usize).checked_sub(GAP)?;
        let inside = position % self.cell;
        (inside < self.cell - GAP).then_some((position / self.cell, inside / self.scale))
    }
}
