//! Memory that the parts of an encoded model take once they are decoded, counted before they are.
//!
//! An empty node takes 2 bytes in a file and several hundred in memory, so that a file of a few megabytes could otherwise fill any
//! memory. Protocol Buffers, "Encoding".

use std::mem::size_of;

use prost::bytes::Bytes;

use crate::{
    Error,
    proto::{
        AttributeProto, GraphProto, NodeProto, OperatorSetIdProto, SparseTensorProto,
        StringStringEntryProto, TensorAnnotation, TensorProto, TypeProto, ValueInfoProto,
        tensor_shape_proto::Dimension,
    },
};

/// Memory that nodes, attributes, tensors, names and small numbers may take beyond their bytes in the file: 256 MiB, half a million
/// nodes.
pub(crate) const MAX_EXPANSION: usize = 1 << 28;

/// The decoder refuses messages that are nested more deeply.
const MAX_DEPTH: usize = 100;

/// Messages that are looked into.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Model,
    Entry,
    OperatorSet,
    Function,
    Graph,
    Annotation,
    Node,
    Attribute,
    ValueInfo,
    Type,
    TensorType,
    Shape,
    Dimension,
    Tensor,
    Sparse,
}

/// What a field holds, with the bytes that one occurrence takes beside its contents.
enum Field {
    Message(Kind, usize),
    /// One of a list of texts or byte strings.
    Item(usize),
    /// A number of a list, perhaps packed.
    Number(usize),
    /// A number of a list of fixed width, perhaps packed: as large in the file as in memory.
    Fixed,
    Other,
}

impl Kind {
    fn field(self, tag: u64) -> Field {
        use Field::{Fixed, Item, Message, Number, Other};
        let entry = Message(Self::Entry, size_of::<StringStringEntryProto>());
        let tensor = Message(Self::Tensor, size_of::<TensorProto>());
        let sparse = Message(Self::Sparse, size_of::<SparseTensorProto>());
        let info = Message(Self::ValueInfo, size_of::<ValueInfoProto>());
        let graph = Message(Self::Graph, size_of::<GraphProto>());
        let kind = Message(Self::Type, size_of::<TypeProto>());
        let bytes = Item(size_of::<Bytes>());
        match (self, tag) {
            (Self::Model, 7) => Message(Self::Graph, 0),
            (Self::Model, 8) => Message(Self::OperatorSet, size_of::<OperatorSetIdProto>()),
            (Self::Model, 14) => entry,
            // Functions are decoded to be checked, one after the other, and kept as bytes.
            (Self::Model, 25) => Message(Self::Function, size_of::<Bytes>()),
            (Self::Model, 20 | 26) => bytes,
            (Self::Function, 7) => Message(Self::Node, size_of::<NodeProto>()),
            (Self::Function, 4..=6) => Item(size_of::<String>()),
            (Self::Function, 11) => Message(Self::Attribute, size_of::<AttributeProto>()),
            (Self::Function, 12) => info,
            (Self::Function, 9) => Message(Self::OperatorSet, size_of::<OperatorSetIdProto>()),
            (Self::Function, 14) => entry,
            (Self::Graph, 1) => Message(Self::Node, size_of::<NodeProto>()),
            (Self::Graph, 5) => tensor,
            (Self::Graph, 11..=13) => info,
            (Self::Graph, 14) => Message(Self::Annotation, size_of::<TensorAnnotation>()),
            (Self::Graph, 15) => sparse,
            (Self::Graph, 16) | (Self::Annotation, 2) => entry,
            (Self::Node, 1 | 2) => Item(size_of::<String>()),
            (Self::Node, 5) => Message(Self::Attribute, size_of::<AttributeProto>()),
            (Self::Node, 9) | (Self::ValueInfo, 4) | (Self::Tensor, 13 | 16) => entry,
            (Self::Node, 10) | (Self::Attribute, 9) | (Self::Tensor, 6) => bytes,
            // Of an attribute, one tensor, graph or type is part of it.
            (Self::Attribute, 5) => Message(Self::Tensor, 0),
            (Self::Attribute, 6) => Message(Self::Graph, 0),
            (Self::Attribute, 14) => Message(Self::Type, 0),
            (Self::Attribute, 22) => Message(Self::Sparse, 0),
            (Self::Attribute, 10) => tensor,
            (Self::Attribute, 11) => graph,
            (Self::Attribute, 15) => kind,
            (Self::Attribute, 23) => sparse,
            (Self::Attribute, 7) | (Self::Tensor, 4 | 10) => Fixed,
            (Self::Attribute, 8) | (Self::Tensor, 1 | 7 | 11) | (Self::Sparse, 3) => {
                Number(size_of::<i64>())
            }
            (Self::Tensor, 5) => Number(size_of::<i32>()),
            (Self::ValueInfo, 2) => Message(Self::Type, 0),
            (Self::Type, 1) => Message(Self::TensorType, 0),
            (Self::TensorType, 2) => Message(Self::Shape, 0),
            (Self::Shape, 1) => Message(Self::Dimension, size_of::<Dimension>()),
            (Self::Sparse, 1 | 2) => Message(Self::Tensor, 0),
            _ => Other,
        }
    }
}

