//! One node of each operator, in its forms.

use buckler_onnx::proto::AttributeProto;

/// Operators that need nothing but a tensor.
const ALONE: &str = "Abs Celu Elu Erf Exp GlobalAveragePool GlobalLpPool GlobalMaxPool HardSigmoid HardSwish Identity Log \
    Mish Neg Reciprocal Round Selu Shape Sign Softplus Softsign Sqrt Swish Tanh ThresholdedRelu Unheard";

pub enum Weight {
    Absent,
    Image,
    Floats(Vec<usize>),
    Values(Vec<f32>),
    Ints(Vec<i64>),
}

pub type Seed = (i64, &'static str, Vec<Weight>, Vec<AttributeProto>);

pub fn operators() -> Vec<Seed> {
    use Weight::*;
    let int = AttributeProto::int;
    let ints = |name: &str, values: &[i64]| AttributeProto::ints(name, values);
    let float = AttributeProto::float;
    let string = AttributeProto::string;
    let kernel = || ints("kernel_shape", &[2, 2]);
    let mut seeds: Vec<Seed> = vec![
        (
            18,
            "Conv",
            vec![Floats(vec![2, 1, 3, 3])],
            vec![
                int("group", 2),
                ints("strides", &[2, 1]),
                ints("dilations", &[1, 2]),
                ints("pads", &[1, 0, 2, 1]),
            ],
        ),
        (
            18,
            "Conv",
            vec![Floats(vec![2, 2, 2, 2])],
            vec![string("auto_pad", "SAME_UPPER")],
        ),
        (
            18,
            "ConvTranspose",
            vec![Floats(vec![2, 2, 2, 2])],
            vec![ints("strides", &[2, 2]), ints("output_padding", &[1, 0])],
        ),
        (
            18,
            "MaxPool",
            vec![],
            vec![kernel(), ints("strides", &[2, 2]), int("ceil_mode", 1)],
        ),
        (
            19,
            "AveragePool",
            vec![],
            vec![
                kernel(),
                ints("pads", &[1; 4]),
                int("count_include_pad", 1),
                ints("dilations", &[2, 1]),
            ],
        ),
        (18, "LpPool", vec![], vec![kernel(), int("p", 2)]),
        (18, "MatMul", vec![Floats(vec![4, 4])], vec![]),
        (
            18,
            "Einsum",
            vec![Floats(vec![4, 4])],
            vec![string("equation", "abcd,de->abce")],
        ),
        (
            18,
            "Pad",
            vec![Ints(vec![0, 0, 1, 0, 0, 0, 0, 2])],
            vec![string("mode", "reflect")],
        ),
        (
            10,
            "Pad",
            vec![],
            vec![ints("pads", &[0, 0, 1, 0, 0, 0, 0, 2]), float("value", 0.5)],
        ),
        (
            18,
            "Slice",
            vec![Ints(vec![1]), Ints(vec![-1]), Ints(vec![3]), Ints(vec![1])],
            vec![],
        ),
        (
            9,
            "Slice",
            vec![],
            vec![ints("starts", &[1]), ints("ends", &[9]), ints("axes", &[2])],
        ),
        (
            18,
            "Split",
            vec![],
            vec![int("axis", 1), int("num_outputs", 1)],
        ),
        (
            11,
            "Split",
            vec![],
            vec![int("axis", 1), ints("split", &[2])],
        ),
        (
            18,
            "Concat",
            vec![Image, Floats(vec![1, 2, 4, 4])],
            vec![int("axis", 1)],
        ),
        (
            18,
            "Gather",
            vec![Ints(vec![1, 0, 1])],
            vec![int("axis", 2)],
        ),
        (18, "Expand", vec![Ints(vec![1, 2, 4, 4])], vec![]),
        (18, "Tile", vec![Ints(vec![1, 1, 2, 1])], vec![]),
        (
            18,
            "Reshape",
            vec![Ints(vec![0, 4, -1])],
            vec![int("allowzero", 0)],
        ),
        (18, "Flatten", vec![], vec![int("axis", -1)]),
        (18, "Transpose", vec![], vec![ints("perm", &[0, 2, 3, 1])]),
        (18, "Squeeze", vec![Ints(vec![])], vec![]),
        (11, "Unsqueeze", vec![], vec![ints("axes", &[2])]),
        (
            18,
            "DepthToSpace",
            vec![],
            vec![int("blocksize", 1), string("mode", "CRD")],
        ),
        (18, "SpaceToDepth", vec![], vec![int("blocksize", 2)]),
        (
            18,
            "Resize",
            vec![Absent, Values(vec![1.0, 1.0, 2.0, 2.0])],
            vec![string("mode", "linear")],
        ),
        (10, "Resize", vec![Values(vec![1.0, 1.0, 2.0, 2.0])], vec![]),
        (
            9,
            "Upsample",
            vec![Values(vec![1.0, 1.0, 2.0, 2.0])],
            vec![],
        ),
        (18, "TopK", vec![Ints(vec![2])], vec![int("axis", 1)]),
        (9, "TopK", vec![], vec![int("k", 1)]),
        (
            18,
            "ReduceSum",
            vec![Ints(vec![1, -1])],
            vec![int("keepdims", 0)],
        ),
        (
            18,
            "ReduceMean",
            vec![],
            vec![int("noop_with_empty_axes", 1)],
        ),
        (12, "ReduceMax", vec![], vec![ints("axes", &[1])]),
        (18, "ReduceL2", vec![Ints(vec![1])], vec![]),
        (18, "ReduceLogSumExp", vec![Ints(vec![1])], vec![]),
        (18, "ReduceProd", vec![Ints(vec![3])], vec![]),
        (11, "Softmax", vec![], vec![int("axis", 2)]),
        (18, "LogSoftmax", vec![], vec![int("axis", 1)]),
        (
            18,
            "Clip",
            vec![Values(vec![0.2]), Values(vec![0.8])],
            vec![],
        ),
        (
            9,
            "Clip",
            vec![],
            vec![float("min", 0.2), float("max", 0.8)],
        ),
        (9, "Dropout", vec![], vec![float("ratio", 0.2)]),
        (18, "PRelu", vec![Floats(vec![2, 1, 1])], vec![]),
        (18, "LeakyRelu", vec![], vec![float("alpha", 0.1)]),
        (18, "Pow", vec![Values(vec![1.5])], vec![]),
        (18, "Max", vec![Image, Values(vec![0.5])], vec![]),
        (18, "Min", vec![Values(vec![0.5])], vec![]),
        (18, "Mean", vec![Image, Image], vec![]),
        (18, "Sum", vec![Image, Values(vec![0.5])], vec![]),
        (18, "Where", vec![Image, Values(vec![0.5])], vec![]),
        (18, "Cast", vec![], vec![int("to", 1)]),
        (
            18,
            "InstanceNormalization",
            vec![Floats(vec![2]), Floats(vec![2])],
            vec![],
        ),
        (
            21,
            "GroupNormalization",
            vec![Floats(vec![2]), Floats(vec![2])],
            vec![int("num_groups", 1)],
        ),
        (
            18,
            "LayerNormalization",
            vec![Floats(vec![4]), Floats(vec![4])],
            vec![int("axis", -1)],
        ),
        (23, "RMSNormalization", vec![Floats(vec![4])], vec![]),
        (23, "Attention", vec![Image, Image], vec![]),
        (18, "LRN", vec![], vec![int("size", 3)]),
        (18, "LpNormalization", vec![], vec![int("axis", 1)]),
        (18, "MeanVarianceNormalization", vec![], vec![]),
        (20, "Gelu", vec![], vec![string("approximate", "tanh")]),
        (18, "CumSum", vec![Ints(vec![1])], vec![]),
        (18, "Trilu", vec![], vec![int("upper", 0)]),
        (18, "GatherND", vec![Ints(vec![0])], vec![]),
        (18, "GatherElements", vec![Ints(vec![0])], vec![]),
        (
            18,
            "ScatterElements",
            vec![Ints(vec![0]), Values(vec![1.0])],
            vec![string("reduction", "add")],
        ),
        (
            18,
            "OneHot",
            vec![Ints(vec![3]), Values(vec![0.0, 1.0])],
            vec![],
        ),
        (18, "If", vec![], vec![]),
    ];
    for operator in ALONE.split_whitespace() {
        seeds.push((
            if operator == "Swish" { 24 } else { 18 },
            operator,
            vec![],
            vec![],
        ));
    }
    for operator in ["Add", "Sub", "Mul", "Div"] {
        seeds.push((18, operator, vec![Floats(vec![2, 1, 1])], vec![]));
    }
    seeds
}
