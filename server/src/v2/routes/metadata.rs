use std::{iter, sync::Arc};

use axum::extract::{Path, State};
use buckler_runtime::OutputPort;
use serde::Serialize;
use utoipa::ToSchema;

use super::Named;
use crate::{
    app::App,
    error::ApiError,
    json::Json,
    openapi::{V2Failures, V2ModelFailures},
    v2::datatype::Datatype,
};

/// Every model is run by ONNX Runtime.
pub(super) const PLATFORM: &str = "onnxruntime_onnx";

#[derive(Serialize, ToSchema)]
pub(crate) struct ServerMetadata {
    name: &'static str,
    version: &'static str,
    extensions: [&'static str; 4],
}

#[derive(Serialize, ToSchema)]
pub(crate) struct ModelMetadata {
    name: String,
    versions: [String; 1],
    platform: &'static str,
    inputs: [TensorMetadata; 1],
    /// All of the model's own.
    outputs: Vec<TensorMetadata>,
    #[serde(skip_serializing_if = "Option::is_none")]
    parameters: Option<ModelParameters>,
}

#[derive(Serialize, ToSchema)]
struct ModelParameters {
    /// What was decided and assumed about the model, with `; ` between.
    assumptions: String,
}

#[derive(Serialize, ToSchema)]
struct TensorMetadata {
    name: String,
    datatype: &'static str,
    /// -1 stands for any number, such as that of the rows.
    shape: Vec<i64>,
}

impl TensorMetadata {
    fn of(name: &str, row: &[usize]) -> Self {
        let row = row.iter().map(|&size| size as i64);
        Self {
            name: name.to_owned(),
            datatype: Datatype::Fp32.name(),
            shape: iter::once(-1).chain(row).collect(),
        }
    }

    fn of_output(port: &OutputPort) -> Self {
        let sizes = port.shape.iter().flatten();
        let size = |size: &Option<usize>| size.map_or(-1, |size| size as i64);
        Self {
            name: port.name.clone(),
            datatype: Datatype::of_elements(port.dtype).name(),
            shape: sizes.map(size).collect(),
        }
    }
}

/// `GET /v2`
#[utoipa::path(get, path = "/v2", operation_id = "server_metadata", tag = "v2", summary = "The server and its extensions", responses(
    (status = 200, body = ServerMetadata),
    V2Failures,
))]
pub(crate) async fn server() -> Json<ServerMetadata> {
    Json(ServerMetadata {
        name: "buckler",
        version: env!("CARGO_PKG_VERSION"),
        extensions: [
            "binary_tensor_data",
            "classification",
            "model_repository",
            "statistics",
        ],
    })
}

/// `GET /v2/models/{model}[/versions/{version}]`
#[utoipa::path(get, path = "/v2/models/{model}", operation_id = "model_metadata", tag = "v2", summary = "A model's tensors",
    params(("model" = String, Path)), responses(
    (status = 200, body = ModelMetadata),
    V2ModelFailures,
))]
pub(crate) async fn model(
    State(app): State<Arc<App>>,
    Path(named): Path<Named>,
) -> Result<Json<ModelMetadata>, ApiError> {
    let chosen = app.choose(Some(&named.model), named.version.as_deref())?;
    let tensors = chosen.classifier().tensors();
    let classifier = chosen.classifier();
    let own = classifier.assumptions().iter().cloned();
    // Outputs beside the logits are given by this protocol alone.
    let assumptions: Vec<String> = own.chain(classifier.outputs_left_out()).collect();
    Ok(Json(ModelMetadata {
        name: chosen.entry.name.clone(),
        versions: [chosen.entry.version.clone()],
        platform: PLATFORM,
        inputs: [TensorMetadata::of(tensors.input, tensors.row)],
        outputs: tensors
            .outputs
            .iter()
            .map(TensorMetadata::of_output)
            .collect(),
        parameters: (!assumptions.is_empty()).then(|| ModelParameters {
            assumptions: assumptions.join("; "),
        }),
    }))
}
