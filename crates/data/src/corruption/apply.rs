use rand_chacha::ChaCha8Rng;

use super::{
    Corruption, Severity, blur, digital, noise,
    picture::{Picture, byte},
    severity::Level,
    weather,
};
use crate::{
    DataError, Dataset,
    dataset::{in_threads, unit},
    stream::corruption_stream,
};

/// The smallest side of an image that can be corrupted, in pixels.
pub const SMALLEST_SIDE: usize = 8;
/// The largest side of an image that can be corrupted, in pixels.
pub const LARGEST_SIDE: usize = 512;

/// Corrupts one image: `image` is `[channels, height, width]` of `shape`, grey or RGB, row-major, in `[0, 1]`, and so is
/// the result. Both are bytes / 255, as the published images are files of bytes: what is given is rounded to the nearest
/// byte first.
///
/// Images with no side of more than 64 pixels are corrupted as mildly as those of CIFAR-10-C, larger ones like those of
/// ImageNet-C. What is random depends on `seed`, `id` and the corruption alone, not on the severity: one image has the
/// same noise at every severity, only more of it. The result is the same on every machine.
///
/// # Errors
/// When the image is neither grey nor RGB, a side is not in [`SMALLEST_SIDE`] to [`LARGEST_SIDE`], or the values are not
/// as many as the shape says or not all in `[0, 1]`.
///
/// ```
/// use buckler_data::{Corruption, Severity, corrupt};
///
/// let image = vec![0.5; 3 * 32 * 32];
/// let foggy = corrupt(&image, [3, 32, 32], Corruption::Fog, Severity::new(3)?, 0, 7)?;
/// assert_eq!(foggy.len(), image.len());
/// assert!(foggy.iter().all(|value| (0.0..=1.0).contains(value)));
/// # Ok::<(), buckler_data::DataError>(())
/// ```
pub fn corrupt(
    image: &[f32],
    shape: [usize; 3],
    corruption: Corruption,
    severity: Severity,
    seed: u64,
    id: u64,
) -> Result<Vec<f32>, DataError> {
    check(shape)?;
    let expected: usize = shape.iter().product();
    if image.len() != expected {
        return Err(DataError::NotAnImage {
            what: "the number of values".to_owned(),
            found: image.len().to_string(),
            expected: format!("{expected}, channels x height x width"),
        });
    }
    let stray = image
        .iter()
        .enumerate()
        .find(|(_, value)| !(0.0..=1.0).contains(*value));
    if let Some((index, value)) = stray {
        return Err(DataError::NotAnImage {
            what: format!("value {index}"),
            found: value.to_string(),
            expected: "a number in [0, 1], a byte divided by 255".to_owned(),
        });
    }
    let bytes: Vec<u8> = image.iter().copied().map(byte).collect();
    let corrupted = bytes_corrupted(&bytes, shape, corruption, severity, seed, id)?;
    Ok(corrupted.into_iter().map(unit).collect())
}

/// All images of a data set corrupted: image `i` is what [`corrupt`] makes of it with the id `i`. The result lies in
/// memory, a byte per value, also when `dataset` is one of files; it is named like `cifar10-fog-3`. The work is shared
/// by as many threads as there are cores, at most 8.
///
/// # Errors
/// When a side of the images is not in [`SMALLEST_SIDE`] to [`LARGEST_SIDE`], or one cannot be decoded.
pub fn corrupted(
    dataset: &Dataset,
    corruption: Corruption,
    severity: Severity,
    seed: u64,
) -> Result<Dataset, DataError> {
    let shape = dataset.shape();
    check(shape)?;
    let indices: Vec<usize> = (0..dataset.len()).collect();
    let pixels = in_threads(&indices, |mine| {
        let mut pixels = Vec::with_capacity(mine.len() * dataset.image_len());
        for &index in mine {
            let image = dataset.image(index)?;
            let id = index as u64;
            pixels.extend(bytes_corrupted(
                &image, shape, corruption, severity, seed, id,
            )?);
        }
        Ok(pixels)
    })?;
    Dataset::new(
        format!("{}-{corruption}-{severity}", dataset.name()),
        dataset.split(),
        dataset.classes().to_vec(),
        shape,
        pixels,
        dataset.labels().to_vec(),
    )
}

fn check([channels, height, width]: [usize; 3]) -> Result<(), DataError> {
    if channels != 1 && channels != 3 {
        return Err(DataError::NotAnImage {
            what: "the number of channels".to_owned(),
            found: channels.to_string(),
            expected: "1 (grey) or 3 (RGB)".to_owned(),
        });
    }
    for (what, value) in [
        ("height of an image to corrupt", height),
        ("width of an image to corrupt", width),
    ] {
        if !(SMALLEST_SIDE..=LARGEST_SIDE).contains(&value) {
            return Err(DataError::OutOfRange {
                what,
                value,
                min: SMALLEST_SIDE,
                max: LARGEST_SIDE,
            });
        }
    }
    Ok(())
}

/// As [`corrupt`], for an image of bytes, as many as the shape says.
pub(crate) fn bytes_corrupted(
    image: &[u8],
    shape: [usize; 3],
    corruption: Corruption,
    severity: Severity,
    seed: u64,
    id: u64,
) -> Result<Vec<u8>, DataError> {
    check(shape)?;
    let mut rng = corruption_stream(seed, id, corruption);
    let picture = Picture::new(image, shape);
    let corrupted = operate(picture, corruption, Level::new(severity, shape), &mut rng);
    Ok(corrupted.bytes())
}

fn operate(
    picture: Picture,
    corruption: Corruption,
    level: Level,
    rng: &mut ChaCha8Rng,
) -> Picture {
    match corruption {
        Corruption::GaussianNoise => noise::gaussian_noise(picture, level, rng),
        Corruption::ShotNoise => noise::shot_noise(picture, level, rng),
        Corruption::ImpulseNoise => noise::impulse_noise(picture, level, rng),
        Corruption::DefocusBlur => blur::defocus_blur(picture, level),
        Corruption::GlassBlur => blur::glass_blur(picture, level, rng),
        Corruption::MotionBlur => blur::motion_blur(picture, level, rng),
        Corruption::ZoomBlur => blur::zoom_blur(picture, level),
        Corruption::Snow => weather::snow(picture, level, rng),
        Corruption::Frost => weather::frost(picture, level, rng),
        Corruption::Fog => weather::fog(picture, level, rng),
        Corruption::Brightness => weather::brightness(picture, level),
        Corruption::Contrast => digital::contrast(picture, level),
        Corruption::ElasticTransform => digital::elastic_transform(picture, level, rng),
        Corruption::Pixelate => digital::pixelate(picture, level),
        Corruption::JpegCompression => digital::jpeg_compression(picture, level),
    }
}
