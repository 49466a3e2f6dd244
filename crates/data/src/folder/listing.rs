//! The images of one class: in its directory, and in those below it.

use std::{
    collections::HashSet,
    fs, io,
    path::{Path, PathBuf},
};

use image::ImageFormat;

use super::{Remarks, entries};
use crate::{DataError, error::io_error};

/// Directories below one another.
const MAX_DEPTH: usize = 32;

/// The formats of files that are images.
const READ: [ImageFormat; 5] = [
    ImageFormat::Png,
    ImageFormat::Jpeg,
    ImageFormat::WebP,
    ImageFormat::Bmp,
    ImageFormat::Gif,
];

/// The images in the class's directory `dir` and below it, in the order of their paths. Links are followed, but for those to
/// a directory that was read before, or to `root` or one between it and the class.
pub(super) fn images(
    dir: &Path,
    root: &Path,
    remarks: &mut Remarks,
) -> Result<Vec<PathBuf>, DataError> {
    let above = dir.ancestors().skip(1);
    let until_root =
        above.take_while(|path| path.starts_with(root) && !path.as_os_str().is_empty());
    let seen = until_root.chain([dir]).map(place);
    let mut seen: HashSet<PathBuf> = seen.collect::<Result<_, _>>()?;
    let mut images = Vec::new();
    let mut open = vec![(dir.to_owned(), 0)];
    while let Some((here, depth)) = open.pop() {
        if depth > MAX_DEPTH {
            return Err(DataError::Folder {
                path: here,
                problem: format!("lies {depth} folders below that of its class"),
                remedy: "move its images up, at most 32 below",
            });
        }
        for path in entries(&here)? {
            match path.metadata() {
                Ok(metadata) if metadata.is_dir() => match seen.insert(place(&path)?) {
                    true => open.push((path, depth + 1)),
                    false => remarks.leave_out(&path),
                },
                // Pipes and devices would be waited for.
                Ok(metadata) if !metadata.is_file() => remarks.leave_out(&path),
                // Links to nothing stay, to be found broken.
                _ if is_image(&path) => {
                    remarks.take(&path, depth);
                    images.push(path);
                }
                _ => remarks.leave_out(&path),
            }
        }
    }
    images.sort_unstable();
    Ok(images)
}

/// By its name.
fn is_image(path: &Path) -> bool {
    ImageFormat::from_path(path).is_ok_and(|format| READ.contains(&format))
}

/// Where a directory is, without links.
fn place(dir: &Path) -> Result<PathBuf, DataError> {
    let failed = |source: io::Error| io_error("find", dir, source);
    fs::canonicalize(dir).map_err(failed)
}
