//! Forward propagation of shapes, as far as the gradient rules need it: not a general inference engine.

use std::{collections::HashMap, fmt};

use sha2::{Digest, Sha256};

pub(crate) use crate::extent::Extent;
use crate::{
    node::Node,
    ops,
    proto::{
        GraphProto, TensorProto, TypeProto, ValueInfoProto,
        tensor_shape_proto::{Dimension, dimension},
        type_proto,
    },
};

/// More axes than this are not followed: a small file could otherwise ask for any amount of memory.
const LONGEST_SHAPE: usize = 64;

/// Nor are integer tensors with more elements taken for shapes.
pub(crate) const LONGEST_VALUE: usize = 64;

/// Longer names are replaced by their digest, since every tensor that shares the axis repeats them.
const LONGEST_SYMBOL: usize = 64;

/// The size of an axis.
///
/// Names with `*` are products of sizes: `64*n`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Dim {
    /// A number.
    Known(u64),
    /// A name; equal names are equal sizes.
    Symbol(String),
}

impl Dim {
    /// The size, if it is a number.
    pub fn known(&self) -> Option<u64> {
        match self {
            Self::Known(size) => Some(*size),
            Self::Symbol(_) => None,
        }
    }

    /// A size about which nothing is known; `axis` of `tensor` makes it differ from all others.
    pub(crate) fn unknown(tensor: &str, axis: usize) -> Self {
        // A star would make a product of it.
        if tensor.len() > LONGEST_SYMBOL || tensor.contains('*') {
            return Self::Symbol(format!("?{:x}.{axis}", Sha256::digest(tensor)));
        }
        Self::Symbol(format!("?{tensor}.{axis}"))
    }

    /// Whether nothing is known, not even a name.
    pub(crate) fn is_unknown(&self) -> bool {
        matches!(self, Self::Symbol(name) if name.contains('?'))
    }

    /// For a `value_info`.
    pub(crate) fn to_proto(&self) -> Dimension {
        let value = match self {
            Self::Known(size) => i64::try_from(*size).ok().map(dimension::Value::DimValue),
            Self::Symbol(_) if self.is_unknown() => None,
            Self::Symbol(name) => Some(dimension::Value::DimParam(name.clone())),
        };
        Dimension {
            value,
            denotation: String::new(),
        }
    }
}

impl fmt::Display for Dim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Known(size) => write!(f, "{size}"),
            Self::Symbol(_) if self.is_unknown() => f.write_str("?"),
            Self::Symbol(name) => f.write_str(name),
        }
    }
}

/// `[batch, 3, 32, 32]`.
pub(crate) fn display(shape: &[Dim]) -> String {
    let dims: Vec<_> = shape.iter().map(Dim::to_string).collect();
    format!("[{}]", dims.join(", "))
}

/// What is known about a tensor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fact {
    /// Its shape.
    pub shape: Vec<Dim>,
    /// Its elements, rows first, where it is a small tensor of integers or truth values.
    pub value: Option<Vec<Extent>>,
}

impl Fact {
    pub(crate) fn of_shape(shape: Vec<Dim>) -> Self {
        Self { shape, value: None }
    }

    fn is_small(&self) -> bool {
        let value = self.value.as_ref().map_or(0, Vec::len);
        self.shape.len() <= LONGEST_SHAPE && value <= LONGEST_VALUE
    }

    /// An integer vector.
    pub(crate) fn of_value(value: Vec<Extent>) -> Self {
        Self {
            shape: vec![Dim::Known(value.len() as u64)],
            value: Some(value),
        }
    }
}

/// What is known about the tensors of a graph.
#[derive(Debug, Default)]
pub(crate) struct Facts<'a> {
    facts: HashMap<String, Fact>,
    stored: HashMap<&'a str, &'a TensorProto>,
}

