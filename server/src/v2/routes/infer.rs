use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use axum::{
    body::{Body, Bytes},
    extract::{Path, State},
    http::{Extensions, HeaderMap, HeaderName, header::CONTENT_TYPE},
    response::{IntoResponse, Response},
};
use buckler_runtime::{Classifier, OutputTensor};
use ndarray::{Array2, ArrayD};

use super::Named;
use crate::{
    app::{App, Chosen, blocking},
    error::ApiError,
    openapi::{Binary, InferFailures, InferenceRequest, InferenceResponse},
    request::read_body,
    v2::{
        binding::{Wanted, rows, wanted},
        classification::classification,
        datatype::Datatype,
        error::ProtocolError,
        request::InferRequest,
        response::{InferResponse, Output},
        statistics::Attempt,
        tensor::Tensor,
    },
};

const JSON_LENGTH: HeaderName = HeaderName::from_static("inference-header-content-length");

/// `POST /v2/models/{model}[/versions/{version}]/infer`
#[utoipa::path(post, path = "/v2/models/{model}/infer", operation_id = "model_infer", tag = "v2", summary = "Logits of tensors",
    params(
        ("model" = String, Path),
        ("inference-header-content-length" = Option<u64>, Header, description = "The length of the JSON, in bytes and decompressed, where \
            binary tensors follow it; 0 for a body that is one row of the input and nothing else."),
    ),
    request_body(
        description = "JSON alone, or with binary tensors behind it in the order of the inputs; gzip and deflate are undone.",
        content((InferenceRequest = "application/json"), (inline(Binary) = "application/octet-stream"))
    ),
    responses(
        (status = 200, description = "JSON alone, or with the binary tensors behind it that were asked for.",
            headers(("inference-header-content-length" = u64, description = "The length of the JSON, where binary tensors follow it.")),
            content((InferenceResponse = "application/json"), (inline(Binary) = "application/octet-stream"))),
        InferFailures,
))]
pub(crate) async fn infer(
    State(app): State<Arc<App>>,
    Path(named): Path<Named>,
    headers: HeaderMap,
    extensions: Extensions,
    body: Body,
) -> Result<Response, ApiError> {
    let start = Instant::now();
    let body = read_body(&app, &headers, &extensions, body).await?;
    let chosen = app.choose(Some(&named.model), named.version.as_deref())?;
    let statistics = app.statistics.of(&chosen.entry.name, &chosen.entry.version);
    let attempt = Attempt::new(statistics, start);
    let json_length = json_length(&headers)?;
    let limit = app.config.max_body_bytes;
    let classifier = chosen.classifier().clone();

    let read = Instant::now();
    let query = app
        .decoding(move || Ok(Query::of(json_length, &body, limit, &classifier)?))
        .await?;
    let Query { id, wanted, .. } = query;
    let input = read.elapsed();
    let count = query.rows.shape().first().copied().unwrap_or(0);

    let names: Vec<String> = wanted.iter().map(|wanted| wanted.name.clone()).collect();
    let inference = chosen.classifier().infer(query.rows, &names);
    let (tensors, timing) = match query.timeout {
        None => inference.await?,
        Some(timeout) => {
            let over = ApiError::Timeout(timeout);
            // Timers are too coarse to tell a time that has passed already.
            match timeout.checked_sub(start.elapsed()) {
                None => return Err(over),
                Some(left) => tokio::time::timeout(left, inference)
                    .await
                    .map_err(|_| over)??,
            }
        }
    };

    let answered = Instant::now();
    let response = blocking(move || Ok(answer(&chosen, id.as_deref(), &wanted, tensors)?)).await?;
    attempt.succeed(count, timing, input, answered.elapsed());
    Ok(response)
}

fn json_length(headers: &HeaderMap) -> Result<Option<usize>, ProtocolError> {
    let Some(value) = headers.get(JSON_LENGTH) else {
        return Ok(None);
    };
    let text = String::from_utf8_lossy(value.as_bytes());
    match text.parse() {
        Ok(length) => Ok(Some(length)),
        Err(_) => Err(ProtocolError::HeaderLength(text.into_owned())),
    }
}

/// What a request asks of its model.
struct Query {
    id: Option<String>,
    timeout: Option<Duration>,
    rows: ArrayD<f32>,
    wanted: Vec<Wanted>,
}

impl Query {
    fn of(
        json_length: Option<usize>,
        body: &Bytes,
        limit: usize,
        classifier: &Classifier,
    ) -> Result<Self, ProtocolError> {
        let request = InferRequest::decode(json_length, body, limit)?;
        let tensors = classifier.tensors();
        Ok(Self {
            wanted: wanted(&request.outputs, request.binary, tensors)?,
            rows: rows(&request.inputs, tensors)?,
            id: request.id,
            timeout: request.timeout.map(Duration::from_micros),
        })
    }
}

fn answer(
    chosen: &Chosen,
    id: Option<&str>,
    wanted: &[Wanted],
    tensors: Vec<OutputTensor>,
) -> Result<Response, ProtocolError> {
    let mut outputs = Vec::with_capacity(tensors.len());
    for (wanted, tensor) in wanted.iter().zip(tensors) {
        let tensor = match wanted.classes {
            Some(classes) => ranked(chosen, &wanted.name, &tensor, classes),
            None => Tensor {
                name: tensor.name.into(),
                datatype: Datatype::of_elements(tensor.dtype),
                shape: tensor.shape,
                data: tensor.data.into(),
            },
        };
        outputs.push(Output {
            tensor,
            binary: wanted.binary,
        });
    }
    let response = InferResponse {
        model_name: &chosen.entry.name,
        model_version: &chosen.entry.version,
        id,
        outputs: &outputs,
        run_alone: chosen.classifier().depends_on_batch(),
    };
    let (json_length, body) = response.encode()?;
    Ok(match json_length {
        None => ([(CONTENT_TYPE, "application/json")], body).into_response(),
        Some(length) => (
            [
                (CONTENT_TYPE, "application/octet-stream".to_owned()),
                (JSON_LENGTH, length.to_string()),
            ],
            body,
        )
            .into_response(),
    })
}

/// The highest classes of the output with the logits, whose rows may have axes of size 1 beside the classes.
fn ranked<'a>(chosen: &Chosen, name: &'a str, tensor: &OutputTensor, classes: usize) -> Tensor<'a> {
    let (values, _) = tensor.data.as_chunks();
    let values: Vec<f32> = values
        .iter()
        .map(|&bytes| f32::from_le_bytes(bytes))
        .collect();
    let rows = tensor.shape.first().copied().unwrap_or(0);
    let columns = values.len() / rows.max(1);
    let rows = Array2::from_shape_vec((rows, columns), values).unwrap_or_default();
    // Without names in the card the classes' names are their numbers, which are there already.
    let labels = &chosen.classifier().card().classes;
    classification(name, rows.view(), classes, labels)
}
