use std::sync::Arc;

use axum::{
    Json,
    extract::{Path, State},
};
use buckler_onnx::Layout;
use serde_json::{Value, json};

use super::Named;
use crate::{app::App, error::ApiError};

/// `GET /v2/models/{model}[/versions/{version}]/config`: what Triton's model configuration says of such a model.
pub(super) async fn config(
    State(app): State<Arc<App>>,
    Path(named): Path<Named>,
) -> Result<Json<Value>, ApiError> {
    let chosen = app.choose(Some(&named.model), named.version.as_deref())?;
    let tensors = chosen.classifier().tensors();
    let format = match tensors.layout {
        Some(Layout::ChannelsFirst) => "FORMAT_NCHW",
        Some(Layout::ChannelsLast) => "FORMAT_NHWC",
        None => "FORMAT_NONE",
    };
    Ok(Json(json!({
        "name": chosen.entry.name,
        "platform": "onnxruntime_onnx",
        "backend": "onnxruntime",
        // Requests of more rows are cut into batches of so many.
        "max_batch_size": app.config.load.max_batch,
        "dynamic_batching": {},
        "input": [{ "name": tensors.input, "data_type": "TYPE_FP32", "format": format, "dims": tensors.row }],
        "output": [{ "name": tensors.output, "data_type": "TYPE_FP32", "dims": [tensors.classes] }],
    })))
}
