use std::sync::Arc;

use axum::extract::{Request, State};
use buckler_attack::{Prediction, Victim};
use serde::Serialize;
use utoipa::ToSchema;

use crate::{
    app::App,
    error::ApiError,
    json::Json,
    openapi::{PredictFailures, PredictParameters},
    request::ImageRequest,
};

pub(crate) const PARAMETERS: &[&str] = &["model", "top_k", "background"];

/// What the model says about every image, in order.
#[derive(Serialize, ToSchema)]
pub(crate) struct Predictions {
    model: String,
    version: String,
    sha256: String,
    predictions: Vec<Prediction>,
    assumptions: Vec<String>,
}

/// `POST /predict`
#[utoipa::path(post, path = "/predict", tag = "images", summary = "Names the most probable classes of images", params(PredictParameters), responses(
    (status = 200, body = Predictions),
    PredictFailures,
))]
pub(crate) async fn predict(
    State(app): State<Arc<App>>,
    request: Request,
) -> Result<Json<Predictions>, ApiError> {
    let request = ImageRequest::read(request, PARAMETERS, &app).await?;
    let mut chosen = app.choose(request.parameters.text("model").as_deref(), None)?;
    let top = match request.parameters.text("top_k") {
        None => None,
        Some(text) => Some(text.parse().map_err(|_| {
            ApiError::value(
                "top_k",
                format!("top_k `{text}` is no number of classes: write one such as 5"),
            )
        })?),
    };
    let background = request.parameters.background()?;
    let images = app.decode(&mut chosen, request.images, background).await?;
    let logits = chosen.classifier().logits(images).await?;
    let names = chosen.classifier().class_names();
    let predictions = logits
        .outer_iter()
        .enumerate()
        .map(|(index, row)| {
            let row = row.to_vec();
            let prediction = match top {
                None => Prediction::new(&row, names),
                Some(top) => Prediction::with_top(&row, names, top),
            };
            prediction.ok_or(ApiError::NotFinite { index })
        })
        .collect::<Result<_, _>>()?;
    Ok(Json(Predictions {
        model: chosen.entry.name.clone(),
        version: chosen.entry.version.clone(),
        sha256: chosen.classifier().sha256().to_owned(),
        predictions,
        assumptions: chosen.assumptions,
    }))
}
