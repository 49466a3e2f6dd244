//! Models that leave the size of their images open, and inputs that are not images.
use buckler_attack::{InputSpec, Objective, Victim};
use buckler_onnx::{
    Bounding, Card, ChannelOrder, GradientInfo, Input, Model, Normalization, Preprocessing,
    proto::DataType,
};
use buckler_runtime::{Certifier, Classifier, LoadOptions, differentiate, differentiate_with};
use ndarray::{Array4, Axis};

use crate::models::{Batch, Builder, card, linear, named, numbers, port};
use crate::{CLASSES, RGB, images, loaded, options};

/// A convolutional network for images of any size.
fn open(axes: [&str; 4]) -> Model {
    let mut builder = Builder::new(RGB, Batch::Any);
    builder.floats("K", &[6, 3, 3, 3], &numbers(162, 1));
    builder.floats("W", &[6, CLASSES], &numbers(6 * CLASSES, 2));
    let strides: (&str, &[i64]) = ("strides", &[2, 2]);
    builder.node("Conv", &["image", "K"], "c", &[strides]);
    builder.node("Tanh", &["c"], "t", &[]);
    builder.node("GlobalAveragePool", &["t"], "pooled", &[]);
    builder.node("Flatten", &["pooled"], "flat", &[]);
    builder.node("MatMul", &["flat", "W"], "logits", &[]);
    let image = named("image", DataType::Float, &axes);
    let output = named("logits", DataType::Float, &[axes[0], "4"]);
    builder.finish_as(Some(image), vec![output])
}

fn sized(height: usize, width: usize) -> LoadOptions {
    LoadOptions {
        size: Some((height, width)),
        ..options()
    }
}

fn sized_card(channels: usize, height: usize, width: usize) -> Card {
    Card {
        input: Input {
            channels,
            height,
            width,
            ..Input::default()
        },
        ..card("sized", &[])
    }
}

fn load(model: &Model, options: &LoadOptions) -> Result<Classifier, String> {
    Classifier::from_bytes(&model.to_bytes(), None, options).map_err(|error| error.to_string())
}

#[tokio::test]
async fn a_size_from_options_or_the_card_reaches_the_gradient_and_the_bounds() {
    for axes in [
        ["batch_size", "num_channels", "height", "width"],
        ["?", "3", "?", "?"],
        ["n", "3", "h", "8"],
    ] {
        let mut model = open(axes);
        let message = load(&model, &options()).unwrap_err();
        assert!(
            message.contains("leaves the size of images open"),
            "{message}"
        );
        let by_options = load(&model, &sized(8, 8)).unwrap();
        let made = differentiate(&model, &sized(8, 8)).unwrap();
        let info = GradientInfo::of(&made.gradient).unwrap().unwrap();
        assert_eq!(info.size, Some((8, 8)));
        let certifier =
            Certifier::from_bytes(&model.to_bytes(), &sized(8, 8), Bounding::Ibp).unwrap();
        assert_eq!(certifier.input(), RGB);
        let beside = differentiate_with(&model, Some(sized_card(3, 8, 8)), &options()).unwrap();
        assert_eq!(beside.gradient, made.gradient);
        model.set_card(&sized_card(3, 8, 8)).unwrap();
        let by_card = load(&model, &options()).unwrap();
        let images = images(3, RGB, 1);
        let mut answers = Vec::new();
        for classifier in [by_options, by_card] {
            assert_eq!(classifier.input(), RGB);
            classifier.can_attack().unwrap();
            let objectives = vec![Objective::Margin { label: 1 }; 3];
            let gradient = classifier
                .gradient(images.clone(), objectives)
                .await
                .unwrap();
            answers.push((
                classifier.logits(images.clone()).await.unwrap(),
                gradient.input,
            ));
        }
        assert_eq!(answers[0], answers[1], "{axes:?}");
    }
}

#[test]
fn a_gradient_graph_of_another_size_is_not_used() {
    let model = open(["n", "3", "h", "w"]);
    let made = differentiate(&model, &sized(8, 8))
        .unwrap()
        .gradient
        .to_bytes();
    let load = |options: &LoadOptions| {
        Classifier::from_bytes(&model.to_bytes(), Some(&made), options).unwrap()
    };
    assert!(
        !load(&sized(8, 8))
            .assumptions()
            .join("\n")
            .contains("gradient graph")
    );
    let other = load(&sized(12, 10));
    let said = other.assumptions().join("\n");
    assert!(
        said.contains("made for images of 8x8 instead of 12x10"),
        "{said}"
    );
    other.can_attack().unwrap();
}

