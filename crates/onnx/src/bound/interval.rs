use std::collections::{HashMap, HashSet};

use super::rounding;
use crate::{
    emitter::Emitter,
    node::Node,
    proto::{AttributeProto, DataType},
    shape::Dim,
};

/// The names of two tensors between which a tensor lies, element by element.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Interval {
    pub lower: String,
    pub upper: String,
}

impl Interval {
    pub(super) fn new(lower: impl Into<String>, upper: impl Into<String>) -> Self {
        Self {
            lower: lower.into(),
            upper: upper.into(),
        }
    }

    /// Both ends, changed alike.
    pub(super) fn map(&self, mut change: impl FnMut(&str) -> String) -> Self {
        Self::new(change(&self.lower), change(&self.upper))
    }
}

/// The graph of bounds as far as it has grown.
pub(super) struct Bounds {
    pub emit: Emitter,
    /// Of the tensors that depend on the image.
    pub intervals: HashMap<String, Interval>,
    /// `[batch]` each: finite where the numbers of an image are. A rectifier would turn what is no number into one.
    witnesses: Vec<String>,
    witnessed: HashSet<Interval>,
}

impl Bounds {
    pub(super) fn new(emit: Emitter) -> Self {
        Self {
            emit,
            intervals: HashMap::new(),
            witnesses: vec![],
            witnessed: HashSet::new(),
        }
    }

    /// The interval of an input; a constant is its own.
    pub(super) fn input(&self, node: &Node<'_>, index: usize) -> Result<Interval, String> {
        let name = node.require_input(index)?;
        let found = self.intervals.get(name).cloned();
        Ok(found.unwrap_or_else(|| Interval::new(name, name)))
    }

    /// The node once more, with other tensors for some of its inputs.
    pub(super) fn again(&mut self, node: &Node<'_>, replaced: &[(usize, &str)]) -> String {
        let inputs = node.proto.input.iter().enumerate();
        let inputs: Vec<&str> = inputs
            .map(|(index, name)| {
                let new = replaced.iter().find(|(at, _)| *at == index);
                new.map_or(name.as_str(), |(_, new)| new)
            })
            .collect();
        let attributes = node.proto.attribute.clone();
        self.emit.node(&node.proto.op_type, &inputs, attributes)
    }

    pub(super) fn one(&mut self, operator: &str, x: &str) -> String {
        self.emit.node(operator, &[x], [])
    }

    pub(super) fn two(&mut self, operator: &str, a: &str, b: &str) -> String {
        self.emit.node(operator, &[a, b], [])
    }

    pub(super) fn scaled(&mut self, x: &str, factor: f32) -> String {
        let factor = self.emit.float(factor);
        self.two("Mul", x, &factor)
    }

    /// The middle of an interval, and how far its ends are from there, rounding aside.
    pub(super) fn centre_and_radius(&mut self, x: &Interval) -> [String; 2] {
        let [sum, width] = ["Add", "Sub"].map(|operator| self.two(operator, &x.upper, &x.lower));
        [sum, width].map(|twice| self.scaled(&twice, 0.5))
    }

    /// The largest absolute value in an interval.
    pub(super) fn size(&mut self, x: &Interval) -> String {
        if x.lower == x.upper {
            return self.one("Abs", &x.lower);
        }
        let [lower, upper] = [&x.lower, &x.upper].map(|end| self.one("Abs", end));
        self.two("Max", &lower, &upper)
    }

    /// The interval, wider by a share of its ends.
    pub(super) fn outward(&mut self, x: &Interval, share: f32) -> Interval {
        let slack = |bounds: &mut Self, end: &str| {
            let size = bounds.one("Abs", end);
            bounds.scaled(&size, share)
        };
        let [below, above] = [&x.lower, &x.upper].map(|end| slack(self, end));
        Interval::new(
            self.two("Sub", &x.lower, &below),
            self.two("Add", &x.upper, &above),
        )
    }

    /// The interval that lies in both.
    pub(super) fn both(&mut self, a: &Interval, b: &Interval) -> Interval {
        Interval::new(
            self.two("Max", &a.lower, &b.lower),
            self.two("Min", &a.upper, &b.upper),
        )
    }

    /// Remembers that an interval has to be of finite numbers for an image to be certified.
    pub(super) fn witness(&mut self, x: &Interval, shape: &[Dim]) {
        if !self.witnessed.insert(x.clone()) {
            return;
        }
        let width = self.two("Sub", &x.upper, &x.lower);
        let axes: Vec<i64> = (1..shape.len() as i64).collect();
        let axes = self.emit.ints(&axes);
        let keep = AttributeProto::int("keepdims", 0);
        let sum = self.emit.node("ReduceSum", &[&width, &axes], [keep]);
        self.witnesses.push(sum);
    }

    /// The bounds `[batch, classes]` where all numbers behind them are finite, and minus infinity elsewhere.
    pub(super) fn finite(&mut self, margin: &str, penalty: &str) -> String {
        let limit = self.emit.float(f32::MAX);
        // Comparisons with what is no number are false.
        let mut finite = self.two("Less", penalty, &limit);
        let witnesses: Vec<&str> = self.witnesses.iter().map(String::as_str).collect();
        if !witnesses.is_empty() {
            let total = self.emit.node("Sum", &witnesses, []);
            let known = self.two("Less", &total, &limit);
            let last = self.emit.ints(&[1]);
            let known = self.two("Unsqueeze", &known, &last);
            finite = self.two("And", &finite, &known);
        }
        let none = self.emit.float(f32::NEG_INFINITY);
        self.emit.node("Where", &[&finite, margin, &none], [])
    }

    pub(super) fn float_of(&mut self, x: &str) -> String {
        let to = AttributeProto::int("to", DataType::Float as i64);
        self.emit.node("Cast", &[x], [to])
    }

    /// Wider by what one rounded operation is off by.
    pub(super) fn stepped(&mut self, x: &Interval) -> Interval {
        self.outward(x, rounding::STEP)
    }
}
