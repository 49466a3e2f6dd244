//! Changes to a model's parts, since changed bytes are seldom a model any more.

use buckler_onnx::proto::{
    AttributeProto, GraphProto, ModelProto, NodeProto, TensorProto, tensor_shape_proto::dimension,
    type_proto,
};
use prost::Message;

/// Operators with a rule, older forms, and some without.
const OPERATORS: &str = "Abs Add And ArgMax Attention AveragePool BatchNormalization Cast Ceil Celu Clip Concat Constant \
    ConstantOfShape Conv ConvTranspose CumSum DepthToSpace DequantizeLinear Div Dropout Einsum Elu Equal \
    Erf Exp Expand Flatten Gather GatherElements GatherND Gelu Gemm GlobalAveragePool GlobalLpPool \
    GlobalMaxPool Greater GroupNormalization HardSigmoid HardSwish Hardmax Identity If \
    InstanceNormalization LRN LayerNormalization LeakyRelu Less Log LogSoftmax LpNormalization LpPool \
    MatMul Max MaxPool Mean MeanVarianceNormalization Min Mish Mod Mul Neg Not OneHot PRelu Pad Pow \
    QuantizeLinear RMSNormalization Range Reciprocal ReduceL1 ReduceL2 ReduceLogSum ReduceLogSumExp \
    ReduceMax ReduceMean ReduceMin ReduceProd ReduceSum ReduceSumSquare Relu Reshape Resize Round \
    Scatter ScatterElements ScatterND Selu Shape Shrink Sigmoid Sign Sin Size Slice Softmax Softplus \
    Softsign SpaceToDepth Split Sqrt Squeeze Sub Sum Swish Tan Tanh ThresholdedRelu Tile TopK Transpose \
    Trilu Unsqueeze Upsample Where Xor";

const ATTRIBUTES: &str = "allowzero alpha auto_pad axes axis batch_dims beta blocksize ceil_mode count_include_pad \
    coordinate_transformation_mode dilations end ends epsilon equation group k keepdims kernel_shape \
    largest max min mode nearest_mode noop_with_empty_axes num_groups num_outputs output_padding p pads \
    perm ratio reduction scales size spatial split start starts storage_order strides to training_mode \
    transA transB upper value value_ints";

const TEXTS: &str = "SAME_UPPER SAME_LOWER VALID NOTSET constant reflect edge wrap nearest linear cubic add mul none DCR \
    CRD tanh ij,jk->ik bij->bji ...i->... asymmetric align_corners floor";

const NUMBERS: &[i64] = &[
    0,
    1,
    2,
    3,
    4,
    5,
    7,
    8,
    16,
    64,
    65,
    1000,
    -1,
    -2,
    -3,
    -4,
    -5,
    1 << 20,
    1 << 31,
    1 << 32,
    1 << 62,
    i64::MAX,
    i64::MIN,
];

/// Changes the first `size` bytes, of at most `max_size`; returns their new number.
pub fn mutate(data: &mut [u8], size: usize, max_size: usize, seed: u32) -> usize {
    let mut random = Random(u64::from(seed) | 1 << 40);
    let model = data
        .get(..size)
        .and_then(|bytes| ModelProto::decode(bytes).ok());
    let (Some(mut model), false) = (model, random.below(4) == 0) else {
        return libfuzzer_sys::fuzzer_mutate(data, size, max_size);
    };
    for _ in 0..=random.below(3) {
        change(&mut model, &mut random);
    }
    let bytes = model.encode_to_vec();
    match data.get_mut(..bytes.len().min(max_size)) {
        Some(space) if space.len() == bytes.len() => {
            space.copy_from_slice(&bytes);
            bytes.len()
        }
        _ => size,
    }
}

fn change(model: &mut ModelProto, random: &mut Random) {
    if random.below(8) == 0 {
        if let Some(import) = model.opset_import.first_mut() {
            import.version = random.below(30) as i64;
        }
        return;
    }
    let Some(graph) = &mut model.graph else {
        return;
    };
    let tensors = names(graph);
    match random.below(8) {
        0 => stored(graph, random),
        1 => shape(graph, random),
        2 => insert(graph, &tensors, random),
        3 => {
            if let Some(index) = random.index(graph.node.len()) {
                graph.node.remove(index);
            }
        }
        4 => {
            if let (Some(output), Some(name)) =
                (random.of(&mut graph.output), random.pick(&tensors))
            {
                output.name.clone_from(name);
            }
        }
        _ => {
            if let Some(node) = random.of(&mut graph.node) {
                self::node(node, &tensors, random);
            }
        }
    }
}

fn names(graph: &GraphProto) -> Vec<String> {
    let inputs = graph.input.iter().map(|input| input.name.clone());
    let stored = graph.initializer.iter().map(|tensor| tensor.name.clone());
    let results = graph.node.iter().flat_map(|node| node.output.clone());
    inputs.chain(stored).chain(results).collect()
}

