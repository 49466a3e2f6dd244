//! Cards as people and other tools write them: read, or refused with what to write instead.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::{fs, path::Path, time::Instant};

use buckler_onnx::{Card, ChannelOrder, Color, Grey, Model, Normalization, Resize};
use proptest::prelude::*;

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

#[test]
fn keys_that_a_card_does_not_have_are_refused_with_the_ones_to_write() {
    are_refused(&[
        (
            r#"{"input": {"mean": [0.5], "std": [0.5]}}"#,
            &[
                "`input.mean` is not a key of a card: write `input.normalization.mean`",
                "`input.std` is not a key of a card: write `input.normalization.std`",
            ],
        ),
        (
            r#"{"input": {"normalisation": {"mean": [0.5], "std": [0.5]}}}"#,
            &["`input.normalisation`", "write `input.normalization`"],
        ),
        (
            r#"{"input": {"Normalization": {"mean": [0.5], "std": [0.5]}}}"#,
            &["`input.Normalization`", "write `input.normalization`"],
        ),
        (
            r#"{"input": {"shape": [3, 224, 224]}}"#,
            &[
                "`input.shape`",
                "write `input.channels`, `input.height` and `input.width`",
            ],
        ),
        (
            r#"{"mean": [0.5], "std": [0.5], "size": 224, "image_size": 224, "channels": 3}"#,
            &[
                "`mean` is not a key of a card: write `input.normalization.mean`",
                "`std` is not a key of a card: write `input.normalization.std`",
                "`size` is not a key of a card: write `input.channels`",
                "`image_size` is not a key of a card: write `input.channels`",
                "`channels` is not a key of a card: write `input.channels`",
            ],
        ),
        (
            r#"{"training": {"optimizer": "sgd"}}"#,
            &["`training.optimizer`", "keys here are `recipe`"],
        ),
        (
            r#"{"measured": [{"data": "a"}, {"acuracy": 0.5}]}"#,
            &["`measured[1].acuracy`", "write `measured[].accuracy`"],
        ),
        (
            r#"{"input": {"preprocessing": {"crop-pct": 0.9}}}"#,
            &[
                "`input.preprocessing.crop-pct`",
                "write `input.preprocessing.crop_pct`",
            ],
        ),
        (
            r#"{"head": {"kind": "linear", "bias": true}}"#,
            &["`head.bias`", "keys here are `kind`"],
        ),
        (
            r#"{"input": {"normalization": {"mean": [0.5], "std": [0.5], "max": 255}}}"#,
            &["`input.normalization.max`", "keys here are `mean`, `std`"],
        ),
    ]);
}

#[test]
fn the_configuration_of_another_tool_is_answered_key_by_key() {
    // A `preprocessor_config.json` of Hugging Face.
    let huggingface = r#"{
        "do_center_crop": true,
        "do_normalize": true,
        "do_rescale": true,
        "image_mean": [0.485, 0.456, 0.406],
        "image_std": [0.229, 0.224, 0.225],
        "resample": 3,
        "rescale_factor": 0.00392156862745098,
        "size": {"shortest_edge": 256},
        "id2label": {"0": "cat", "1": "dog"}
    }"#;
    let message = refused(huggingface);
    for part in [
        "line 2: `do_center_crop` is not a key of a card: write `input.preprocessing.resize`",
        "line 5: `image_mean` is not a key of a card: write `input.normalization.mean`",
        "`resample` is not a key of a card: leave it out: images are scaled by",
        "`rescale_factor` is not a key of a card: leave it out: pixels are in [0, 1]",
        "line 9: `size`",
        "line 10: `id2label` is not a key of a card: write `classes`",
    ] {
        assert!(message.contains(part), "{message} lacks {part}");
    }
    // A `config.json` of timm.
    let timm = r#"{"architecture": "resnet50", "num_classes": 10, "pretrained_cfg": {"input_size": [3, 224, 224]},
        "input_size": [3, 224, 224], "interpolation": "bicubic", "crop_pct": 0.95, "first_conv": "conv1"}"#;
    let message = refused(timm);
    for part in [
        "`architecture` is not a key of a card: write `name`",
        "`num_classes` is not a key of a card: leave it out: the graph tells",
        "`input_size` is not a key of a card: write `input.channels`",
        "`interpolation` is not a key of a card: leave it out",
        "`crop_pct` is not a key of a card: write `input.preprocessing.crop_pct`",
    ] {
        assert!(message.contains(part), "{message} lacks {part}");
    }
}

