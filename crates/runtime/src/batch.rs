//! Rows of tensors: taking them apart, putting them together, and cutting them into batches of given sizes.
use std::ops::Range;

use ndarray::{ArrayD, ArrayView, Axis, Dimension, IxDyn, Slice, concatenate};

/// One input of a model: a tensor whose first axis counts the rows.
#[derive(Clone, Debug)]
pub(crate) enum Column {
    Float(ArrayD<f32>),
    Int(ArrayD<i64>),
}

impl Column {
    pub fn rows(&self) -> usize {
        match self {
            Self::Float(array) => rows(array),
            Self::Int(array) => rows(array),
        }
    }

    pub fn bytes(&self) -> usize {
        match self {
            Self::Float(array) => size_of::<f32>() * array.len(),
            Self::Int(array) => size_of::<i64>() * array.len(),
        }
    }

    /// The rows of several columns of the same kind, one after the other. `None` if they do not fit together.
    pub fn join(parts: &[(&Column, Range<usize>)]) -> Option<Column> {
        match parts.first()?.0 {
            Self::Float(_) => {
                let views: Option<Vec<_>> = parts
                    .iter()
                    .map(|(column, range)| match column {
                        Self::Float(array) => Some(slice(array, range.clone())),
                        Self::Int(_) => None,
                    })
                    .collect();
                concatenate(Axis(0), &views?).ok().map(Self::Float)
            }
            Self::Int(_) => {
                let views: Option<Vec<_>> = parts
                    .iter()
                    .map(|(column, range)| match column {
                        Self::Int(array) => Some(slice(array, range.clone())),
                        Self::Float(_) => None,
                    })
                    .collect();
                concatenate(Axis(0), &views?).ok().map(Self::Int)
            }
        }
    }

    /// The rows of `range`, then the last of them again until there are `size`.
    pub fn padded(&self, range: Range<usize>, size: usize) -> Option<Column> {
        let last = range.end.checked_sub(1)?;
        let missing = size.checked_sub(range.len())?;
        let mut parts = vec![(self, range.clone())];
        parts.extend((0..missing).map(|_| (self, last..range.end)));
        Self::join(&parts)
    }

    /// With the rows in the opposite order.
    pub fn reversed(&self) -> Self {
        let mut column = self.clone();
        match &mut column {
            Self::Float(array) => array.invert_axis(Axis(0)),
            Self::Int(array) => array.invert_axis(Axis(0)),
        }
        column
    }
}

/// The number of rows of an array; none has one without an axis.
pub(crate) fn rows<T>(array: &ArrayD<T>) -> usize {
    array.shape().first().copied().unwrap_or(0)
}

/// Some rows of an array that has at least those.
pub(crate) fn slice<T>(array: &ArrayD<T>, range: Range<usize>) -> ArrayView<'_, T, IxDyn> {
    array.slice_axis(Axis(0), Slice::from(range))
}

/// Several arrays, one below the other. `None` if they do not fit together.
pub(crate) fn stack(parts: &[ArrayD<f32>]) -> Option<ArrayD<f32>> {
    match parts {
        [one] => Some(one.clone()),
        parts => {
            let views: Vec<_> = parts.iter().map(|part| part.view()).collect();
            concatenate(Axis(0), &views).ok()
        }
    }
}

/// With another number of axes, if it has them.
pub(crate) fn with_axes<T, D: Dimension>(array: ArrayD<T>) -> Option<ndarray::Array<T, D>> {
    array.into_dimensionality().ok()
}

/// Cuts `rows` rows into batches that each have one of the `sizes` (ascending, not empty): pairs of rows and size,
/// where a batch of more size than rows is to be padded. Padding is kept below a quarter wherever smaller sizes allow.
pub(crate) fn plan(rows: usize, sizes: &[usize]) -> Vec<(usize, usize)> {
    let mut batches = Vec::new();
    let mut left = rows;
    while left > 0 {
        let below = sizes.iter().rfind(|&&size| size <= left);
        let above = sizes.iter().find(|&&size| size >= left);
        let (rows, size) = match (below, above) {
            (_, Some(&size)) if (size - left) * 4 <= size => (left, size),
            (Some(&size), _) => (size, size),
            (None, Some(&size)) => (left, size),
            (None, None) => break,
        };
        batches.push((rows, size));
        left -= rows;
    }
    batches
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_plan_covers_every_row_with_allowed_sizes_only(
            rows in 0usize..200,
            sizes in prop::collection::btree_set(1usize..20, 1..6),
        ) {
            let sizes: Vec<usize> = sizes.into_iter().collect();
            let plan = plan(rows, &sizes);
            prop_assert_eq!(plan.iter().map(|(rows, _)| rows).sum::<usize>(), rows);
            for (rows, size) in plan {
                prop_assert!(sizes.contains(&size) && 0 < rows && rows <= size);
            }
        }

        #[test]
        fn with_powers_of_two_at_most_a_quarter_is_padding(rows in 1usize..200) {
            let size: usize = plan(rows, &[1, 2, 4, 8, 16]).iter().map(|(_, size)| size).sum();
            prop_assert!((size - rows) * 4 <= size);
        }

        #[test]
        fn joined_rows_can_be_cut_apart_again(lengths in prop::collection::vec(1usize..5, 1..5)) {
            let columns: Vec<Column> = lengths
                .iter()
                .enumerate()
                .map(|(i, &rows)| {
                    Column::Float(ArrayD::from_shape_fn(vec![rows, 2], |at| (100 * i + 10 * at[0] + at[1]) as f32))
                })
                .collect();
            let parts: Vec<_> = columns.iter().map(|column| (column, 0..column.rows())).collect();
            let Some(Column::Float(joined)) = Column::join(&parts) else { panic!("not joined") };
            let mut start = 0;
            for column in &columns {
                let Column::Float(expected) = column else { panic!("not floats") };
                let end = start + column.rows();
                prop_assert_eq!(slice(&joined, start..end), expected.view());
                start = end;
            }
        }
    }

    #[test]
    fn padding_repeats_the_last_row() {
        let column = Column::Int(ArrayD::from_shape_fn(vec![3], |at| at[0] as i64));
        let Some(Column::Int(padded)) = column.padded(0..2, 4) else {
            panic!("not padded")
        };
        assert_eq!(padded.into_raw_vec_and_offset().0, [0, 1, 1, 1]);
    }
}
