//! The format: four files in IDX, as described on the MNIST page of LeCun, Cortes and Burges. Big-endian 32-bit
//! numbers: the magic number (two zero bytes, the element type, 8 for bytes, and the number of dimensions), then the
//! size of every dimension, then the elements, row-major.
use std::{
    fs::File,
    io::{self, BufRead, BufReader, Read},
    path::{Path, PathBuf},
};

use flate2::bufread::MultiGzDecoder;

use crate::{
    DataError, Dataset, Split,
    error::{format_error, io_error},
};

pub(crate) const FILES: &str = "`train-images-idx3-ubyte`, `train-labels-idx1-ubyte`, `t10k-images-idx3-ubyte` and \
                                `t10k-labels-idx1-ubyte` (plain or as `.gz`)";
const SIDE: u32 = 28;
const CLASSES: u8 = 10;
/// More than any data set of this format has (EMNIST: 814255). What a header may claim has to be bounded, because a
/// small compressed file can unpack to any size.
const MAX_ITEMS: u32 = 1_000_000;
const GZIP: [u8; 2] = [0x1f, 0x8b];

/// Loads one split of MNIST from the IDX files in `dir`, plain or compressed with gzip: grey, 28 x 28, ten classes.
/// The number of images is the files' own, so that data sets of the same format (Fashion-MNIST) can be read as well.
///
/// # Errors
/// When a file is missing, unreadable or truncated, is longer than its header says, has another magic number or shape,
/// when a label is above 9, or when the two files disagree about the number of images.
pub fn mnist(dir: &Path, split: Split) -> Result<Dataset, DataError> {
    let prefix = match split {
        Split::Train => "train",
        Split::Test => "t10k",
    };
    let images_path = find(dir, &format!("{prefix}-images-idx3-ubyte"))?;
    let labels_path = find(dir, &format!("{prefix}-labels-idx1-ubyte"))?;
    // The labels come first: they are small, and say how many images to expect.
    let labels = read_labels(&mut open(&labels_path)?, &labels_path)?;
    let pixels = read_images(&mut open(&images_path)?, &images_path, labels.len())?;
    let side = SIDE as usize;
    let classes = (0..CLASSES).map(|class| class.to_string()).collect();
    Dataset::new("mnist", split, classes, [1, side, side], pixels, labels)
}

fn find(dir: &Path, name: &str) -> Result<PathBuf, DataError> {
    let plain = dir.join(name);
    let packed = dir.join(format!("{name}.gz"));
    if plain.is_file() {
        Ok(plain)
    } else if packed.is_file() {
        Ok(packed)
    } else {
        Err(DataError::MissingFile {
            path: plain,
            also: ", plain or as `.gz`",
        })
    }
}

/// Opens a file by its content and not by its name, because browsers like to unpack and keep the name.
fn open(path: &Path) -> Result<Box<dyn Read>, DataError> {
    let opened = File::open(path).and_then(|file| {
        let mut reader = BufReader::new(file);
        let packed = reader.fill_buf()?.starts_with(&GZIP);
        Ok((reader, packed))
    });
    match opened {
        Ok((reader, true)) => Ok(Box::new(MultiGzDecoder::new(reader))),
        Ok((reader, false)) => Ok(Box::new(reader)),
        Err(source) => Err(io_error("open", path, source)),
    }
}

fn read_labels(reader: &mut dyn Read, path: &Path) -> Result<Vec<u16>, DataError> {
    let labels = read_idx(reader, path, &[], None)?;
    if let Some((index, label)) = labels
        .iter()
        .enumerate()
        .find(|&(_, &label)| label >= CLASSES)
    {
        return Err(format_error(
            path,
            format!("label {index}"),
            label,
            format!("0 to {}", CLASSES - 1),
        ));
    }
    Ok(labels.into_iter().map(u16::from).collect())
}

fn read_images(reader: &mut dyn Read, path: &Path, labels: usize) -> Result<Vec<u8>, DataError> {
    read_idx(reader, path, &[SIDE, SIDE], Some(labels))
}

/// The elements of an IDX file of bytes whose items have the sizes `item`; `count` is the number of items when it is
/// known. Allocates no more than twice what the file really holds.
fn read_idx(
    reader: &mut dyn Read,
    path: &Path,
    item: &[u32],
    count: Option<usize>,
) -> Result<Vec<u8>, DataError> {
    let mut header = [0; 4];
    let mut number = |what: &str| {
        reader
            .read_exact(&mut header)
            .map_err(|source| match source.kind() {
                io::ErrorKind::UnexpectedEof => format_error(
                    path,
                    what.to_owned(),
                    "missing (the file ends before it)",
                    "a 32-bit number",
                ),
                _ => io_error("read", path, source),
            })?;
        Ok::<_, DataError>(u32::from_be_bytes(header))
    };

    let magic = number("the magic number")?;
    let expected = 0x0801 + item.len() as u32;
    if magic != expected {
        let (found, expected) = (format!("{magic:#010x}"), format!("{expected:#010x}"));
        return Err(format_error(
            path,
            "the magic number".into(),
            found,
            expected,
        ));
    }
    let items = number("the number of items")?;
    if !(1..=MAX_ITEMS).contains(&items) {
        return Err(format_error(
            path,
            "the number of items".into(),
            items,
            format!("1 to {MAX_ITEMS}"),
        ));
    }
    if let Some(count) = count.filter(|&count| count != items as usize) {
        let expected = format!("{count}, the number of labels");
        return Err(format_error(
            path,
            "the number of images".into(),
            items,
            expected,
        ));
    }
    for (axis, &side) in item.iter().enumerate() {
        let what = format!("dimension {}", axis + 1);
        let found = number(&what)?;
        if found != side {
            return Err(format_error(path, what, found, side));
        }
    }

    let length = item.iter().map(|&side| u64::from(side)).product::<u64>() * u64::from(items);
    let mut elements = Vec::new();
    // One more than there should be: shows what is too long, and makes gzip compare its checksum.
    reader
        .take(length + 1)
        .read_to_end(&mut elements)
        .map_err(|source| io_error("read", path, source))?;
    if elements.len() as u64 != length {
        let found = match elements.len() as u64 {
            found if found > length => "more".to_owned(),
            found => found.to_string(),
        };
        return Err(format_error(
            path,
            "the number of bytes after the header".into(),
            found,
            length,
        ));
    }
    Ok(elements)
}

#[cfg(test)]
#[path = "mnist/tests.rs"]
mod tests;
