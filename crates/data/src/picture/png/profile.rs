//! Colours of a PNG that are not those of sRGB: a profile under another name, or another gamma.
use std::io::Read;

use flate2::read::ZlibDecoder;
use png::Info;

use super::chunks::Chunks;

/// How much of a profile is looked at, in bytes: those of sRGB have a few thousand.
const MAX_PROFILE: u64 = 1 << 16;
/// Of sRGB, and what counts as the same.
const GAMMA: f32 = 0.454_55;
const TOLERANCE: f32 = 0.02;

/// Whether an image viewer that manages colours would show others than the samples.
pub(super) fn is_foreign(bytes: &[u8], info: &Info) -> bool {
    if info.srgb.is_some() {
        return false;
    }
    match profile(bytes) {
        Some(profile) => !is_srgb(profile),
        None => info
            .gama_chunk
            .is_some_and(|gamma| (gamma.into_value() - GAMMA).abs() > TOLERANCE),
    }
}

/// The chunk `iCCP`, if there is one before the pixels.
fn profile(bytes: &[u8]) -> Option<&[u8]> {
    let mut chunks = Chunks::of(bytes).take_while(|(name, _)| *name != b"IDAT");
    chunks
        .find(|(name, _)| *name == b"iCCP")
        .map(|(_, data)| data)
}

/// Whether a profile calls itself sRGB, in its name or in its description.
fn is_srgb(chunk: &[u8]) -> bool {
    let Some(end) = chunk.iter().position(|&byte| byte == 0) else {
        return false;
    };
    let (name, rest) = chunk.split_at(end);
    let mut profile = Vec::new();
    // One byte tells the method of compression, of which there is one.
    let deflated = rest.get(2..).unwrap_or_default();
    // What cannot be inflated names nothing either.
    let _ = ZlibDecoder::new(deflated)
        .take(MAX_PROFILE)
        .read_to_end(&mut profile);
    super::super::names_srgb(name) || super::super::names_srgb(&profile)
}
