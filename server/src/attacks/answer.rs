use std::sync::Arc;

use base64::{Engine, prelude::BASE64_STANDARD};
use buckler_attack::{AttackReport, Examined};
use buckler_runtime::{Entry, encode_png};
use serde::Serialize;

use crate::error::ApiError;

/// One report, or several in a list.
#[derive(Serialize)]
#[serde(untagged)]
pub(crate) enum Answer {
    /// For one image and one radius.
    One(Box<Attacked>),
    /// For every image and radius, image by image.
    Several { results: Vec<Attacked> },
}

/// What came of attacking one image at one radius.
#[derive(Serialize)]
pub(crate) struct Attacked {
    model: String,
    version: String,
    /// Of the model file.
    sha256: String,
    /// What was taken for granted, because neither the model nor the request says it.
    assumptions: Vec<String>,
    /// The image's place in the request, where it has several.
    #[serde(skip_serializing_if = "Option::is_none")]
    image: Option<usize>,
    #[serde(flatten)]
    pub report: AttackReport,
    /// Gradient evaluations for this image.
    cost: u64,
    /// For the whole request.
    seconds: f64,
    /// The adversarial image as a PNG data URI, where asked for; null when there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    adversarial_png: Option<Option<String>>,
    /// The same as a file.
    #[serde(skip)]
    pub png: Option<Vec<u8>>,
}

/// What all reports of a request have in common.
pub(crate) struct Frame {
    pub entry: Arc<Entry>,
    pub assumptions: Vec<String>,
    /// Whether adversarial images are part of the answer.
    pub images: bool,
}

impl Frame {
    /// `image` is its place in a request with several.
    pub fn around(
        &self,
        examined: Examined,
        image: Option<usize>,
        seconds: f64,
    ) -> Result<Attacked, ApiError> {
        let internal = |error: buckler_runtime::ImageError| ApiError::Internal(error.to_string());
        let found = examined.adversarial.as_ref().filter(|_| self.images);
        let png = found
            .map(|image| encode_png(image.view()))
            .transpose()
            .map_err(internal)?;
        let uri = |png| format!("data:image/png;base64,{}", BASE64_STANDARD.encode(png));
        Ok(Attacked {
            model: self.entry.name.clone(),
            version: self.entry.version.clone(),
            sha256: self.entry.classifier.sha256().to_owned(),
            assumptions: self.assumptions.clone(),
            image,
            cost: examined.report.gradient_evaluations,
            report: examined.report,
            seconds,
            adversarial_png: self.images.then(|| png.as_ref().map(uri)),
            png,
        })
    }
}

impl Answer {
    pub fn of(mut results: Vec<Attacked>) -> Self {
        match (results.len(), results.pop()) {
            (1, Some(one)) => Self::One(Box::new(one)),
            (_, last) => {
                results.extend(last);
                Self::Several { results }
            }
        }
    }
}
