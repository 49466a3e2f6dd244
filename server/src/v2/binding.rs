//! A request brought together with the model that is to answer it.
use buckler_runtime::Tensors;
use ndarray::ArrayD;

use super::{
    datatype::Datatype,
    error::ProtocolError,
    request::{Inputs, RequestedOutput},
    tensor::Tensor,
};

/// The rows for the model.
pub(crate) fn rows(inputs: &Inputs<'_>, model: Tensors<'_>) -> Result<ArrayD<f32>, ProtocolError> {
    match inputs {
        Inputs::Named(tensors) => named(tensors, model),
        Inputs::Raw(bytes) => raw(bytes, model),
    }
}

fn named(tensors: &[Tensor<'_>], model: Tensors<'_>) -> Result<ArrayD<f32>, ProtocolError> {
    if let Some(other) = tensors.iter().find(|tensor| tensor.name != model.input) {
        return Err(ProtocolError::UnknownInput {
            name: other.name.clone().into_owned(),
            expected: model.input.to_owned(),
        });
    }
    let name = || model.input.to_owned();
    let tensor = match tensors {
        [] => return Err(ProtocolError::MissingInput(name())),
        [tensor] => tensor,
        _ => return Err(ProtocolError::RepeatedInput(name())),
    };
    if tensor.datatype != Datatype::Fp32 {
        return Err(ProtocolError::WrongDatatype {
            name: name(),
            got: tensor.datatype,
        });
    }
    let wrong_shape = || ProtocolError::WrongShape {
        name: name(),
        got: tensor.shape.clone(),
        expected: shape(model),
    };
    match tensor.shape.split_first() {
        Some((0, _)) => Err(ProtocolError::NoRows(name())),
        Some((_, row)) if row == model.row => {
            ArrayD::from_shape_vec(tensor.shape.as_slice(), floats(&tensor.data))
                .map_err(|_| wrong_shape())
        }
        _ => Err(wrong_shape()),
    }
}

fn raw(bytes: &[u8], model: Tensors<'_>) -> Result<ArrayD<f32>, ProtocolError> {
    let values: usize = model.row.iter().product();
    let wrong_length = || ProtocolError::RawLength {
        name: model.input.to_owned(),
        row: model.row.to_vec(),
        got: bytes.len(),
        expected: values * size_of::<f32>(),
    };
    if bytes.len() != values * size_of::<f32>() {
        return Err(wrong_length());
    }
    let shape = [&[1], model.row].concat();
    ArrayD::from_shape_vec(shape, floats(bytes)).map_err(|_| wrong_length())
}

fn floats(bytes: &[u8]) -> Vec<f32> {
    let (floats, _) = bytes.as_chunks();
    floats
        .iter()
        .map(|&bytes| f32::from_le_bytes(bytes))
        .collect()
}

/// `[-1, 3, 32, 32]`, as the model's metadata says it.
fn shape(model: Tensors<'_>) -> String {
    let row: Vec<_> = model.row.iter().map(|size| format!(", {size}")).collect();
    format!("[-1{}]", row.concat())
}

/// How one of the model's outputs is wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Wanted {
    pub name: String,
    pub binary: bool,
    pub classes: Option<usize>,
}

/// The outputs that are asked for, or all; `binary` is for those that do not say it.
pub(crate) fn wanted(
    outputs: &[RequestedOutput<'_>],
    binary: bool,
    model: Tensors<'_>,
) -> Result<Vec<Wanted>, ProtocolError> {
    let known = model.outputs.iter();
    if outputs.is_empty() {
        let all = known.map(|port| Wanted {
            name: port.name.clone(),
            binary,
            classes: None,
        });
        return Ok(all.collect());
    }
    let mut wanted: Vec<Wanted> = Vec::with_capacity(outputs.len());
    for output in outputs {
        if !model.outputs.iter().any(|port| port.name == output.name) {
            let names: Vec<_> = known.map(|port| format!("`{}`", port.name)).collect();
            return Err(ProtocolError::UnknownOutput {
                name: output.name.clone().into_owned(),
                expected: names.join(", "),
            });
        }
        if wanted.iter().any(|known| known.name == output.name) {
            return Err(ProtocolError::RepeatedOutput(
                output.name.clone().into_owned(),
            ));
        }
        if output.classes.is_some() && output.name != model.output {
            return Err(ProtocolError::NotClasses {
                name: output.name.clone().into_owned(),
                expected: model.output.to_owned(),
            });
        }
        wanted.push(Wanted {
            name: output.name.clone().into_owned(),
            binary: output.binary.unwrap_or(binary),
            classes: output.classes,
        });
    }
    Ok(wanted)
}
