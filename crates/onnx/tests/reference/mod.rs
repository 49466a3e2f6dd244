//! A reference evaluator in double precision: naive loops, written from the operator specification alone. It shares no code with
//! the rules that it judges.
#![allow(
    dead_code,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    missing_docs
)]

mod elementwise;
mod linear;
pub mod net;
mod normalization;
pub mod query;
mod ranking;
mod resizing;
mod shaping;
mod spatial;
pub mod tensor;

use std::collections::HashMap;

use buckler_onnx::proto::{GraphProto, NodeProto};
use proptest::test_runner::Config;
use tensor::Tensor;

/// As many cases, and no files with failed seeds: a failure prints its input.
pub fn cases(count: u32) -> Config {
    Config {
        cases: count,
        failure_persistence: None,
        ..Config::default()
    }
}

/// Runs a graph whose nodes are in order; returns all its tensors.
pub fn run(graph: &GraphProto, inputs: &[(&str, Tensor)]) -> HashMap<String, Tensor> {
    let mut tensors: HashMap<String, Tensor> = HashMap::new();
    for initializer in &graph.initializer {
        tensors.insert(initializer.name.clone(), Tensor::stored(initializer));
    }
    for (name, tensor) in inputs {
        tensors.insert(name.to_string(), tensor.clone());
    }
    for node in &graph.node {
        let given = node
            .input
            .iter()
            .map(|name| (!name.is_empty()).then(|| tensors[name].clone()))
            .collect();
        let results = Call {
            node,
            inputs: given,
        }
        .run();
        for (name, result) in node.output.iter().zip(results) {
            tensors.insert(name.clone(), result);
        }
    }
    tensors
}

/// A node with its inputs.
pub struct Call<'a> {
    node: &'a NodeProto,
    inputs: Vec<Option<Tensor>>,
}

impl Call<'_> {
    fn run(&self) -> Vec<Tensor> {
        let operator = self.node.op_type.as_str();
        elementwise::run(self, operator)
            .or_else(|| linear::run(self, operator))
            .or_else(|| normalization::run(self, operator))
            .or_else(|| spatial::run(self, operator))
            .or_else(|| resizing::run(self, operator))
            .or_else(|| shaping::run(self, operator))
            .or_else(|| ranking::run(self, operator))
            .unwrap_or_else(|| panic!("the reference does not know {operator}"))
    }

    fn x(&self) -> &Tensor {
        self.input(0)
    }

    fn input(&self, index: usize) -> &Tensor {
        self.optional(index).expect("a required input")
    }

    fn optional(&self, index: usize) -> Option<&Tensor> {
        self.inputs.get(index)?.as_ref()
    }

    fn int(&self, name: &str, default: i64) -> i64 {
        self.attribute(name)
            .map_or(default, |attribute| attribute.i.unwrap())
    }

    fn float(&self, name: &str, default: f64) -> f64 {
        self.attribute(name)
            .map_or(default, |attribute| attribute.f.unwrap().into())
    }

    fn ints(&self, name: &str) -> Option<Vec<i64>> {
        Some(self.attribute(name)?.ints.clone())
    }

    fn string(&self, name: &str) -> Option<String> {
        Some(String::from_utf8(self.attribute(name)?.s.as_ref()?.to_vec()).unwrap())
    }

    fn attribute(&self, name: &str) -> Option<&buckler_onnx::proto::AttributeProto> {
        self.node
            .attribute
            .iter()
            .find(|attribute| attribute.name == name)
    }

    /// An axis of the first input, counted from the front.
    fn axis(&self, name: &str, default: i64) -> usize {
        let axis = self.int(name, default);
        (if axis < 0 {
            axis + self.x().dims.len() as i64
        } else {
            axis
        }) as usize
    }
}
