use ndarray::ArrayView2;

use super::{datatype::Datatype, tensor::Tensor};

/// The highest `classes` values of each row, highest first, as `value:index[:label]` (Triton's classification extension): BYTES
/// of shape `[batch, classes]`. Equal values keep the classes' order; what is no number comes last.
pub(crate) fn classification<'a>(
    name: &'a str,
    logits: ArrayView2<'_, f32>,
    classes: usize,
    labels: &[String],
) -> Tensor<'a> {
    let classes = classes.min(logits.ncols());
    let mut data = Vec::new();
    for row in logits.rows() {
        let mut order: Vec<(usize, f32)> = row.iter().copied().enumerate().collect();
        let rank = |value: f32| {
            if value.is_nan() {
                f32::NEG_INFINITY
            } else {
                value
            }
        };
        order.sort_by(|(_, a), (_, b)| {
            let nan_last = a.is_nan().cmp(&b.is_nan());
            rank(*b).total_cmp(&rank(*a)).then(nan_last)
        });
        for (index, value) in order.into_iter().take(classes) {
            let mut text = format!("{value}:{index}");
            if let Some(label) = labels.get(index) {
                text.push(':');
                text.push_str(label);
            }
            // A label is a part of a model file, and those are below 2 GiB.
            let length = u32::try_from(text.len()).unwrap_or(u32::MAX);
            data.extend(length.to_le_bytes());
            data.extend(text.as_bytes());
        }
    }
    Tensor {
        name: name.into(),
        datatype: Datatype::Bytes,
        shape: vec![logits.nrows(), classes],
        data: data.into(),
    }
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::*;
    use crate::v2::tensor::Elements;

    fn texts(logits: ArrayView2<'_, f32>, classes: usize, labels: &[&str]) -> Vec<String> {
        let labels: Vec<String> = labels.iter().map(|&label| label.to_owned()).collect();
        let tensor = classification("logits", logits, classes, &labels);
        assert_eq!(tensor.shape, [logits.nrows(), classes.min(logits.ncols())]);
        let json = serde_json::to_string(&Elements(&tensor)).unwrap();
        serde_json::from_str(&json).unwrap()
    }

    #[test]
    fn the_highest_come_first_row_by_row_with_their_labels() {
        let logits = array![[0.5, -1.0, 2.25], [3.0, 3.0, -0.0]];
        assert_eq!(
            texts(logits.view(), 2, &["cat", "dog", "a:b"]),
            ["2.25:2:a:b", "0.5:0:cat", "3:0:cat", "3:1:dog"]
        );
        assert_eq!(
            texts(logits.view(), 9, &[]),
            ["2.25:2", "0.5:0", "-1:1", "3:0", "3:1", "-0:2"]
        );
    }

    #[test]
    fn what_is_no_number_comes_last() {
        let logits = array![[f32::NAN, f32::NEG_INFINITY, 1.0, f32::INFINITY]];
        assert_eq!(
            texts(logits.view(), 4, &[]),
            ["inf:3", "1:2", "-inf:1", "NaN:0"]
        );
    }
}