#[test]
fn options_win_over_the_card_where_the_graph_is_open_and_never_over_the_graph() {
    let mut model = open(["n", "3", "h", "w"]);
    model.set_card(&sized_card(3, 8, 8)).unwrap();
    let classifier = load(&model, &sized(12, 10)).unwrap();
    assert_eq!(
        (classifier.input().height, classifier.input().width),
        (12, 10)
    );
    let said = classifier.assumptions().join("\n");
    assert!(said.contains("and not 8x8 as the card states"), "{said}");
    let mut fixed = open(["n", "3", "8", "8"]);
    let message = load(&fixed, &sized(12, 8)).unwrap_err();
    assert!(
        message.contains("8") && message.contains("12 as stated"),
        "{message}"
    );
    fixed.set_card(&sized_card(3, 12, 8)).unwrap();
    let message = load(&fixed, &options()).unwrap_err();
    assert!(
        message.contains("the card's `input` states channels 3, height 12, width 8"),
        "{message}"
    );
    fixed.set_card(&sized_card(1, 8, 8)).unwrap();
    load(&fixed, &options()).unwrap_err();
}

#[test]
fn vectors_are_asked_for_with_a_size() {
    let vector = |axes: &[&str], values: usize| {
        let spec = InputSpec {
            channels: 1,
            height: 1,
            width: values,
        };
        let mut builder = Builder::new(spec, Batch::Any);
        builder.floats("W", &[values, 3], &numbers(values * 3, 1));
        builder.node("Flatten", &["image"], "flat", &[]);
        builder.node("MatMul", &["flat", "W"], "logits", &[]);
        let output = named("logits", DataType::Float, &[axes[0], "3"]);
        builder.finish_as(Some(named("image", DataType::Float, axes)), vec![output])
    };
    for (axes, values, size) in [
        (&["1", "16"][..], 16, (4, 4)),
        (&["1", "1", "1", "5"], 5, (1, 5)),
        (&["n", "27"], 27, (3, 3)),
    ] {
        let model = vector(axes, values);
        let message = load(&model, &options()).unwrap_err();
        assert!(message.contains("not an image"), "{message}");
        let classifier = load(&model, &sized(size.0, size.1)).unwrap();
        assert_eq!((classifier.input().height, classifier.input().width), size);
        classifier.can_attack().unwrap();
    }
    let row = loaded(&vector(&["n", "784"], 784)).assumptions().join("\n");
    assert!(
        row.contains("the 784 values of input `image` are taken as a grey image of 28x28"),
        "{row}"
    );
}

#[tokio::test]
async fn blue_first_is_the_same_model_with_its_channels_reversed() {
    let weights = numbers(RGB.values() * 3, 1);
    // Row `channel * 64 + pixel` of the weights belongs to a channel.
    let reversed: Vec<f32> = [2, 1, 0]
        .iter()
        .flat_map(|channel| weights[channel * 64 * 3..(channel + 1) * 64 * 3].to_vec())
        .collect();
    let normalization = Normalization {
        mean: vec![0.5, 0.4, 0.3],
        std: vec![0.2, 0.25, 0.3],
    };
    let rgb = linear(RGB, &weights, &[0.0; 3], Batch::Any);
    let mut bgr = linear(RGB, &reversed, &[0.0; 3], Batch::Any);
    let with = |order| LoadOptions {
        channel_order: order,
        normalization: Some(normalization.clone()),
        ..options()
    };
    let expected = load(&rgb, &with(None)).unwrap();
    let asked = load(&bgr, &with(Some(ChannelOrder::Bgr))).unwrap();
    bgr.set_card(&Card {
        input: Input {
            channel_order: Some(ChannelOrder::Bgr),
            normalization: Some(normalization.clone()),
            ..Input::default()
        },
        ..card("caffe", &[])
    })
    .unwrap();
    let by_card = loaded(&bgr);
    let images: Array4<f32> = images(3, RGB, 2);
    let objectives = || vec![Objective::Margin { label: 1 }; 3];
    let logits = expected.logits(images.clone()).await.unwrap();
    let gradient = expected
        .gradient(images.clone(), objectives())
        .await
        .unwrap()
        .input;
    for classifier in [asked, by_card] {
        let found = classifier.logits(images.clone()).await.unwrap();
        for (found, expected) in found.iter().zip(&logits) {
            assert!((found - expected).abs() < 1e-4, "{found} {expected}");
        }
        let found = classifier
            .gradient(images.clone(), objectives())
            .await
            .unwrap()
            .input;
        for (found, expected) in found.iter().zip(&gradient) {
            assert!((found - expected).abs() < 1e-5, "{found} {expected}");
        }
        let mut plain = images.clone();
        plain.invert_axis(Axis(1));
        let other = classifier.logits(plain).await.unwrap();
        assert!(other.iter().zip(&logits).any(|(a, b)| (a - b).abs() > 1e-2));
    }
}

