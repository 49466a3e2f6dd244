//! EXIF data as text, in which ImageMagick and others wrote them before PNG had a chunk for them.
use std::io::Read;

use flate2::read::ZlibDecoder;

use super::chunks::Chunks;

const KEYWORDS: [&[u8]; 2] = [b"Raw profile type exif\0", b"Raw profile type APP1\0"];
/// How much text is looked at, in bytes: EXIF data are shorter than 64 KiB, and two digits stand for a byte.
const MAX_TEXT: u64 = 1 << 18;
/// How many such texts are looked at: each may inflate to a thousand times its length, and a file has one.
const MAX_TEXTS: usize = 4;

/// The first such data of a file, with the words that JPEG puts before them.
pub(super) fn exif(bytes: &[u8]) -> Option<Vec<u8>> {
    let texts = Chunks::of(bytes).filter(|(name, _)| matches!(*name, b"tEXt" | b"zTXt"));
    let profiles = texts.filter_map(|(name, data)| {
        let text = KEYWORDS.iter().find_map(|word| data.strip_prefix(*word))?;
        Some((name, text))
    });
    profiles
        .take(MAX_TEXTS)
        .filter_map(|(name, text)| {
            let mut hexadecimal = Vec::new();
            let whole = match name {
                b"tEXt" => text.take(MAX_TEXT).read_to_end(&mut hexadecimal),
                // One byte tells the method of compression, of which there is one.
                _ => ZlibDecoder::new(text.get(1..)?)
                    .take(MAX_TEXT)
                    .read_to_end(&mut hexadecimal),
            };
            whole.ok().and_then(|_| bytes_of(&hexadecimal))
        })
        .next()
}

/// A name, a number of bytes, and two digits for each, in lines.
fn bytes_of(text: &[u8]) -> Option<Vec<u8>> {
    let mut words = text.split(u8::is_ascii_whitespace);
    let mut words = words.by_ref().filter(|word| !word.is_empty());
    let (_name, _length) = (words.next()?, words.next()?);
    let digit = |digit: &u8| char::from(*digit).to_digit(16);
    let digits: Option<Vec<u32>> = words.flatten().map(digit).collect();
    let (pairs, _) = digits.as_deref()?.as_chunks::<2>();
    let byte = |[high, low]: &[u32; 2]| u8::try_from(high << 4 | low).ok();
    pairs.iter().map(byte).collect()
}