/// Refuses a model whose parts would take more than [`MAX_EXPANSION`] bytes of memory beyond its own. What is no protocol buffer is
/// left to the decoder, which stops at the same place.
pub(crate) fn check(bytes: &[u8]) -> Result<(), Error> {
    let mut left = MAX_EXPANSION;
    match count(Kind::Model, bytes, &mut left, 0) {
        Some(()) => Ok(()),
        None => Err(Error::TooManyParts {
            limit: MAX_EXPANSION,
        }),
    }
}

/// `None` where nothing is `left`.
fn count(kind: Kind, mut bytes: &[u8], left: &mut usize, depth: usize) -> Option<()> {
    if depth > MAX_DEPTH {
        return Some(());
    }
    while let Some((tag, value)) = next(&mut bytes) {
        let taken = match (kind.field(tag), value) {
            (Field::Message(kind, size), Value::Bytes(contents)) => {
                count(kind, contents, left, depth + 1)?;
                size
            }
            (Field::Item(size), Value::Bytes(_)) => size,
            (Field::Number(size), Value::Bytes(packed)) => {
                let ends = packed.iter().filter(|byte| **byte < 0x80).count();
                ends.saturating_mul(size).saturating_sub(packed.len())
            }
            (Field::Number(size), Value::Number) => size,
            (Field::Fixed | Field::Other, _) | (_, Value::Number) => 0,
        };
        *left = left.checked_sub(taken)?;
    }
    Some(())
}

enum Value<'a> {
    Bytes(&'a [u8]),
    Number,
}

/// The number of the next field, and its value; `None` at the end and where there is none. What lies in a group, which ONNX does not
/// know, is counted as if it lay around it.
fn next<'a>(bytes: &mut &'a [u8]) -> Option<(u64, Value<'a>)> {
    let key = varint(bytes)?;
    let value = match key & 7 {
        0 => varint(bytes).map(|_| Value::Number)?,
        1 => split(bytes, 8).map(|_| Value::Number)?,
        2 => {
            let length = usize::try_from(varint(bytes)?).ok()?;
            Value::Bytes(split(bytes, length)?)
        }
        3 | 4 => Value::Number,
        5 => split(bytes, 4).map(|_| Value::Number)?,
        _ => return None,
    };
    Some((key >> 3, value))
}

fn split<'a>(bytes: &mut &'a [u8], length: usize) -> Option<&'a [u8]> {
    let (first, rest) = bytes.split_at_checked(length)?;
    *bytes = rest;
    Some(first)
}

fn varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut number = 0u64;
    for shift in (0..64).step_by(7) {
        let (byte, rest) = bytes.split_first()?;
        *bytes = rest;
        number |= u64::from(byte & 0x7f) << shift;
        if *byte < 0x80 {
            return Some(number);
        }
    }
    None
}
