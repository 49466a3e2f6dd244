//! The operators: for each the rule of its shape, and where it has one the rule of its gradient.
//!
//! Rules see nodes in the form of operator set 18 and later; older forms are brought up to date before.

mod abs;
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
#[cfg(test)]
mod elementwise;
mod elu;
mod equal;
mod erf;
mod exp;
mod expand;
mod extremum;
mod flatten;
mod gather;
mod gather_elements;
mod gelu;
mod gemm;
mod global_average_pool;
mod global_max_pool;
mod group_normalization;
mod hard_sigmoid;
mod hard_swish;
mod identity;
mod layer_normalization;
mod leaky_relu;
mod log;
mod lp_normalization;
mod lrn;
mod matmul;
mod max_pool;
mod mish;
mod modulo;
mod mul;
mod neg;
mod p_relu;
mod pad;
mod pow;
mod quantize;
mod range;
mod reciprocal;
mod reduce;
mod reduce_extremum;
mod reduce_log;
mod reduce_norm;
mod reduce_prod;
mod relu;
mod reshape;
mod resize;
mod scatter;
mod scatter_nd;
mod selection;
mod shape_of;
mod sigmoid;
mod size;
mod sizes;
mod slice;
mod softmax;
mod softplus;
mod softsign;
pub(crate) mod split;
mod sqrt;
mod squeeze;
mod standardize;
mod sub;
mod sum;
mod swish;
mod tanh;
mod thresholded_relu;
mod tile;
mod transpose;
mod trigonometric;
mod trilu;
mod unsqueeze;
mod window;

use crate::{emitter::Emitter, node::Node, shape::Fact};

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
    abs::RULE,
    add::RULE,
    average_pool::RULE,
    batch_normalization::RULE,
    cast::RULE,
    elu::CELU,
    clip::RULE,
    concat::RULE,
    constant_of_shape::RULE,
    conv::RULE,
    conv_transpose::RULE,
    trigonometric::COS,
    cum_sum::RULE,
    depth_space::TO_SPACE,
    div::RULE,
    dropout::RULE,
    einsum::RULE,
    elu::ELU,
    equal::RULE,
    erf::RULE,
    exp::RULE,
    expand::RULE,
    flatten::RULE,
    gather::RULE,
    gather_elements::RULE,
    gelu::RULE,
    gemm::RULE,
    global_average_pool::RULE,
    global_max_pool::RULE,
    group_normalization::GROUP,
    hard_sigmoid::RULE,
    hard_swish::RULE,
    identity::RULE,
    group_normalization::INSTANCE,
    lrn::RULE,
    layer_normalization::LAYER,
    leaky_relu::RULE,
    log::RULE,
    softmax::LOG,
    lp_normalization::RULE,
    matmul::RULE,
    extremum::MAX,
    max_pool::RULE,
    sum::MEAN,
    extremum::MIN,
    mish::RULE,
    modulo::RULE,
    mul::RULE,
    neg::RULE,
    p_relu::RULE,
    pad::RULE,
    pow::RULE,
    layer_normalization::RMS,
    quantize::QUANTIZE,
    quantize::DEQUANTIZE,
    range::RULE,
    reciprocal::RULE,
    reduce_norm::L1,
    reduce_norm::L2,
    reduce_log::LOG_SUM,
    reduce_log::LOG_SUM_EXP,
    reduce_extremum::MAX,
    reduce::MEAN,
    reduce_extremum::MIN,
    reduce_prod::RULE,
    reduce::SUM,
    reduce_norm::SUM_SQUARE,
    relu::RULE,
    reshape::RULE,
    resize::RULE,
    scatter_nd::RULE,
    elu::SELU,
    shape_of::RULE,
    sigmoid::RULE,
    trigonometric::SIN,
    size::RULE,
    slice::RULE,
    softmax::RULE,
    softplus::RULE,
    softsign::RULE,
    depth_space::TO_DEPTH,
    sqrt::RULE,
    squeeze::RULE,
    sub::RULE,
    sum::SUM,
    swish::RULE,
    tanh::RULE,
    thresholded_relu::RULE,
    tile::RULE,
    transpose::RULE,
    trilu::RULE,
    unsqueeze::RULE,
    selection::RULE,
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
