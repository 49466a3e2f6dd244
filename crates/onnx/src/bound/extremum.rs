//! `Max` and `Min`: ONNX operator specification, sections of those names; of any number of tensors, with broadcasting.

use super::{Passage, Rule, interval::Interval};

/// They grow with every operand.
pub(super) const RULE: Rule = Rule {
    operators: &["Max", "Min"],
    bound: |node, bounds| {
        let mut ends: [Vec<(usize, String)>; 2] = [vec![], vec![]];
        for index in 0..node.proto.input.len() {
            let x = bounds.input(node, index)?;
            ends[0].push((index, x.lower));
            ends[1].push((index, x.upper));
        }
        let [lower, upper] = ends.map(|ends| {
            let ends: Vec<(usize, &str)> =
                ends.iter().map(|(at, name)| (*at, name.as_str())).collect();
            bounds.again(node, &ends)
        });
        Ok(Interval { lower, upper })
    },
    passage: |_| Passage::Cut,
};
