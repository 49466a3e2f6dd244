//! The backward pass: a lower bound of linear functions of a tensor, over all images of the box.
//!
//! Every tensor T is written as T0 + d with its value T0 in the run of the network at the centre of the box. A function <g, d> of an
//! affine operator's result is <W' g, d'> of what goes into it, for which the gradient rules are there, and no bias is left. At a
//! rectifier with lines of slopes s and t around it, <g, d> is at least <max(g, 0) s + min(g, 0) t, d'> less what the lines are away
//! from T0. Where there are no lines, and at the image, it is at least what the ends of the interval make of it. What is subtracted on
//! the way, all of it not negative, is the penalty (Zhang et al. 2020, section 3, in another arrangement).

use std::collections::{HashMap, HashSet};

use super::{
    Passage, affine, interval::Bounds, interval::Interval, relax::Relaxation, rounding, rule,
    unfold::Unfolded,
};
use crate::{
    node::Node,
    ops,
    proto::{AttributeProto, GraphProto, NodeProto},
    shape::{Dim, Facts},
};

/// The network that is bounded.
pub(super) struct Network<'a> {
    pub graph: &'a GraphProto,
    pub facts: &'a Facts<'a>,
    /// The tensors that depend on the image.
    pub active: &'a HashSet<String>,
    pub image: &'a str,
    pub unfolded: &'a Unfolded,
}

impl Network<'_> {
    pub(super) fn shape(&self, tensor: &str) -> Result<&[Dim], String> {
        self.facts
            .shape(tensor)
            .ok_or_else(|| format!("the shape of `{tensor}` is not known"))
    }
}

/// A pass with so many functions for each image.
pub(super) struct Sweep<'a> {
    network: &'a Network<'a>,
    /// Functions for each image.
    functions: i64,
    /// Images times functions, int64 `[1]`.
    rows: String,
    /// Whether rectifiers are relaxed to lines.
    lines: bool,
    /// `[batch, functions, 1]` each.
    penalties: Vec<String>,
    /// The longest sum of a penalty.
    longest: u64,
}

impl<'a> Sweep<'a> {
    pub(super) fn new(
        network: &'a Network<'a>,
        bounds: &mut Bounds,
        functions: i64,
        lines: bool,
    ) -> Self {
        let attributes = [
            AttributeProto::int("start", 0),
            AttributeProto::int("end", 1),
        ];
        let batch = bounds.emit.node("Shape", &[network.image], attributes);
        let count = bounds.emit.ints(&[functions]);
        Self {
            network,
            functions,
            rows: bounds.two("Mul", &batch, &count),
            lines,
            penalties: vec![],
            longest: 1,
        }
    }

    /// The penalties `[batch, functions]` of the functions `seed` of a tensor: one row for each image and function, `[batch *
    /// functions, ...]` as the tensor.
    pub(super) fn run(
        mut self,
        bounds: &mut Bounds,
        tensor: &str,
        seed: String,
    ) -> Result<String, String> {
        let mut pending = HashMap::from([(tensor.to_string(), vec![seed])]);
        for proto in self.network.graph.node.iter().rev() {
            let Some(output) = proto.output.first() else {
                continue;
            };
            if let Some(parts) = pending.remove(output) {
                let gradient = self.total(bounds, output, &parts)?;
                self.node(bounds, proto, &gradient, &mut pending)?;
            }
        }
        if let Some(parts) = pending.remove(self.network.image) {
            let gradient = self.total(bounds, self.network.image, &parts)?;
            self.cut(bounds, self.network.image, &gradient)?;
        }
        let penalties: Vec<&str> = self.penalties.iter().map(String::as_str).collect();
        let terms = self.longest.saturating_add(penalties.len() as u64);
        let total = bounds.emit.node("Sum", &penalties, []);
        let total = bounds.scaled(&total, rounding::growth(terms)?);
        let shape = bounds.emit.ints(&[-1, self.functions]);
        Ok(bounds.two("Reshape", &total, &shape))
    }

