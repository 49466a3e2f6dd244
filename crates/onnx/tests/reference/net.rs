//! Small networks with random weights, and the judgement of their gradient graphs.

use buckler_onnx::{
    Dim, GradientInfo, Model, differentiate,
    proto::{
        AttributeProto, DataType, GraphProto, ModelProto, NodeProto, OperatorSetIdProto,
        TensorProto, TensorShapeProto, TypeProto, ValueInfoProto, tensor_shape_proto, type_proto,
    },
};

use super::{query::Query, run, tensor::Tensor};

/// Step of the difference quotient. In double precision its error is about 1e-10.
const STEP: f64 = 1e-6;
const TOLERANCE: f64 = 1e-6;

/// Uniform in (0, 1): a linear congruential generator is random enough for weights.
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Self {
        let mut random = Self(seed ^ 0x9e37_79b9_7f4a_7c15);
        (0..4).for_each(|_| _ = random.next());
        random
    }

    pub fn next(&mut self) -> f64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        ((self.0 >> 11) as f64 + 0.5) / (1u64 << 53) as f64
    }

    /// A tensor uniform between two bounds.
    pub fn tensor(&mut self, dims: &[usize], low: f64, high: f64) -> Tensor {
        Tensor::build(dims, |_| low + (high - low) * self.next())
    }
}

/// Builds a graph from the input `image` on.
pub struct Net {
    graph: GraphProto,
    images: [usize; 4],
    random: Random,
    count: usize,
    opset: i64,
}

impl Net {
    /// `[batch, channels, height, width]`; the batch is a symbol in the graph.
    pub fn new(images: [usize; 4], seed: u64) -> Self {
        let sizes = images.iter().skip(1).map(|&size| Dim::Known(size as u64));
        let shape: Vec<Dim> = [Dim::Symbol("n".into())].into_iter().chain(sizes).collect();
        Self {
            graph: GraphProto {
                name: "net".into(),
                input: vec![info("image", DataType::Float, Some(&shape))],
                ..GraphProto::default()
            },
            images,
            random: Random::new(seed),
            count: 0,
            opset: 18,
        }
    }

    /// With the batch as a number.
    pub fn fixed(images: [usize; 4], seed: u64) -> Self {
        let mut net = Self::new(images, seed);
        let shape = images.map(|size| Dim::Known(size as u64));
        net.graph.input = vec![info("image", DataType::Float, Some(&shape))];
        net
    }

    /// With a name for the size of each axis of the image.
    pub fn of_named_sizes(mut self) -> Self {
        let shape = ["n", "c", "h", "w"].map(|name| Dim::Symbol(name.into()));
        self.graph.input = vec![info("image", DataType::Float, Some(&shape))];
        self
    }

    pub fn with_opset(mut self, opset: i64) -> Self {
        self.opset = opset;
        self
    }

    /// Adds a node; returns its output.
    pub fn op(
        &mut self,
        operator: &str,
        inputs: &[&str],
        attributes: impl Into<Vec<AttributeProto>>,
    ) -> String {
        let output = self.fresh();
        self.graph.node.push(NodeProto {
            name: format!("{operator}_{output}"),
            op_type: operator.into(),
            input: inputs.iter().map(|input| input.to_string()).collect(),
            output: vec![output.clone()],
            attribute: attributes.into(),
            ..NodeProto::default()
        });
        output
    }

    /// Adds a node with several outputs; returns them.
    pub fn op_with_outputs(
        &mut self,
        operator: &str,
        inputs: &[&str],
        attributes: impl Into<Vec<AttributeProto>>,
        count: usize,
    ) -> Vec<String> {
        let mut outputs = vec![self.op(operator, inputs, attributes)];
        outputs.resize_with(count, || self.fresh());
        if let Some(node) = self.graph.node.last_mut() {
            node.output.clone_from(&outputs);
        }
        outputs
    }

    /// An operator that takes axes as its second input.
    pub fn axes_op(&mut self, operator: &str, input: &str, axes: &[i64], keep: bool) -> String {
        let axes = self.ints(axes);
        self.op(
            operator,
            &[input, &axes],
            [AttributeProto::int("keepdims", keep.into())],
        )
    }

