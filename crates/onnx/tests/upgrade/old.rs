//! A classifier whose weights are computed by a node of an older operator set.

use std::collections::HashMap;

use buckler_onnx::{
    Dim, Model, differentiate,
    proto::{AttributeProto, GraphProto, NodeProto},
};

use crate::{
    forms,
    reference::{
        net::{Net, Query, Random, close},
        run,
        tensor::Tensor,
    },
};

/// A tensor: its shape, and its elements.
pub type Stored<'a> = (&'a [usize], &'a [f32]);

/// Pixels of an image `[n, 1, 2, 2]`.
const PIXELS: usize = 4;

/// A node whose last output, of some elements, is what the weights of a linear classifier are made of.
pub struct Old {
    opset: i64,
    pub model: Model,
    output: String,
}

impl Old {
    pub fn new(
        opset: i64,
        operator: &str,
        inputs: &[Stored<'_>],
        attributes: &[AttributeProto],
        elements: usize,
    ) -> Self {
        Self::edited(opset, operator, inputs, attributes, elements, |_| ())
    }

    /// With a node that is changed at the end.
    pub fn edited(
        opset: i64,
        operator: &str,
        inputs: &[Stored<'_>],
        attributes: &[AttributeProto],
        elements: usize,
        edit: impl Fn(&mut NodeProto),
    ) -> Self {
        let mut net = Net::new([2, 1, 2, 2], 5).with_opset(opset);
        let inputs: Vec<String> = inputs
            .iter()
            .map(|(dims, values)| net.floats(dims, values))
            .collect();
        let inputs: Vec<&str> = inputs.iter().map(String::as_str).collect();
        let output = net.op(operator, &inputs, attributes);
        let (column, matrix) = (
            net.ints(&[elements as i64, 1]),
            net.ints(&[PIXELS as i64, 3]),
        );
        let column = net.op("Reshape", &[&output, &column], []);
        let mix = net.weights(&[3 * PIXELS, elements]);
        let weights = net.op("MatMul", &[&mix, &column], []);
        let weights = net.op("Reshape", &[&weights, &matrix], []);
        let flat = net.op("Flatten", &["image"], []);
        let logits = net.op("MatMul", &[&flat, &weights], []);
        let shape = [Dim::Symbol("n".into()), Dim::Known(3)];
        let mut proto = net.finish(&logits, Some(&shape)).to_proto();
        edit(&mut proto.graph.as_mut().unwrap().node[0]);
        Self {
            opset,
            model: Model::from_proto(proto).unwrap(),
            output,
        }
    }

    /// Judges the rewritten node by the elements that the old one has to have.
    pub fn computes(&self, expected: &[f64]) {
        let gradient = differentiate(&self.model).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(gradient.opset(), self.opset.max(18));
        let (graph, computed) = fold(gradient.graph());
        let found = &computed
            .iter()
            .find(|(name, _)| *name == self.output)
            .unwrap()
            .1;
        close(&found.data, expected, "the rewritten node");

        // The classifier is linear: its gradient is exact at any distance.
        let random = &mut Random::new(7);
        let query = Query::random(2, 3, random);
        let cotangent = random.tensor(&[2, 3], -1.0, 1.0);
        let ask = |image: &Tensor| {
            let mut inputs: Vec<(&str, Tensor)> = computed
                .iter()
                .map(|(name, tensor)| (name.as_str(), tensor.clone()))
                .collect();
            inputs.extend([
                ("image", image.clone()),
                ("label", Tensor::list(query.labels.clone())),
                ("objective", Tensor::filled(&[2, 2], 0.0)),
                ("cotangent", cotangent.clone()),
            ]);
            let mut tensors = run(&graph, &inputs);
            (
                tensors.remove("loss").unwrap(),
                tensors.remove("gradient").unwrap(),
            )
        };
        let images = [0, 1].map(|_| random.tensor(&[2, 1, 2, 2], 0.0, 1.0));
        let [(here, slopes), (there, _)] = [0, 1].map(|i| ask(&images[i]));
        let risen: Vec<f64> = there
            .data
            .iter()
            .zip(&here.data)
            .map(|(a, b)| a - b)
            .collect();
        let step = images[1].data.iter().zip(&images[0].data);
        let rise: Vec<f64> = step
            .zip(&slopes.data)
            .map(|((a, b), slope)| (a - b) * slope)
            .collect();
        let rise: Vec<f64> = rise.chunks(PIXELS).map(|row| row.iter().sum()).collect();
        close(&rise, &risen, "the gradient");
        assert!(risen.iter().all(|rise| rise.abs() > 1e-6), "{risen:?}");
    }
}

/// Runs the nodes that the reference does not know, all of which read stored tensors; returns the rest and their outputs.
fn fold(graph: &GraphProto) -> (GraphProto, Vec<(String, Tensor)>) {
    let mut graph = graph.clone();
    let mut stored: HashMap<String, Tensor> = graph
        .initializer
        .iter()
        .map(|tensor| (tensor.name.clone(), Tensor::stored(tensor)))
        .collect();
    let mut computed = Vec::new();
    graph.node.retain(|node| {
        let known = node
            .input
            .iter()
            .all(|input| input.is_empty() || stored.contains_key(input));
        let results = match node.op_type.as_str() {
            operator if forms::OPERATORS.contains(&operator) => forms::run(node, &stored),
            // Around a flat softmax.
            "Flatten" | "Shape" | "Reshape" | "ReduceMax" if known => {
                let inputs: Vec<_> = stored
                    .iter()
                    .map(|(name, tensor)| (name.as_str(), tensor.clone()))
                    .collect();
                let alone = GraphProto {
                    node: vec![node.clone()],
                    ..GraphProto::default()
                };
                vec![run(&alone, &inputs).remove(&node.output[0]).unwrap()]
            }
            _ => return true,
        };
        for (name, tensor) in node.output.iter().zip(results) {
            stored.insert(name.clone(), tensor.clone());
            computed.push((name.clone(), tensor));
        }
        false
    });
    (graph, computed)
}
