//! Tiny models, made in memory.
#![allow(dead_code)]
use buckler_attack::InputSpec;
use buckler_onnx::{Card, Model, proto::*};

/// Numbers in `[-1, 1)` without a pattern; the same for the same seed.
pub fn numbers(count: usize, seed: u64) -> Vec<f32> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    (0..count)
        .map(|_| {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            (state >> 40) as f32 / (1u64 << 23) as f32 - 1.0
        })
        .collect()
}

/// The batch axis of a model.
#[derive(Clone, Copy)]
pub enum Batch {
    Any,
    Fixed(i64),
}

/// A graph under construction, from `image` to `logits`.
pub struct Builder {
    input: InputSpec,
    batch: Batch,
    nodes: Vec<NodeProto>,
    initializers: Vec<TensorProto>,
}

impl Builder {
    pub fn new(input: InputSpec, batch: Batch) -> Self {
        Self {
            input,
            batch,
            nodes: Vec::new(),
            initializers: Vec::new(),
        }
    }

    pub fn floats(&mut self, name: &str, dims: &[usize], values: &[f32]) {
        self.initializers.push(TensorProto {
            name: name.into(),
            dims: dims.iter().map(|&dim| dim as i64).collect(),
            data_type: DataType::Float as i32,
            float_data: values.to_vec(),
            ..TensorProto::default()
        });
    }

    pub fn ints(&mut self, name: &str, values: &[i64]) {
        self.initializers.push(TensorProto {
            name: name.into(),
            dims: vec![values.len() as i64],
            data_type: DataType::Int64 as i32,
            int64_data: values.to_vec(),
            ..TensorProto::default()
        });
    }

    pub fn node(
        &mut self,
        operator: &str,
        inputs: &[&str],
        output: &str,
        attributes: &[(&str, &[i64])],
    ) {
        let attribute = attributes
            .iter()
            .map(|(name, values)| match values {
                [one] => AttributeProto {
                    name: (*name).into(),
                    r#type: AttributeType::Int as i32,
                    i: Some(*one),
                    ..AttributeProto::default()
                },
                values => AttributeProto {
                    name: (*name).into(),
                    r#type: AttributeType::Ints as i32,
                    ints: values.to_vec(),
                    ..AttributeProto::default()
                },
            })
            .collect();
        self.nodes.push(NodeProto {
            name: format!("{operator}-{output}"),
            op_type: operator.into(),
            input: inputs.iter().map(|input| (*input).into()).collect(),
            output: vec![output.into()],
            attribute,
            ..NodeProto::default()
        });
    }

    /// Further outputs of the last node.
    pub fn also(&mut self, outputs: &[&str]) {
        let node = self.nodes.last_mut().unwrap();
        let outputs = outputs.iter().map(|output| (*output).to_owned());
        node.output.extend(outputs);
    }

    /// A node with floats for attributes.
    pub fn float_node(
        &mut self,
        operator: &str,
        inputs: &[&str],
        output: &str,
        attributes: &[(&str, f32)],
    ) {
        self.node(operator, inputs, output, &[]);
        let node = self.nodes.last_mut().unwrap();
        let attributes = attributes.iter();
        node.attribute
            .extend(attributes.map(|(name, value)| AttributeProto::float(name, *value)));
    }

    /// `logits` is `[batch, classes]` unless `shape` says otherwise.
    pub fn finish(self, logits_shape: &[i64]) -> Model {
        self.finish_with(&[("logits", logits_shape)])
    }

    /// With float outputs, each with its batch axis.
    pub fn finish_with(self, outputs: &[(&str, &[i64])]) -> Model {
        let batch = self.fixed();
        let outputs = outputs.iter();
        let outputs = outputs
            .map(|(name, shape)| port(name, batch, shape))
            .collect();
        self.finish_as(None, outputs)
    }

    /// The size of the batch.
    pub fn fixed(&self) -> Option<i64> {
        match self.batch {
            Batch::Any => None,
            Batch::Fixed(size) => Some(size),
        }
    }

    /// With any input called `image`, and any outputs.
    pub fn finish_as(self, input: Option<ValueInfoProto>, output: Vec<ValueInfoProto>) -> Model {
        let InputSpec {
            channels,
            height,
            width,
        } = self.input;
        let image = [channels, height, width].map(|size| size as i64);
        let input = input.unwrap_or_else(|| port("image", self.fixed(), &image));
        Model::from_proto(ModelProto {
            ir_version: 9,
            opset_import: vec![OperatorSetIdProto {
                domain: String::new(),
                version: 18,
            }],
            graph: Some(GraphProto {
                name: "tiny".into(),
                node: self.nodes,
                initializer: self.initializers,
                input: vec![input],
                output,
                ..GraphProto::default()
            }),
            ..ModelProto::default()
        })
        .unwrap()
    }
}

/// A tensor of floats with these sizes after its batch.
pub fn port(name: &str, batch: Option<i64>, rest: &[i64]) -> ValueInfoProto {
    use tensor_shape_proto::{Dimension, dimension::Value};
    let first = batch.map_or(Value::DimParam("batch".into()), Value::DimValue);
    let dims = std::iter::once(first).chain(rest.iter().map(|&size| Value::DimValue(size)));
    ValueInfoProto {
        name: name.into(),
        r#type: Some(TypeProto {
            value: Some(type_proto::Value::TensorType(type_proto::Tensor {
                elem_type: DataType::Float as i32,
                shape: Some(TensorShapeProto {
                    dim: dims
                        .map(|value| Dimension {
                            value: Some(value),
                            ..Dimension::default()
                        })
                        .collect(),
                }),
            })),
            ..TypeProto::default()
        }),
        ..ValueInfoProto::default()
    }
}

