//! A classifier whose weights are computed by a node of an older operator set.

use std::collections::HashMap;

use buckler_onnx::{
    Dim, Model, differentiate,
    proto::{AttributeProto, GraphProto, NodeProto, TensorProto},
};

use crate::{
    forms,
    reference::{
        net::{Net, Random, close},
        query::Query,
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
        let (gradient, computed) = fold(&gradient);
        close(&computed[&self.output].data, expected, "the rewritten node");

        // The classifier is linear: its gradient is exact at any distance.
        let random = &mut Random::new(7);
        let mut query = Query::idle(&gradient, 2);
        query.cotangent = random.tensor(&[2, 3], -1.0, 1.0);
        let images = [0, 1].map(|_| random.tensor(&[2, 1, 2, 2], 0.0, 1.0));
        let [here, there] = [0, 1].map(|i| query.ask(&gradient, &images[i]));
        let risen: Vec<f64> = there
            .loss
            .data
            .iter()
            .zip(&here.loss.data)
            .map(|(a, b)| a - b)
            .collect();
        let step = images[1].data.iter().zip(&images[0].data);
        let rise: Vec<f64> = step
            .zip(&here.gradient.data)
            .map(|((a, b), slope)| (a - b) * slope)
            .collect();
        let rise: Vec<f64> = rise.chunks(PIXELS).map(|row| row.iter().sum()).collect();
        close(&rise, &risen, "the gradient");
        assert!(risen.iter().all(|rise| rise.abs() > 1e-6), "{risen:?}");
    }
}

/// Runs the nodes in new forms, and those around them, that read stored tensors alone; returns the model with their outputs stored,
/// and these outputs.
fn fold(model: &Model) -> (Model, HashMap<String, Tensor>) {
    let mut proto = model.to_proto();
    let graph = proto.graph.as_mut().unwrap();
    let stored = graph.initializer.iter();
    let mut stored: HashMap<String, Tensor> = stored
        .map(|tensor| (tensor.name.clone(), Tensor::stored(tensor)))
        .collect();
    let mut computed = HashMap::new();
    graph.node.retain(|node| {
        let mut inputs = node.input.iter().filter(|input| !input.is_empty());
        if !inputs.all(|input| stored.contains_key(input)) {
            return true;
        }
        let results = match node.op_type.as_str() {
            operator if forms::OPERATORS.contains(&operator) => forms::run(node, &stored),
            "Flatten" | "Shape" | "Reshape" | "ReduceMax" => {
                let inputs = stored.iter();
                let inputs: Vec<_> = inputs
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
            computed.insert(name.clone(), tensor);
        }
        false
    });
    for (name, tensor) in &computed {
        let dims: Vec<i64> = tensor.dims.iter().map(|&dim| dim as i64).collect();
        let values: Vec<f32> = tensor.data.iter().map(|&value| value as f32).collect();
        graph
            .initializer
            .push(TensorProto::floats(name, &dims, &values));
    }
    (Model::from_proto(proto).unwrap(), computed)
}
