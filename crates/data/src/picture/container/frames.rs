//! The number of frames of a GIF or WebP file, told by its blocks: nothing is decoded. Files that end inside a block are
//! cut off.
use std::borrow::Cow;

use super::ImageError;

/// The frames of a GIF. A file that lacks only its end marker passes.
pub(super) fn gif(bytes: &[u8]) -> Result<u32, ImageError> {
    let mut blocks = Blocks(bytes);
    blocks.skip(6)?;
    let screen = [blocks.word()?, blocks.word()?];
    let flags = blocks.byte()?;
    blocks.skip(2 + color_table(flags))?;
    let mut frames = 0u32;
    while !blocks.0.is_empty() {
        match blocks.byte()? {
            // An extension: its label, then its data.
            0x21 => {
                blocks.skip(1)?;
                blocks.data()?;
            }
            // An image: place, size, flags, colours, the width of a code, then its data.
            0x2c => {
                let place = [blocks.word()?, blocks.word()?];
                let size = [blocks.word()?, blocks.word()?];
                let ends = [0, 1].map(|axis| place[axis] + size[axis]);
                if frames == 0 && (ends[0] > screen[0] || ends[1] > screen[1]) {
                    return Err(ImageError::Broken(format!(
                        "its first frame ends at {}x{}, outside its screen of {}x{}",
                        ends[0], ends[1], screen[0], screen[1]
                    )));
                }
                let flags = blocks.byte()?;
                blocks.skip(color_table(flags) + 1)?;
                blocks.data()?;
                frames = frames.saturating_add(1);
            }
            // The end marker; what is no block is left to the decoder.
            _ => break,
        }
    }
    match frames {
        0 => Err(ImageError::cut_off()),
        frames => Ok(frames),
    }
}

/// Bytes of the table that the flags announce.
fn color_table(flags: u8) -> usize {
    match flags & 0x80 {
        0 => 0,
        _ => 3 << ((flags & 7) + 1),
    }
}

/// The frames of a WebP file; 1 when it is not an animation.
pub(super) fn webp(bytes: &[u8]) -> Result<u32, ImageError> {
    let mut blocks = Blocks(bytes);
    blocks.skip(4)?;
    let length = blocks.length()?;
    // Padding after an odd chunk may be missing at the very end.
    let end = length.min(blocks.0.len());
    if length > blocks.0.len() + 1 {
        return Err(ImageError::cut_off());
    }
    let mut blocks = Blocks(blocks.0.get(..end).unwrap_or_default());
    blocks.skip(4)?;
    let mut frames = 0u32;
    while blocks.0.len() >= 8 {
        let is_frame = blocks.0.starts_with(b"ANMF");
        blocks.skip(4)?;
        let length = blocks.length()?;
        if length > blocks.0.len() {
            return Err(ImageError::cut_off());
        }
        frames = frames.saturating_add(u32::from(is_frame));
        let padded = length.saturating_add(length % 2).min(blocks.0.len());
        blocks.skip(padded)?;
    }
    Ok(frames.max(1))
}

/// The file with the flag of transparency where its pixels have some and the file's header denies it: programs that add a header
/// for EXIF data leave it out, and viewers go by the pixels.
pub(super) fn with_alpha_flag(bytes: &[u8]) -> Cow<'_, [u8]> {
    const FLAGS: usize = 20;
    const ALPHA: u8 = 1 << 4;
    let denied = bytes.get(12..16) == Some(b"VP8X")
        && bytes.get(FLAGS).is_some_and(|flags| flags & ALPHA == 0);
    match denied && lossless_has_alpha(bytes) {
        true => {
            let mut bytes = bytes.to_vec();
            if let Some(flags) = bytes.get_mut(FLAGS) {
                *flags |= ALPHA;
            }
            Cow::Owned(bytes)
        }
        false => Cow::Borrowed(bytes),
    }
}

/// What the bit stream says of itself, where it is a lossless one.
fn lossless_has_alpha(bytes: &[u8]) -> bool {
    let mut blocks = Blocks(bytes.get(12..).unwrap_or_default());
    while let Some(name) = blocks.0.first_chunk::<4>() {
        if name == b"VP8L" {
            // Name, length, signature, then 14 bits for either side and one for alpha.
            return blocks.0.get(12).is_some_and(|byte| byte & (1 << 4) != 0);
        }
        let skipped = blocks.skip(4).and_then(|()| blocks.length());
        let skipped = skipped.and_then(|length| blocks.skip(length.saturating_add(length % 2)));
        if skipped.is_err() {
            return false;
        }
    }
    false
}

/// What is left of a file.
struct Blocks<'a>(&'a [u8]);

impl Blocks<'_> {
    fn skip(&mut self, length: usize) -> Result<(), ImageError> {
        self.0 = self.0.get(length..).ok_or_else(ImageError::cut_off)?;
        Ok(())
    }

    fn byte(&mut self) -> Result<u8, ImageError> {
        let (&byte, rest) = self.0.split_first().ok_or_else(ImageError::cut_off)?;
        self.0 = rest;
        Ok(byte)
    }

    /// A number of two bytes, the lowest first.
    fn word(&mut self) -> Result<u32, ImageError> {
        Ok(u32::from(self.byte()?) | u32::from(self.byte()?) << 8)
    }

    /// A length of four bytes, the lowest first.
    fn length(&mut self) -> Result<usize, ImageError> {
        let bytes = self.0.first_chunk::<4>().ok_or_else(ImageError::cut_off)?;
        let length = u32::from_le_bytes(*bytes) as usize;
        self.skip(4)?;
        Ok(length)
    }

    /// Sub-blocks up to an empty one.
    fn data(&mut self) -> Result<(), ImageError> {
        loop {
            match self.byte()? {
                0 => return Ok(()),
                length => self.skip(length.into())?,
            }
        }
    }
}
