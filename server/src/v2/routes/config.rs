use std::sync::Arc;

use axum::extract::{Path, State};
use buckler_onnx::Layout;
use buckler_runtime::OutputPort;
use serde::Serialize;
use utoipa::ToSchema;

use super::{Named, metadata::PLATFORM};
use crate::{app::App, error::ApiError, json::Json, openapi::V2ModelFailures};

/// What Triton's model configuration says of a model.
#[derive(Serialize, ToSchema)]
pub(crate) struct ModelConfig {
    name: String,
    platform: &'static str,
    backend: &'static str,
    /// Requests of more rows are cut into batches of so many.
    max_batch_size: usize,
    dynamic_batching: DynamicBatching,
    input: [InputConfig; 1],
    output: Vec<OutputConfig>,
}

/// Rows of all requests are merged, and never waited for.
#[derive(Serialize, ToSchema)]
struct DynamicBatching {}

#[derive(Serialize, ToSchema)]
struct InputConfig {
    name: String,
    data_type: &'static str,
    format: Format,
    /// Of one row.
    dims: Vec<usize>,
}

#[derive(Serialize, ToSchema)]
enum Format {
    #[serde(rename = "FORMAT_NCHW")]
    ChannelsFirst,
    #[serde(rename = "FORMAT_NHWC")]
    ChannelsLast,
    #[serde(rename = "FORMAT_NONE")]
    Flat,
}

#[derive(Serialize, ToSchema)]
struct OutputConfig {
    name: String,
    data_type: &'static str,
    /// Of one row; -1 stands for any number.
    dims: Vec<i64>,
}

impl OutputConfig {
    fn of(port: &OutputPort) -> Self {
        let sizes = port.shape.iter().flatten().skip(1);
        Self {
            name: port.name.clone(),
            data_type: match port.dtype {
                "bool" => "TYPE_BOOL",
                "uint8" => "TYPE_UINT8",
                "uint16" => "TYPE_UINT16",
                "uint32" => "TYPE_UINT32",
                "uint64" => "TYPE_UINT64",
                "int8" => "TYPE_INT8",
                "int16" => "TYPE_INT16",
                "int32" => "TYPE_INT32",
                "int64" => "TYPE_INT64",
                "float64" => "TYPE_FP64",
                _ => "TYPE_FP32",
            },
            dims: sizes
                .map(|size| size.map_or(-1, |size| size as i64))
                .collect(),
        }
    }
}

/// `GET /v2/models/{model}[/versions/{version}]/config`: what Triton's model configuration says of such a model.
#[utoipa::path(get, path = "/v2/models/{model}/config", operation_id = "model_config", tag = "v2", summary = "Configuration of a model",
    params(("model" = String, Path)), responses(
    (status = 200, body = ModelConfig),
    V2ModelFailures,
))]
pub(crate) async fn config(
    State(app): State<Arc<App>>,
    Path(named): Path<Named>,
) -> Result<Json<ModelConfig>, ApiError> {
    let chosen = app.choose(Some(&named.model), named.version.as_deref())?;
    let tensors = chosen.classifier().tensors();
    let data_type = "TYPE_FP32";
    Ok(Json(ModelConfig {
        name: chosen.entry.name.clone(),
        platform: PLATFORM,
        backend: "onnxruntime",
        max_batch_size: app.config.load.max_batch,
        dynamic_batching: DynamicBatching {},
        input: [InputConfig {
            name: tensors.input.to_owned(),
            data_type,
            format: match tensors.layout {
                Some(Layout::ChannelsFirst) => Format::ChannelsFirst,
                Some(Layout::ChannelsLast) => Format::ChannelsLast,
                None => Format::Flat,
            },
            dims: tensors.row.to_vec(),
        }],
        output: tensors.outputs.iter().map(OutputConfig::of).collect(),
    }))
}
