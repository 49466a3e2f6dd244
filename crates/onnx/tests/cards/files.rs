//! Files that hold cards.

use std::{fs, path::Path};

use buckler_onnx::{Card, Model};

use crate::{are_refused, card};

#[test]
fn what_is_not_json_is_named_with_its_line() {
    are_refused(&[
        ("", &["has to be an object"]),
        ("[]", &["has to be an object"]),
        ("null", &["has to be an object"]),
        (
            "{\n\"name\": \"a\"\n\"output\": \"b\"\n}",
            &["line 2: not JSON: Expected comma"],
        ),
        ("{\n  name: \"a\"\n}", &["line 2: not JSON"]),
        ("{'name': 'a'}", &["not JSON"]),
        ("{\"name\": \"a\"} {}", &["not JSON"]),
        ("{\"input\": {\"height\": 0x10}}", &["not JSON"]),
        (
            "{\"input\": {\"normalization\": {\"mean\": NaN, \"std\": 1}}}",
            &["not JSON"],
        ),
        ("{\"name\": \"a", &["not JSON"]),
        (
            "{\n\n\"name\": \"a\", \"name\": \"b\"}",
            &["line 3: `name` is given twice"],
        ),
        (
            "{\"input\": {\"width\": 1, \"width\": 2}}",
            &["`input.width` is given twice"],
        ),
        (
            "{\n\"input\": {\n\"normalization\": {\"mean\": [200], \"std\": [50]}}}",
            &["line 3: `input.normalization`"],
        ),
        (
            "{\n\"classes\": [\n\"a\",\n\"a \"]}",
            &["line 4: `classes[1]`"],
        ),
    ]);
}

#[test]
fn comments_commas_at_ends_marks_and_nulls_are_taken() {
    let text = "\u{feff}// a card\n{\n  /* its */ \"name\": \"a // no comment\", // name\n  \"output\": null,\n  \"input\": null,\n  \
                \"classes\": [\"b\", \"c\",],\n}\n// the end";
    let taken = card(text);
    assert_eq!(
        (taken.name.as_str(), taken.classes.len()),
        ("a // no comment", 2)
    );
    assert_eq!(taken.output, None);
}

#[test]
fn the_cards_of_earlier_versions_and_of_the_models_here_are_taken() {
    let models = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models");
    let mut found = 0;
    for model in fs::read_dir(models).unwrap() {
        let folder = model.unwrap().path().join("1");
        let beside = Card::read(folder.join("card.json")).unwrap();
        let inside = Model::read(folder.join("model.onnx"))
            .unwrap()
            .card()
            .unwrap()
            .unwrap();
        assert_eq!(beside.classes, inside.classes);
        found += 1;
    }
    assert!(found > 0);
    // Before `output`, `channel_order` and `preprocessing` there were these.
    let old = r#"{"name":"a","classes":[],"input":{"channels":0,"height":0,"width":0},"head":{"kind":"linear"},
        "training":{"recipe":"r","framework":"plain","data":"mnist","epochs":1,"best_epoch":1,"seed":18446744073709551615},
        "measured":[{"data":"mnist/test","images":1,"attack":"none","accuracy":1.0}]}"#;
    assert_eq!(card(old).training.unwrap().seed, u64::MAX);
    assert_eq!(card("{}"), Card::default());
}
