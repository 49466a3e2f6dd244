//! From the text of a card to the card, naming all that is wrong.

use std::collections::HashSet;

use jsonc_parser::{
    ParseOptions,
    ast::{Object, Value as Node},
    common::Ranged,
    parse_to_ast,
};
use serde_json::{Map, Number, Value};

use super::{
    Card, CardError, Color, MAX_BYTES, check,
    keys::{self, Key, Kind},
    nearest,
};
use crate::printable;

impl Card {
    /// Reads a card: JSON, in which comments (`//`, `/* */`) and a comma behind the last entry may stand. `origin` says in errors
    /// where it comes from.
    ///
    /// A key whose value is `null` counts as not given. Numbers are taken as names of classes, and an object from `0` to the number
    /// of classes less one as their list.
    ///
    /// # Errors
    /// All that is wrong, with lines and keys: no JSON, keys that a card does not have (with what to write instead), keys given
    /// twice, values of another kind, and what [`Card::check`] refuses.
    pub fn parse(text: &str, origin: &str) -> Result<Self, CardError> {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let mut reader = Reader {
            text,
            error: CardError::new(origin),
        };
        if text.len() > MAX_BYTES {
            let message = format!(
                "{} bytes are more than the {MAX_BYTES} of a card",
                text.len()
            );
            return Err(reader.error.with(None, message));
        }
        let options = ParseOptions {
            allow_comments: true,
            allow_trailing_commas: true,
            allow_loose_object_property_names: false,
            allow_missing_commas: false,
            allow_single_quoted_strings: false,
            allow_hexadecimal_numbers: false,
            allow_unary_plus_numbers: false,
            allow_bare_decimal_point_numbers: false,
            allow_non_finite_numbers: false,
            allow_extended_string_escapes: false,
        };
        let root = match parse_to_ast(text, &Default::default(), &options) {
            Ok(parsed) => parsed.value,
            Err(error) => {
                let line = reader.line(error.range().start);
                let message = format!("not JSON: {}", printable(&error.kind().to_string()));
                return Err(reader.error.with(line, message));
            }
        };
        let Some(Node::Object(root)) = root else {
            let message = "not a card: it has to be an object `{...}`";
            return Err(reader.error.with(None, message));
        };
        let object = reader.object(&root, "", "");
        let object = reader.error.clone().or(object)?;
        let card: Self = serde_json::from_value(Value::Object(object)).map_err(|error| {
            reader
                .error
                .clone()
                .with(None, printable(&error.to_string()))
        })?;
        for (path, message) in check::problems(&card) {
            let line = reader.line(locate(&root, &path));
            reader.error.add(line, message);
        }
        reader.error.or(card)
    }
}

struct Reader<'a> {
    text: &'a str,
    error: CardError,
}

