//! Inputs on which a freshly loaded graph is tried.
use buckler_attack::{InputSpec, Objective};
use ndarray::{Array4, ArrayD};

use super::terms::Terms;

/// Numbers in `[0, 1)` without any pattern that a layer could cancel: multiples of the golden ratio, fractional parts.
pub(super) fn values(shape: &[usize]) -> ArrayD<f32> {
    let mut index = 0u32;
    ArrayD::from_shape_simple_fn(shape, || {
        index += 1;
        (f64::from(index) * 0.618_033_988_749_894_8).fract() as f32
    })
}

/// Such pixels.
pub(super) fn images(rows: usize, input: InputSpec) -> Array4<f32> {
    let mut values = values(&[rows * input.values()]).into_iter();
    let shape = (rows, input.channels, input.height, input.width);
    Array4::from_shape_simple_fn(shape, || values.next().unwrap_or_default())
}

/// One of each kind that such a graph has, in turn.
pub(super) fn objectives(rows: usize, terms: &Terms) -> Vec<Objective> {
    let classes = terms.classes;
    let cotangent = || (0..classes).map(|i| (i % 7) as f32 - 3.0).collect();
    let kinds: Vec<fn(usize, usize) -> Objective> = vec![
        |label, _| Objective::CrossEntropy { label },
        |label, _| Objective::Margin { label },
        |target, _| Objective::TargetedCrossEntropy { target },
        |target, _| Objective::TargetedMargin { target },
        |label, _| Objective::Dlr { label },
        |label, classes| Objective::TargetedDlr {
            label,
            target: (label + 1) % classes,
        },
        |_, classes| Objective::KullbackLeibler(vec![1.0 / classes as f32; classes]),
    ];
    (0..rows)
        .map(|row| {
            let kind = kinds.get(row % (kinds.len() + 1));
            let objective = kind.map(|kind| kind(row % classes.max(1), classes.max(1)));
            objective
                .filter(|objective| terms.has(objective))
                .unwrap_or_else(|| Objective::Cotangent(cotangent()))
        })
        .collect()
}
