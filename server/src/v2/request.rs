use std::borrow::Cow;

use serde::{Deserialize, de::IgnoredAny};
use serde_json::value::RawValue;

use super::{
    error::{ProtocolError, TensorError},
    json::{AtMost, MAX_AXES, MAX_TENSORS, Object, check_depth},
    tensor::{Form, Tensor},
};

/// A request for an inference, as far as it can be understood without the model.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct InferRequest<'a> {
    pub id: Option<String>,
    /// Microseconds.
    pub timeout: Option<u64>,
    /// For the outputs that say nothing about it.
    pub binary: bool,
    pub inputs: Inputs<'a>,
    /// If there are none, all are asked for.
    pub outputs: Vec<RequestedOutput<'a>>,
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Inputs<'a> {
    Named(Vec<Tensor<'a>>),
    /// One row of the only input, without a word about it.
    Raw(&'a [u8]),
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) struct RequestedOutput<'a> {
    pub name: Cow<'a, str>,
    pub binary: Option<bool>,
    /// How many classes, instead of the tensor.
    pub classes: Option<usize>,
}

#[derive(Deserialize)]
struct Head<'a> {
    #[serde(default)]
    id: Option<String>,
    #[serde(default)]
    parameters: Option<Object<RequestParameters>>,
    #[serde(borrow)]
    inputs: AtMost<Object<HeadInput<'a>>, MAX_TENSORS>,
    #[serde(borrow, default)]
    outputs: Option<AtMost<Object<HeadOutput<'a>>, MAX_TENSORS>>,
}

/// Others are known to some servers (`priority`, `sequence_id`) and mean nothing to a model without a state.
#[derive(Default, Deserialize)]
struct RequestParameters {
    timeout: Option<u64>,
    binary_data_output: Option<bool>,
}

#[derive(Deserialize)]
struct HeadInput<'a> {
    #[serde(borrow)]
    name: Cow<'a, str>,
    shape: AtMost<i64, MAX_AXES>,
    #[serde(borrow)]
    datatype: Cow<'a, str>,
    #[serde(default)]
    parameters: Option<Object<InputParameters>>,
    #[serde(borrow, default)]
    data: Option<&'a RawValue>,
}

#[derive(Default, Deserialize)]
struct InputParameters {
    binary_data_size: Option<usize>,
    shared_memory_region: Option<IgnoredAny>,
}

#[derive(Deserialize)]
struct HeadOutput<'a> {
    #[serde(borrow)]
    name: Cow<'a, str>,
    #[serde(default)]
    parameters: Option<Object<OutputParameters>>,
}

#[derive(Default, Deserialize)]
struct OutputParameters {
    binary_data: Option<bool>,
    classification: Option<usize>,
    shared_memory_region: Option<IgnoredAny>,
}

impl<'a> InferRequest<'a> {
    /// Reads a body that is JSON and, behind its first `json_length` bytes, the binary tensors in order; all of it is JSON where
    /// that is not given, and one raw tensor where it is 0. No tensor may have more than `limit` bytes.
    pub fn decode(
        json_length: Option<usize>,
        body: &'a [u8],
        limit: usize,
    ) -> Result<Self, ProtocolError> {
        let length = json_length.unwrap_or(body.len());
        if json_length == Some(0) {
            return Ok(Self {
                id: None,
                timeout: None,
                binary: true,
                inputs: Inputs::Raw(body),
                outputs: Vec::new(),
            });
        }
        let (json, mut binary) = body
            .split_at_checked(length)
            .ok_or(ProtocolError::ShortBody {
                header: length,
                body: body.len(),
            })?;
        check_depth(json)?;
        let Object(head): Object<Head<'a>> =
            serde_json::from_slice(json).map_err(|error| ProtocolError::Json(error.to_string()))?;
        let mut inputs = Vec::with_capacity(head.inputs.0.len());
        for Object(input) in head.inputs.0 {
            inputs.push(tensor(input, &mut binary, limit)?);
        }
        if !binary.is_empty() {
            return Err(ProtocolError::TrailingBytes(binary.len()));
        }
        let outputs = head.outputs.unwrap_or_default().0.into_iter();
        let Object(parameters) = head.parameters.unwrap_or_default();
        Ok(Self {
            id: head.id,
            // Clients send 0 for none.
            timeout: parameters.timeout.filter(|&timeout| timeout > 0),
            binary: parameters.binary_data_output.unwrap_or(false),
            inputs: Inputs::Named(inputs),
            outputs: outputs.map(requested).collect::<Result<_, _>>()?,
        })
    }
}

/// A tensor, with its data in JSON or at the start of `binary`, which is then behind it.
fn tensor<'a>(
    input: HeadInput<'a>,
    binary: &mut &'a [u8],
    limit: usize,
) -> Result<Tensor<'a>, ProtocolError> {
    let HeadInput { name, shape, .. } = input;
    let Object(parameters) = input.parameters.unwrap_or_default();
    if parameters.shared_memory_region.is_some() {
        return Err(ProtocolError::SharedMemory(name.into_owned()));
    }
    let known_as = name.clone();
    let read = || {
        let form = Form::new(&input.datatype, &shape.0, limit)?;
        match (input.data, parameters.binary_data_size) {
            (Some(data), None) => form.with_json(name, data.get()),
            (None, Some(size)) => {
                let left = binary.len();
                let (data, rest) = binary
                    .split_at_checked(size)
                    .ok_or(TensorError::TooFewBytes { size, left })?;
                *binary = rest;
                form.with_binary(name, data)
            }
            (None, None) => Err(TensorError::NoData),
            (Some(_), Some(_)) => Err(TensorError::TwoData),
        }
    };
    read().map_err(|error| ProtocolError::Tensor {
        name: known_as.into_owned(),
        error,
    })
}

fn requested(Object(output): Object<HeadOutput<'_>>) -> Result<RequestedOutput<'_>, ProtocolError> {
    let Object(parameters) = output.parameters.unwrap_or_default();
    if parameters.shared_memory_region.is_some() {
        return Err(ProtocolError::SharedMemory(output.name.into_owned()));
    }
    Ok(RequestedOutput {
        name: output.name,
        binary: parameters.binary_data,
        classes: parameters.classification.filter(|&classes| classes > 0),
    })
}

#[cfg(test)]
mod tests;
