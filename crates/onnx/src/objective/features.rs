//! The objective of features.

use super::Term;
use crate::{emitter::Emitter, interface::Features};

/// The cosine distance `1 - <f, s> / (||f|| ||s||)` between the features f of a row and those of a source image, the input
/// `source_features`. Where either is zero the distance is 1 and its gradient zero.
///
/// The gradient is `f <f, s> / (||f||^3 ||s||) - s / (||f|| ||s||)`.
pub(super) fn distance(emit: &mut Emitter, features: &Features) -> Term {
    let (own, source) = (features.name.as_str(), "source_features");
    let (zero, one) = (emit.float(0.0), emit.float(1.0));
    let squares = [(own, source), (own, own), (source, source)];
    let products = squares.map(|(a, b)| emit.node("Mul", &[a, b], []));
    let products = products.each_ref().map(String::as_str);
    let [product, own_square, source_square] = super::row_sums(emit, products, features.size);
    let [own_norm, source_norm] =
        [own_square, source_square].map(|square| emit.node("Sqrt", &[&square], []));
    let norm = emit.node("Mul", &[&own_norm, &source_norm], []);
    let degenerate = emit.node("Equal", &[&norm, &zero], []);
    // One in place of zero, so that nothing is divided by zero.
    let [safe_norm, safe_own] =
        [&norm, &own_norm].map(|norm| emit.node("Where", &[&degenerate, &one, norm], []));
    let cosine = emit.node("Div", &[&product, &safe_norm], []);

    let direction = emit.node("Div", &[own, &safe_own], []);
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