#[test]
fn values_of_0_to_255_are_refused_with_the_values_over_255() {
    are_refused(&[
        (
            r#"{"input": {"channels": 3, "normalization": {"mean": [123.675, 116.28, 103.53], "std": [58.395, 57.12, 57.375]}}}"#,
            &[
                "`input.normalization`",
                "mean 123.675, 116.28, 103.53",
                "as mean 0.485, 0.456, 0.406 and std 0.229, 0.224, 0.225",
            ],
        ),
        (
            r#"{"input": {"normalization": {"mean": [0.5], "std": [255]}}}"#,
            &["std 255", "[0, 1]", "std 1"],
        ),
        (
            r#"{"input": {"channels": 1, "normalization": {"mean": [0.5, 0.5, 0.5], "std": 0.5}}}"#,
            &["mean has 3 values", "1 channel"],
        ),
        (
            r#"{"input": {"normalization": {"mean": [0.5], "std": [0]}}}"#,
            &["std 0 cannot be divided by"],
        ),
        (
            r#"{"input": {"normalization": {"mean": [0.5]}}}"#,
            &["`input.normalization.std` is missing"],
        ),
        (
            r#"{"input": {"normalization": {"mean": [0.5], "std": null}}}"#,
            &["`input.normalization.std` is missing"],
        ),
        (
            r#"{"input": {"normalization": {"mean": [1e400], "std": [1]}}}"#,
            &["`input.normalization.mean`", "out of range"],
        ),
        (
            r#"{"input": {"normalization": {"mean": ["0.5"], "std": [1]}}}"#,
            &[
                "`input.normalization.mean` should hold numbers",
                "the text \"0.5\"",
            ],
        ),
    ]);
}

