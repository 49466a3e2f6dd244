//! The orientation that a camera recorded (EXIF 2.32, 4.6.4, tag 274).
use image::metadata::Orientation;

const TAG: u16 = 0x0112;
/// A type of four bytes, where the standard asks for one of two.
const LONG: u16 = 4;

/// Of EXIF data, with or without the words that JPEG puts before them.
pub(super) fn orientation(exif: &[u8]) -> Option<Orientation> {
    let exif = exif.strip_prefix(b"Exif\0\0").unwrap_or(exif);
    Orientation::from_exif_chunk(exif).or_else(|| long(exif))
}

/// As some programs write it.
fn long(exif: &[u8]) -> Option<Orientation> {
    let big = match exif.first_chunk::<4>()? {
        b"II*\0" => false,
        b"MM\0*" => true,
        _ => return None,
    };
    let number = |at: usize, length: usize| {
        let bytes = exif.get(at..at.checked_add(length)?)?;
        let join = |number: u32, byte: &u8| number << 8 | u32::from(*byte);
        Some(match big {
            true => bytes.iter().fold(0, join),
            false => bytes.iter().rev().fold(0, join),
        })
    };
    let directory = usize::try_from(number(4, 4)?).ok()?;
    let entries = number(directory, 2)? as usize;
    let entry = |index: usize| directory.checked_add(2 + 12 * index);
    let at = (0..entries)
        .filter_map(entry)
        .find(|&at| number(at, 2) == Some(TAG.into()) && number(at + 2, 2) == Some(LONG.into()))?;
    Orientation::from_exif(u8::try_from(number(at + 8, 4)?).ok()?)
}
