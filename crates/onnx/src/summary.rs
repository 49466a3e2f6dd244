use std::collections::{BTreeMap, HashSet};

use serde::Serialize;

use crate::{
    Model, flops,
    interface::kind,
    model::is_onnx_domain,
    proto::{DataType, TensorProto, ValueInfoProto},
    shape,
};

/// What a model is made of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Summary {
    /// What goes in; stored tensors that a file lists among its inputs are left out.
    pub inputs: Vec<Port>,
    /// What comes out.
    pub outputs: Vec<Port>,
    /// How often each operator occurs; those of foreign domains with the domain in front.
    pub operators: BTreeMap<String, usize>,
    /// Number of stored floating-point values.
    pub parameters: u64,
    /// Floating-point operations of one forward pass for one image, two for each product of a convolution or matrix product;
    /// absent where the shapes do not tell.
    pub flops: Option<u64>,
    /// Version of ONNX's own operator set.
    pub opset: i64,
    /// Version of the file format.
    pub ir_version: i64,
    /// The tool that wrote the file, with its version.
    pub producer: String,
}

/// An input or output.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Port {
    /// Its name.
    pub name: String,
    /// Element type, such as `float32`.
    pub dtype: String,
    /// Sizes and symbols, `?` where neither is known; absent when the rank is not known.
    pub shape: Option<Vec<String>>,
}

impl Summary {
    /// Looks through a model.
    pub fn of(model: &Model) -> Self {
        let graph = model.graph();
        let header = model.header();
        let stored: HashSet<&str> = graph
            .initializer
            .iter()
            .map(|tensor| tensor.name.as_str())
            .collect();
        let inputs = graph
            .input
            .iter()
            .filter(|input| !stored.contains(input.name.as_str()));
        let mut operators = BTreeMap::new();
        for node in &graph.node {
            let name = match is_onnx_domain(&node.domain) {
                true => node.op_type.clone(),
                false => format!("{}.{}", node.domain, node.op_type),
            };
            *operators.entry(name).or_default() += 1;
        }
        let attributes = graph.node.iter().flat_map(|node| &node.attribute);
        let tensors = graph
            .initializer
            .iter()
            .chain(attributes.filter_map(|attribute| attribute.t.as_ref()));
        Self {
            inputs: inputs.map(port).collect(),
            outputs: graph.output.iter().map(port).collect(),
            operators,
            parameters: tensors.map(floats).fold(0, u64::saturating_add),
            flops: flops::of(model),
            opset: model.opset(),
            ir_version: header.ir_version,
            producer: format!("{} {}", header.producer_name, header.producer_version)
                .trim()
                .into(),
        }
    }
}

fn port(info: &ValueInfoProto) -> Port {
    Port {
        name: info.name.clone(),
        dtype: kind(info).name().into(),
        shape: shape::declared(info).map(|dims| dims.iter().map(shape::Dim::to_string).collect()),
    }
}

fn floats(tensor: &TensorProto) -> u64 {
    match DataType::try_from(tensor.data_type) {
        Ok(DataType::Float | DataType::Double | DataType::Float16 | DataType::Bfloat16) => tensor
            .dims
            .iter()
            .map(|dim| dim.unsigned_abs())
            .fold(1, u64::saturating_mul),
        _ => 0,
    }
}
