use std::sync::Arc;

use axum::{
    Json,
    extract::{Path, State},
};
use serde_json::{Value, json};

use super::Named;
use crate::{app::App, error::ApiError, v2::datatype::Datatype};

/// `GET /v2`
pub(super) async fn server() -> Json<Value> {
    Json(json!({
        "name": "buckler",
        "version": env!("CARGO_PKG_VERSION"),
        "extensions": ["binary_tensor_data", "classification", "model_repository", "statistics"],
    }))
}

/// `GET /v2/models/{model}[/versions/{version}]`
pub(super) async fn model(
    State(app): State<Arc<App>>,
    Path(named): Path<Named>,
) -> Result<Json<Value>, ApiError> {
    let chosen = app.choose(Some(&named.model), named.version.as_deref())?;
    let tensors = chosen.classifier().tensors();
    let batch_and = |row: &[usize]| {
        let row = row.iter().map(|&size| json!(size));
        Value::from_iter(std::iter::once(json!(-1)).chain(row))
    };
    let tensor = |name: &str, row: &[usize]| json!({ "name": name, "datatype": Datatype::Fp32.name(), "shape": batch_and(row) });
    Ok(Json(json!({
        "name": chosen.entry.name,
        "versions": [chosen.entry.version],
        "platform": "onnxruntime_onnx",
        "inputs": [tensor(tensors.input, tensors.row)],
        "outputs": [tensor(tensors.output, &[tensors.classes])],
    })))
}
