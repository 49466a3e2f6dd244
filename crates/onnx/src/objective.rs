//! From logits to the loss of each row and its gradient with respect to the logits.
//!
//! With weights `w`, cotangent `c`, label `y` and logits `z` of a row:
//! `loss = w0 (-log softmax(z)_y) + w1 (max_{i != y} z_i - z_y) + <c, z>`.

use crate::{
    emitter::Emitter,
    interface::Interface,
    proto::{AttributeProto, DataType, ValueInfoProto},
    shape::{self, Dim},
};

/// The objectives whose weights the input `objective` holds, in this order.
pub(crate) const OBJECTIVES: [&str; 2] = ["cross_entropy", "margin"];

/// The inputs that the gradient graph has beside the image.
pub(crate) fn inputs(interface: &Interface) -> [ValueInfoProto; 3] {
    let batch = interface.batch();
    let weights = [batch.clone(), Dim::Known(OBJECTIVES.len() as u64)];
    let logits = [batch.clone(), Dim::Known(interface.classes)];
    [
        shape::value_info("label", DataType::Int64, &[batch]),
        shape::value_info("objective", DataType::Float, &weights),
        shape::value_info("cotangent", DataType::Float, &logits),
    ]
}

/// Emits the output `loss`, and the gradient with respect to the logits, whose name is returned.
///
/// A weight of zero takes its term out even where the term is infinite: no product of the two is formed.
pub(crate) fn emit(emit: &mut Emitter, interface: &Interface) -> String {
    let z = interface.logits.as_str();
    let classes: Vec<i64> = (0..interface.classes as i64).collect();
    let classes = emit.constant(crate::proto::TensorProto::int64s(
        "",
        &[1, interface.classes as i64],
        &classes,
    ));
    let (last, zero, one) = (emit.ints(&[1]), emit.float(0.0), emit.float(1.0));
    let keep = || AttributeProto::int("keepdims", 1);
    let axis = || AttributeProto::int("axis", 1);

    let label = emit.node("Unsqueeze", &["label", &last], []);
    let is_label = emit.node("Equal", &[&label, &classes], []);
    let label_row = emit.node("Where", &[&is_label, &one, &zero], []);

    // Cross-entropy: -log softmax(z)_y, with the gradient softmax(z) - e_y.
    let log_softmax = emit.node("LogSoftmax", &[z], [axis()]);
    let picked = emit.node("Where", &[&is_label, &log_softmax, &zero], []);
    let picked = emit.node("ReduceSum", &[&picked, &last], [keep()]);
    let cross_entropy = emit.node("Neg", &[&picked], []);
    let softmax = emit.node("Exp", &[&log_softmax], []);
    let d_cross_entropy = emit.node("Sub", &[&softmax, &label_row], []);

    // Margin: z_r - z_y for the best other class r, with the gradient e_r - e_y.
    let lowest = emit.float(f32::NEG_INFINITY);
    let others = emit.node("Where", &[&is_label, &lowest, z], []);
    let best = emit.node("ArgMax", &[&others], [axis(), keep()]);
    let is_best = emit.node("Equal", &[&best, &classes], []);
    let best_row = emit.node("Where", &[&is_best, &one, &zero], []);
    let best = emit.node("ReduceMax", &[&others, &last], [keep()]);
    let own = emit.node("Where", &[&is_label, z, &zero], []);
    let own = emit.node("ReduceSum", &[&own, &last], [keep()]);
    let margin = emit.node("Sub", &[&best, &own], []);
    let d_margin = emit.node("Sub", &[&best_row, &label_row], []);

    let mut losses = Vec::new();
    let mut gradients = vec!["cotangent".to_string()];
    for (column, term, gradient) in [
        (0, &cross_entropy, &d_cross_entropy),
        (1, &margin, &d_margin),
    ] {
        let column = emit.ints(&[column]);
        let weight = emit.node("Gather", &["objective", &column], [axis()]);
        let off = emit.node("Equal", &[&weight, &zero], []);
        for (value, sums) in [(term, &mut losses), (gradient, &mut gradients)] {
            let product = emit.node("Mul", &[&weight, value], []);
            sums.push(emit.node("Where", &[&off, &zero, &product], []));
        }
    }
    let off = emit.node("Equal", &["cotangent", &zero], []);
    let product = emit.node("Mul", &["cotangent", z], []);
    let product = emit.node("Where", &[&off, &zero, &product], []);
    losses.push(emit.node("ReduceSum", &[&product, &last], [keep()]));

    let sum = |emit: &mut Emitter, parts: &[String]| {
        let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
        emit.node("Sum", &parts, [])
    };
    let loss = sum(emit, &losses);
    emit.node_named("Squeeze", &[&loss, &last], [], "loss");
    sum(emit, &gradients)
}
