use std::collections::{HashMap, HashSet};

use crate::{
    proto::{AttributeProto, NodeProto, TensorProto},
    shape::Dim,
};

/// Largest constant that a rule may put into a graph, in elements: sizes come from the file and may be absurd.
pub(crate) const LARGEST_CONSTANT: u64 = 1 << 20;

/// Largest sum of all constants, in bytes: a node of a few bytes can ask for a large one, and a file has many nodes.
pub(crate) const LARGEST_CONSTANTS: usize = 1 << 27;

/// Collects the nodes and constants that are added to a graph, under names that are not taken.
#[derive(Default)]
pub(crate) struct Emitter {
    pub nodes: Vec<NodeProto>,
    pub initializers: Vec<TensorProto>,
    /// Outputs to be added to nodes of the forward pass: first output, position, name.
    pub added_outputs: Vec<(String, usize, String)>,
    taken: HashSet<String>,
    counters: HashMap<String, usize>,
    constants: HashMap<(Vec<i64>, Vec<u8>, i32), String>,
    constant_bytes: usize,
    prefix: Option<&'static str>,
}

impl Emitter {
    /// `taken` are the names that the graph uses already.
    pub(crate) fn new(taken: HashSet<String>) -> Self {
        Self {
            taken,
            ..Self::default()
        }
    }

    /// Like [`Emitter::new`], with what names begin with.
    pub(crate) fn with_prefix(taken: HashSet<String>, prefix: &'static str) -> Self {
        Self {
            prefix: Some(prefix),
            ..Self::new(taken)
        }
    }

    /// A node with one output; returns the output's name.
    pub(crate) fn node(
        &mut self,
        operator: &str,
        inputs: &[&str],
        attributes: impl Into<Vec<AttributeProto>>,
    ) -> String {
        let output = self.name(&operator.to_lowercase());
        self.node_named(operator, inputs, attributes, &output);
        output
    }

    /// A node whose output bears a given name.
    pub(crate) fn node_named(
        &mut self,
        operator: &str,
        inputs: &[&str],
        attributes: impl Into<Vec<AttributeProto>>,
        output: &str,
    ) {
        self.nodes.push(NodeProto {
            name: output.into(),
            op_type: operator.into(),
            input: inputs.iter().map(|input| input.to_string()).collect(),
            output: vec![output.into()],
            attribute: attributes.into(),
            ..NodeProto::default()
        });
    }

    /// The largest values along the last axis in descending order, and where they are; `count` holds how many.
    pub(crate) fn top_k(&mut self, tensor: &str, count: &str) -> (String, String) {
        let values = self.node("TopK", &[tensor, count], []);
        let indices = self.name("topk_indices");
        if let Some(node) = self.nodes.last_mut() {
            node.output.push(indices.clone());
        }
        (values, indices)
    }

    /// The name of a further output of a forward node, which is added to it.
    pub(crate) fn forward_output(&mut self, first: &str, position: usize, stem: &str) -> String {
        let name = self.name(stem);
        self.added_outputs
            .push((first.into(), position, name.clone()));
        name
    }

    /// A constant list of integers.
    pub(crate) fn ints(&mut self, values: &[i64]) -> String {
        self.constant(TensorProto::int64s("", &[values.len() as i64], values))
    }

    /// A constant float without axes.
    pub(crate) fn float(&mut self, value: f32) -> String {
        self.constant(TensorProto::floats("", &[], &[value]))
    }

    /// A constant float tensor.
    pub(crate) fn floats(&mut self, dims: &[i64], values: &[f32]) -> String {
        self.constant(TensorProto::floats("", dims, values))
    }

    /// Equal constants are stored once.
    pub(crate) fn constant(&mut self, mut tensor: TensorProto) -> String {
        let bytes = tensor.raw_data.as_deref().unwrap_or_default().to_vec();
        let key = (tensor.dims.clone(), bytes, tensor.data_type);
        if let Some(name) = self.constants.get(&key) {
            return name.clone();
        }
        self.constant_bytes = self.constant_bytes.saturating_add(key.1.len());
        tensor.name = self.name("constant");
        self.constants.insert(key, tensor.name.clone());
        let name = tensor.name.clone();
        self.initializers.push(tensor);
        name
    }

    /// Whether there are more constants than a graph may need.
    pub(crate) fn is_full(&self) -> bool {
        self.constant_bytes > LARGEST_CONSTANTS
    }

    /// Brings a tensor of shape `from` to the shape that `like` has, which has as many elements.
    ///
    /// A constant shape is used where it can be proved, with 0 for symbolic axes, since the runtime then keeps track of them.
    pub(crate) fn reshape(
        &mut self,
        tensor: &str,
        from: Option<&[Dim]>,
        like: &str,
        to: Option<&[Dim]>,
    ) -> String {
        let constant = to.filter(|to| !to.is_empty()).and_then(|to| {
            let dims = to.iter().enumerate().map(|(axis, dim)| match dim {
                // Zero would mean "copy".
                Dim::Known(size) => i64::try_from(*size).ok().filter(|&size| size > 0),
                Dim::Symbol(_) => (from?.get(axis)? == dim).then_some(0),
            });
            dims.collect::<Option<Vec<i64>>>()
        });
        let shape = match constant {
            Some(dims) => self.ints(&dims),
            None => self.node("Shape", &[like], []),
        };
        self.node("Reshape", &[tensor, &shape], [])
    }

    /// A name that nothing else bears.
    fn name(&mut self, stem: &str) -> String {
        let prefix = self.prefix.unwrap_or("gradient");
        let counter = self.counters.entry(stem.into()).or_default();
        loop {
            let name = format!("{prefix}.{stem}_{counter}");
            *counter += 1;
            if self.taken.insert(name.clone()) {
                return name;
            }
        }
    }
}