    /// The same tensor, by ways on which neither its sizes nor their number are followed.
    pub fn of_unknown_shape(&mut self, tensor: &str) -> String {
        let shape = self.op("Shape", &[tensor], []);
        let shape = self.op("Abs", &[&shape], []);
        self.op("Reshape", &[tensor, &shape], [])
    }

    /// The image, about half of it negative.
    pub fn centred(&mut self) -> String {
        let mean = self.floats(&[], &[0.7]);
        self.op("Sub", &["image", &mean], [])
    }

    pub fn store(&mut self, tensor: TensorProto) -> String {
        let name = self.fresh();
        self.graph.initializer.push(TensorProto {
            name: name.clone(),
            ..tensor
        });
        name
    }

    pub fn floats(&mut self, dims: &[usize], values: &[f32]) -> String {
        let dims: Vec<i64> = dims.iter().map(|&dim| dim as i64).collect();
        self.store(TensorProto::floats("", &dims, values))
    }

    pub fn ints(&mut self, values: &[i64]) -> String {
        self.store(TensorProto::int64s("", &[values.len() as i64], values))
    }

    /// Random in [-1, 1].
    pub fn weights(&mut self, dims: &[usize]) -> String {
        self.uniform(dims, -1.0, 1.0)
    }

    /// Random in [0.5, 1.5].
    pub fn positive(&mut self, dims: &[usize]) -> String {
        self.uniform(dims, 0.5, 1.5)
    }

    fn uniform(&mut self, dims: &[usize], low: f64, high: f64) -> String {
        let values = self.random.tensor(dims, low, high).data;
        let values: Vec<f32> = values.into_iter().map(|v| v as f32).collect();
        self.floats(dims, &values)
    }

    fn fresh(&mut self) -> String {
        self.count += 1;
        format!("t{}", self.count)
    }

    /// The graph with a tensor as its logits.
    pub fn finish(&self, logits: &str, shape: Option<&[Dim]>) -> Model {
        let mut graph = self.graph.clone();
        graph.output = vec![info(logits, DataType::Float, shape)];
        Model::from_proto(ModelProto {
            ir_version: 8,
            opset_import: vec![OperatorSetIdProto {
                domain: String::new(),
                version: self.opset,
            }],
            graph: Some(graph),
            ..ModelProto::default()
        })
        .unwrap()
    }

    /// A classifier that has a random linear layer with three classes behind a tensor.
    pub fn classifier(&self, features: &str) -> Model {
        let mut net = Self {
            graph: self.graph.clone(),
            random: Random::new(self.random.0),
            ..*self
        };
        let image = Tensor::filled(&self.images, 0.6);
        let dims = run(&self.graph, &[("image", image)])[features].dims.clone();
        // Not Flatten: features may be of unknown shape.
        let size = dims.iter().skip(1).product();
        let rows = net.ints(&[-1, size as i64]);
        let flat = net.op("Reshape", &[features, &rows], []);
        let weight = net.weights(&[size, 3]);
        let logits = net.op("MatMul", &[&flat, &weight], []);
        net.finish(&logits, None)
    }

    /// Judges the gradient with respect to a random image of a classifier behind a tensor.
    pub fn check(&self, features: &str, seed: u64) {
        let model = self.classifier(features);
        let image = Random::new(seed ^ 1).tensor(&self.images, 0.2, 1.2);
        check(&model, &image, seed);
    }

    /// The gradient at a single image, for a cotangent on the three logits.
    pub fn gradient_at(&self, features: &str, image: &[f64], cotangent: &[f64]) -> Vec<f64> {
        let model = self.classifier(features);
        let gradient = differentiate(&model).unwrap();
        let query = Query {
            cotangent: Tensor::new(&[1, 3], cotangent.to_vec()),
            ..Query::idle(&gradient, 1)
        };
        let image = Tensor::new(&self.images, image.to_vec());
        query.ask(&gradient, &image).gradient.data
    }
}

