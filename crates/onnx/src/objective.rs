//! From logits to the loss of each row and its gradient with respect to the logits, and to the features where there are some.
//!
//! With weights `w` and cotangent `c`, a row's loss is `sum_k w_k * objective_k + <c, z>`, with `z` its logits. The names of the
//! objectives are the columns of the input `objective`.

mod features;
mod logits;

use crate::{
    emitter::Emitter,
    interface::Interface,
    proto::{AttributeProto, DataType, ValueInfoProto},
    shape::{self, Dim},
};

/// The term of one objective in the loss.
struct Term {
    name: &'static str,
    /// `[batch, 1]`.
    loss: String,
    /// With respect to the logits `[batch, classes]`, or to the features `[batch, features]`.
    gradient: String,
}

/// Gradients of the loss, from which the backward pass starts.
pub(crate) struct Seeds {
    pub logits: String,
    pub features: Option<String>,
    /// The columns of the input `objective`.
    pub objectives: Vec<String>,
}

/// The inputs beside the image.
pub(crate) fn inputs(interface: &Interface, objectives: usize) -> Vec<ValueInfoProto> {
    let batch = interface.batch();
    let float = |name: &str, size: u64| {
        let shape = [batch.clone(), Dim::Known(size)];
        shape::value_info(name, DataType::Float, &shape)
    };
    let class = |name: &str| shape::value_info(name, DataType::Int64, std::slice::from_ref(&batch));
    let mut inputs = vec![
        class("label"),
        float("objective", objectives as u64),
        float("cotangent", interface.classes),
    ];
    if interface.classes >= logits::TARGETED_DLR_CLASSES {
        inputs.push(class("target"));
    }
    inputs.push(float("probabilities", interface.classes));
    if let Some(features) = &interface.features {
        inputs.push(float("source_features", features.size));
    }
    inputs
}

/// Emits the output `loss`, and the gradients with respect to logits and features.
///
/// A weight of zero takes its term out even where the term is infinite: no product of the two is used.
pub(crate) fn emit(emit: &mut Emitter, interface: &Interface) -> Seeds {
    let zero = emit.float(0.0);
    let last = emit.ints(&[1]);
    let (of_logits, linear) = logits::terms(emit, interface);
    let of_features = interface
        .features
        .as_ref()
        .map(|features| features::distance(emit, features));

    let terms: Vec<&Term> = of_logits.iter().chain(&of_features).collect();
    let losses: Vec<&str> = terms.iter().map(|term| term.loss.as_str()).collect();
    let losses = emit.node("Concat", &losses, [AttributeProto::int("axis", 1)]);
    let off = emit.node("Equal", &["objective", &zero], []);
    let weighted = emit.node("Mul", &["objective", &losses], []);
    let weighted = emit.node("Where", &[&off, &zero, &weighted], []);
    let parts = emit.node(
        "Concat",
        &[&weighted, &linear],
        [AttributeProto::int("axis", 1)],
    );
    let drop = AttributeProto::int("keepdims", 0);
    emit.node_named("ReduceSum", &[&parts, &last], [drop], "loss");

    let mut columns = 0..;
    let mut gradient = |emit: &mut Emitter, term: &Term| {
        let column = emit.ints(&[columns.next().unwrap_or_default()]);
        let axis = || AttributeProto::int("axis", 1);
        let weight = emit.node("Gather", &["objective", &column], [axis()]);
        let off = emit.node("Gather", &[&off, &column], [axis()]);
        let product = emit.node("Mul", &[&weight, &term.gradient], []);
        emit.node("Where", &[&off, &zero, &product], [])
    };
    let sum: Vec<String> = of_logits
        .iter()
        .map(|term| gradient(emit, term))
        .chain(["cotangent".into()])
        .collect();
    let features = of_features.as_ref().map(|term| gradient(emit, term));
    let sum: Vec<&str> = sum.iter().map(String::as_str).collect();
    Seeds {
        logits: emit.node("Sum", &sum, []),
        features,
        objectives: terms.iter().map(|term| term.name.into()).collect(),
    }
}

/// The sum of each row of some tensors `[batch, width]`, as `[batch, 1]`.
///
/// They are summed together: a runtime adds the elements of a single row in another order than those of several, and then the
/// last bits of a row would depend on what else is in its batch.
fn row_sums<const N: usize>(emit: &mut Emitter, tensors: [&str; N], width: u64) -> [String; N] {
    let axis = || AttributeProto::int("axis", 1);
    let joined = emit.node("Concat", &tensors, [axis()]);
    let shape = emit.ints(&[0, N as i64, width as i64]);
    let stacked = emit.node("Reshape", &[&joined, &shape], []);
    let last = emit.ints(&[2]);
    let drop = AttributeProto::int("keepdims", 0);
    let sums = emit.node("ReduceSum", &[&stacked, &last], [drop]);
    std::array::from_fn(|index| {
        let column = emit.ints(&[index as i64]);
        emit.node("Gather", &[&sums, &column], [axis()])
    })
}