#[test]
fn what_a_card_would_say_is_assumed_without_one() {
    let weights = numbers(RGB.values() * 3, 1);
    let mut model = linear(RGB, &weights, &[0.0; 3], Batch::Any);
    assert_eq!(
        loaded(&model).assumptions(),
        [
            "the model has no card: its pixels are taken to be in [0, 1]",
            "the model has no card: its channels are taken to be in the order RGB",
            "images of another size are stretched to 8x8",
            "the model names no classes: they are numbered from 0",
        ]
    );
    model
        .set_card(&Card {
            input: Input {
                preprocessing: Some(Preprocessing::default()),
                ..Input::default()
            },
            ..card("half", &["a", "b", "c"])
        })
        .unwrap();
    assert_eq!(
        loaded(&model).assumptions(),
        [
            "the card states no normalization: pixels are taken to be in [0, 1]",
            "the card states no order of channels: RGB is taken",
        ]
    );
    model
        .set_card(&Card {
            input: Input {
                channel_order: Some(ChannelOrder::Rgb),
                preprocessing: Some(Preprocessing::default()),
                normalization: Some(Normalization {
                    mean: vec![0.0],
                    std: vec![1.0],
                }),
                ..Input::default()
            },
            ..card("full", &["a", "b", "c"])
        })
        .unwrap();
    assert_eq!(loaded(&model).assumptions(), [] as [&str; 0]);
    let grey = InputSpec { channels: 1, ..RGB };
    let model = linear(grey, &numbers(64 * 3, 1), &[0.0; 3], Batch::Any);
    assert!(!loaded(&model).assumptions().join("\n").contains("RGB"));
}

/// A row of values that the graph arranges as height, width and channels.
#[tokio::test]
async fn rows_are_filled_in_the_order_in_which_the_graph_takes_them_apart() {
    let input = InputSpec {
        channels: 3,
        height: 4,
        width: 6,
    };
    let weights = numbers(input.values() * 3, 4);
    let mut builder = Builder::new(input, Batch::Any);
    builder.floats("W", &[input.values(), 3], &weights);
    builder.ints("image shape", &[-1, 4, 6, 3]);
    builder.node("Reshape", &["row", "image shape"], "last", &[]);
    builder.node("Transpose", &["last"], "first", &[("perm", &[0, 3, 1, 2])]);
    builder.node("Flatten", &["first"], "flat", &[]);
    builder.node("MatMul", &["flat", "W"], "logits", &[]);
    let row = port("row", None, &[72]);
    let model = builder.finish_as(Some(row), vec![port("logits", None, &[3])]);
    let classifier = loaded(&model);
    assert_eq!(classifier.input(), input);
    let said = classifier.assumptions().join("\n");
    assert!(said.contains("3x4x6 images, pixel by pixel"), "{said}");
    let reference = loaded(&linear(input, &weights, &[0.0; 3], Batch::Any));
    let images = images(4, input, 9);
    let (ours, theirs) = (
        classifier.logits(images.clone()).await.unwrap(),
        reference.logits(images.clone()).await.unwrap(),
    );
    for (a, b) in ours.iter().zip(&theirs) {
        assert!((a - b).abs() < 1e-4, "{a} {b}");
    }
    let objectives = vec![Objective::Margin { label: 1 }; 4];
    let ours = classifier
        .gradient(images.clone(), objectives.clone())
        .await
        .unwrap();
    let theirs = reference.gradient(images, objectives).await.unwrap();
    for (a, b) in ours.input.iter().zip(&theirs.input) {
        assert!((a - b).abs() < 1e-4, "{a} {b}");
    }
}

