//! The Open Inference Protocol V2 as its documents say it: requests and answers of inferences, which are read and written piece by
//! piece, and the paths that name a version.
#![expect(
    dead_code,
    reason = "requests are read and answers written without these; the document alone reads them"
)]
use serde_json::Value;
use utoipa::{
    ToSchema,
    openapi::{
        OpenApi, RefOr, Required,
        path::{Operation, Parameter, ParameterBuilder, ParameterIn},
    },
};

/// For `POST /v2/models/{model}/infer`.
#[derive(ToSchema)]
pub(crate) struct InferenceRequest {
    /// Comes back with the answer.
    id: Option<String>,
    parameters: Option<InferenceParameters>,
    inputs: Vec<InputTensor>,
    /// All outputs where it is left out.
    outputs: Option<Vec<WantedOutput>>,
}

/// Others are passed over.
#[derive(ToSchema)]
struct InferenceParameters {
    /// Microseconds after which there is to be no answer; 0 for none.
    timeout: Option<u64>,
    /// For the outputs that say nothing about it.
    #[schema(default = false)]
    binary_data_output: Option<bool>,
}

/// With `data` or `binary_data_size`.
#[derive(ToSchema)]
struct InputTensor {
    name: String,
    /// The first size is the number of rows.
    shape: Vec<u64>,
    /// Models take FP32.
    datatype: String,
    /// Flat or nested as the shape says, row-major.
    data: Option<Vec<Value>>,
    parameters: Option<BinaryData>,
}

#[derive(ToSchema)]
struct BinaryData {
    /// In bytes.
    binary_data_size: u64,
}

#[derive(ToSchema)]
struct WantedOutput {
    name: String,
    parameters: Option<OutputParameters>,
}

#[derive(ToSchema)]
struct OutputParameters {
    binary_data: Option<bool>,
    /// So many classes as BYTES, `value:index[:name]`, the most probable first, instead of the logits.
    classification: Option<u64>,
}

/// Of `POST /v2/models/{model}/infer`.
#[derive(ToSchema)]
pub(crate) struct InferenceResponse {
    model_name: String,
    model_version: String,
    /// The request's.
    id: Option<String>,
    outputs: Vec<OutputTensor>,
    /// Where every row was run alone, since the model answers a row otherwise among others.
    parameters: Option<RunAlone>,
}

#[derive(ToSchema)]
struct RunAlone {
    /// Always true.
    rows_run_alone: bool,
}

/// With `data` or `binary_data_size`.
#[derive(ToSchema)]
struct OutputTensor {
    name: String,
    shape: Vec<u64>,
    datatype: String,
    /// Flat, row-major.
    data: Option<Vec<Value>>,
    parameters: Option<BinaryData>,
}

/// JSON with tensors behind it, or a tensor alone.
#[derive(ToSchema)]
#[schema(value_type = String, format = Binary)]
pub(crate) struct Binary(Vec<u8>);

/// How every request below `/v2` fails.
#[derive(ToSchema)]
pub(crate) struct ProtocolFailure {
    /// The value, the limit and the remedy.
    error: String,
}

const MODEL: &str = "/v2/models/{model}";

/// Whatever can be asked of a model can be asked of a version of it.
pub(super) fn add_versions(document: &mut OpenApi) {
    let paths = &mut document.paths.paths;
    let of_model: Vec<_> = paths
        .iter()
        .filter_map(|(path, item)| Some((path.strip_prefix(MODEL)?.to_owned(), item.clone())))
        .collect();
    for (rest, mut item) in of_model {
        for operation in [&mut item.get, &mut item.post].into_iter().flatten() {
            name_version(operation);
        }
        paths.insert(format!("{MODEL}/versions/{{version}}{rest}"), item);
    }
}

fn name_version(operation: &mut Operation) {
    let version: Parameter = ParameterBuilder::new()
        .name("version")
        .parameter_in(ParameterIn::Path)
        .required(Required::True)
        .schema(Some(utoipa::schema!(String)))
        .build();
    let parameters = operation.parameters.get_or_insert_default();
    parameters.push(RefOr::T(version));
    if let Some(id) = &mut operation.operation_id {
        id.push_str("_of_version");
    }
}
