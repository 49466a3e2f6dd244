//! The objective of features.

use super::Term;
use crate::{emitter::Emitter, proto::AttributeProto};

/// The cosine distance `1 - <f, s> / (||f|| ||s||)` between the features f of a row and those of a source image, the input
/// `source_features`. Where either is zero the distance is 1 and its gradient zero.
///
/// The gradient is `f <f, s> / (||f||^3 ||s||) - s / (||f|| ||s||)`.
pub(super) fn distance(emit: &mut Emitter, features: &str) -> Term {
    let source = "source_features";
    let (zero, one, last) = (emit.float(0.0), emit.float(1.0), emit.ints(&[1]));
    let reduce = |emit: &mut Emitter, operator: &str, of: &str| {
        let keep = AttributeProto::int("keepdims", 1);
        emit.node(operator, &[of, &last], [keep])
    };
    let product = emit.node("Mul", &[features, source], []);
    let product = reduce(emit, "ReduceSum", &product);
    let norms = [features, source].map(|tensor| reduce(emit, "ReduceL2", tensor));
    let [own, of_source] = &norms;
    let norm = emit.node("Mul", &[own, of_source], []);
    let degenerate = emit.node("Equal", &[&norm, &zero], []);
    // One in place of zero, so that nothing is divided by zero.
    let [safe_norm, safe_own] =
        [&norm, own].map(|norm| emit.node("Where", &[&degenerate, &one, norm], []));
    let cosine = emit.node("Div", &[&product, &safe_norm], []);

    let direction = emit.node("Div", &[features, &safe_own], []);
    let along = emit.node("Mul", &[&cosine, &direction], []);
    let along = emit.node("Div", &[&along, &safe_own], []);
    let towards = emit.node("Div", &[source, &safe_norm], []);
    let gradient = emit.node("Sub", &[&along, &towards], []);
    Term {
        name: "feature_distance",
        loss: emit.node("Sub", &[&one, &cosine], []),
        gradient: emit.node("Where", &[&degenerate, &zero, &gradient], []),
    }
}
