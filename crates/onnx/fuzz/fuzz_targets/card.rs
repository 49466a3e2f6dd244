//! Text that may be anything, as a card: an error that a terminal can show, or a card that is the same when it is written and read
//! again.
#![no_main]

use buckler_onnx::{
    Card, Model, printable, printable_json, printable_lines,
    proto::{GraphProto, ModelProto},
};
use libfuzzer_sys::fuzz_target;

/// Bytes of an error, which shows some of its problems and counts the others.
const MAX_MESSAGE: usize = 1 << 14;

fuzz_target!(|bytes: &[u8]| {
    let text = String::from_utf8_lossy(bytes);
    let json = serde_json::to_string(&text).expect("text is JSON");
    let again: String = serde_json::from_str(&printable_json(&json)).expect("escaped JSON is JSON");
    assert!(again == text);
    assert!(!printable(&text).contains(char::is_control));
    assert!(
        !printable_lines(&text).contains(|c: char| c.is_control() && !matches!(c, '\n' | '\t'))
    );

    let card = match Card::parse(&text, "card.json") {
        Ok(card) => card,
        Err(error) => {
            let message = error.to_string();
            assert!(message.len() <= MAX_MESSAGE, "{} bytes", message.len());
            assert!(!message.contains(char::is_control), "{message:?}");
            return;
        }
    };
    card.check("card.json")
        .expect("a card that was read can be used");
    let written = serde_json::to_string(&card).expect("a card is JSON");
    let again = Card::parse(&written, "card.json").expect("a card that was written can be read");
    assert!(again == card && card.differences(&again).is_empty());
    _ = card.wanted();
    if let Some(normalization) = &card.input.normalization {
        _ = normalization.doubts();
        for channels in 1..=4 {
            let checked = normalization.check(channels).is_ok();
            assert!(checked == normalization.per_channel(channels).is_ok());
        }
    }
    let mut model = Model::from_proto(ModelProto {
        graph: Some(GraphProto::default()),
        ..ModelProto::default()
    })
    .expect("an empty graph is a model");
    model.set_card(&card).expect("a card can be stored");
    let stored = model.card().expect("a stored card can be read");
    assert!(stored.is_some_and(|stored| stored.differences(&card).is_empty()));
    let template = card.template(&model);
    Card::parse(&template, "card.json").expect("a template is a card");
});