impl<'a> Facts<'a> {
    /// Propagates the shapes of inputs and stored tensors through the nodes, which are in topological order. Where an operator's
    /// rule leaves something open, the graph's `value_info` fills it in.
    pub(crate) fn of(graph: &'a GraphProto) -> Self {
        let initializers = graph.initializer.iter();
        let mut facts = Self {
            facts: HashMap::new(),
            stored: initializers
                .map(|tensor| (tensor.name.as_str(), tensor))
                .collect(),
        };
        for input in &graph.input {
            if let Some(shape) = declared(input) {
                facts
                    .facts
                    .insert(input.name.clone(), Fact::of_shape(shape));
            }
        }
        // After the inputs: before IR version 4 stored tensors are inputs as well.
        for tensor in &graph.initializer {
            if let Some(fact) = Some(stored(tensor)).filter(Fact::is_small) {
                facts.facts.insert(tensor.name.clone(), fact);
            }
        }
        let infos = graph.value_info.iter().chain(&graph.output);
        let declared: HashMap<&str, Vec<Dim>> = infos
            .filter_map(|info| Some((info.name.as_str(), declared(info)?)))
            .collect();
        for proto in &graph.node {
            let mut derived = Node::new(proto, &facts).infer().into_iter();
            for output in &proto.output {
                let merged = merge(derived.next(), declared.get(output.as_str()));
                if let Some(fact) = merged.filter(Fact::is_small) {
                    facts.facts.insert(output.clone(), fact);
                }
            }
        }
        facts
    }

    /// The shape of a tensor, if its rank is known.
    pub(crate) fn shape(&self, tensor: &str) -> Option<&[Dim]> {
        Some(&self.facts.get(tensor)?.shape)
    }

    /// The elements of a small integer tensor.
    pub(crate) fn value(&self, tensor: &str) -> Option<&[Extent]> {
        self.facts.get(tensor)?.value.as_deref()
    }

    /// A stored tensor.
    pub(crate) fn stored(&self, tensor: &str) -> Option<&'a TensorProto> {
        self.stored.get(tensor).copied()
    }
}

/// Fills the unknown parts of a derived fact from a declared shape of the same rank.
fn merge(derived: Option<Fact>, declared: Option<&Vec<Dim>>) -> Option<Fact> {
    let Some(declared) = declared else {
        return derived;
    };
    let Some(mut fact) = derived else {
        return Some(Fact::of_shape(declared.clone()));
    };
    if fact.shape.len() == declared.len() {
        for (dim, declared) in fact.shape.iter_mut().zip(declared) {
            if dim.is_unknown() {
                *dim = declared.clone();
            }
        }
    }
    Some(fact)
}

/// The shape that a `value_info` declares; `None` without a rank. Sizes that are no sizes (-1 is common) count as unknown.
pub(crate) fn declared(info: &ValueInfoProto) -> Option<Vec<Dim>> {
    let shape = tensor_type(info)?.shape.as_ref()?;
    if shape.dim.len() > LONGEST_SHAPE {
        return None;
    }
    let dims = shape.dim.iter().enumerate();
    Some(
        dims.map(|(axis, dim)| match &dim.value {
            Some(dimension::Value::DimValue(size)) => {
                u64::try_from(*size).map_or_else(|_| Dim::unknown(&info.name, axis), Dim::Known)
            }
            Some(dimension::Value::DimParam(name)) if is_symbol(name) => Dim::Symbol(name.clone()),
            _ => Dim::unknown(&info.name, axis),
        })
        .collect(),
    )
}

/// Whether a name tells two sizes apart, and cannot be mistaken for a product; some exporters write `?` for any.
fn is_symbol(name: &str) -> bool {
    !name.is_empty()
        && !name.contains(['?', '*'])
        && name.parse::<u64>().is_err()
        && name.len() <= LONGEST_SYMBOL
}

/// The tensor type that a `value_info` declares.
pub(crate) fn tensor_type(info: &ValueInfoProto) -> Option<&type_proto::Tensor> {
    match info.r#type.as_ref()?.value.as_ref()? {
        type_proto::Value::TensorType(tensor) => Some(tensor),
        _ => None,
    }
}

/// A `value_info` of a tensor.
pub(crate) fn value_info(
    name: &str,
    kind: crate::proto::DataType,
    shape: &[Dim],
) -> ValueInfoProto {
    let tensor = type_proto::Tensor {
        elem_type: kind.into(),
        shape: Some(crate::proto::TensorShapeProto {
            dim: shape.iter().map(Dim::to_proto).collect(),
        }),
    };
    ValueInfoProto {
        name: name.into(),
        r#type: Some(TypeProto {
            value: Some(type_proto::Value::TensorType(tensor)),
            denotation: String::new(),
        }),
        ..ValueInfoProto::default()
    }
}

