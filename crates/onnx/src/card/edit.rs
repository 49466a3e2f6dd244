//! Changes a written card in place: comments, order and layout stay as their author left them.

use jsonc_parser::{
    ParseOptions,
    cst::{CstInputValue, CstObject, CstRootNode},
};
use serde_json::{Map, Value};

use super::Card;

/// `text`, a card with comments, with what `card` states in place of what it stated; `None` where the text cannot be edited so.
pub(super) fn edited(text: &str, card: &Card) -> Option<String> {
    let root = CstRootNode::parse(text, &ParseOptions::default()).ok()?;
    let object = root.object_value()?;
    let before = Card::parse(text, "card.json").ok()?;
    let (Value::Object(before), Value::Object(after)) = (
        serde_json::to_value(before).ok()?,
        serde_json::to_value(card).ok()?,
    ) else {
        return None;
    };
    change(&object, &before, &after);
    let text = root.to_string();
    // What people wrote differs in ways that nobody foresees: what is read again decides.
    (Card::parse(&text, "card.json").ok().as_ref() == Some(card)).then_some(text)
}

fn change(object: &CstObject, before: &Map<String, Value>, after: &Map<String, Value>) {
    for key in before.keys().filter(|key| !after.contains_key(*key)) {
        if let Some(property) = object.get(key) {
            property.remove();
        }
    }
    for (key, value) in after {
        let old = before.get(key);
        if old == Some(value) {
            continue;
        }
        let property = object.get(key);
        let inner = property
            .as_ref()
            .and_then(|property| property.object_value());
        match (property, inner, old, value) {
            (_, Some(inner), Some(Value::Object(old)), Value::Object(value)) => {
                change(&inner, old, value);
            }
            (Some(property), ..) => property.set_value(input(value)),
            (None, ..) => {
                object.append(key, input(value));
            }
        }
    }
}

fn input(value: &Value) -> CstInputValue {
    match value {
        Value::Null => CstInputValue::Null,
        Value::Bool(value) => CstInputValue::Bool(*value),
        Value::Number(value) => CstInputValue::Number(value.to_string()),
        Value::String(value) => CstInputValue::String(value.clone()),
        Value::Array(values) => CstInputValue::Array(values.iter().map(input).collect()),
        Value::Object(entries) => CstInputValue::Object(
            entries
                .iter()
                .map(|(key, value)| (key.clone(), input(value)))
                .collect(),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Measurement, Normalization};

    const TEXT: &str = r#"// The model of the north gate.
{
  "name": "gate", // ours
  "classes": {"0": "open", "1": "shut"},
  /* as photographed */
  "input": {
    "channels": 3, "height": 8, "width": 8,
    // measured in May
    "normalization": {"mean": [0.5, 0.5, 0.5], "std": [0.25, 0.25, 0.25]},
  },
}
"#;

    #[test]
    fn comments_and_layout_outlive_a_change() {
        let mut card = Card::parse(TEXT, "card.json").unwrap();
        assert_eq!(edited(TEXT, &card).unwrap(), TEXT);
        card.measured.push(Measurement {
            data: "gate \"photos\"".into(),
            images: 7,
            ..Measurement::default()
        });
        card.sha256.insert("model.onnx".into(), "00".repeat(32));
        card.input.normalization = None;
        let text = edited(TEXT, &card).unwrap();
        for kept in [
            "// The model of the north gate.",
            "// ours",
            "/* as photographed */",
            r#"{"0": "open", "1": "shut"}"#,
            r#""channels": 3, "height": 8, "width": 8"#,
        ] {
            assert!(text.contains(kept), "{text}");
        }
        assert!(!text.contains("0.25"), "{text}");
        let mut again = card.clone();
        again.input.normalization = Some(Normalization {
            mean: vec![0.1, 0.2, 0.3],
            std: vec![1.0, 0.5, 0.25],
        });
        let text = edited(&text, &again).unwrap();
        assert_eq!(Card::parse(&text, "card.json").unwrap(), again);
        assert!(text.contains("// ours"), "{text}");
    }

    #[test]
    fn what_is_no_card_is_not_edited() {
        for text in [
            "",
            "[]",
            "{\"name\": 3}",
            "{\"name\": \"a\", \"name\": \"b\"}",
        ] {
            assert_eq!(edited(text, &Card::default()), None, "{text}");
        }
    }
}
