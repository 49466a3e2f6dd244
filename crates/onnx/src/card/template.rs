//! A card to fill in: every key with its meaning, what is known of a model, and examples to uncomment.

use serde_json::Value;

use super::{
    Card,
    keys::{self, Key, Kind},
};
use crate::{
    Model, Summary, Wanted, inspect, printable,
    printable::{is_printable, printable_json},
};

/// More classes than these are not spelled out as an example.
const MAX_EXAMPLE_CLASSES: usize = 2000;

/// More outputs than these are not listed.
const MAX_EXAMPLE_OUTPUTS: usize = 20;

/// Objects that are written over several lines, with what they do not state as examples.
const NESTED: &[&str] = &["input", "input.preprocessing", "training"];

/// Columns of a comment.
const WIDTH: usize = 100;

impl Card {
    /// This card as the text of a `card.json` with comments, for the model: keys that the card states and sizes that the graph tells
    /// are filled in, all others stand as comments that begin with `// "`, each with an example that can be uncommented. With the
    /// examples the model is taken as without them, but for what they tell people.
    ///
    /// [`Card::parse`] reads it.
    pub fn template(&self, model: &Model) -> String {
        let known = Known::of(model, &self.wanted());
        let mut card = self.clone();
        let input = &mut card.input;
        let sizes = [&mut input.channels, &mut input.height, &mut input.width];
        for (size, known) in sizes.into_iter().zip(known.image) {
            if *size == 0 {
                *size = known;
            }
        }
        let value = serde_json::to_value(&card).unwrap_or_default();
        let mut text = String::new();
        comment(
            &mut text,
            0,
            "The card of a model, as JSON with comments: `// \"key\"` lines are examples that can be uncommented.",
        );
        comment(
            &mut text,
            0,
            "Pixels are in [0, 1] wherever a number is one. docs/card.md has the reference of all keys.",
        );
        text.push_str("{\n");
        known.level(&mut text, 1, "", &value);
        text.push_str("}\n");
        text
    }
}

/// What the graph tells.
struct Known {
    /// Channels, height and width; 0 where they are open or not told.
    image: [usize; 3],
    classes: Option<usize>,
    /// The one that holds the logits, where there is no other to choose.
    output: Option<String>,
    outputs: Vec<String>,
}

impl Known {
    fn of(model: &Model, wanted: &Wanted) -> Self {
        let interface = inspect(model, wanted).ok();
        let image = interface.as_ref().and_then(|interface| {
            let image = interface.image_input(model, wanted).ok()?;
            // Rows of pixels say nothing about height and width.
            let told = image.row.len() == 3;
            told.then_some([image.channels, image.height, image.width])
        });
        let classes = interface
            .as_ref()
            .and_then(|interface| usize::try_from(interface.classes).ok());
        let outputs = Summary::of(model).outputs;
        Self {
            image: image.unwrap_or_default(),
            classes,
            output: interface.map(|interface| interface.output),
            outputs: outputs.into_iter().map(|port| port.name).collect(),
        }
    }

    /// The keys of a level with the values of `object`.
    fn level(&self, text: &mut String, depth: usize, level: &str, object: &Value) {
        for (index, key) in keys::on(level).enumerate() {
            if index > 0 && depth == 1 {
                text.push('\n');
            }
            let value = object.get(key.name()).filter(|value| is_stated(value));
            comment(text, depth, key.meaning);
            match (key.kind, value) {
                (_, Some(value)) if NESTED.contains(&key.path) => {
                    line(text, depth, &format!("{}: {{", quoted(key.name())));
                    self.level(text, depth + 1, key.path, value);
                    line(text, depth, "},");
                }
                (_, Some(value)) => {
                    line(
                        text,
                        depth,
                        &format!("{}: {},", quoted(key.name()), json(value)),
                    );
                }
                (kind, None) => {
                    if kind == Kind::Object && !["head", "training"].contains(&key.path) {
                        for inner in keys::on(key.path) {
                            comment(
                                text,
                                depth,
                                &format!("`{}`: {}", inner.name(), inner.meaning),
                            );
                        }
                    }
                    if key.path == "output" && self.outputs.len() > 1 {
                        let names: Vec<String> = self
                            .outputs
                            .iter()
                            .take(MAX_EXAMPLE_OUTPUTS)
                            .map(|name| format!("`{}`", printable(name)))
                            .collect();
                        comment(
                            text,
                            depth,
                            &format!("Outputs of this model: {}.", names.join(", ")),
                        );
                    }
                    if let Some(example) = self.example(key) {
                        line(
                            text,
                            depth,
                            &format!("// {}: {example},", quoted(key.name())),
                        );
                    }
                }
            }
        }
    }

