//! Brings the nodes of older operator sets to the form of operator set 18.

use std::collections::HashSet;

use crate::{
    Obstacle, edit,
    model::is_onnx_domain,
    order,
    proto::{AttributeProto, GraphProto, NodeProto, TensorProto},
};

/// The operator set that the gradient rules are written for, and the oldest that is emitted.
pub(crate) const TARGET: i64 = 18;

/// Before this one, broadcasting was spelled out in attributes.
pub(crate) const OLDEST: i64 = 7;

/// Operators whose nodes of operator set 7 to 17 mean the same in operator set 18.
const UNCHANGED: &[&str] = &[
    "Abs",
    "Add",
    "And",
    "ArgMax",
    "ArgMin",
    "AveragePool",
    "BatchNormalization",
    "Cast",
    "Ceil",
    "Celu",
    "Concat",
    "Constant",
    "ConstantOfShape",
    "Conv",
    "ConvTranspose",
    "Cos",
    "DepthToSpace",
    "Div",
    "Elu",
    "Equal",
    "Erf",
    "Exp",
    "Expand",
    "Flatten",
    "Floor",
    "Gather",
    "GatherElements",
    "Gemm",
    "GlobalAveragePool",
    "GlobalMaxPool",
    "Greater",
    "GreaterOrEqual",
    "HardSigmoid",
    "HardSwish",
    "Identity",
    "InstanceNormalization",
    "LRN",
    "LayerNormalization",
    "LeakyRelu",
    "Less",
    "LessOrEqual",
    "Log",
    "LpNormalization",
    "MatMul",
    "Max",
    "MaxPool",
    "Mean",
    "Min",
    "Mul",
    "Neg",
    "Not",
    "Or",
    "PRelu",
    "Pow",
    "Range",
    "Reciprocal",
    "Relu",
    "Reshape",
    "Round",
    "Selu",
    "Shape",
    "Sigmoid",
    "Sign",
    "Sin",
    "Size",
    "Softplus",
    "Softsign",
    "SpaceToDepth",
    "Sqrt",
    "Sub",
    "Sum",
    "Tanh",
    "ThresholdedRelu",
    "Tile",
    "Transpose",
    "Where",
    "Xor",
];

/// Rewrites the nodes from operator set `from` on. What cannot be rewritten stays, and is returned with the reason.
pub(crate) fn upgrade(graph: &mut GraphProto, from: i64) -> Vec<Obstacle> {
    if from >= TARGET {
        return vec![];
    }
    let mut work = Upgrade {
        from,
        taken: edit::names(graph),
        nodes: Vec::with_capacity(graph.node.len()),
        initializers: Vec::new(),
        obstacles: Vec::new(),
    };
    for node in std::mem::take(&mut graph.node) {
        work.node(node);
    }
    graph.node = work.nodes;
    graph.initializer.extend(work.initializers);
    work.obstacles
}

struct Upgrade {
    from: i64,
    taken: HashSet<String>,
    nodes: Vec<NodeProto>,
    initializers: Vec<TensorProto>,
    obstacles: Vec<Obstacle>,
}

impl Upgrade {
    fn node(&mut self, mut node: NodeProto) {
        if is_onnx_domain(&node.domain) {
            match node.op_type.as_str() {
                "ReduceSum" | "ReduceMean" | "ReduceMax" | "ReduceMin" | "ReduceProd" | "ReduceL1" | "ReduceL2"
                | "ReduceLogSum" | "ReduceLogSumExp" | "ReduceSumSquare" | "Squeeze" | "Unsqueeze" => self.axes(&mut node),
                "Clip" if self.from < 11 => self.bounds(&mut node),
                "Dropout" if self.from < 12 => {
                    node.input.truncate(1);
                    node.attribute.clear();
                }
                "Softmax" | "LogSoftmax" if self.from < 13 => return self.flat_softmax(node),
                "Clip" | "Dropout" | "Softmax" | "LogSoftmax" => (),
                unchanged if UNCHANGED.contains(&unchanged) => (),
                operator => self.obstacles.push(Obstacle {
                    node: order::label(&node).into(),
                    operator: operator.into(),
                    reason: format!(
                        "it cannot be brought from operator set {} to {TARGET}; convert the model first (Python: \
                         `onnx.version_converter.convert_version(model, {TARGET})`)",
                        self.from
                    ),
                }),
            }
        }
        if node.op_type == "BatchNormalization" {
            node.attribute
                .retain(|attribute| !(attribute.name == "spatial" && attribute.i == Some(1)));
        }
        self.nodes.push(node);
    }

    /// Axes became an input: of `ReduceSum`, `Squeeze` and `Unsqueeze` in operator set 13, of the others in 18.
    fn axes(&mut self, node: &mut NodeProto) {
        let Some(position) = node
            .attribute
            .iter()
            .position(|attribute| attribute.name == "axes")
        else {
            return;
        };
        let axes = node.attribute.remove(position).ints;
        let name = self.name(node, "axes");
        self.initializers
            .push(TensorProto::int64s(&name, &[axes.len() as i64], &axes));
        node.input.truncate(1);
        node.input.push(name);
    }

    /// Bounds became inputs in operator set 11.
    fn bounds(&mut self, node: &mut NodeProto) {
        node.input.truncate(1);
        for bound in std::mem::take(&mut node.attribute) {
            let position = match bound.name.as_str() {
                "min" => 1,
                "max" => 2,
                _ => continue,
            };
            let name = self.name(node, &bound.name);
            self.initializers.push(TensorProto::floats(
                &name,
                &[],
                &[bound.f.unwrap_or_default()],
            ));
            if node.input.len() <= position {
                node.input.resize(position + 1, String::new());
            }
            if let Some(input) = node.input.get_mut(position) {
                *input = name;
            }
        }
    }

    /// Before operator set 13, the axes from `axis` on were taken as one.
    fn flat_softmax(&mut self, mut node: NodeProto) {
        let axis = node
            .attribute
            .iter()
            .find(|attribute| attribute.name == "axis");
        let axis = axis.and_then(|axis| axis.i).unwrap_or(1);
        let (Some(input), Some(output)) =
            (node.input.first().cloned(), node.output.first().cloned())
        else {
            return self.nodes.push(node);
        };
        let [flat, soft, shape] = ["flat", "rows", "shape"].map(|part| self.name(&node, part));
        let helper = |operator: &str,
                      inputs: Vec<String>,
                      output: &str,
                      attribute: Vec<AttributeProto>| NodeProto {
            name: output.into(),
            op_type: operator.into(),
            input: inputs,
            output: vec![output.into()],
            attribute,
            ..NodeProto::default()
        };
        let flatten = helper(
            "Flatten",
            vec![input.clone()],
            &flat,
            vec![AttributeProto::int("axis", axis)],
        );
        let shape_of = helper("Shape", vec![input], &shape, vec![]);
        let restore = helper("Reshape", vec![soft.clone(), shape], &output, vec![]);
        node.input = vec![flat];
        node.output = vec![soft];
        node.attribute = vec![AttributeProto::int("axis", -1)];
        self.nodes.extend([flatten, node, shape_of, restore]);
    }

    fn name(&mut self, node: &NodeProto, part: &str) -> String {
        let stem = node.output.first().map_or("", String::as_str);
        edit::fresh(&mut self.taken, &format!("{stem}.{part}"))
    }
}
