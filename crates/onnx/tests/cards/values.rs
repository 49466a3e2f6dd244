//! Values that a card can have.

use buckler_onnx::{ChannelOrder, Color, Grey, Normalization, Resize};

use crate::{are_refused, card, refused};

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
        card(r#"{"input": {"channels": 1, "height": 512, "width": 65536}}"#)
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
            &["crop_pct` is 87.5", "from 0.1 to 1"],
        ),
        (
            r#"{"input": {"preprocessing": {"resize": "center_crop", "crop_pct": 1e-300}}}"#,
            &["crop_pct", "from 0.1 to 1"],
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
    assert_eq!(taken.input.channel_order, Some(ChannelOrder::Bgr));
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
