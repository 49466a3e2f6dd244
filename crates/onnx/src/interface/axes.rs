//! Sizes and names of the input's axes, written into a graph.
use std::collections::HashMap;

use crate::proto::{
    GraphProto, ValueInfoProto,
    tensor_shape_proto::{Dimension, dimension},
    type_proto,
};

/// Writes the sizes after the batch into the input where it leaves them open, and wherever else their names stand; whether there was
/// one.
pub(super) fn fix(graph: &mut GraphProto, name: &str, row: &[usize]) -> bool {
    let mut names: HashMap<String, i64> = HashMap::new();
    let mut fixed = false;
    for input in graph.input.iter_mut().filter(|input| input.name == name) {
        let dims = dims_mut(input);
        let first = dims.first().and_then(|dim| dim.value.clone());
        for (dim, &size) in dims.iter_mut().skip(1).zip(row) {
            let size = i64::try_from(size).unwrap_or(i64::MAX);
            match &dim.value {
                Some(dimension::Value::DimValue(known)) if *known >= 0 => continue,
                Some(dimension::Value::DimParam(name)) if dim.value != first => {
                    names.insert(name.clone(), size);
                }
                _ => (),
            }
            dim.value = Some(dimension::Value::DimValue(size));
            fixed = true;
        }
    }
    // Two sizes of one name cannot both be meant.
    names.retain(|name, _| !name.is_empty() && !name.contains('?'));
    for info in graph.output.iter_mut().chain(&mut graph.value_info) {
        for dim in dims_mut(info) {
            if let Some(dimension::Value::DimParam(name)) = &dim.value
                && let Some(size) = names.get(name)
            {
                dim.value = Some(dimension::Value::DimValue(*size));
            }
        }
    }
    fixed
}

fn dims_mut(info: &mut ValueInfoProto) -> &mut [Dimension] {
    let kind = info.r#type.as_mut().and_then(|kind| kind.value.as_mut());
    match kind {
        Some(type_proto::Value::TensorType(tensor)) => match &mut tensor.shape {
            Some(shape) => &mut shape.dim,
            None => &mut [],
        },
        _ => &mut [],
    }
}

/// Gives the first axis of the inputs a name where it has neither name nor size.
pub(crate) fn name_batch(graph: &mut GraphProto) {
    let is_batch = |dim: &Dimension| dim.value == Some(dimension::Value::DimParam("batch".into()));
    for input in &mut graph.input {
        let Some(type_proto::Value::TensorType(tensor)) =
            input.r#type.as_mut().and_then(|kind| kind.value.as_mut())
        else {
            continue;
        };
        let Some(shape) = &mut tensor.shape else {
            continue;
        };
        let taken = shape.dim.iter().any(is_batch);
        if let Some(first) = shape.dim.first_mut().filter(|_| !taken) {
            let open = match &first.value {
                None => true,
                Some(dimension::Value::DimParam(name)) => name.is_empty() || name.starts_with('?'),
                Some(dimension::Value::DimValue(size)) => *size < 0,
            };
            if open {
                first.value = Some(dimension::Value::DimParam("batch".into()));
            }
        }
    }
}
