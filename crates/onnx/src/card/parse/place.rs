//! Where values stand in the text of a card, and what they are.

use jsonc_parser::{
    ast::{Object, Value as Node},
    common::Ranged,
};

use crate::{card::nearest, printable};

/// Where the value of a path begins, or what there is of the way to it.
pub(super) fn locate(root: &Object<'_>, path: &str) -> usize {
    let mut object = root;
    let mut start = root.start();
    for part in path.split('.') {
        let (name, index) = match part.split_once('[') {
            Some((name, index)) => (name, index.trim_end_matches(']').parse::<usize>().ok()),
            None => (part, None),
        };
        let Some(property) = object.get(name) else {
            break;
        };
        start = property.start();
        let mut value = &property.value;
        if let (Some(index), Node::Array(array)) = (index, value)
            && let Some(element) = array.elements.get(index)
        {
            start = element.start();
            value = element;
        }
        if let (Some(index), Node::Object(map)) = (index, value)
            && let Some(property) = map.get(&index.to_string())
        {
            start = property.start();
        }
        match value {
            Node::Object(inner) => object = inner,
            _ => break,
        }
    }
    start
}

/// A value for people.
pub(super) fn describe(node: &Node<'_>) -> String {
    match node {
        Node::StringLit(text) => format!(
            "the text \"{}\"",
            printable(&nearest::shortened(&text.value))
        ),
        Node::NumberLit(literal) => format!("the number {}", nearest::shortened(literal.value)),
        Node::BooleanLit(literal) => literal.value.to_string(),
        Node::Object(_) => "an object".into(),
        Node::Array(_) => "a list".into(),
        Node::NullKeyword(_) => "null".into(),
    }
}
