//! `Transpose`: ONNX operator specification, section "Transpose"; axis i of the output is axis perm[i] of the input.

use super::{Gradients, Rule};
use crate::{
    emitter::Emitter,
    follow,
    node::Node,
    proto::AttributeProto,
    shape::{Dim, Fact},
};

pub(super) const RULE: Rule = Rule {
    operator: "Transpose",
    shape: infer,
    gradient: Some(gradient),
};

/// dx is dy with the inverse permutation; reversing all axes is its own inverse.
fn gradient(node: &Node<'_>, emit: &mut Emitter, dy: &str) -> Result<Gradients, String> {
    let attributes = match node.ints("perm") {
        None => vec![],
        Some(perm) => {
            let mut inverse = vec![-1; perm.len()];
            for (to, &from) in (0..).zip(perm) {
                let slot = usize::try_from(from)
                    .ok()
                    .and_then(|from| inverse.get_mut(from));
                *slot.ok_or_else(|| format!("perm {perm:?} is no permutation"))? = to;
            }
            if inverse.contains(&-1) {
                return Err(format!("perm {perm:?} is no permutation"));
            }
            vec![AttributeProto::ints("perm", inverse)]
        }
    };
    Ok(vec![(0, emit.node("Transpose", &[dy], attributes))])
}

fn infer(node: &Node<'_>) -> Option<Fact> {
    let input = node.shape(0)?;
    let perm: Vec<usize> = match node.ints("perm") {
        None => (0..input.len()).rev().collect(),
        Some(perm) => perm
            .iter()
            .map(|&from| usize::try_from(from).ok())
            .collect::<Option<_>>()?,
    };
    let dims = perm.iter().map(|&from| input.get(from).cloned());
    let shape: Vec<Dim> = dims.collect::<Option<_>>()?;
    let value = || {
        follow::rearrange(node.value(0)?, input, &shape, |index| {
            let mut source = vec![0; index.len()];
            for (place, &from) in index.iter().zip(&perm) {
                *source.get_mut(from)? = *place;
            }
            Some(source)
        })
    };
    let value = value();
    Some(Fact { shape, value })
}

#[cfg(test)]
mod tests {
    use crate::{proto::AttributeProto, reference::net::Net};
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(crate::reference::cases(12))]
        #[test]
        fn gradient_is_the_difference_quotient(perm in Just(vec![1i64, 2, 3]).prop_shuffle(), seed: u64) {
            let mut net = Net::new([3, 2, 3, 4], seed);
            let perm = AttributeProto::ints("perm", [vec![0], perm].concat());
            let y = net.op("Transpose", &["image"], [perm]);
            let weights = net.weights(&[1]);
            let y = net.op("Mul", &[&y, &weights], []);
            net.check(&y, seed);
        }
    }

    #[test]
    fn without_a_permutation_all_axes_are_reversed() {
        let mut net = Net::new([3, 2, 3, 4], 2);
        let reversed = net.op("Transpose", &["image"], []);
        let y = net.op(
            "Transpose",
            &[&reversed],
            [AttributeProto::ints("perm", [3, 0, 2, 1])],
        );
        net.check(&y, 2);
    }
}
