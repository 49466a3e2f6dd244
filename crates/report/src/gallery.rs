//! The images that took least and most to break, as pictures.

use std::io::Cursor;

use base64::{Engine, engine::general_purpose::STANDARD};
use buckler_attack::{Norm, SampleSource, WorstCase};
use image::{DynamicImage, GrayImage, ImageFormat, RgbImage};
use ndarray::ArrayView3;

use crate::{Folder, Report, ReportError, adversarials};

/// Pictures at either end.
const PICTURES: usize = 6;

/// The easiest and the hardest images of those that were broken, in one norm.
pub(crate) struct Gallery {
    pub norm: Norm,
    /// The smallest perturbations first.
    pub easiest: Vec<Exhibit>,
    /// The largest first.
    pub hardest: Vec<Exhibit>,
}

/// One image with its adversarial; pictures are data URIs.
pub(crate) struct Exhibit {
    pub id: u64,
    /// Empty where the image is not a file.
    pub file: String,
    pub label: usize,
    pub prediction: usize,
    pub distance: f32,
    pub attack: String,
    pub clean: String,
    pub adversarial: String,
    /// The difference, amplified about grey.
    pub difference: String,
    /// By how much.
    pub amplification: f32,
}

impl Gallery {
    pub(crate) fn new<S: SampleSource>(
        folder: &Folder,
        report: &Report,
        worst: &WorstCase,
        samples: &S,
    ) -> Result<Self, ReportError> {
        let mut broken: Vec<(usize, f32, usize)> = worst
            .samples
            .iter()
            .enumerate()
            .filter_map(|(row, record)| Some((row, record.smallest?, record.broken_by?)))
            .collect();
        // Among equals, what cost fewer gradients was easier.
        let cost = |&(row, _, by): &(usize, f32, usize)| {
            let measured = report.evaluations.get(by);
            let record = measured.and_then(|m| m.evaluation.samples.get(row));
            record.map_or(0, |r| r.gradient_evaluations + r.forward_evaluations)
        };
        broken.sort_by(|a, b| a.1.total_cmp(&b.1).then_with(|| cost(a).cmp(&cost(b))));
        let exhibits = |rows: &mut dyn Iterator<Item = &(usize, f32, usize)>| {
            rows.take(PICTURES)
                .filter_map(|&(row, distance, by)| {
                    exhibit(folder, report, samples, (row, distance, by)).transpose()
                })
                .collect::<Result<Vec<_>, _>>()
        };
        let easiest = exhibits(&mut broken.iter())?;
        let rest = broken.get(easiest.len()..).unwrap_or_default();
        Ok(Self {
            norm: worst.norm,
            hardest: exhibits(&mut rest.iter().rev())?,
            easiest,
        })
    }
}

/// The image in a row, broken at a distance by an evaluation.
fn exhibit<S: SampleSource>(
    folder: &Folder,
    report: &Report,
    samples: &S,
    (row, distance, by): (usize, f32, usize),
) -> Result<Option<Exhibit>, ReportError> {
    let Some(measured) = report.evaluations.get(by) else {
        return Ok(None);
    };
    let Some(record) = measured.evaluation.samples.get(row) else {
        return Ok(None);
    };
    let samples = samples.block(row..row + 1)?;
    let Some(clean) = samples.images.outer_iter().next() else {
        return Ok(None);
    };
    let Some(adversarial) = adversarials::find(folder, measured, record.id, clean.len())? else {
        return Ok(None);
    };
    let change = &adversarial - &clean;
    let largest = change.iter().fold(0.0f32, |most, v| most.max(v.abs()));
    let amplification = 0.5 / largest.max(f32::MIN_POSITIVE);
    let Some(prediction) = record.prediction else {
        return Ok(None);
    };
    Ok(Some(Exhibit {
        id: record.id,
        file: report.subject.files.get(row).cloned().unwrap_or_default(),
        label: record.label,
        prediction,
        distance,
        attack: measured.evaluation.parameters.to_string(),
        clean: picture(clean)?,
        adversarial: picture(adversarial.view())?,
        difference: picture(change.mapv(|v| 0.5 + amplification * v).view())?,
        amplification,
    }))
}

/// A PNG as a data URI.
fn picture(pixels: ArrayView3<'_, f32>) -> Result<String, ReportError> {
    let drawing = |reason: &str| ReportError::Drawing {
        what: "an image",
        reason: reason.to_owned(),
    };
    let (channels, height, width) = pixels.dim();
    let interleaved = pixels.permuted_axes([1, 2, 0]);
    let bytes: Vec<u8> = interleaved
        .iter()
        .map(|value| (value * 255.0).round().clamp(0.0, 255.0) as u8)
        .collect();
    let size = |side: usize| u32::try_from(side).map_err(|_| drawing("it is too large"));
    let (width, height) = (size(width)?, size(height)?);
    let image = match channels {
        1 => GrayImage::from_raw(width, height, bytes).map(DynamicImage::from),
        3 => RgbImage::from_raw(width, height, bytes).map(DynamicImage::from),
        _ => None,
    };
    let image = image.ok_or_else(|| drawing("it is neither grey nor RGB"))?;
    let mut png = Cursor::new(Vec::new());
    image
        .write_to(&mut png, ImageFormat::Png)
        .map_err(|error| drawing(&error.to_string()))?;
    Ok(format!(
        "data:image/png;base64,{}",
        STANDARD.encode(png.get_ref())
    ))
}