impl Reader<'_> {
    /// The line of a byte, from 1, where there are several.
    fn line(&self, offset: usize) -> Option<usize> {
        // Of a file with any number of problems not every one is looked for.
        if self.error.is_full() {
            return None;
        }
        let before = self.text.as_bytes().get(..offset)?;
        let count = |bytes: &[u8]| bytes.iter().filter(|byte| **byte == b'\n').count();
        self.text
            .trim_end()
            .contains('\n')
            .then(|| count(before) + 1)
    }

    fn add(&mut self, at: &impl Ranged, message: String) {
        let line = self.line(at.start());
        self.error.add(line, message);
    }

    /// `level` is that of the table of keys, `path` that of the file: `measured[]` and `measured[3]`.
    fn object(&mut self, object: &Object<'_>, level: &str, path: &str) -> Map<String, Value> {
        let mut values = Map::new();
        let mut seen = HashSet::new();
        for property in &object.properties {
            let name = property.name.as_str();
            let shown = nearest::shown(path, name);
            if !seen.insert(name) {
                self.add(property, format!("{shown} is given twice: remove one"));
                continue;
            }
            let Some(key) = keys::on(level).find(|key| key.name() == name) else {
                let message = match self.error.is_full() {
                    true => String::new(),
                    false => format!(
                        "{shown} is not a key of a card: {}",
                        nearest::remedy(level, name)
                    ),
                };
                self.add(property, message);
                continue;
            };
            let path = match path {
                "" => name.to_owned(),
                path => format!("{path}.{name}"),
            };
            if !matches!(property.value, Node::NullKeyword(_))
                && let Some(value) = self.value(&property.value, key, &path)
            {
                values.insert(name.to_owned(), value);
            }
        }
        self.require(object, level, path, &values);
        values
    }

    /// Keys that this object has to have, or must not have.
    fn require(
        &mut self,
        object: &Object<'_>,
        level: &str,
        path: &str,
        found: &Map<String, Value>,
    ) {
        let required = keys::REQUIRED.iter().find(|(of, _)| *of == level);
        let mut names: Vec<&str> = required.map_or(&[][..], |(_, names)| names).to_vec();
        if level == "head" {
            let others = || {
                keys::on(level)
                    .map(Key::name)
                    .filter(|name| *name != "kind")
            };
            match found.get("kind").and_then(Value::as_str) {
                Some("hypersphere") => names.extend(others()),
                Some(_) => {
                    let extra = others().find(|name| found.contains_key(*name));
                    if let Some(name) = extra {
                        let shown = nearest::shown(path, name);
                        let message = format!(
                            "{shown} belongs to the kind \"hypersphere\" alone: leave it out"
                        );
                        self.add(object, message);
                    }
                }
                None => {}
            }
        }
        for name in names {
            let given = object
                .get(name)
                .is_some_and(|property| !matches!(property.value, Node::NullKeyword(_)));
            if !given {
                let shown = nearest::shown(path, name);
                let example = keys::on(level).find(|key| key.name() == name);
                let example = example.map_or("", |key| key.example);
                self.add(
                    object,
                    format!("{shown} is missing: give it, such as {example}"),
                );
            }
        }
    }

    fn value(&mut self, node: &Node<'_>, key: &Key, path: &str) -> Option<Value> {
        let wrong = || {
            format!(
                "`{}` should be {}, such as {}, and is {}",
                printable(path),
                key.kind.describe(),
                key.example,
                describe(node)
            )
        };
        match (key.kind, node) {
            (Kind::Object, Node::Object(object)) => {
                Some(Value::Object(self.object(object, key.path, path)))
            }
            (Kind::Objects, Node::Array(array)) => {
                let level = format!("{}[]", key.path);
                let mut objects = Vec::with_capacity(array.elements.len());
                for (index, element) in array.elements.iter().enumerate() {
                    let path = format!("{path}[{index}]");
                    match element {
                        Node::Object(object) => {
                            objects.push(Value::Object(self.object(object, &level, &path)));
                        }
                        other => {
                            let message = format!(
                                "`{path}` should be an object `{{...}}`, and is {}",
                                describe(other)
                            );
                            self.add(other, message);
                        }
                    }
                }
                Some(Value::Array(objects))
            }
            (Kind::Text(_) | Kind::Lines(_), Node::StringLit(text)) => {
                Some(text.value.as_ref().into())
            }
            (Kind::Choice(words), Node::StringLit(text)) => {
                let found = text.value.as_ref();
                if words.contains(&found) {
                    return Some(found.into());
                }
                let remedy = match nearest::word(words, found) {
                    Some(word) => format!("write \"{word}\""),
                    None => format!("write {}", key.kind.describe()),
                };
                self.add(
                    node,
                    format!(
                        "`{}` cannot be {}: {remedy}",
                        printable(path),
                        describe(node)
                    ),
                );
                None
            }
            (Kind::Color, Node::StringLit(text)) => match text.value.parse::<Color>() {
                Ok(color) => Some(color.to_string().into()),
                Err(_) => {
                    self.add(
                        node,
                        format!(
                            "`{}` cannot be {}: write `#rrggbb`, such as {} for white",
                            printable(path),
                            describe(node),
                            key.example
                        ),
                    );
                    None
                }
            },
            (Kind::Names, Node::Array(array)) => {
                let names = array.elements.iter().enumerate();
                let names: Vec<Option<Value>> = names
                    .map(|(index, node)| self.class(node, &format!("{path}[{index}]")))
                    .collect();
                names.into_iter().collect()
            }
            (Kind::Names, Node::Object(object)) => self.numbered(object, path),
            (Kind::Numbers, Node::Array(array)) => {
                let numbers: Vec<Option<Value>> = array
                    .elements
                    .iter()
                    .map(|node| self.number(node, path))
                    .collect();
                numbers.into_iter().collect()
            }
            (Kind::Numbers, Node::NumberLit(_)) => {
                Some(Value::Array(vec![self.number(node, path)?]))
            }
            (Kind::Number, Node::NumberLit(_)) => self.number(node, path),
            (Kind::Integer, Node::NumberLit(literal)) => match literal.value.parse::<u64>() {
                Ok(number) => Some(number.into()),
                Err(_) => {
                    self.add(node, wrong());
                    None
                }
            },
            (Kind::Truth, Node::BooleanLit(literal)) => Some(literal.value.into()),
            (Kind::Checksums, Node::Object(object)) => {
                let mut sums = Map::new();
                for property in &object.properties {
                    let name = property.name.as_str();
                    let shown = nearest::shown(path, name);
                    match &property.value {
                        _ if sums.contains_key(name) => {
                            self.add(property, format!("{shown} is given twice: remove one"));
                        }
                        Node::StringLit(text) => {
                            sums.insert(name.to_owned(), text.value.as_ref().into());
                        }
                        other => {
                            let message =
                                format!("{shown} should be text, and is {}", describe(other));
                            self.add(other, message);
                        }
                    }
                }
                Some(Value::Object(sums))
            }
            _ => {
                self.add(node, wrong());
                None
            }
        }
    }

    /// A number that 32 bits hold.
    fn number(&mut self, node: &Node<'_>, path: &str) -> Option<Value> {
        let message = match node {
            Node::NumberLit(literal) => {
                let number = literal.value.parse::<f64>().ok();
                let number = number.filter(|number| number.abs() <= f64::from(f32::MAX));
                if let Some(number) = number.and_then(Number::from_f64) {
                    return Some(Value::Number(number));
                }
                format!(
                    "`{}` cannot be {}: it is out of range",
                    printable(path),
                    nearest::shortened(literal.value)
                )
            }
            other => format!(
                "`{}` should hold numbers, and has {}",
                printable(path),
                describe(other)
            ),
        };
        self.add(node, message);
        None
    }

    /// The name of a class.
    fn class(&mut self, node: &Node<'_>, path: &str) -> Option<Value> {
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
    fn numbered(&mut self, object: &Object<'_>, path: &str) -> Option<Value> {
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

/// Where the value of a path begins, or what there is of the way to it.
fn locate(root: &Object<'_>, path: &str) -> usize {
    let mut object = root;
    let mut start = root.start();
    let mut parts = path.split('.');
    while let Some(part) = parts.next() {
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
fn describe(node: &Node<'_>) -> String {
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
