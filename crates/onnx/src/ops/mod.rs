//! The operators: for each the rule of its shape, and where it has one the rule of its gradient.
//!
//! Rules see nodes in the form of operator set 18 and later; older forms are brought up to date before.

mod add;
mod average_pool;
mod batch_normalization;
mod broadcast;
mod cast;
mod clip;
mod concat;
mod constant_of_shape;
mod conv;
mod conv_transpose;
mod cum_sum;
mod depth_space;
mod div;
mod dropout;
mod einsum;
mod equal;
mod expand;
mod extremum;
mod flatten;
mod gather;
mod gather_elements;
mod gemm;
mod global_average_pool;
mod global_max_pool;
mod identity;
mod lrn;
mod matmul;
mod max_pool;
mod modulo;
mod mul;
mod pad;
mod pow;
mod range;
mod reduce;
mod relu;
mod reshape;
mod scatter;
mod scatter_nd;
mod shape_of;
mod sigmoid;
mod size;
mod sizes;
mod slice;
mod softmax;
pub(crate) mod split;
mod sqrt;
mod squeeze;
mod sub;
mod tanh;
mod tile;
mod transpose;
mod trilu;
mod unsqueeze;
mod window;

use crate::{
    emitter::Emitter,
    node::Node,
    shape::{self, Fact},
};

/// Gradients with respect to inputs, by the input's position. An input may be left out when its gradient is zero.
pub(crate) type Gradients = Vec<(usize, String)>;

/// Emits the gradients with respect to those inputs that want one, given the gradient of the loss with respect to the first
/// output; refuses with a reason.
pub(crate) type GradientRule = fn(&Node<'_>, &mut Emitter, &str) -> Result<Gradients, String>;

/// What is known about an operator.
pub(crate) struct Rule {
    pub operator: &'static str,
    /// The shape of the first output; `None` where it cannot be told.
    pub shape: fn(&Node<'_>) -> Option<Fact>,
    /// Absent for operators that only compute with shapes.
    pub gradient: Option<GradientRule>,
}

const RULES: &[Rule] = &[
    add::RULE,
    average_pool::RULE,
    batch_normalization::RULE,
    cast::RULE,
    clip::RULE,
    concat::RULE,
    constant_of_shape::RULE,
    conv::RULE,
    conv_transpose::RULE,
    cum_sum::RULE,
    depth_space::TO_SPACE,
    div::RULE,
    dropout::RULE,
    einsum::RULE,
    equal::RULE,
    expand::RULE,
    extremum::MAX,
    extremum::MIN,
    flatten::RULE,
    gather::RULE,
    gather_elements::RULE,
    gemm::RULE,
    global_average_pool::RULE,
    global_max_pool::RULE,
    identity::RULE,
    lrn::RULE,
    matmul::RULE,
    max_pool::RULE,
    modulo::RULE,
    mul::RULE,
    pad::RULE,
    pow::RULE,
    range::RULE,
    reduce::MEAN,
    reduce::SUM,
    relu::RULE,
    reshape::RULE,
    scatter_nd::RULE,
    shape_of::RULE,
    sigmoid::RULE,
    size::RULE,
    slice::RULE,
    softmax::RULE,
    depth_space::TO_DEPTH,
    sqrt::RULE,
    squeeze::RULE,
    sub::RULE,
    tanh::RULE,
    tile::RULE,
    transpose::RULE,
    trilu::RULE,
    unsqueeze::RULE,
    Rule {
        operator: "Where",
        shape: shape::select,
        gradient: None,
    },
];

/// The rule of an operator of ONNX's own domain.
pub(crate) fn rule(operator: &str) -> Option<&'static Rule> {
    RULES.iter().find(|rule| rule.operator == operator)
}

/// The operators that [`differentiate`](crate::differentiate) goes through, in alphabetical order. `Constant` is among them:
/// it becomes a stored tensor. `Split` has a rule of its own, since gradients reach all its outputs.
pub fn operators() -> impl Iterator<Item = &'static str> {
    let rules = RULES.iter().filter(|rule| rule.gradient.is_some());
    let mut names: Vec<_> = rules
        .map(|rule| rule.operator)
        .chain(["Constant", "Split"])
        .collect();
    names.sort_unstable();
    names.into_iter()
}

/// The shape rule of operators that work element by element on one tensor.
fn same_shape(node: &Node<'_>) -> Option<Fact> {
    Some(Fact::of_shape(node.shape(0)?.to_vec()))
}
