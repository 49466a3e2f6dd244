use buckler_onnx::printable_json;
use serde::Serialize;

use super::{
    error::ProtocolError,
    tensor::{Elements, Tensor},
};

/// The answer to an inference.
#[derive(Debug)]
pub(crate) struct InferResponse<'a> {
    pub model_name: &'a str,
    pub model_version: &'a str,
    pub id: Option<&'a str>,
    pub outputs: &'a [Output<'a>],
    /// Whether every row was run alone, since the model answers a row otherwise among others.
    pub run_alone: bool,
}

#[derive(Clone, Debug)]
pub(crate) struct Output<'a> {
    pub tensor: Tensor<'a>,
    /// Whether the data comes behind the JSON.
    pub binary: bool,
}

#[derive(Serialize)]
struct Head<'a> {
    model_name: &'a str,
    model_version: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<&'a str>,
    outputs: Vec<HeadOutput<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    parameters: Option<Parameters>,
}

#[derive(Serialize)]
struct Parameters {
    rows_run_alone: bool,
}

#[derive(Serialize)]
struct HeadOutput<'a> {
    name: &'a str,
    shape: &'a [usize],
    datatype: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    parameters: Option<OutputParameters>,
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<Elements<'a>>,
}

#[derive(Serialize)]
struct OutputParameters {
    binary_data_size: usize,
}

impl InferResponse<'_> {
    /// The body and, if there are binary tensors behind it, the length of the JSON at its start.
    pub fn encode(&self) -> Result<(Option<usize>, Vec<u8>), ProtocolError> {
        let head = Head {
            model_name: self.model_name,
            model_version: self.model_version,
            id: self.id,
            outputs: self.outputs.iter().map(head_output).collect(),
            parameters: self.run_alone.then_some(Parameters {
                rows_run_alone: true,
            }),
        };
        let text = serde_json::to_string(&head)
            .map_err(|error| ProtocolError::NotJson(error.to_string()))?;
        let mut body = printable_json(&text).into_owned().into_bytes();
        let length = body.len();
        let binary: Vec<_> = self.outputs.iter().filter(|output| output.binary).collect();
        for output in &binary {
            body.extend_from_slice(&output.tensor.data);
        }
        Ok(((!binary.is_empty()).then_some(length), body))
    }
}

fn head_output<'a>(Output { tensor, binary }: &'a Output<'a>) -> HeadOutput<'a> {
    HeadOutput {
        name: &tensor.name,
        shape: &tensor.shape,
        datatype: tensor.datatype.name(),
        parameters: binary.then_some(OutputParameters {
            binary_data_size: tensor.data.len(),
        }),
        data: (!binary).then_some(Elements(tensor)),
    }
}