pub fn info(name: &str, kind: DataType, shape: Option<&[Dim]>) -> ValueInfoProto {
    let dim = |dim: &Dim| tensor_shape_proto::Dimension {
        value: Some(match dim {
            Dim::Known(size) => tensor_shape_proto::dimension::Value::DimValue(*size as i64),
            Dim::Symbol(name) => tensor_shape_proto::dimension::Value::DimParam(name.clone()),
        }),
        ..Default::default()
    };
    ValueInfoProto {
        name: name.into(),
        r#type: Some(TypeProto {
            value: Some(type_proto::Value::TensorType(type_proto::Tensor {
                elem_type: kind.into(),
                shape: shape.map(|dims| TensorShapeProto {
                    dim: dims.iter().map(dim).collect(),
                }),
            })),
            ..TypeProto::default()
        }),
        ..ValueInfoProto::default()
    }
}

/// Judges a model's gradient graph at an image: logits and loss by the model itself, the gradient by difference quotients.
pub fn check(model: &Model, image: &Tensor, seed: u64) {
    let gradient = differentiate(model).unwrap_or_else(|error| panic!("{error}"));
    let info = GradientInfo::of(&gradient).unwrap().unwrap();
    let query = Query::random(&gradient, image.dims[0], &mut Random::new(seed ^ 2));
    let tensors = run(model.graph(), &[(&info.image, image.clone())]);
    let features = info.features.as_ref().map(|name| &tensors[name]);
    let query = query.smooth_at(&tensors[&info.logits], features);
    let losses = |image: &Tensor| {
        let mut tensors = run(model.graph(), &[(&info.image, image.clone())]);
        let features = info.features.as_ref().map(|name| tensors[name].clone());
        let logits = tensors.remove(&info.logits).unwrap();
        (query.losses(&logits, features.as_ref()), logits)
    };

    let (expected, logits) = losses(image);
    let answer = query.ask(&gradient, image);
    assert_eq!(answer.logits, logits);
    let slopes = answer.gradient;
    assert_eq!(slopes.dims, image.dims);
    close(&answer.loss.data, &expected, "loss");

    let total = |image: &Tensor| losses(image).0.iter().sum::<f64>();
    let here = total(image);
    let scale = slopes
        .data
        .iter()
        .fold(1.0f64, |scale, slope| scale.max(slope.abs()));
    let mut kinks = 0;
    for (i, slope) in slopes.data.iter().enumerate() {
        let moved = |step: f64| {
            let mut moved = image.clone();
            moved.data[i] += step;
            total(&moved)
        };
        let sides = |step: f64| ((here - moved(-step)) / step, (moved(step) - here) / step);
        let agrees =
            |(left, right): (f64, f64)| (slope - (left + right) / 2.0).abs() <= TOLERANCE * scale;
        let (left, right) = sides(STEP);
        if agrees((left, right)) {
            continue;
        }
        // A kink between the two steps is left behind by the smaller one. One within both keeps the two
        // sides as far apart, however small it is; curvature brings them together as the step shrinks.
        let near = sides(STEP / 8.0);
        if agrees(near) {
            continue;
        }
        let slack = TOLERANCE * scale;
        let kink = (near.0 - near.1).abs() > 0.5 * (left - right).abs()
            && (left.min(right) - slack..left.max(right) + slack).contains(slope);
        assert!(
            kink,
            "element {i}: gradient {slope}, difference quotient {}, from the sides {left} and {right}",
            (left + right) / 2.0
        );
        kinks += 1;
    }
    assert!(
        kinks <= 2 + slopes.data.len() / 20,
        "{kinks} kinks in {} elements",
        slopes.data.len()
    );
}

pub fn close(found: &[f64], expected: &[f64], what: &str) {
    assert_eq!(found.len(), expected.len());
    for (found, expected) in found.iter().zip(expected) {
        assert!(
            (found - expected).abs() <= 1e-9 * expected.abs().max(1.0),
            "{what}: {found}, expected {expected}"
        );
    }
}
