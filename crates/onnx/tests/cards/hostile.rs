//! Cards that are made to do harm.

use std::time::Instant;

use buckler_onnx::Card;
use proptest::prelude::*;

use crate::refused;

#[test]
fn hostile_cards_are_refused_in_little_time() {
    let started = Instant::now();
    let most = 4 << 20;
    let repeated = |part: &str| part.repeat(most / part.len() - 1);
    for text in [
        repeated("["),
        format!("{{\"a\":{}", repeated("{\"a\":")),
        format!("{{\"classes\":[{}1]}}", repeated("1,")),
        format!("{{\"classes\":[{}\"\"]}}", repeated("\"\",")),
        format!("{{{}\"a\":1}}", repeated("\"a\":1,")),
        format!(
            "{{{}\"a\":1}}",
            (0..300_000)
                .map(|key| format!("\"{key}\":1,"))
                .collect::<String>()
        ),
        format!("{{\"measured\":[{}{{}}]}}", repeated("{\"a\":1},")),
        format!("{{\"measured\":[{}{{}}]}}", repeated("{},")),
        format!("{{\"name\":\"{}\"}}", repeated("\\u0000")),
        format!("{{\"{}\":1}}", repeated("é")),
        format!("{{\"input\":{{\"height\":{}}}}}", repeated("9")),
        format!(
            "{{\"input\":{{\"normalization\":{{\"mean\":[{}1],\"std\":1}}}}}}",
            repeated("1,")
        ),
        format!("// {}", repeated("x")),
        format!("{{}}{}", " ".repeat(most)),
    ] {
        let message = refused(&text);
        assert!(
            message.len() < 20_000,
            "{} bytes of a message",
            message.len()
        );
    }
    // Each takes well under a second; the bound is for loaded machines.
    assert!(started.elapsed().as_secs() < 60, "{:?}", started.elapsed());
}

proptest! {
    #[test]
    fn flipped_bytes_are_a_card_or_an_error(flips in prop::collection::vec((any::<prop::sample::Index>(), any::<char>()), 1..4)) {
        let text = r##"{"name": "a", "classes": {"0": "a", "1": "b"}, "input": {"channels": 3, "height": 32, "preprocessing":
            {"resize": "center_crop", "crop_pct": 0.5, "background": "#000000"}, "normalization": {"mean": [0.5], "std": 0.5}},
            "measured": [{"accuracy": 0.5}], "sha256": {}}"##;
        let mut text: Vec<char> = text.chars().collect();
        for (place, value) in flips {
            let place = place.index(text.len());
            text[place] = value;
        }
        let text: String = text.into_iter().collect();
        if let Ok(card) = Card::parse(&text, "card.json") {
            let written = serde_json::to_string(&card).unwrap();
            prop_assert_eq!(Card::parse(&written, "card.json").unwrap(), card);
        }
    }
}

#[test]
fn the_seeds_of_the_fuzzer_are_cards_or_errors() {
    let directory = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/seeds/card");
    let mut cards = 0;
    for entry in std::fs::read_dir(directory).unwrap() {
        let text = std::fs::read_to_string(entry.unwrap().path()).unwrap();
        match Card::parse(&text, "seed") {
            Ok(card) => {
                card.check("seed").unwrap();
                cards += 1;
            }
            Err(error) => assert!(error.to_string().starts_with("seed: "), "{error}"),
        }
    }
    assert!(cards > 3, "{cards}");
}