    /// What can stand there without another answer of the model.
    fn example(&self, key: &Key) -> Option<String> {
        let example = match key.path {
            "classes" => {
                let classes = self.classes.filter(|count| *count <= MAX_EXAMPLE_CLASSES)?;
                let names: Vec<String> = (0..classes).map(|class| quoted(&class.to_string())).collect();
                format!("[{}]", names.join(", "))
            }
            "output" => {
                let output = self.output.as_ref();
                quoted(output.filter(|name| !name.is_empty() && name.chars().all(is_printable))?)
            }
            // Files that nobody knows here.
            "sha256" => return None,
            "input.channels" => "3".into(),
            "input.preprocessing" => r##"{"resize": "stretch", "crop_pct": 1.0, "background": "#000000", "grey": "refuse"}"##.into(),
            "input.normalization" => r#"{"mean": [0.0], "std": [1.0]}"#.into(),
            _ => key.example.into(),
        };
        Some(example)
    }
}

/// Whether a value says more than that there is none.
fn is_stated(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Number(number) => number.as_u64() != Some(0),
        Value::String(text) => !text.is_empty(),
        Value::Array(values) => !values.is_empty(),
        Value::Bool(_) | Value::Object(_) => true,
    }
}

fn line(text: &mut String, depth: usize, content: &str) {
    text.push_str(&"  ".repeat(depth));
    text.push_str(content);
    text.push('\n');
}

/// A comment, wrapped. No line of it begins with a quotation mark, by which examples are told from comments.
fn comment(text: &mut String, depth: usize, content: &str) {
    let mut current = String::new();
    for word in content.split(' ') {
        let full = current.len() + word.len() + 2 * depth + 4 > WIDTH;
        if full && !current.is_empty() && !word.starts_with('"') {
            line(text, depth, &format!("// {current}"));
            current.clear();
        }
        if !current.is_empty() {
            current.push(' ');
        }
        current.push_str(word);
    }
    line(text, depth, &format!("// {current}"));
}

/// On one line.
fn json(value: &Value) -> String {
    match value {
        Value::Array(values) => {
            let values: Vec<String> = values.iter().map(json).collect();
            format!("[{}]", values.join(", "))
        }
        Value::Object(object) => {
            let entries = object.iter();
            let entries = entries.map(|(key, value)| format!("{}: {}", quoted(key), json(value)));
            let entries: Vec<String> = entries.collect();
            format!("{{{}}}", entries.join(", "))
        }
        Value::String(text) => quoted(text),
        other => other.to_string(),
    }
}