/// A tensor whose axes are numbers or names, `?` for none.
pub fn named(name: &str, kind: DataType, axes: &[&str]) -> ValueInfoProto {
    use tensor_shape_proto::{Dimension, dimension::Value};
    let dims = axes.iter().map(|axis| Dimension {
        value: match axis.parse() {
            Ok(size) => Some(Value::DimValue(size)),
            Err(_) if *axis == "?" => None,
            Err(_) => Some(Value::DimParam((*axis).into())),
        },
        ..Dimension::default()
    });
    ValueInfoProto {
        name: name.into(),
        r#type: Some(TypeProto {
            value: Some(type_proto::Value::TensorType(type_proto::Tensor {
                elem_type: kind as i32,
                shape: Some(TensorShapeProto {
                    dim: dims.collect(),
                }),
            })),
            ..TypeProto::default()
        }),
        ..ValueInfoProto::default()
    }
}

/// `logits = flatten(image) W + b`, with `W` `[values, classes]`.
pub fn linear(input: InputSpec, weights: &[f32], bias: &[f32], batch: Batch) -> Model {
    let mut builder = Builder::new(input, batch);
    builder.floats("W", &[weights.len() / bias.len(), bias.len()], weights);
    builder.floats("b", &[bias.len()], bias);
    builder.node("Flatten", &["image"], "flat", &[]);
    builder.node("Gemm", &["flat", "W", "b"], "logits", &[]);
    builder.finish(&[bias.len() as i64])
}

/// Two smooth convolutions and two dense layers: nothing a finite difference could stumble over.
pub fn smooth_network(input: InputSpec, classes: usize, batch: Batch) -> Model {
    let InputSpec {
        channels,
        height,
        width,
    } = input;
    let hidden = 32;
    let flat = 8 * height * width;
    let mut builder = Builder::new(input, batch);
    builder.floats("K1", &[8, channels, 3, 3], &numbers(72 * channels, 1));
    builder.floats("k1", &[8], &numbers(8, 2));
    builder.floats("K2", &[8, 8, 3, 3], &numbers(576, 3));
    builder.floats("k2", &[8], &numbers(8, 4));
    let scale =
        |values: Vec<f32>, by: f32| values.iter().map(|value| value * by).collect::<Vec<_>>();
    builder.floats(
        "W1",
        &[flat, hidden],
        &scale(numbers(flat * hidden, 5), 0.1),
    );
    builder.floats("b1", &[hidden], &numbers(hidden, 6));
    builder.floats("W2", &[hidden, classes], &numbers(hidden * classes, 7));
    builder.floats("b2", &[classes], &numbers(classes, 8));
    let pads: (&str, &[i64]) = ("pads", &[1, 1, 1, 1]);
    builder.node("Conv", &["image", "K1", "k1"], "c1", &[pads]);
    builder.node("Sigmoid", &["c1"], "s1", &[]);
    builder.node("Conv", &["s1", "K2", "k2"], "c2", &[pads]);
    builder.node("Sigmoid", &["c2"], "s2", &[]);
    builder.node("Flatten", &["s2"], "flat", &[]);
    builder.node("Gemm", &["flat", "W1", "b1"], "d1", &[]);
    builder.node("Tanh", &["d1"], "t1", &[]);
    builder.node("Gemm", &["t1", "W2", "b2"], "logits", &[]);
    builder.finish(&[classes as i64])
}

/// A linear model that fails to run on any batch with a pixel of 2 or more.
pub fn brittle(input: InputSpec) -> Model {
    let mut builder = Builder::new(input, Batch::Any);
    builder.floats("W", &[input.values(), 3], &numbers(input.values() * 3, 9));
    builder.floats("b", &[3], &[0.0; 3]);
    builder.floats("table", &[2], &[0.0, 0.0]);
    builder.ints("axes", &[1, 2, 3]);
    builder.ints("last", &[1]);
    builder.node("Flatten", &["image"], "flat", &[]);
    builder.node("Gemm", &["flat", "W", "b"], "z", &[]);
    builder.node(
        "ReduceMax",
        &["image", "axes"],
        "max",
        &[("keepdims", &[0])],
    );
    builder.node(
        "Cast",
        &["max"],
        "index",
        &[("to", &[DataType::Int64 as i64])],
    );
    builder.node("Gather", &["table", "index"], "looked-up", &[]);
    builder.node("Unsqueeze", &["looked-up", "last"], "column", &[]);
    builder.node("Add", &["z", "column"], "logits", &[]);
    builder.finish(&[3])
}

/// Rounds its logits, so that nothing can be differentiated.
pub fn rounded(input: InputSpec) -> Model {
    let mut builder = Builder::new(input, Batch::Any);
    builder.floats("W", &[input.values(), 3], &numbers(input.values() * 3, 9));
    builder.floats("b", &[3], &[0.0; 3]);
    builder.node("Flatten", &["image"], "flat", &[]);
    builder.node("Gemm", &["flat", "W", "b"], "z", &[]);
    builder.node("Round", &["z"], "logits", &[]);
    builder.finish(&[3])
}

/// A card with the model's name and class names.
pub fn card(name: &str, classes: &[&str]) -> Card {
    Card {
        name: name.into(),
        classes: classes.iter().map(|class| (*class).into()).collect(),
        ..Card::default()
    }
}