#[test]
fn a_graph_made_for_pixels_of_0_to_255_is_named() {
    for (operator, value, named) in [
        ("Div", 255.0, true),
        ("Mul", 1.0 / 255.0, true),
        ("Sub", 127.5, true),
        ("Add", -123.68, true),
        ("Div", 0.225, false),
        ("Sub", 0.5, false),
        ("Mul", 2.0, false),
    ] {
        let mut builder = Builder::new(RGB, Batch::Any);
        builder.floats("value", &[], &[value]);
        builder.floats("W", &[RGB.values(), 3], &numbers(RGB.values() * 3, 4));
        builder.node(operator, &["image", "value"], "scaled", &[]);
        builder.node("Flatten", &["scaled"], "flat", &[]);
        builder.node("MatMul", &["flat", "W"], "logits", &[]);
        let model = builder.finish(&[3]);
        let said = |options: &LoadOptions| {
            let loaded = Classifier::from_bytes(&model.to_bytes(), None, options).unwrap();
            loaded.assumptions().join("\n").contains("0 to 255")
        };
        assert_eq!(said(&options()), named, "{operator} {value}");
        let stated = LoadOptions {
            normalization: Some(Normalization {
                mean: vec![0.0],
                std: vec![1.0 / 255.0],
            }),
            ..options()
        };
        assert!(!said(&stated));
    }
}

#[test]
fn a_mean_that_the_graph_takes_off_itself_is_told() {
    let mut builder = Builder::new(RGB, Batch::Any);
    builder.floats("mean", &[1, 3, 1, 1], &[0.485, 0.456, 0.406]);
    builder.floats("W", &[RGB.values(), 3], &numbers(RGB.values() * 3, 4));
    builder.node("Sub", &["image", "mean"], "centred", &[]);
    builder.node("Flatten", &["centred"], "flat", &[]);
    builder.node("MatMul", &["flat", "W"], "logits", &[]);
    let model = builder.finish(&[3]);
    for (mean, twice) in [
        (Some(vec![0.485, 0.456, 0.406]), true),
        (Some(vec![0.5]), false),
        (None, false),
    ] {
        let options = LoadOptions {
            normalization: mean.map(|mean| Normalization {
                mean,
                std: vec![0.25],
            }),
            ..options()
        };
        let classifier = load(&model, &options).unwrap();
        let said = classifier.assumptions().join("\n");
        assert_eq!(said.contains("normalised twice"), twice, "{said}");
    }
}

