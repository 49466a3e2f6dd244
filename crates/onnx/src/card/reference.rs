//! The tables of docs/card.md, made from the keys.

use super::{
    Card,
    keys::{KEYS, Kind},
    nearest::FOREIGN,
};

impl Card {
    /// The keys of a card as a table in Markdown: meaning, kind, default and an example.
    pub fn reference() -> String {
        let mut table =
            "| key | value | default | example | meaning |\n|---|---|---|---|---|\n".to_owned();
        for key in KEYS {
            let kind = match key.kind {
                Kind::Text(most) | Kind::Lines(most) => {
                    format!("text of at most {most} characters")
                }
                kind => kind.describe(),
            };
            let default = match key.default {
                "" => "has to be given",
                default => default,
            };
            let cells = [
                &format!("`{}`", key.path),
                &kind,
                default,
                &format!("`{}`", key.example),
                key.meaning,
            ];
            table.push_str(&format!(
                "| {} |\n",
                cells.map(|cell| cell.replace('|', "\\|")).join(" | ")
            ));
        }
        table
    }

    /// Keys of other tools as a table in Markdown, without case and signs, with what to do about them.
    pub fn foreign_keys() -> String {
        let mut table = "| key elsewhere | on a card |\n|---|---|\n".to_owned();
        for (names, remedy) in FOREIGN {
            let names: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
            table.push_str(&format!("| {} | {remedy} |\n", names.join(", ")));
        }
        table
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::Value;

    use super::*;
    use crate::card::{Head, Measurement, Normalization, Preprocessing, Training, keys};

    /// Every field that a card can have, set.
    fn full() -> Card {
        let mut card = Card {
            name: "name".into(),
            description: "text".into(),
            classes: vec!["a".into()],
            output: Some("logits".into()),
            head: Some(Head::Hypersphere {
                feature_norm: true,
                weight_norm: true,
                scale: 10.0,
                margin: 0.1,
            }),
            training: Some(Training {
                norm: Some("linf".into()),
                eps: Some("8/255".into()),
                ..Training::default()
            }),
            measured: vec![Measurement {
                norm: Some("linf".into()),
                eps: Some("8/255".into()),
                command: "command".into(),
                ..Measurement::default()
            }],
            sha256: [("model.onnx".into(), "0".repeat(64))].into(),
            ..Card::default()
        };
        card.input.channel_order = Some(crate::ChannelOrder::Bgr);
        card.input.preprocessing = Some(Preprocessing::default());
        card.input.normalization = Some(Normalization {
            mean: vec![0.5],
            std: vec![0.5],
        });
        card
    }

    fn paths(value: &Value, path: &str, found: &mut BTreeSet<String>) {
        match value {
            Value::Object(object) if path != "sha256" => {
                if !path.is_empty() && !path.ends_with("[]") {
                    found.insert(path.into());
                }
                for (key, value) in object {
                    let path = if path.is_empty() {
                        key.clone()
                    } else {
                        format!("{path}.{key}")
                    };
                    paths(value, &path, found);
                }
            }
            Value::Array(values) if values.iter().all(Value::is_object) => {
                found.insert(path.into());
                values
                    .iter()
                    .for_each(|value| paths(value, &format!("{path}[]"), found));
            }
            _ => {
                found.insert(path.into());
            }
        }
    }

    #[test]
    fn the_table_has_the_keys_of_the_type_and_no_others() {
        let mut found = BTreeSet::new();
        paths(&serde_json::to_value(full()).unwrap(), "", &mut found);
        let table: BTreeSet<String> = KEYS.iter().map(|key| key.path.to_owned()).collect();
        assert_eq!(table.len(), KEYS.len());
        assert_eq!(found, table);
        let written = serde_json::to_string_pretty(&full()).unwrap();
        assert_eq!(Card::parse(&written, "card.json").unwrap(), full());
    }

    #[test]
    fn every_example_is_read() {
        for key in KEYS {
            // The key alone, with what its object has to have besides.
            let mut text = format!("\"{}\": {}", key.name(), key.example);
            let mut level = key.parent();
            if level.starts_with("head") {
                let rest = keys::on("head").filter(|own| own.name() != key.name());
                text = rest.fold(text, |text, own| {
                    format!("{text}, \"{}\": {}", own.name(), own.example)
                });
            } else if level == "input.normalization" {
                text = r#""mean": [0.5, 0.5, 0.5], "std": [0.5, 0.5, 0.5]"#.into();
            } else if ["input.height", "input.width"].contains(&key.path) {
                text = r#""height": 224, "width": 224"#.into();
            } else if key.name() == "crop_pct" {
                text = format!("{text}, \"resize\": \"center_crop\"");
            }
            while !level.is_empty() {
                let (parent, name) = level.rsplit_once('.').unwrap_or(("", level));
                text = match name.strip_suffix("[]") {
                    Some(name) => format!("\"{name}\": [{{{text}}}]"),
                    None => format!("\"{name}\": {{{text}}}"),
                };
                level = parent;
            }
            Card::parse(&format!("{{{text}}}"), key.path).unwrap();
        }
    }

    #[test]
    fn no_key_is_without_a_meaning_or_a_row() {
        let table = Card::reference();
        for key in KEYS {
            assert!(
                key.meaning.ends_with('.') && key.meaning.len() > 8,
                "{}",
                key.path
            );
            assert!(
                table.contains(&format!("| `{}` |", key.path)),
                "{}",
                key.path
            );
        }
    }
}
