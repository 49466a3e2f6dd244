//! The objectives of logits: cross-entropy, margin, difference of logits ratio, Kullback-Leibler divergence.

use super::Term;
use crate::{
    emitter::Emitter,
    interface::Interface,
    proto::{AttributeProto, TensorProto},
};

/// The difference of logits ratio needs the third largest logit.
const DLR_CLASSES: u64 = 3;

/// Its targeted form needs the fourth largest.
pub(super) const TARGETED_DLR_CLASSES: u64 = 4;

/// Keeps the ratio finite where the logits are equal (Croce & Hein 2020).
const DLR_OFFSET: f32 = 1e-12;

/// The terms that a model with so many classes can have, and `<cotangent, z>` `[batch, 1]`; what they share is computed once.
pub(super) fn terms(emit: &mut Emitter, interface: &Interface) -> (Vec<Term>, String) {
    let sizes: Vec<i64> = (0..interface.classes as i64).collect();
    let classes = TensorProto::int64s("", &[1, interface.classes as i64], &sizes);
    let mut logits = Logits {
        z: &interface.logits,
        classes: emit.constant(classes),
        last: emit.ints(&[1]),
        zero: emit.float(0.0),
        one: emit.float(1.0),
        emit,
    };
    let label = logits.unsqueeze("label");
    let is_label = logits.is(&label);
    let label_row = logits.one_hot(&is_label);
    let own = logits.pick(&is_label, &interface.logits);
    let log_softmax = logits.node("LogSoftmax", &[&interface.logits]);
    let softmax = logits.node("Exp", &[&log_softmax]);

    let others = logits.node("Where", &[&is_label, &logits.zero.clone(), &softmax]);
    let divergence = logits.divergence(&log_softmax);
    let linear = logits.linear();
    let products = [&others, &divergence, "probabilities", &linear];
    let [others, divergence, total, linear] =
        super::row_sums(logits.emit, products, interface.classes);

    let cross_entropy = logits.cross_entropy(&is_label, &log_softmax, &softmax, &others);
    let margin = logits.margin(&is_label, &label_row, &own);
    let ranked = match interface.classes {
        0..DLR_CLASSES => vec![],
        classes => logits.ranked(classes.min(TARGETED_DLR_CLASSES) as i64),
    };
    let dlr = match ranked.as_slice() {
        [first, _, third, ..] => Some(logits.dlr(&margin, first, third)),
        _ => None,
    };
    let targeted_dlr = match ranked.as_slice() {
        [first, _, third, fourth] => {
            Some(logits.targeted_dlr(&label_row, &own, [first, third, fourth]))
        }
        _ => None,
    };
    let kl = logits.kl(divergence, &softmax, &total);
    let terms = [
        Some(cross_entropy),
        Some(margin),
        dlr,
        targeted_dlr,
        Some(kl),
    ];
    (terms.into_iter().flatten().collect(), linear)
}

/// The j-th largest logit.
struct Ranked {
    /// `[batch, 1]`.
    value: String,
    /// One for its class, zero for the others, `[batch, classes]`.
    row: String,
}

struct Logits<'a> {
    emit: &'a mut Emitter,
    z: &'a str,
    /// The class of each column, `[1, classes]`.
    classes: String,
    last: String,
    zero: String,
    one: String,
}

