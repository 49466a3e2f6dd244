//! An image as a binary tensor of the Open Inference Protocol V2 (its extension "Binary Tensor Data").

use reqwest::{Client, Request, Url, header::HeaderValue};
use serde::Deserialize;
use serde_json::json;

use crate::{
    Image, LoadError,
    ask::{below, post},
};

const HEADER_LENGTH: &str = "inference-header-content-length";

#[derive(Deserialize)]
struct Metadata {
    inputs: Vec<Input>,
}

#[derive(Deserialize)]
struct Input {
    name: String,
    datatype: String,
    shape: Vec<i64>,
}

/// Asks the server for the model's input, and makes the request of it.
pub(crate) async fn request(
    client: &Client,
    base: &Url,
    image: &Image,
) -> Result<Request, LoadError> {
    let Some(model) = &image.model else {
        return Err(LoadError::Plan(
            "infer needs the name of a model: give it".to_owned(),
        ));
    };
    let input = input(client, base, model).await?;
    let mut pixels = pixels(&image.file, &input)?;
    let one = pixels.len();
    for _ in 1..image.copies {
        pixels.extend_from_within(..one);
    }
    let shape: Vec<i64> = std::iter::once(image.copies as i64)
        .chain(input.shape.iter().skip(1).copied())
        .collect();
    let header = json!({
        "inputs": [{
            "name": input.name, "datatype": "FP32", "shape": shape, "parameters": { "binary_data_size": pixels.len() },
        }],
        "parameters": { "binary_data_output": true },
    });
    let mut body = header.to_string().into_bytes();
    let length = body.len();
    body.extend(pixels);
    let url = below(base, &["v2", "models", model, "infer"])?;
    let mut request = post(url, body, "application/octet-stream")?;
    let headers = request.headers_mut();
    headers.insert(HEADER_LENGTH, HeaderValue::from(length));
    Ok(request)
}

async fn input(client: &Client, base: &Url, model: &str) -> Result<Input, LoadError> {
    let url = below(base, &["v2", "models", model])?;
    let unreachable = |reason: String| LoadError::Unreachable {
        url: url.to_string(),
        reason,
    };
    let answer = client.get(url.clone()).send().await;
    let answer = answer
        .and_then(reqwest::Response::error_for_status)
        .map_err(|error| unreachable(error.to_string()))?;
    let metadata: Metadata = answer
        .json()
        .await
        .map_err(|error| unreachable(format!("its answer is no metadata of a model, {error}")))?;
    let input = metadata.inputs.into_iter().next();
    input.ok_or_else(|| LoadError::Tensor(format!("the model `{model}` names no inputs")))
}

/// Pixels in `[0, 1]`, channels first, little-endian.
fn pixels(file: &[u8], input: &Input) -> Result<Vec<u8>, LoadError> {
    let broken = |message: String| Err(LoadError::Tensor(message));
    let Input {
        name,
        datatype,
        shape,
    } = input;
    let (1.. | -1, [channels @ (1 | 3), height, width]) = (
        shape.first().copied().unwrap_or_default(),
        shape.get(1..).unwrap_or_default(),
    ) else {
        return broken(format!(
            "the input `{name}` has the shape {shape:?}, and only [batch, 1 or 3, height, width] is known: send a body of your own"
        ));
    };
    if datatype != "FP32" {
        return broken(format!(
            "the input `{name}` is {datatype}, and only FP32 is known: send a body of your own"
        ));
    }
    let image =
        image::load_from_memory(file).map_err(|error| LoadError::Tensor(error.to_string()))?;
    if (i64::from(image.width()), i64::from(image.height())) != (*width, *height) {
        return broken(format!(
            "it is {} wide and {} high, and the input `{name}` wants {width} and {height}: give one of that size",
            image.width(),
            image.height()
        ));
    }
    let interleaved = match channels {
        1 => image.to_luma8().into_raw(),
        _ => image.to_rgb8().into_raw(),
    };
    let channels = *channels as usize;
    let planes =
        (0..channels).flat_map(|channel| interleaved.iter().skip(channel).step_by(channels));
    let scaled = planes.flat_map(|&value| (f32::from(value) / 255.0).to_le_bytes());
    Ok(scaled.collect())
}
