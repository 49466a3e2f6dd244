use std::sync::Arc;

use base64::{Engine, prelude::BASE64_STANDARD};
use buckler_attack::{AttackReport, Examined};
use buckler_runtime::{Entry, encode_png};
use ndarray::ArrayView3;
use serde::Serialize;
use utoipa::ToSchema;

use crate::error::ApiError;

/// One report, or several in a list.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
pub(crate) enum Answer {
    /// For one image and one radius.
    One(Box<Attacked>),
    /// For every image and radius, image by image.
    Several { results: Vec<Attacked> },
}

/// What came of attacking one image at one radius.
#[derive(Serialize, ToSchema)]
pub(crate) struct Attacked {
    model: String,
    version: String,
    /// Of the model file.
    sha256: String,
    /// What was taken for granted, because neither the model nor the request says it.
    pub assumptions: Vec<String>,
    /// The image's place in the request, where it has several.
    #[serde(skip_serializing_if = "Option::is_none")]
    image: Option<usize>,
    #[serde(flatten)]
    pub report: AttackReport,
    /// Gradient evaluations for this image.
    cost: u64,
    /// For the whole request.
    seconds: f64,
    /// The clean image as the model sees it, at its size, as a PNG data URI, where images are asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    clean_png: Option<String>,
    /// The adversarial image as a PNG data URI, where asked for; null when there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
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
    /// `clean` is the image `[channels, height, width]`, `image` its place in a request with several.
    pub fn around(
        &self,
        examined: Examined,
        clean: ArrayView3<'_, f32>,
        image: Option<usize>,
        seconds: f64,
    ) -> Result<Attacked, ApiError> {
        let encode = |image: Option<ArrayView3<'_, f32>>| {
            let png = image.filter(|_| self.images).map(encode_png).transpose();
            png.map_err(|error| ApiError::Internal(error.to_string()))
        };
        let uri = |png: &Vec<u8>| format!("data:image/png;base64,{}", BASE64_STANDARD.encode(png));
        let clean = encode(Some(clean))?;
        let png = encode(examined.adversarial.as_ref().map(|image| image.view()))?;
        Ok(Attacked {
            model: self.entry.name.clone(),
            version: self.entry.version.clone(),
            sha256: self.entry.classifier.sha256().to_owned(),
            assumptions: self.assumptions.clone(),
            image,
            cost: examined.report.gradient_evaluations,
            report: examined.report,
            seconds,
            clean_png: clean.as_ref().map(uri),
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