#[test]
fn classes_are_a_list_or_names_by_number() {
    for text in [
        r#"{"classes": ["cat", "dog"]}"#,
        r#"{"classes": {"0": "cat", "1": "dog"}}"#,
        r#"{"classes": {"1": "dog", "0": "cat"}}"#,
    ] {
        assert_eq!(card(text).classes, ["cat", "dog"], "{text}");
    }
    assert_eq!(card(r#"{"classes": [0, 1, 2]}"#).classes, ["0", "1", "2"]);
    assert_eq!(card(r#"{"classes": {}}"#).classes, [""; 0]);
    let many: Vec<String> = (0..1000)
        .rev()
        .map(|class| format!("\"{class}\": \"c{class}\""))
        .collect();
    let many = card(&format!("{{\"classes\": {{{}}}}}", many.join(", "))).classes;
    assert_eq!(
        (many.len(), many[0].as_str(), many[999].as_str()),
        (1000, "c0", "c999")
    );
    are_refused(&[
        (
            r#"{"classes": {"1": "cat", "2": "dog"}}"#,
            &["`classes.2`", "without a gap"],
        ),
        (
            r#"{"classes": {"0": "cat", "0": "dog"}}"#,
            &["`classes.0` is given twice"],
        ),
        (
            r#"{"classes": {"00": "cat"}}"#,
            &["`classes.00` is not the number of a class"],
        ),
        (
            r#"{"classes": {"-1": "cat"}}"#,
            &["`classes.-1` is not the number of a class"],
        ),
        (
            r#"{"classes": {"cat": 0, "dog": 1}}"#,
            &["`classes.cat`", "the other way round"],
        ),
        (
            r#"{"classes": {"0": ["n01440764", "tench"]}}"#,
            &["`classes.0` should be the name of a class, and is a list"],
        ),
        (
            r#"{"classes": ["a", 1.5]}"#,
            &["`classes[1]`", "the number 1.5"],
        ),
        (r#"{"classes": ["a", null]}"#, &["`classes[1]`", "null"]),
        (
            r#"{"classes": 10}"#,
            &["`classes` should be a list of names", "the number 10"],
        ),
        (
            r#"{"classes": "cat,dog"}"#,
            &[
                "`classes` should be a list of names",
                "the text \"cat,dog\"",
            ],
        ),
        (
            r#"{"classes": ["crane", "ship", "crane"]}"#,
            &[
                "`classes[2]` is `crane` as is `classes[0]`",
                "different names",
            ],
        ),
        (r#"{"classes": ["a", ""]}"#, &["`classes[1]` is empty"]),
        (
            r#"{"classes": ["cat\n"]}"#,
            &["`classes[0]` is `cat\\n`", "U+000A"],
        ),
    ]);
    let numbers: Vec<String> = (0..(1 << 20) + 1).map(|class| format!("{class}")).collect();
    let message = refused(&format!("{{\"classes\":[{}]}}", numbers.join(",")));
    assert!(
        message.contains("bytes") || message.contains("at most 1048576"),
        "{message}"
    );
}

#[test]
fn texts_are_bounded_and_hold_nothing_that_a_terminal_obeys() {
    let long = format!(r#"{{"name": "{}"}}"#, "n".repeat(201));
    let command = format!(
        r#"{{"measured": [{{"command": "{}"}}]}}"#,
        "c".repeat(10_001)
    );
    are_refused(&[
        (r#"{"name": "a\u0000b"}"#, &["`name` is `a\\0b`", "U+0000"]),
        (r#"{"name": "\u001b[2J"}"#, &["\\u{1b}[2J", "U+001B"]),
        (r#"{"name": "a\r\nb"}"#, &["U+000D"]),
        ("{\"name\": \"\u{9b}31m\"}", &["U+009B"]),
        (
            "{\"classes\": [\"\u{202e}tac\"]}",
            &["`classes[0]`", "U+202E"],
        ),
        (r#"{"output": "a\u001bb"}"#, &["`output`", "U+001B"]),
        (r#"{"output": ""}"#, &["`output` is empty"]),
        (
            r#"{"training": {"data": "\u0007"}}"#,
            &["`training.data`", "U+0007"],
        ),
        (
            r#"{"description": "\u001b]0;t\u0007"}"#,
            &["`description`", "U+001B"],
        ),
        (&long, &["`name` has 201 characters; the text may have 200"]),
        (&command, &["`measured[0].command` has 10001 characters"]),
        (
            r#"{"sha256": {"model.onnx": "00"}}"#,
            &["`sha256`", "64 hexadecimal digits"],
        ),
        (
            r#"{"\u001b[2J": 1}"#,
            &["`\\u{1b}[2J` is not a key of a card"],
        ),
    ]);
    let several = card(r#"{"description": "two\nlines\tand a tab"}"#);
    assert_eq!(several.description, "two\nlines\tand a tab");
    for name in [
        "chat e\u{301}te\u{301}",
        "猫",
        "می\u{200c}خواهم",
        "👨\u{200d}👩\u{200d}👧",
        "tabby, tabby cat",
    ] {
        assert_eq!(
            card(&format!(r#"{{"classes": ["{name}"]}}"#)).classes,
            [name]
        );
    }
}

#[test]
fn sizes_are_bounded_before_anything_is_made_of_them() {
    are_refused(&[
        (
            r#"{"input": {"height": 1000000000, "width": 1}}"#,
            &["`input.height` is 1000000000 pixels; at most 65536"],
        ),
        (
            r#"{"input": {"height": 65536, "width": 65536}}"#,
            &["`input` has images of 1 x 65536 x 65536"],
        ),
        (
            r#"{"input": {"channels": 1000}}"#,
            &["`input.channels` is 1000"],
        ),
        (
            r#"{"input": {"height": 18446744073709551616}}"#,
            &["`input.height` should be a whole number"],
        ),
        (
            r#"{"input": {"height": -1}}"#,
            &["`input.height` should be a whole number", "the number -1"],
        ),
        (
            r#"{"input": {"height": 224.5}}"#,
            &[
                "`input.height` should be a whole number",
                "the number 224.5",
            ],
        ),
        (
            r#"{"input": {"height": "224"}}"#,
            &[
                "`input.height` should be a whole number",
                "the text \"224\"",
            ],
        ),
        (
            r#"{"input": {"height": [224]}}"#,
            &["`input.height` should be a whole number", "a list"],
        ),
        (
            r#"{"input": [3, 224, 224]}"#,
            &["`input` should be an object", "a list"],
        ),
        (
            r#"{"measured": {"data": "a"}}"#,
            &["`measured` should be a list of objects", "an object"],
        ),
        (
            r#"{"measured": ["a"]}"#,
            &["`measured[0]` should be an object"],
        ),
        (
            r#"{"measured": [{"accuracy": 98.2}]}"#,
            &["`measured[0].accuracy` is 98.2", "from 0 to 1"],
        ),
        (
            r#"{"training": {"seed": true}}"#,
            &["`training.seed` should be a whole number", "and is true"],
        ),
    ]);
    assert_eq!(
        card(r#"{"input": {"channels": 1, "height": 1024, "width": 65536}}"#)
            .input
            .width,
        65536
    );
}

#[test]
fn choices_are_words_of_a_list() {
    are_refused(&[
        (
            r#"{"input": {"channel_order": "BGR"}}"#,
            &["`input.channel_order` cannot be the text \"BGR\": write \"bgr\""],
        ),
        (
            r#"{"input": {"channel_order": true}}"#,
            &["should be `\"rgb\"` or `\"bgr\"`"],
        ),
        (
            r#"{"input": {"preprocessing": {"resize": "center-crop"}}}"#,
            &["write \"center_crop\""],
        ),
        (
            r#"{"input": {"preprocessing": {"resize": "bicubic"}}}"#,
            &["`\"stretch\"` or `\"center_crop\"`"],
        ),
        (
            r#"{"input": {"preprocessing": {"background": "white"}}}"#,
            &["`input.preprocessing.background`", "#rrggbb"],
        ),
        (
            r#"{"input": {"preprocessing": {"background": [255, 255, 255]}}}"#,
            &["should be a colour", "a list"],
        ),
        (
            r#"{"input": {"preprocessing": {"resize": "center_crop", "crop_pct": 87.5}}}"#,
            &["crop_pct` is 87.5", "at most 1"],
        ),
        (
            r#"{"input": {"preprocessing": {"crop_pct": 0.875}}}"#,
            &["does nothing where images are stretched"],
        ),
        (
            r#"{"input": {"channels": 1, "channel_order": "bgr"}}"#,
            &["`input.channel_order` is \"bgr\"", "leave it out"],
        ),
        (
            r#"{"head": {"kind": "arcface"}}"#,
            &["`head.kind`", "`\"linear\"` or `\"hypersphere\"`"],
        ),
        (r#"{"head": {}}"#, &["`head.kind` is missing"]),
        (
            r#"{"head": {"kind": "hypersphere", "scale": 15}}"#,
            &["`head.margin` is missing", "`head.feature_norm` is missing"],
        ),
        (
            r#"{"head": {"kind": "linear", "scale": 15}}"#,
            &["`head.scale` belongs to the kind \"hypersphere\""],
        ),
    ]);
    let taken = card(
        r##"{"input": {"channel_order": "bgr", "preprocessing": {"resize": "center_crop", "crop_pct": 0.875,
            "background": "#FFffff", "grey": "luma"}, "normalization": {"mean": 0.5, "std": [0.25, 0.5, 1]}}}"##,
    );
    assert_eq!(taken.input.channel_order, ChannelOrder::Bgr);
    let preprocessing = taken.input.preprocessing.unwrap();
    assert_eq!(
        (preprocessing.resize, preprocessing.crop_pct),
        (Resize::CenterCrop, 0.875)
    );
    assert_eq!(
        (preprocessing.background, preprocessing.grey),
        (Color([255; 3]), Grey::Luma)
    );
    let normalization = Normalization {
        mean: vec![0.5],
        std: vec![0.25, 0.5, 1.0],
    };
    assert_eq!(taken.input.normalization, Some(normalization));
}

#[test]
fn what_is_not_json_is_named_with_its_line() {
    are_refused(&[
        ("", &["has to be an object"]),
        ("[]", &["has to be an object"]),
        ("null", &["has to be an object"]),
        (
            "{\n\"name\": \"a\"\n\"output\": \"b\"\n}",
            &["line 3: not JSON"],
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
            "{\n\"classes\": [\n\"a\",\n\"a\"]}",
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

/// The front of docs/card.md; the tables are made from the code.
const FRONT: &str = include_str!("card_reference.md");

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