    fn node(
        &mut self,
        bounds: &mut Bounds,
        proto: &NodeProto,
        gradient: &str,
        pending: &mut HashMap<String, Vec<String>>,
    ) -> Result<(), String> {
        let node = Node::new(proto, self.network.facts).with_active(self.network.active);
        let mut passage = rule(&proto.op_type).map_or(Passage::Cut, |rule| (rule.passage)(&node));
        if !self.lines && self.network.unfolded.pools.contains_key(node.output()) {
            passage = Passage::Cut;
        }
        if let (Passage::Relaxed(lines), true) = (&passage, self.lines) {
            let lines = lines(&node, bounds)?;
            let through = self.relaxed(bounds, &node, gradient, &lines)?;
            let input = node.require_input(0)?.to_string();
            pending.entry(input).or_default().push(through);
            return Ok(());
        }
        let through = match passage {
            Passage::Exact | Passage::Affine(_) => self.transport(bounds, &node, gradient),
            _ => None,
        };
        let Some(through) = through else {
            return self.cut(bounds, node.output(), gradient);
        };
        if let Passage::Affine(error) = passage {
            let error = error(&node, bounds)?;
            self.both_sides(bounds, node.output(), gradient, &error)?;
        }
        for (input, gradient) in through {
            let name = node.require_input(input)?;
            if node.wants(input) {
                pending.entry(name.into()).or_default().push(gradient);
            }
        }
        Ok(())
    }

    /// The gradient rule of the node, for rows in place of images; `None` where it has none, or needs more than shapes.
    fn transport(
        &self,
        bounds: &mut Bounds,
        node: &Node<'_>,
        gradient: &str,
    ) -> Option<ops::Gradients> {
        let emit = &mut bounds.emit;
        let (from, outputs) = (emit.nodes.len(), emit.added_outputs.len());
        let gradients = ops::rule(&node.proto.op_type)
            .and_then(|rule| rule.gradient)
            .and_then(|rule| rule(node, emit, gradient).ok());
        let added = emit.nodes.split_off(from);
        let clean = emit.added_outputs.len() == outputs;
        emit.added_outputs.truncate(outputs);
        let gradients = gradients.filter(|_| clean)?;
        let active = |name: &String| self.network.active.contains(name);
        let readable = |node: &NodeProto| {
            !node.input.iter().any(active) || node.op_type == "Shape" && node.attribute.is_empty()
        };
        if !added.iter().all(readable) {
            return None;
        }
        for mut node in added {
            if node.input.iter().any(active) {
                // The sizes of a row, behind the number of rows.
                let inputs: Vec<&str> = node.input.iter().map(String::as_str).collect();
                let sizes = emit.node("Shape", &inputs, [AttributeProto::int("start", 1)]);
                node.op_type = "Concat".into();
                node.input = vec![self.rows.clone(), sizes];
                node.attribute = vec![AttributeProto::int("axis", 0)];
            }
            emit.nodes.push(node);
        }
        Some(gradients)
    }

    fn relaxed(
        &mut self,
        bounds: &mut Bounds,
        node: &Node<'_>,
        gradient: &str,
        lines: &Relaxation,
    ) -> Result<String, String> {
        let shape = node.require_shape(0)?;
        let [positive, negative] = self.signs(bounds, node.output(), gradient)?;
        self.one_side(bounds, node.output(), &positive, &lines.below)?;
        self.other_side(bounds, node.output(), &negative, &lines.above)?;
        let size = affine::row(shape)? as i64;
        let row = bounds.emit.ints(&[-1, 1, size]);
        let slopes = [&lines.lower_slope, &lines.upper_slope];
        let [lower, upper] = slopes.map(|slope| bounds.two("Reshape", slope, &row));
        let below = bounds.two("Mul", &positive, &lower);
        let above = bounds.two("Mul", &negative, &upper);
        let through = bounds.two("Add", &below, &above);
        let sizes = shape
            .iter()
            .skip(1)
            .map(|dim| dim.known().unwrap_or(0) as i64);
        let sizes: Vec<i64> = [-1].into_iter().chain(sizes).collect();
        let sizes = bounds.emit.ints(&sizes);
        Ok(bounds.two("Reshape", &through, &sizes))
    }

