//! Which batch sizes give the same answer to the last bit.
//!
//! A matrix kernel may sum in another order for one row than for many, so that a row's answer depends on how many rows
//! are asked with it: in the last bits, but an attack that steps by the sign of a gradient turns those into visible
//! pixels. It depends on the processor (none was seen with AVX-512 on x86-64). Answers must not depend on what other
//! callers ask at the same moment, so only sizes are used that were seen to agree, and smaller numbers of rows are
//! padded up to them.
use ndarray::ArrayD;

use crate::{
    RuntimeError,
    batch::{self, Column},
};

/// The outputs of one run.
type Outputs = Vec<ArrayD<f32>>;

/// The largest set of batch sizes, among the powers of two up to `max_batch`, whose answers to the same rows are
/// bitwise equal, in ascending order. Sizes at which the model does not run are left out.
///
/// # Errors
/// When the model runs at no size; the error is that of a single row.
pub(super) fn sizes(
    mut run: impl FnMut(&[Column]) -> Result<Outputs, RuntimeError>,
    sample: impl Fn(usize) -> Vec<Column>,
    max_batch: usize,
) -> Result<Vec<usize>, RuntimeError> {
    let mut answers = vec![(1, run(&sample(1)))];
    if let [(_, Err(RuntimeError::Slow { what, seconds }))] = answers.as_slice() {
        let (what, seconds) = (*what, *seconds);
        return Err(RuntimeError::Slow { what, seconds });
    }
    let mut size = 2;
    while size <= max_batch {
        let answer = run(&sample(size));
        // More rows take longer still.
        let slow = matches!(answer, Err(RuntimeError::Slow { .. }));
        answers.push((size, answer));
        if slow {
            break;
        }
        size *= 2;
    }
    let failure = match answers.first_mut() {
        Some((_, answer @ Err(_))) => std::mem::replace(answer, Ok(Vec::new())).err(),
        _ => None,
    };
    let answers: Vec<(usize, Outputs)> = answers
        .into_iter()
        .filter_map(|(size, answer)| Some((size, answer.ok()?)))
        .filter(|(_, answer)| !answer.is_empty())
        .collect();
    let mut families: Vec<Vec<usize>> = answers
        .iter()
        .map(|(largest, reference)| {
            answers
                .iter()
                .filter(|(size, answer)| size <= largest && same(reference, answer))
                .map(|(size, _)| *size)
                .collect()
        })
        .collect();
    // Of equally large families the one with the smaller sizes needs less padding.
    families.sort_by_key(|members| (std::cmp::Reverse(members.len()), members.last().copied()));
    for mut members in families {
        while let Some(&largest) = members.last() {
            let reference = answers.iter().find(|(size, _)| *size == largest);
            // A row's place in the batch must not matter either.
            let backwards: Vec<Column> = sample(largest).iter().map(Column::reversed).collect();
            if let Some((_, reference)) = reference
                && (largest == 1
                    || run(&backwards).is_ok_and(|answer| same_backwards(reference, &answer)))
            {
                tracing::debug!(sizes = ?members, "batch sizes with equal answers");
                return Ok(members);
            }
            members.pop();
        }
    }
    failure.map_or(Ok(vec![1]), Err)
}

/// Whether the rows that both have are bitwise equal.
fn same(left: &Outputs, right: &Outputs) -> bool {
    left.iter().zip(right).all(|(left, right)| {
        let rows = batch::rows(left).min(batch::rows(right));
        let (left, right) = (batch::slice(left, 0..rows), batch::slice(right, 0..rows));
        left.shape() == right.shape() && bits(left.iter()).eq(bits(right.iter()))
    })
}

fn same_backwards(left: &Outputs, right: &Outputs) -> bool {
    left.iter().zip(right).all(|(left, right)| {
        let mut right = right.view();
        right.invert_axis(ndarray::Axis(0));
        left.shape() == right.shape() && bits(left.iter()).eq(bits(right.iter()))
    })
}

fn bits<'a>(values: impl Iterator<Item = &'a f32>) -> impl Iterator<Item = u32> {
    values.map(|value| value.to_bits())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(rows: usize) -> Vec<Column> {
        vec![Column::Float(ArrayD::from_shape_fn(vec![rows, 3], |at| {
            (1 + at[0] * 3 + at[1]) as f32 / 7.0
        }))]
    }

    /// Sums each row's values, with an error that depends on the batch's size and the row's place in it.
    fn summing(
        error: impl Fn(usize, usize) -> Option<f32>,
    ) -> impl FnMut(&[Column]) -> Result<Outputs, RuntimeError> {
        move |inputs| {
            let Some(Column::Float(array)) = inputs.first() else {
                panic!("one column of floats")
            };
            let rows = batch::rows(array);
            let values: Option<Vec<f32>> = array
                .outer_iter()
                .enumerate()
                .map(|(place, row)| Some(row.sum() + error(rows, place)?))
                .collect();
            let values = values.ok_or_else(|| RuntimeError::Unsupported {
                what: "batch",
                expected: "another".to_owned(),
                got: rows.to_string(),
            })?;
            Ok(vec![ndarray::Array1::from_vec(values).into_dyn()])
        }
    }

    #[test]
    fn sizes_that_agree_are_kept() {
        assert_eq!(
            sizes(summing(|_, _| Some(0.0)), sample, 16).unwrap(),
            [1, 2, 4, 8, 16]
        );
        assert_eq!(
            sizes(summing(|_, _| Some(0.0)), sample, 5).unwrap(),
            [1, 2, 4]
        );
    }

    #[test]
    fn a_size_that_differs_in_the_last_bit_is_left_out() {
        let last_bit = |rows, _| Some(if rows == 1 { 1e-7 } else { 0.0 });
        assert_eq!(sizes(summing(last_bit), sample, 8).unwrap(), [2, 4, 8]);
        let last_bit = |rows, _| Some(if rows == 8 { 1e-7 } else { 0.0 });
        assert_eq!(sizes(summing(last_bit), sample, 8).unwrap(), [1, 2, 4]);
    }

    #[test]
    fn where_all_sizes_differ_rows_are_run_one_by_one() {
        assert_eq!(
            sizes(summing(|rows, _| Some(rows as f32)), sample, 8).unwrap(),
            [1]
        );
    }

    #[test]
    fn a_size_in_which_a_rows_place_matters_is_not_used() {
        let by_place = |rows, place| Some(if rows == 4 && place == 3 { 1.0 } else { 0.0 });
        assert_eq!(sizes(summing(by_place), sample, 4).unwrap(), [1, 2]);
    }

    #[test]
    fn sizes_that_do_not_run_are_left_out_and_none_at_all_is_the_single_rows_error() {
        let single = |rows, _| (rows == 1).then_some(0.0);
        assert_eq!(sizes(summing(single), sample, 8).unwrap(), [1]);
        let error = sizes(summing(|_, _| None), sample, 8).unwrap_err();
        assert!(error.to_string().contains("is 1"), "{error}");
    }
}