/// A JSON string of characters that print.
fn quoted(text: &str) -> String {
    printable_json(&Value::String(text.to_owned()).to_string()).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Dim, Normalization, Preprocessing, reference::net::Net};

    fn model(channels: usize, classes: usize) -> Model {
        let mut net = Net::new([2, channels, 6, 5], 1);
        let flat = net.op("Flatten", &["image"], []);
        let weight = net.weights(&[30 * channels, classes]);
        let logits = net.op("MatMul", &[&flat, &weight], []);
        net.finish(
            &logits,
            Some(&[Dim::Symbol("n".into()), Dim::Known(classes as u64)]),
        )
    }

    /// With every example in force.
    fn uncommented(text: &str) -> String {
        let lines = text
            .lines()
            .map(|line| match line.trim_start().strip_prefix("// \"") {
                Some(rest) => format!("\"{rest}"),
                None => line.to_owned(),
            });
        lines.collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn the_template_of_a_model_without_a_card_says_what_the_graph_says() {
        for (channels, classes) in [(1, 2), (3, 10)] {
            let text = Card::default().template(&model(channels, classes));
            let card = Card::parse(&text, "card.json").unwrap();
            let mut expected = Card::default();
            (
                expected.input.channels,
                expected.input.height,
                expected.input.width,
            ) = (channels, 6, 5);
            assert_eq!(card, expected, "{text}");
        }
    }

    #[test]
    fn every_example_can_be_uncommented_and_changes_no_answer() {
        for (channels, classes) in [(1, 2), (3, 10)] {
            let model = model(channels, classes);
            let text = uncommented(&Card::default().template(&model));
            let card = Card::parse(&text, "card.json").unwrap();
            assert_eq!(card.classes.len(), classes);
            assert_eq!(
                card.output.as_deref(),
                Some(model.graph().output[0].name.as_str())
            );
            assert_eq!(card.input.preprocessing, Some(Preprocessing::default()));
            assert_eq!(card.input.channel_order, Some(crate::ChannelOrder::Rgb));
            let pairs = card
                .input
                .normalization
                .unwrap()
                .per_channel(channels)
                .unwrap();
            assert_eq!(pairs, vec![(0.0, 1.0); channels]);
            assert!(card.training.is_some() && card.head.is_some() && card.measured.len() == 1);
        }
    }

    #[test]
    fn what_a_card_states_is_in_its_template() {
        let model = model(3, 2);
        let mut card = Card {
            name: "a \"b\" \\ \u{200d}".into(),
            classes: vec!["cat".into(), "хвост\u{a0}х".into()],
            sha256: [("model.onnx".into(), "0".repeat(64))].into(),
            ..Card::default()
        };
        (card.input.channels, card.input.height, card.input.width) = (3, 6, 5);
        card.input.preprocessing = Some(Preprocessing::default());
        card.input.normalization = Some(Normalization {
            mean: vec![0.485, 0.456, 0.406],
            std: vec![1.0 / 255.0],
        });
        let text = card.template(&model);
        assert!(text.chars().all(|c| c == '\n' || is_printable(c)), "{text}");
        assert_eq!(Card::parse(&text, "card.json").unwrap(), card, "{text}");
        Card::parse(&uncommented(&text), "card.json").unwrap();
    }

    #[test]
    fn the_outputs_of_a_model_with_several_are_listed() {
        let mut proto = model(1, 2).to_proto();
        let graph = proto.graph.as_mut().unwrap();
        let mut flat = graph.output[0].clone();
        flat.name = graph.node[0].output[0].clone();
        let names = [flat.name.clone(), graph.output[0].name.clone()];
        graph.output.insert(0, flat);
        let text = Card::default().template(&Model::from_proto(proto).unwrap());
        let listed = format!("// Outputs of this model: `{}`, `{}`.", names[0], names[1]);
        assert!(
            text.contains(&listed) && text.contains(&format!("// \"output\": \"{}\"", names[1])),
            "{text}"
        );
        Card::parse(&uncommented(&text), "card.json").unwrap();
    }

    #[test]
    fn a_name_that_would_end_a_comment_is_none_of_the_examples() {
        let mut net = Net::new([2, 1, 4, 4], 1);
        let logits = net.op("Flatten", &["image"], []);
        let mut proto = net.finish(&logits, None).to_proto();
        let graph = proto.graph.as_mut().unwrap();
        let hostile = "a\n\"name\": \"b\",";
        graph.node.last_mut().unwrap().output[0] = hostile.into();
        graph.output[0].name = hostile.into();
        let text = Card::default().template(&Model::from_proto(proto).unwrap());
        assert_eq!(Card::parse(&text, "card.json").unwrap().name, "");
    }
}