fn stored(tensor: &TensorProto) -> Fact {
    let shape = tensor
        .dims
        .iter()
        .map(|&dim| Dim::Known(dim.unsigned_abs()))
        .collect();
    let count = tensor
        .dims
        .iter()
        .try_fold(1, |count: u64, dim| count.checked_mul(dim.unsigned_abs()));
    let small = count.is_some_and(|count| count <= LONGEST_VALUE as u64);
    let integers = if small { tensor.to_i64s() } else { None };
    Fact {
        shape,
        value: integers.map(|values| values.into_iter().map(Extent::Integer).collect()),
    }
}

/// The shape of tensors combined element by element, by ONNX's (NumPy's) broadcasting; `None` where they do not fit.
pub(crate) fn broadcast(output: &str, shapes: &[&[Dim]]) -> Option<Vec<Dim>> {
    let rank = shapes.iter().map(|shape| shape.len()).max()?;
    (0..rank)
        .map(|axis| {
            let mut result = Dim::Known(1);
            for shape in shapes {
                // Shorter shapes are aligned at the end.
                let Some(dim) = (axis + shape.len())
                    .checked_sub(rank)
                    .and_then(|i| shape.get(i))
                else {
                    continue;
                };
                result = match (&result, dim) {
                    (a, b) if a == b => continue,
                    (Dim::Known(1), dim) => dim.clone(),
                    (_, Dim::Known(1)) => continue,
                    (Dim::Known(_), Dim::Known(_)) => return None,
                    (Dim::Known(_), Dim::Symbol(_)) => continue,
                    (Dim::Symbol(_), Dim::Known(size)) => Dim::Known(*size),
                    (Dim::Symbol(_), Dim::Symbol(_)) => Dim::unknown(output, axis),
                };
            }
            Some(result)
        })
        .collect()
}

/// An axis counted from the front, for a tensor of this rank; `None` where it is out of range.
pub(crate) fn axis(axis: i64, rank: usize) -> Option<usize> {
    let rank = i64::try_from(rank).ok()?;
    let axis = if axis < 0 {
        axis.checked_add(rank)?
    } else {
        axis
    };
    (0..rank).contains(&axis).then_some(axis as usize)
}

/// Axes counted from the front, each once, in ascending order.
pub(crate) fn axes(axes: &[i64], rank: usize) -> Option<Vec<usize>> {
    let mut axes: Vec<usize> = axes.iter().map(|&a| axis(a, rank)).collect::<Option<_>>()?;
    axes.sort_unstable();
    axes.dedup();
    Some(axes)
}

impl Node<'_> {
    /// What is known about the outputs, as far as there are rules.
    fn infer(&self) -> Vec<Fact> {
        match self.proto.op_type.as_str() {
            _ if !self.is_onnx() => vec![],
            "Split" => ops::split::infer(self).unwrap_or_default(),
            operator => {
                let rule = ops::rule(operator);
                rule.and_then(|rule| (rule.shape)(self))
                    .into_iter()
                    .collect()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dims(text: &str) -> Vec<Dim> {
        text.split_whitespace()
            .map(|word| {
                word.parse()
                    .map_or_else(|_| Dim::Symbol(word.into()), Dim::Known)
            })
            .collect()
    }

    #[test]
    fn broadcasting_aligns_at_the_end_and_stretches_ones() {
        let result = |a: &str, b: &str| broadcast("y", &[&dims(a), &dims(b)]);
        assert_eq!(result("n 3 1 5", "4 1"), Some(dims("n 3 4 5")));
        assert_eq!(result("n", "1"), Some(dims("n")));
        assert_eq!(result("n 2", "n 2"), Some(dims("n 2")));
        assert_eq!(result("3", "4"), None);
        let mixed = result("n", "m").unwrap();
        assert!(mixed[0].is_unknown());
    }

    #[test]
    fn axes_count_from_both_ends() {
        assert_eq!(axis(-1, 4), Some(3));
        assert_eq!(axis(4, 4), None);
        assert_eq!(axis(i64::MIN, 4), None);
        assert_eq!(axes(&[-1, 1, 3], 4), Some(vec![1, 3]));
    }
}