    /// What the ends of a tensor's interval make of the functions.
    fn cut(&mut self, bounds: &mut Bounds, tensor: &str, gradient: &str) -> Result<(), String> {
        let interval = bounds.intervals.get(tensor).cloned();
        let interval = interval.ok_or_else(|| format!("`{tensor}` has no bounds"))?;
        bounds.witness(&interval, self.network.shape(tensor)?);
        let Interval { lower, upper } = interval;
        let zero = bounds.emit.float(0.0);
        let mut distance = |a: &str, b: &str| {
            let distance = bounds.two("Sub", a, b);
            bounds.two("Max", &distance, &zero)
        };
        let (below, above) = (distance(tensor, &lower), distance(&upper, tensor));
        let [positive, negative] = self.signs(bounds, tensor, gradient)?;
        self.one_side(bounds, tensor, &positive, &below)?;
        self.other_side(bounds, tensor, &negative, &above)
    }

    /// The positive and the negative part, `[batch, functions, elements]`.
    fn signs(
        &self,
        bounds: &mut Bounds,
        tensor: &str,
        gradient: &str,
    ) -> Result<[String; 2], String> {
        let flat = self.flat(bounds, tensor, gradient)?;
        let positive = bounds.one("Relu", &flat);
        // By the difference, so that what is no number stays none.
        let negative = bounds.two("Sub", &flat, &positive);
        Ok([positive, negative])
    }

    fn flat(&self, bounds: &mut Bounds, tensor: &str, gradient: &str) -> Result<String, String> {
        let size = affine::row(self.network.shape(tensor)?)?;
        let shape = bounds.emit.ints(&[-1, self.functions, size as i64]);
        Ok(bounds.two("Reshape", gradient, &shape))
    }

    /// `<g, distance>`.
    fn one_side(
        &mut self,
        bounds: &mut Bounds,
        tensor: &str,
        flat: &str,
        distance: &str,
    ) -> Result<(), String> {
        let size = affine::row(self.network.shape(tensor)?)?;
        self.longest = self.longest.max(size);
        let column = bounds.emit.ints(&[-1, size as i64, 1]);
        let column = bounds.two("Reshape", distance, &column);
        let penalty = bounds.two("MatMul", flat, &column);
        self.penalties.push(penalty);
        Ok(())
    }

    fn other_side(
        &mut self,
        bounds: &mut Bounds,
        tensor: &str,
        negative: &str,
        distance: &str,
    ) -> Result<(), String> {
        // The smaller of both is turned around.
        let distance = bounds.one("Neg", distance);
        self.one_side(bounds, tensor, negative, &distance)
    }

    fn both_sides(
        &mut self,
        bounds: &mut Bounds,
        tensor: &str,
        gradient: &str,
        distance: &str,
    ) -> Result<(), String> {
        let flat = self.flat(bounds, tensor, gradient)?;
        let size = bounds.one("Abs", &flat);
        self.one_side(bounds, tensor, &size, distance)
    }

    /// The sum of the gradients that reached a tensor.
    fn total(
        &mut self,
        bounds: &mut Bounds,
        tensor: &str,
        parts: &[String],
    ) -> Result<String, String> {
        let [one] = parts else {
            let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
            let sum = bounds.emit.node("Sum", &parts, []);
            // Rounding: partial sums may be larger than the whole.
            let interval = bounds.intervals.get(tensor).cloned();
            let interval = interval.ok_or_else(|| format!("`{tensor}` has no bounds"))?;
            let size = bounds.size(&interval);
            let error = bounds.scaled(&size, 2.0 * rounding::share(parts.len() as u64)?);
            for part in parts {
                self.both_sides(bounds, tensor, part, &error)?;
            }
            return Ok(sum);
        };
        Ok(one.clone())
    }
}
