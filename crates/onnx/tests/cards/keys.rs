//! Keys that a card does not have.

use crate::{are_refused, refused};

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
        "`pretrained_cfg` is not a key of a card: write `input.preprocessing` and `input.normalization`",
        "`input_size` is not a key of a card: write `input.channels`",
        "`interpolation` is not a key of a card: leave it out",
        "`crop_pct` is not a key of a card: write `input.preprocessing.crop_pct`",
    ] {
        assert!(message.contains(part), "{message} lacks {part}");
    }
}
