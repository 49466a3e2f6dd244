//! The names of classes: a list, or an object from numbers to names.

use jsonc_parser::ast::{Object, Value as Node};
use serde_json::Value;

use super::{Reader, place::describe};
use crate::{card::nearest, printable};

impl Reader<'_> {
    /// The name of a class.
    pub(super) fn class(&mut self, node: &Node<'_>, path: &str) -> Option<Value> {
        match node {
            Node::StringLit(text) => return Some(text.value.as_ref().into()),
            Node::NumberLit(literal) if literal.value.parse::<u64>().is_ok() => {
                return Some(literal.value.into());
            }
            _ => {}
        }
        let message = format!(
            "`{}` should be the name of a class, and is {}",
            printable(path),
            describe(node)
        );
        self.add(node, message);
        None
    }

    /// Classes by their number.
    pub(super) fn numbered(&mut self, object: &Object<'_>, path: &str) -> Option<Value> {
        let count = object.properties.len();
        let mut names: Vec<Option<Value>> = vec![None; count];
        for property in &object.properties {
            let name = property.name.as_str();
            let shown = nearest::shown(path, name);
            // As it is counted: neither `01` nor `+1`.
            let index = name
                .parse::<usize>()
                .ok()
                .filter(|index| index.to_string() == name);
            let Some(index) = index else {
                let turned = matches!(property.value, Node::NumberLit(_));
                let remedy = match turned {
                    true => {
                        "it seems to be the other way round, write names by number: {\"0\": \"cat\", \"1\": \"dog\"}"
                    }
                    false => "keys of `classes` are the numbers of the classes from \"0\" on",
                };
                self.add(
                    property,
                    format!("{shown} is not the number of a class: {remedy}"),
                );
                return None;
            };
            let Some(slot) = names.get_mut(index) else {
                let message = format!(
                    "{shown} is not one of the {count} numbers from 0 on: number the classes without a gap"
                );
                self.add(property, message);
                return None;
            };
            if slot.is_some() {
                self.add(property, format!("{shown} is given twice: remove one"));
                return None;
            }
            *slot = Some(self.class(&property.value, &format!("{path}.{name}"))?);
        }
        names.into_iter().collect()
    }
}
