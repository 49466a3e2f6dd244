//! `MatMul`: ONNX operator specification, section "MatMul", with one constant factor.

use super::{Passage, Rule, affine::Affine, interval::Bounds};
use crate::node::Node;

pub(super) const RULE: Rule = Rule {
    operators: &["MatMul"],
    bound: |node, bounds| affine(node)?.interval(node, bounds),
    passage: |node| match node.shape(0).map(<[_]>::len) == node.shape(1).map(<[_]>::len)
        || !node.wants(1)
    {
        true => Passage::Affine(|node, bounds| affine(node)?.error(node, bounds)),
        // Its gradient sums over the axes along which the factor was stretched.
        false => Passage::Cut,
    },
};

fn affine(node: &Node<'_>) -> Result<Affine, String> {
    let input = match [node.wants(0), node.wants(1)] {
        [true, true] => {
            return Err(
                "it multiplies two tensors that both depend on the image, as attention does, for which there is no bound; take \
                 another architecture"
                    .into(),
            );
        }
        [first, _] => usize::from(!first),
    };
    let sizes = |shape: &[crate::Dim]| match shape {
        [.., rows, columns] => Some([rows.known(), columns.known()]),
        [only] => Some([only.known(), only.known()]),
        [] => None,
    };
    let weight = sizes(node.require_shape(1 - input)?).ok_or("its constant factor is a scalar")?;
    let [Some(rows), Some(columns)] = weight else {
        return Err("the size of its constant factor is not known".into());
    };
    let (forward, backward) = match input {
        0 => (rows, columns),
        _ => (columns, rows),
    };
    Ok(Affine {
        input,
        forward,
        backward,
        spread,
    })
}

fn spread(node: &Node<'_>, bounds: &mut Bounds, x: &str, _: f32) -> Result<String, String> {
    let input = usize::from(!node.wants(0));
    let weight = bounds.one("Abs", node.require_input(1 - input)?);
    Ok(bounds.again(node, &[(input, x), (1 - input, &weight)]))
}
