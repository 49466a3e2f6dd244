//! Cards as people and other tools write them: read, or refused with what to write instead.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod files;
mod hostile;
mod keys;
mod reference;
mod values;

use buckler_onnx::Card;

fn card(text: &str) -> Card {
    Card::parse(text, "card.json").unwrap_or_else(|error| panic!("{error}: {text}"))
}

fn refused(text: &str) -> String {
    match Card::parse(text, "card.json") {
        Ok(card) => panic!("taken: {text}\n{card:?}"),
        Err(error) => error.to_string(),
    }
}

/// Every text is refused with a message that holds all the parts, and names the file once.
fn are_refused(cases: &[(&str, &[&str])]) {
    for (text, parts) in cases {
        let message = refused(text);
        for part in *parts {
            assert!(message.contains(part), "{text}: {message} lacks {part}");
        }
        assert_eq!(message.matches("card.json").count(), 1, "{message}");
        assert!(!message.contains(['\n', '\u{1b}', '\0']), "{message}");
    }
}
