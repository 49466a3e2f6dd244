//! Sizes of the pictures in a folder.

use buckler_data::Dataset;
use image::ImageReader;

/// Pictures whose sizes are read; folders are shuffled, so that the first are as good as any.
const SAMPLE: usize = 64;

/// Says so when most pictures of a folder are smaller than the images that they are scaled to.
pub(crate) fn scaled_up(data: &Dataset) -> Option<String> {
    let [_, height, width] = data.shape();
    let mut sizes: Vec<(u32, u32)> = (0..data.len().min(SAMPLE))
        .filter_map(|index| {
            let reader = ImageReader::open(data.path(index)?).ok()?;
            reader.with_guessed_format().ok()?.into_dimensions().ok()
        })
        .collect();
    sizes.sort_unstable_by_key(|(width, height)| u64::from(*width) * u64::from(*height));
    let smaller = sizes
        .iter()
        .filter(|(w, h)| (*w as usize) < width || (*h as usize) < height)
        .count();
    if 2 * smaller <= sizes.len() {
        return None;
    }
    let (median_width, median_height) = sizes.get(sizes.len() / 2)?;
    Some(format!(
        "{smaller} of {} pictures looked at are smaller than the {width}x{height} pixels that the network sees (their median is {median_width}x{median_height}) and are scaled up: a smaller image_size trains faster on the same content",
        sizes.len()
    ))
}
