use super::{
    error::ProtocolError,
    request::{InferRequest, Inputs},
    response::{InferResponse, Output},
    tensor::Tensor,
};

/// For bodies and tensors in them.
const LIMIT: usize = 1 << 20;

/// Reads a body; what is understood is written in binary and, where that is possible, in JSON, and must be read as the same.
pub(crate) fn round_trip(json_length: Option<usize>, body: &[u8]) {
    let Ok(request) = InferRequest::decode(json_length, body, LIMIT) else {
        return;
    };
    let Inputs::Named(tensors) = request.inputs else {
        return;
    };
    for binary in [true, false] {
        match written(&tensors, binary) {
            Ok((json_length, body)) => {
                let again = InferRequest::decode(json_length, &body, usize::MAX);
                let inputs = again.map(|request| request.inputs);
                assert!(inputs == Ok(Inputs::Named(tensors.clone())), "{inputs:?}");
            }
            Err(error) => assert!(!binary, "{error}"),
        }
    }
}

/// Tensors as the inputs of a request, which look like the outputs of a response.
fn written(
    tensors: &[Tensor<'_>],
    binary: bool,
) -> Result<(Option<usize>, Vec<u8>), ProtocolError> {
    let outputs: Vec<_> = tensors
        .iter()
        .map(|tensor| Output {
            tensor: tensor.clone(),
            binary,
        })
        .collect();
    let response = InferResponse {
        model_name: "",
        model_version: "",
        id: None,
        outputs: &outputs,
        run_alone: false,
    };
    let (json_length, mut body) = response.encode()?;
    let (from, to) = (br#""outputs":["#, br#""inputs":["#);
    let place = body.windows(from.len()).position(|part| part == from);
    let place = place.unwrap_or_default();
    body.splice(place..place + from.len(), to.iter().copied());
    Ok((
        json_length.map(|length| length + to.len() - from.len()),
        body,
    ))
}

#[cfg(test)]
mod tests;
