//! What affine operators with constant weights share: y = W x + b, element by element of y.
//!
//! With centre c and radius r of x, y lies within `W c + b +- |W| r` (Gowal et al. 2018, section 3, equation 6).

use super::{
    interval::{Bounds, Interval},
    rounding,
};
use crate::{node::Node, shape::Dim};

/// Emits `|W| x + share |b|` for a node's weights, with x in place of its input.
pub(super) type Spread = fn(&Node<'_>, &mut Bounds, &str, f32) -> Result<String, String>;

/// An affine operator at a node.
pub(super) struct Affine {
    /// The input that depends on the image.
    pub input: usize,
    /// Products that are summed to one element of y.
    pub forward: u64,
    /// Products that are summed to one element of the gradient with respect to x.
    pub backward: u64,
    pub spread: Spread,
}

impl Affine {
    /// The radius is widened in front of the operator by a share of everything that is summed, so that one application of `|W|`
    /// does for radius and rounding.
    pub(super) fn interval(
        &self,
        node: &Node<'_>,
        bounds: &mut Bounds,
    ) -> Result<Interval, String> {
        let share = rounding::share(self.forward)?;
        let x = bounds.input(node, self.input)?;
        let [centre, radius] = bounds.centre_and_radius(&x);
        let size = bounds.one("Abs", &centre);
        let size = bounds.two("Add", &size, &radius);
        let rounding = bounds.scaled(&size, share);
        let radius = bounds.two("Add", &radius, &rounding);
        let centre = bounds.again(node, &[(self.input, &centre)]);
        let radius = (self.spread)(node, bounds, &radius, share)?;
        Ok(Interval::new(
            bounds.two("Sub", &centre, &radius),
            bounds.two("Add", &centre, &radius),
        ))
    }

    /// What y may be off by wherever x is in its interval: in the run of the network, in that of the reference, and by a gradient
    /// that is rounded on its way from y to x.
    pub(super) fn error(&self, node: &Node<'_>, bounds: &mut Bounds) -> Result<String, String> {
        let share = rounding::share(self.forward.max(self.backward))?;
        let x = bounds.input(node, self.input)?;
        let size = bounds.size(&x);
        // The reference and the difference to it may each be as large.
        let size = bounds.scaled(&size, 2.0 * share);
        (self.spread)(node, bounds, &size, 2.0 * share)
    }
}

/// Refuses when one of these inputs depends on the image.
pub(super) fn constant_inputs(node: &Node<'_>, inputs: &[(usize, &str)]) -> Result<(), String> {
    match inputs.iter().find(|(index, _)| node.wants(*index)) {
        None => Ok(()),
        Some((_, what)) => Err(format!(
            "its {what} depends on the image, for which there is no bound; make the {what} a constant"
        )),
    }
}

/// The product of known sizes.
pub(super) fn count(dims: &[Dim]) -> Result<u64, String> {
    let product = dims
        .iter()
        .try_fold(1u64, |product, dim| product.checked_mul(dim.known()?));
    product.ok_or_else(|| {
        format!(
            "a size in {} is not a number; export the model with static image sizes",
            crate::shape::display(dims)
        )
    })
}

/// The elements of one row of a tensor whose first axis is the batch.
pub(super) fn row(shape: &[Dim]) -> Result<u64, String> {
    count(shape.get(1..).unwrap_or_default())
}
