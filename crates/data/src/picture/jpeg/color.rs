//! CMYK as JPEG files hold it.

/// RGB of the inverted CMYK that Adobe's programs write (and all others took over), as Pillow converts it.
pub(super) fn cmyk_to_rgb(samples: &[u8]) -> Vec<u8> {
    let (pixels, _) = samples.as_chunks::<4>();
    pixels
        .iter()
        .flat_map(|&[cyan, magenta, yellow, key]| {
            [cyan, magenta, yellow].map(|ink| {
                let (missing, light) = (u32::from(u8::MAX - ink), u32::from(key));
                // missing * light / 255, rounded.
                let product = missing * light + 128;
                let darker = (product + (product >> 8)) >> 8;
                light.saturating_sub(darker) as u8
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paper_is_white_and_every_ink_takes_its_complement() {
        assert_eq!(cmyk_to_rgb(&[255, 255, 255, 255]), [255, 255, 255]);
        assert_eq!(cmyk_to_rgb(&[0, 255, 255, 255]), [0, 255, 255]);
        assert_eq!(cmyk_to_rgb(&[255, 0, 255, 255]), [255, 0, 255]);
        assert_eq!(cmyk_to_rgb(&[255, 255, 255, 0]), [0, 0, 0]);
        assert_eq!(cmyk_to_rgb(&[128, 255, 255, 100]), [50, 100, 100]);
    }
}