#[test]
fn pixels_of_0_to_255_are_told_by_other_first_layers_too() {
    let reversed = |builder: &mut Builder| {
        builder.ints("order", &[2, 1, 0]);
        builder.floats("mean", &[1, 3, 1, 1], &[103.9, 116.8, 123.7]);
        builder.node("Gather", &["image", "order"], "turned", &[("axis", &[1])]);
        builder.node("Sub", &["turned", "mean"], "first", &[]);
    };
    let normalized = |mean: f32| {
        move |builder: &mut Builder| {
            builder.floats("one", &[3], &[1.0; 3]);
            builder.floats("zero", &[3], &[0.0; 3]);
            builder.floats("mean", &[3], &[mean; 3]);
            builder.floats("variance", &[3], &[mean * mean / 4.0; 3]);
            let inputs = ["image", "one", "zero", "mean", "variance"];
            builder.node("BatchNormalization", &inputs, "first", &[]);
        }
    };
    let convolved = |weight: f32| {
        move |builder: &mut Builder| {
            let mut weights = [0.0; 9];
            for channel in 0..3 {
                weights[4 * channel] = weight;
            }
            builder.floats("K", &[3, 3, 1, 1], &weights);
            builder.node("Conv", &["image", "K"], "first", &[]);
        }
    };
    let clipped = |most: f32| {
        move |builder: &mut Builder| {
            builder.floats("least", &[], &[0.0]);
            builder.floats("most", &[], &[most]);
            builder.node("Clip", &["image", "least", "most"], "first", &[]);
        }
    };
    let quantized = |scale: f32| {
        move |builder: &mut Builder| {
            builder.floats("scale", &[], &[scale]);
            builder.node("QuantizeLinear", &["image", "scale"], "bytes", &[]);
            builder.node("DequantizeLinear", &["bytes", "scale"], "first", &[]);
        }
    };
    type First<'a> = &'a dyn Fn(&mut Builder);
    let cases: [(First<'_>, bool); 9] = [
        (&reversed, true),
        (&normalized(123.0), true),
        (&normalized(0.5), false),
        (&convolved(1.0 / 58.0), true),
        (&convolved(1.0 / 0.22), false),
        (&clipped(255.0), true),
        (&clipped(1.0), false),
        (&quantized(1.0), true),
        (&quantized(1.0 / 255.0), false),
    ];
    for (index, (first, named)) in cases.into_iter().enumerate() {
        let mut builder = Builder::new(RGB, Batch::Any);
        first(&mut builder);
        builder.floats("W", &[RGB.values(), 3], &numbers(RGB.values() * 3, 4));
        builder.node("Flatten", &["first"], "flat", &[]);
        builder.node("MatMul", &["flat", "W"], "logits", &[]);
        let said = loaded(&builder.finish(&[3])).assumptions().join("\n");
        assert_eq!(said.contains("0 to 255"), named, "{index}: {said}");
    }
}

#[test]
fn a_size_on_the_card_that_is_overruled_is_told_where_the_graph_has_one_too() {
    let mut model = open(["n", "3", "8", "8"]);
    model.set_card(&sized_card(3, 12, 10)).unwrap();
    let classifier = load(&model, &sized(8, 8)).unwrap();
    let said = classifier.assumptions().join("\n");
    assert!(said.contains("and not 12x10 as the card states"), "{said}");
    let alone = load(&open(["n", "3", "8", "8"]), &sized(8, 8)).unwrap();
    let said = alone.assumptions().join("\n");
    assert!(!said.contains("as the card states"), "{said}");
}

#[tokio::test]
async fn channels_may_be_last_behind_a_scale_or_a_border_where_all_axes_are_open() {
    for border in [false, true] {
        let mut builder = Builder::new(RGB, Batch::Any);
        builder.floats("K", &[6, 3, 3, 3], &numbers(162, 1));
        builder.floats("W", &[6, CLASSES], &numbers(6 * CLASSES, 2));
        builder.floats("two", &[], &[2.0]);
        builder.ints("border", &[0, 1, 1, 0, 0, 1, 1, 0]);
        builder.node("Div", &["image", "two"], "scaled", &[]);
        if border {
            builder.node("Pad", &["scaled", "border"], "wide", &[]);
        }
        let front: (&str, &[i64]) = ("perm", &[0, 3, 1, 2]);
        let first = if border { "wide" } else { "scaled" };
        builder.node("Transpose", &[first], "front", &[front]);
        builder.node("Conv", &["front", "K"], "c", &[]);
        builder.node("GlobalAveragePool", &["c"], "pooled", &[]);
        builder.node("Flatten", &["pooled"], "flat", &[]);
        builder.node("MatMul", &["flat", "W"], "logits", &[]);
        let image = named("image", DataType::Float, &["n", "h", "w", "c"]);
        let output = named("logits", DataType::Float, &["n", "4"]);
        let model = builder.finish_as(Some(image), vec![output]);
        let classifier = load(&model, &sized(8, 8)).unwrap();
        assert_eq!(classifier.input(), RGB);
        assert_eq!(classifier.tensors().row, [8, 8, 3]);
        let logits = classifier.logits(images(2, RGB, 3)).await.unwrap();
        assert_eq!(logits.dim(), (2, CLASSES));
    }
}

#[test]
fn an_image_without_an_axis_for_the_batch_is_named() {
    let mut builder = Builder::new(RGB, Batch::Any);
    builder.floats("W", &[192, 4], &numbers(768, 1));
    builder.ints("first", &[0]);
    builder.node("Unsqueeze", &["image", "first"], "one", &[]);
    builder.node("Flatten", &["one"], "flat", &[]);
    builder.node("MatMul", &["flat", "W"], "logits", &[]);
    let image = named("image", DataType::Float, &["3", "8", "8"]);
    let output = named("logits", DataType::Float, &["1", "4"]);
    let message = load(&builder.finish_as(Some(image), vec![output]), &options()).unwrap_err();
    assert!(message.contains("an axis of images before it"), "{message}");
}

#[test]
fn a_normalisation_that_looks_like_a_mistake_is_told() {
    let mut model = open(["n", "3", "8", "8"]);
    let mut card = sized_card(3, 8, 8);
    card.input.normalization = Some(Normalization {
        mean: vec![-0.485, -0.456, -0.406],
        std: vec![0.229, 0.224, 0.225],
    });
    model.set_card(&card).unwrap();
    let said = load(&model, &options()).unwrap().assumptions().join("\n");
    assert!(said.contains("is negative"), "{said}");
    card.input.channels = 0;
    card.input.normalization = Some(Normalization {
        mean: vec![0.5, 0.5],
        std: vec![0.5],
    });
    model.set_card(&card).unwrap();
    let message = load(&model, &options()).unwrap_err();
    assert!(
        message.contains("`input.normalization`: mean has 2 values"),
        "{message}"
    );
}