impl Logits<'_> {
    /// `-log softmax(z)_y`, with the gradient `softmax(z) - e_y`. At the label that is minus the sum of the other classes'
    /// probabilities, and computed so: `p - 1` has no digits left where the model is certain, and an attack no slope.
    fn cross_entropy(
        &mut self,
        is_label: &str,
        log_softmax: &str,
        softmax: &str,
        others: &str,
    ) -> Term {
        let picked = self.pick(is_label, log_softmax);
        let own = self.node("Neg", &[others]);
        Term {
            name: "cross_entropy",
            loss: self.node("Neg", &[&picked]),
            gradient: self.node("Where", &[is_label, &own, softmax]),
        }
    }

    /// `max_{i != y} z_i - z_y` (Carlini & Wagner 2017), with the gradient `e_r - e_y` for the best other class r.
    ///
    /// The others are selected by their index: a product with a mask would let the label's zero win over negative logits.
    fn margin(&mut self, is_label: &str, label_row: &str, own: &str) -> Term {
        let lowest = self.emit.float(f32::NEG_INFINITY);
        let others = self.node("Where", &[is_label, &lowest, self.z]);
        let keep = || AttributeProto::int("keepdims", 1);
        let axis = AttributeProto::int("axis", 1);
        let rival = self.emit.node("ArgMax", &[&others], [axis, keep()]);
        let is_rival = self.is(&rival);
        let rival_row = self.one_hot(&is_rival);
        let best = self
            .emit
            .node("ReduceMax", &[&others, &self.last], [keep()]);
        Term {
            name: "margin",
            loss: self.node("Sub", &[&best, own]),
            gradient: self.node("Sub", &[&rival_row, label_row]),
        }
    }

    /// `margin / d` with `d = z_(1) - z_(3) + 1e-12`, where `z_(j)` is the j-th largest logit (Croce & Hein 2020); the gradient is
    /// `(margin' - dlr (e_(1) - e_(3))) / d`.
    fn dlr(&mut self, margin: &Term, first: &Ranked, third: &Ranked) -> Term {
        let offset = self.emit.float(DLR_OFFSET);
        let spread = self.node("Sub", &[&first.value, &third.value]);
        let spread = self.node("Add", &[&spread, &offset]);
        let d_spread = self.node("Sub", &[&first.row, &third.row]);
        self.ratio("dlr", &margin.loss, &margin.gradient, &spread, &d_spread)
    }

    /// `(z_t - z_y) / d` with `d = z_(1) - (z_(3) + z_(4)) / 2 + 1e-12` and the target t (Croce & Hein 2020).
    fn targeted_dlr(
        &mut self,
        label_row: &str,
        own: &str,
        [first, third, fourth]: [&Ranked; 3],
    ) -> Term {
        let target = self.unsqueeze("target");
        let is_target = self.is(&target);
        let target_row = self.one_hot(&is_target);
        let aim = self.pick(&is_target, self.z);
        let gap = self.node("Sub", &[&aim, own]);
        let d_gap = self.node("Sub", &[&target_row, label_row]);

        let (half, offset) = (self.emit.float(0.5), self.emit.float(DLR_OFFSET));
        let mut spread = |third: &str, fourth: &str, first: &str| {
            let pair = self.emit.node("Add", &[third, fourth], []);
            let mean = self.emit.node("Mul", &[&pair, &half], []);
            self.emit.node("Sub", &[first, &mean], [])
        };
        let d_spread = spread(&third.row, &fourth.row, &first.row);
        let spread = spread(&third.value, &fourth.value, &first.value);
        let spread = self.node("Add", &[&spread, &offset]);
        self.ratio("targeted_dlr", &gap, &d_gap, &spread, &d_spread)
    }

    fn ratio(
        &mut self,
        name: &'static str,
        gap: &str,
        d_gap: &str,
        spread: &str,
        d_spread: &str,
    ) -> Term {
        let ratio = self.node("Div", &[gap, spread]);
        let change = self.node("Mul", &[&ratio, d_spread]);
        let change = self.node("Sub", &[d_gap, &change]);
        Term {
            name,
            gradient: self.node("Div", &[&change, spread]),
            loss: ratio,
        }
    }

    /// `sum_i p_i (log p_i - log softmax(z)_i)` for given probabilities p, with the gradient `softmax(z) sum(p) - p`.
    fn kl(&mut self, divergence: String, softmax: &str, total: &str) -> Term {
        let expected = self.node("Mul", &[softmax, total]);
        Term {
            name: "kl",
            loss: divergence,
            gradient: self.node("Sub", &[&expected, "probabilities"]),
        }
    }

    /// `p_i (log p_i - log softmax(z)_i)`, where `0 log 0 = 0`.
    fn divergence(&mut self, log_softmax: &str) -> String {
        let zero = self.zero.clone();
        let absent = self.node("Equal", &["probabilities", &zero]);
        let log = self.node("Log", &["probabilities"]);
        let log_ratio = self.node("Sub", &[&log, log_softmax]);
        let parts = self.node("Mul", &["probabilities", &log_ratio]);
        self.node("Where", &[&absent, &zero, &parts])
    }

    /// `c_i z_i`, zero where the cotangent is.
    fn linear(&mut self) -> String {
        let zero = self.zero.clone();
        let idle = self.node("Equal", &["cotangent", &zero]);
        let product = self.node("Mul", &["cotangent", self.z]);
        self.node("Where", &[&idle, &zero, &product])
    }

    /// The largest logits in descending order.
    fn ranked(&mut self, count: i64) -> Vec<Ranked> {
        let size = self.emit.ints(&[count]);
        let (values, indices) = self.emit.top_k(self.z, &size);
        let ranks = 0..count;
        ranks
            .map(|rank| {
                let column = self.emit.ints(&[rank]);
                let axis = || AttributeProto::int("axis", 1);
                let value = self.emit.node("Gather", &[&values, &column], [axis()]);
                let class = self.emit.node("Gather", &[&indices, &column], [axis()]);
                let is = self.is(&class);
                Ranked {
                    value,
                    row: self.one_hot(&is),
                }
            })
            .collect()
    }

    fn node(&mut self, operator: &str, inputs: &[&str]) -> String {
        self.emit.node(operator, inputs, [])
    }

    /// `[batch]` as `[batch, 1]`.
    fn unsqueeze(&mut self, class: &str) -> String {
        let last = self.last.clone();
        self.node("Unsqueeze", &[class, &last])
    }

    /// Where the column is the class `[batch, 1]`.
    fn is(&mut self, class: &str) -> String {
        let classes = self.classes.clone();
        self.node("Equal", &[class, &classes])
    }

    fn one_hot(&mut self, is: &str) -> String {
        let (one, zero) = (self.one.clone(), self.zero.clone());
        self.node("Where", &[is, &one, &zero])
    }

    /// The marked column, `[batch, 1]`.
    fn pick(&mut self, is: &str, values: &str) -> String {
        let zero = self.zero.clone();
        let picked = self.node("Where", &[is, values, &zero]);
        let keep = AttributeProto::int("keepdims", 1);
        self.emit.node("ReduceSum", &[&picked, &self.last], [keep])
    }
}
