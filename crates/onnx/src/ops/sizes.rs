//! Shapes that are put together from numbers and from the sizes of tensors, for `Reshape` and `ConstantOfShape`.

use crate::{
    emitter::Emitter,
    proto::AttributeProto,
    shape::{self, Dim},
};

/// The size of one axis.
#[derive(Clone, Debug)]
pub(super) enum Size<'a> {
    Number(i64),
    /// That of an axis of a tensor, and its name.
    Of {
        tensor: &'a str,
        axis: usize,
        dim: &'a Dim,
    },
}

impl<'a> Size<'a> {
    /// The size of an axis of a tensor.
    pub(super) fn of(tensor: &'a str, axis: usize, dim: &'a Dim) -> Self {
        match dim.known().and_then(|size| i64::try_from(size).ok()) {
            Some(size) => Self::Number(size),
            None => Self::Of { tensor, axis, dim },
        }
    }

    /// All sizes of a tensor.
    pub(super) fn all(tensor: &'a str, shape: &'a [Dim]) -> Vec<Self> {
        let axes = shape.iter().enumerate();
        axes.map(|(axis, dim)| Self::of(tensor, axis, dim))
            .collect()
    }
}

/// An int64 list of the sizes: a constant where all are numbers.
pub(super) fn tensor(emit: &mut Emitter, sizes: &[Size<'_>]) -> String {
    let mut parts = Vec::new();
    let mut rest = sizes;
    while let Some(first) = rest.first() {
        let numbers: Vec<i64> = rest
            .iter()
            .map_while(|size| match size {
                Size::Number(number) => Some(*number),
                Size::Of { .. } => None,
            })
            .collect();
        let taken = match first {
            Size::Number(_) => {
                parts.push(emit.ints(&numbers));
                numbers.len()
            }
            Size::Of { tensor, axis, .. } => {
                parts.push(of_axis(emit, tensor, *axis));
                1
            }
        };
        rest = rest.get(taken..).unwrap_or_default();
    }
    match parts.as_slice() {
        [] => emit.ints(&[]),
        [one] => one.clone(),
        more => {
            let more: Vec<&str> = more.iter().map(String::as_str).collect();
            emit.node("Concat", &more, [AttributeProto::int("axis", 0)])
        }
    }
}

/// The size of an axis, as a list of one.
pub(super) fn of_axis(emit: &mut Emitter, tensor: &str, axis: usize) -> String {
    let range = [
        AttributeProto::int("start", axis as i64),
        AttributeProto::int("end", axis as i64 + 1),
    ];
    emit.node("Shape", &[tensor], range)
}

/// Brings a tensor of shape `from` to the given sizes, which hold as many elements. The target is a constant where it can be one.
pub(super) fn reshape(
    emit: &mut Emitter,
    tensor: &str,
    from: &[Dim],
    sizes: &[Size<'_>],
) -> String {
    let mut open = 0;
    let target: Vec<i64> = sizes
        .iter()
        .enumerate()
        .map(|(position, size)| match size {
            Size::Number(number) => *number,
            // The runtime keeps track of a symbolic size that is copied.
            Size::Of { dim, .. } if from.get(position) == Some(dim) => 0,
            Size::Of { .. } => {
                open += 1;
                -1
            }
        })
        .collect();
    let target = if open <= 1 {
        emit.ints(&target)
    } else {
        self::tensor(emit, sizes)
    };
    emit.node("Reshape", &[tensor, &target], [])
}

/// An axis that an attribute names, counted from the front.
pub(super) fn axis(given: i64, rank: usize) -> Result<usize, String> {
    shape::axis(given, rank)
        .ok_or_else(|| format!("axis {given} is out of range for a tensor of rank {rank}"))
}
