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

/// The frames of a WebP file; 1 when it is not an animation. What its header and its frames say of themselves has to fit, as
/// libwebp wants it.
pub(super) fn webp(bytes: &[u8]) -> Result<u32, ImageError> {
    let mut blocks = Blocks(bytes);
    blocks.skip(4)?;
    let length = blocks.length()?;
    let mut blocks = Blocks(blocks.0.get(..length).ok_or_else(ImageError::cut_off)?);
    blocks.skip(4)?;
    let mut frames = 0u32;
    let mut animated = None;
    while blocks.0.len() >= 8 {
        let (name, data) = blocks.chunk()?;
        match name {
            b"VP8X" => animated = data.first().map(|flags| flags & 2 != 0),
            b"VP8 " => check_lossy(data)?,
            b"ANMF" => {
                frames = frames.saturating_add(1);
                // Those that follow are not decoded.
                if frames == 1 {
                    check_first_frame(data)?;
                }
            }
            _ => (),
        }
    }
    if animated.is_some_and(|animated| animated != (frames > 0)) {
        return Err(contradictory());
    }
    Ok(frames.max(1))
}

/// That the header of a lossy image is one of an image by itself: a key frame of a known version that is to be shown, after
/// which the start code comes.
fn check_lossy(data: &[u8]) -> Result<(), ImageError> {
    let tag = data.first().copied().unwrap_or_default();
    let sound = tag & 1 == 0 && (tag >> 1) & 7 <= 3 && tag & 16 != 0;
    match sound && data.get(3..6) == Some(&[0x9d, 0x01, 0x2a]) {
        true => Ok(()),
        false => Err(contradictory()),
    }
}

/// That the first frame of an animation has the size that its pixels have.
fn check_first_frame(data: &[u8]) -> Result<(), ImageError> {
    let number = |at: usize| {
        let bytes = data.get(at..at + 3).unwrap_or_default();
        let bytes = bytes.iter().rev();
        bytes.fold(0, |number, &byte| number << 8 | u32::from(byte))
    };
    let size = (number(6) + 1, number(9) + 1);
    let mut blocks = Blocks(data.get(16..).ok_or_else(ImageError::cut_off)?);
    while blocks.0.len() >= 8 {
        let (name, pixels) = blocks.chunk()?;
        let word = |at: usize| {
            let bytes = pixels.get(at..at + 2).unwrap_or_default();
            bytes
                .iter()
                .rev()
                .fold(0, |word, &byte| word << 8 | u32::from(byte))
        };
        let found = match name {
            b"VP8 " => {
                check_lossy(pixels)?;
                (word(6) & 0x3fff, word(8) & 0x3fff)
            }
            // A signature, then 14 bits for either side.
            b"VP8L" => {
                let sides = word(1) | word(3) << 16;
                ((sides & 0x3fff) + 1, (sides >> 14 & 0x3fff) + 1)
            }
            _ => continue,
        };
        return match found == size {
            true => Ok(()),
            false => Err(contradictory()),
        };
    }
    Err(contradictory())
}

fn contradictory() -> ImageError {
    ImageError::Broken("what it says of its frames is contradictory".to_owned())
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

impl<'a> Blocks<'a> {
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

    /// A chunk's name and data. The padding after an odd one may be missing where nothing follows.
    fn chunk(&mut self) -> Result<(&'a [u8; 4], &'a [u8]), ImageError> {
        let (name, _) = self.0.split_first_chunk().ok_or_else(ImageError::cut_off)?;
        self.skip(4)?;
        let length = self.length()?;
        let (data, rest) = self
            .0
            .split_at_checked(length)
            .ok_or_else(ImageError::cut_off)?;
        self.0 = rest.get(length % 2..).unwrap_or_default();
        Ok((name, data))
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