fn stored(graph: &mut GraphProto, random: &mut Random) {
    if random.below(3) == 0 {
        let values: Vec<i64> = (0..random.below(5)).map(|_| random.number()).collect();
        let name = format!("s{}", random.below(100));
        let tensor = TensorProto::int64s(&name, &[values.len() as i64], &values);
        return graph.initializer.push(tensor);
    }
    let Some(tensor) = random.of(&mut graph.initializer) else {
        return;
    };
    match random.below(3) {
        0 => *tensor = TensorProto::floats(&tensor.name, &[], &[random.number() as f32]),
        1 => {
            // Another shape of as many elements.
            let count = tensor
                .dims
                .iter()
                .fold(1, |count: i64, dim| count.wrapping_mul(*dim));
            let rank = random.below(5);
            tensor.dims = vec![1; rank + 1];
            if let Some(dim) = random.of(&mut tensor.dims) {
                *dim = count;
            }
        }
        _ => {
            let values: Vec<i64> = (0..random.below(6)).map(|_| random.number()).collect();
            *tensor = TensorProto::int64s(&tensor.name, &[values.len() as i64], &values);
        }
    }
}

fn shape(graph: &mut GraphProto, random: &mut Random) {
    let infos = if random.below(2) == 0 {
        &mut graph.input
    } else {
        &mut graph.output
    };
    let kind = random.of(infos).and_then(|info| info.r#type.as_mut());
    let Some(type_proto::Value::TensorType(tensor)) = kind.and_then(|kind| kind.value.as_mut())
    else {
        return;
    };
    if let Some(dim) = tensor
        .shape
        .as_mut()
        .and_then(|shape| random.of(&mut shape.dim))
    {
        dim.value = match random.below(4) {
            0 => None,
            1 => Some(dimension::Value::DimParam("m".into())),
            _ => Some(dimension::Value::DimValue(random.number())),
        };
    }
}

/// A node between a tensor and those that read it.
fn insert(graph: &mut GraphProto, tensors: &[String], random: &mut Random) {
    let place = random.below(graph.node.len() + 1);
    let output = format!("f{}", random.below(1000));
    let mut between = NodeProto {
        output: vec![output.clone()],
        ..NodeProto::default()
    };
    if let Some(next) = graph.node.get_mut(place)
        && let Some(input) = next.input.first_mut()
    {
        between.input.push(std::mem::replace(input, output));
    }
    between.op_type = random.word(OPERATORS).into();
    for _ in 0..random.below(3) {
        between.input.extend(random.pick(tensors).cloned());
    }
    for _ in 0..random.below(3) {
        between.attribute.push(attribute(random));
    }
    graph.node.insert(place, between);
}

fn node(node: &mut NodeProto, tensors: &[String], random: &mut Random) {
    match random.below(7) {
        0 => node.op_type = random.word(OPERATORS).into(),
        1 => {
            let name = random.pick(tensors).cloned();
            if let (Some(input), Some(name)) = (random.of(&mut node.input), name) {
                *input = name;
            }
        }
        2 => node.input.extend(random.pick(tensors).cloned()),
        3 => _ = node.input.pop(),
        4 => node.attribute.push(attribute(random)),
        5 => _ = node.attribute.pop(),
        _ => {
            if let Some(attribute) = random.of(&mut node.attribute) {
                let number = random.number();
                match random.of(&mut attribute.ints) {
                    Some(value) => *value = number,
                    None => *attribute = AttributeProto::int(&attribute.name, number),
                }
            }
        }
    }
}

fn attribute(random: &mut Random) -> AttributeProto {
    let name = random.word(ATTRIBUTES);
    match random.below(5) {
        0 => AttributeProto::float(name, random.number() as f32 / 2.0),
        1 => AttributeProto::string(name, random.word(TEXTS)),
        2 => AttributeProto::int(name, random.number()),
        _ => {
            let count = random.below(9);
            AttributeProto::ints(
                name,
                (0..count).map(|_| random.number()).collect::<Vec<_>>(),
            )
        }
    }
}

/// Xorshift.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 >> 11
    }

    fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound.max(1) as u64) as usize
    }

    fn index(&mut self, length: usize) -> Option<usize> {
        (length > 0).then(|| self.below(length))
    }

    fn pick<'a, T>(&mut self, from: &'a [T]) -> Option<&'a T> {
        from.get(self.index(from.len())?)
    }

    fn word(&mut self, words: &'static str) -> &'static str {
        let count = words.split_whitespace().count();
        let mut words = words.split_whitespace();
        words.nth(self.below(count)).unwrap_or_default()
    }

    fn of<'a, T>(&mut self, from: &'a mut [T]) -> Option<&'a mut T> {
        let index = self.index(from.len())?;
        from.get_mut(index)
    }

    /// Small ones more often.
    fn number(&mut self) -> i64 {
        let count = if self.below(4) == 0 {
            NUMBERS.len()
        } else {
            10
        };
        NUMBERS.get(self.below(count)).copied().unwrap_or_default()
    }
}
