//! What must hold before anything else looks at a graph.

use std::collections::HashSet;

use crate::{
    Error, external,
    model::LARGEST,
    order,
    proto::{AttributeProto, DataType, GraphProto, SparseTensorProto, TensorProto},
};

/// Checks the stored tensors, also those of nodes and their subgraphs, that attributes hold what their type says, and that every
/// tensor is defined once.
pub(crate) fn graph(graph: &GraphProto) -> Result<(), Error> {
    graph.initializer.iter().try_for_each(tensor)?;
    graph.sparse_initializer.iter().try_for_each(sparse)?;
    for node in &graph.node {
        for attribute in &node.attribute {
            attribute.check_type().map_err(|reason| Error::Attribute {
                attribute: attribute.name.clone(),
                node: order::label(node).into(),
                operator: node.op_type.clone(),
                reason,
            })?;
            self::attribute(attribute)?;
        }
    }
    single_definitions(graph)
}

fn attribute(attribute: &AttributeProto) -> Result<(), Error> {
    attribute
        .t
        .iter()
        .chain(&attribute.tensors)
        .try_for_each(tensor)?;
    attribute
        .sparse_tensor
        .iter()
        .chain(&attribute.sparse_tensors)
        .try_for_each(sparse)?;
    attribute
        .g
        .iter()
        .chain(&attribute.graphs)
        .try_for_each(graph)
}

fn sparse(sparse: &SparseTensorProto) -> Result<(), Error> {
    let refused = |reason| {
        let values = sparse.values.as_ref();
        Error::Tensor {
            name: values.map_or_else(String::new, |values| values.name.clone()),
            reason,
        }
    };
    // A runtime fills the whole tensor in.
    let whole = TensorProto {
        dims: sparse.dims.clone(),
        data_type: sparse.values.as_ref().map_or(0, |values| values.data_type),
        ..TensorProto::default()
    };
    let bytes = byte_size(&whole).map_err(refused)?;
    if bytes > LARGEST as u128 {
        return Err(refused(format!(
            "shape {:?} takes {bytes} bytes with its zeros, and at most {LARGEST} are possible",
            sparse.dims
        )));
    }
    sparse
        .values
        .iter()
        .chain(&sparse.indices)
        .try_for_each(tensor)
}

fn single_definitions(graph: &GraphProto) -> Result<(), Error> {
    let mut inputs = HashSet::new();
    let mut initializers = HashSet::new();
    let mut outputs = HashSet::new();
    let duplicate = |name: &str| Error::Duplicate { name: name.into() };
    for input in &graph.input {
        if !inputs.insert(&input.name) {
            return Err(duplicate(&input.name));
        }
    }
    for initializer in &graph.initializer {
        if !initializers.insert(&initializer.name) {
            return Err(duplicate(&initializer.name));
        }
    }
    let results = graph.node.iter().flat_map(|node| &node.output);
    for output in results.filter(|output| !output.is_empty()) {
        if inputs.contains(output) || initializers.contains(output) || !outputs.insert(output) {
            return Err(duplicate(output));
        }
    }
    Ok(())
}

fn tensor(tensor: &TensorProto) -> Result<(), Error> {
    // External data is a location, not bytes to be counted.
    if external::is_external(tensor) {
        return Err(Error::External {
            name: tensor.name.clone(),
            location: external::location(tensor).into(),
        });
    }
    contents(tensor).map_err(|reason| Error::Tensor {
        name: tensor.name.clone(),
        reason,
    })
}

fn contents(tensor: &TensorProto) -> Result<(), String> {
    let (count, kind) = (count(tensor)?, kind(tensor)?);
    match (&tensor.raw_data, kind.bits()) {
        (Some(raw), Some(bits)) if !raw.is_empty() => {
            let expected = byte_count(count, bits);
            mismatch(raw.len(), expected, "bytes", tensor, kind)
        }
        _ => {
            let (stored, expected) = typed(tensor, kind, u128::from(count));
            mismatch(stored, expected, "values", tensor, kind)
        }
    }
}

/// How many bytes the elements of a tensor take, by its shape and element type; refused where these contradict themselves.
pub(crate) fn byte_size(tensor: &TensorProto) -> Result<u128, String> {
    let (count, kind) = (count(tensor)?, kind(tensor)?);
    let bits = kind
        .bits()
        .ok_or_else(|| format!("elements of type {} have no fixed size", kind.name()))?;
    Ok(byte_count(count, bits))
}

fn count(tensor: &TensorProto) -> Result<u64, String> {
    let mut count: u64 = 1;
    for &dim in &tensor.dims {
        let dim = u64::try_from(dim)
            .map_err(|_| format!("dimension {dim} of shape {:?} is negative", tensor.dims))?;
        let product = count.checked_mul(dim);
        count = product.ok_or_else(|| {
            format!(
                "shape {:?} has more elements than can be counted",
                tensor.dims
            )
        })?;
    }
    Ok(count)
}

/// Elements of less than a byte are packed.
fn byte_count(count: u64, bits: u64) -> u128 {
    (u128::from(count) * u128::from(bits)).div_ceil(8)
}

fn kind(tensor: &TensorProto) -> Result<DataType, String> {
    match DataType::try_from(tensor.data_type) {
        Ok(DataType::Undefined) | Err(_) => {
            Err(format!("element type {} is unknown", tensor.data_type))
        }
        Ok(kind) => Ok(kind),
    }
}

/// How many entries the typed field of a tensor has, and how many it should have.
fn typed(tensor: &TensorProto, kind: DataType, count: u128) -> (usize, u128) {
    match kind {
        DataType::Float => (tensor.float_data.len(), count),
        DataType::Complex64 => (tensor.float_data.len(), count * 2),
        DataType::Double => (tensor.double_data.len(), count),
        DataType::Complex128 => (tensor.double_data.len(), count * 2),
        DataType::Int64 => (tensor.int64_data.len(), count),
        DataType::Uint32 | DataType::Uint64 => (tensor.uint64_data.len(), count),
        DataType::String => (tensor.string_data.len(), count),
        DataType::Uint4 | DataType::Int4 | DataType::Float4e2m1 => {
            (tensor.int32_data.len(), count.div_ceil(2))
        }
        DataType::Uint2 | DataType::Int2 => (tensor.int32_data.len(), count.div_ceil(4)),
        _ => (tensor.int32_data.len(), count),
    }
}

fn mismatch(
    stored: usize,
    expected: u128,
    unit: &str,
    tensor: &TensorProto,
    kind: DataType,
) -> Result<(), String> {
    if stored as u128 == expected {
        return Ok(());
    }
    Err(format!(
        "shape {:?} of {} needs {expected} {unit}, {stored} are stored",
        tensor.dims,
        kind.name()
    ))
}
