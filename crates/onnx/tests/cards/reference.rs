//! `docs/card.md` is what the code says of itself.

use std::{fs, path::Path};

use buckler_onnx::Card;

use crate::card;

/// The front of docs/card.md; the tables are made from the code.
const FRONT: &str = include_str!("reference.md");

#[test]
fn the_reference_of_cards_is_that_of_the_code() {
    let text = FRONT
        .replace("{{keys}}\n", &Card::reference())
        .replace("{{foreign}}\n", &Card::foreign_keys());
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/card.md");
    if std::env::var_os("BUCKLER_WRITE_DOCS").is_some() {
        fs::write(&path, &text).unwrap();
    }
    assert!(
        fs::read_to_string(&path).unwrap_or_default() == text,
        "docs/card.md is not what the code says: write it anew with BUCKLER_WRITE_DOCS=1"
    );
}

#[test]
fn the_examples_in_the_reference_are_cards() {
    let mut examples = 0;
    for block in FRONT.split("```json\n").skip(1) {
        card(block.split("```").next().unwrap());
        examples += 1;
    }
    assert!(examples >= 3);
}
