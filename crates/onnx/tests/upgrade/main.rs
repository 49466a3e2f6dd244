//! Nodes of older operator sets are brought to the form of 18: what they compute is stated here, number by number.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod forms;
mod old;
#[path = "../reference/mod.rs"]
mod reference;

use buckler_onnx::{
    Error, Model, check, differentiate,
    proto::{AttributeProto, AttributeType, NodeProto, TensorProto},
};
use old::{Old, Stored};
use reference::net::Net;

fn ints(name: &str, values: &[i64]) -> AttributeProto {
    AttributeProto::ints(name, values)
}

fn mode(name: &str) -> AttributeProto {
    AttributeProto::string("mode", name)
}

const SQUARE: Stored<'_> = (&[2, 2], &[1.0, 2.0, 3.0, 4.0]);
const GRID: Stored<'_> = (
    &[3, 4],
    &[
        1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0, 10.0, 11.0, 12.0,
    ],
);
/// `[1, 1, 2, 2]`.
const PICTURE: Stored<'_> = (&[1, 1, 2, 2], SQUARE.1);

#[test]
fn the_widths_of_pad_become_an_input() {
    for opset in [7, 10] {
        let attributes = [
            ints("pads", &[0, 1, 1, 0]),
            AttributeProto::float("value", 9.0),
        ];
        Old::new(opset, "Pad", &[SQUARE], &attributes, 9)
            .computes(&[9.0, 1.0, 2.0, 9.0, 3.0, 4.0, 9.0, 9.0, 9.0]);
        let attributes = [ints("pads", &[0, 1, 0, 1])];
        Old::new(opset, "Pad", &[SQUARE], &attributes, 8)
            .computes(&[0.0, 1.0, 2.0, 0.0, 0.0, 3.0, 4.0, 0.0]);
        let attributes = [ints("pads", &[0, 1, 0, 1]), mode("reflect")];
        Old::new(opset, "Pad", &[SQUARE], &attributes, 8)
            .computes(&[2.0, 1.0, 2.0, 1.0, 4.0, 3.0, 4.0, 3.0]);
        let attributes = [ints("pads", &[0, 0, 0, -1]), mode("edge")];
        Old::new(opset, "Pad", &[SQUARE], &attributes, 2).computes(&[1.0, 3.0]);
    }
}

#[test]
fn the_ranges_of_slice_become_inputs() {
    let attributes = [
        ints("starts", &[-3, 1]),
        ints("ends", &[-1, 1000]),
        ints("axes", &[1, 0]),
    ];
    for opset in [7, 9] {
        Old::new(opset, "Slice", &[GRID], &attributes, 4).computes(&[6.0, 7.0, 10.0, 11.0]);
        let first_axes = [ints("starts", &[1]), ints("ends", &[2])];
        Old::new(opset, "Slice", &[GRID], &first_axes, 4).computes(&[5.0, 6.0, 7.0, 8.0]);
    }
}

#[test]
fn the_parts_of_split_become_an_input_or_are_counted() {
    let two = |node: &mut NodeProto| node.output.insert(0, "first".into());
    let three = |node: &mut NodeProto| {
        two(node);
        node.output.insert(0, "zeroth".into());
    };
    let axis = AttributeProto::int("axis", 1);
    for opset in [7, 12] {
        let sizes = [ints("split", &[3, 1]), axis.clone()];
        Old::edited(opset, "Split", &[GRID], &sizes, 3, two).computes(&[4.0, 8.0, 12.0]);
    }
    for opset in [7, 13, 17] {
        Old::edited(opset, "Split", &[GRID], &[], 4, three).computes(&[9.0, 10.0, 11.0, 12.0]);
    }
    let mut old = Old::edited(13, "Split", &[GRID], &[axis], 6, two);
    let mut proto = old.model.to_proto();
    let graph = proto.graph.as_mut().unwrap();
    graph.node[0].input.push("sizes".into());
    let sizes = TensorProto::int64s("sizes", &[2], &[2, 2]);
    graph.initializer.push(sizes);
    old.model = Model::from_proto(proto).unwrap();
    old.computes(&[3.0, 4.0, 7.0, 8.0, 11.0, 12.0]);
}

#[test]
fn the_count_of_top_k_becomes_an_input() {
    let rows: Stored<'_> = (&[2, 3], &[3.0, 1.0, 2.0, 6.0, 5.0, 7.0]);
    let attributes = [AttributeProto::int("k", 2)];
    for opset in [7, 9] {
        Old::new(opset, "TopK", &[rows], &attributes, 4).computes(&[3.0, 2.0, 7.0, 6.0]);
    }
}

#[test]
fn upsample_becomes_resize() {
    let scales = AttributeProto {
        name: "scales".into(),
        r#type: AttributeType::Floats.into(),
        floats: vec![1.0, 1.0, 1.5, 2.0],
        ..AttributeProto::default()
    };
    let nearest = [1.0, 1.0, 2.0, 2.0, 1.0, 1.0, 2.0, 2.0, 3.0, 3.0, 4.0, 4.0];
    let along = |low: f64| [low, low + 0.5, low + 1.0, low + 1.0];
    // The second row lies two thirds of the way from the first to the last, which are two apart.
    let down = 2.0 * (1.0 / 1.5);
    let linear = [along(1.0), along(1.0 + down), along(3.0)].concat();
    Old::new(7, "Upsample", &[PICTURE], std::slice::from_ref(&scales), 12).computes(&nearest);
    Old::new(8, "Upsample", &[PICTURE], &[scales, mode("linear")], 12).computes(&linear);
    let input: Stored<'_> = (&[4], &[1.0, 1.0, 1.5, 2.0]);
    Old::new(9, "Upsample", &[PICTURE, input], &[mode("nearest")], 12).computes(&nearest);
    Old::new(10, "Resize", &[PICTURE, input], &[], 12).computes(&nearest);
    Old::new(10, "Resize", &[PICTURE, input], &[mode("linear")], 12).computes(&linear);
}

#[test]
fn resize_that_makes_smaller_rounds_to_the_back() {
    let row: Stored<'_> = (&[1, 1, 1, 4], &[1.0, 2.0, 3.0, 4.0]);
    let scales: Stored<'_> = (&[4], &[1.0, 1.0, 1.0, 0.75]);
    Old::new(10, "Resize", &[row, scales], &[], 3).computes(&[1.0, 3.0, 4.0]);
    let both: Stored<'_> = (&[4], &[1.0, 1.0, 2.0, 0.75]);
    let old = Old::new(10, "Resize", &[row, both], &[], 6);
    assert!(refusal(&old.model).contains("one axis larger"));
    Old::new(10, "Resize", &[row, both], &[mode("linear")], 6).computes(&[
        1.0,
        1.0 + 4.0 / 3.0,
        1.0 + 8.0 / 3.0,
        1.0,
        1.0 + 4.0 / 3.0,
        1.0 + 8.0 / 3.0,
    ]);
}

#[test]
fn scales_that_are_computed_do_not_tell_the_rounding() {
    let scales: Stored<'_> = (&[4], &[1.0, 1.0, 1.5, 2.0]);
    let with = |attributes: &[AttributeProto]| {
        let old = Old::new(10, "Resize", &[PICTURE, scales], attributes, 12);
        let mut proto = old.model.to_proto();
        let graph = proto.graph.as_mut().unwrap();
        let stored = graph.node[0].input[1].clone();
        graph.node[0].input[1] = "computed".into();
        graph.node.push(NodeProto {
            op_type: "Identity".into(),
            input: vec![stored],
            output: vec!["computed".into()],
            ..NodeProto::default()
        });
        differentiate(&Model::from_proto(proto).unwrap())
    };
    assert!(
        with(&[])
            .unwrap_err()
            .to_string()
            .contains("scales are computed")
    );
    with(&[mode("linear")]).unwrap();
}

#[test]
fn empty_inputs_of_resize_are_left_out() {
    let attributes = [
        AttributeProto::string("coordinate_transformation_mode", "asymmetric"),
        AttributeProto::string("nearest_mode", "floor"),
    ];
    let none: Stored<'_> = (&[0], &[]);
    for opset in [11, 12] {
        let sizes: Stored<'_> = (&[4], &[1.0, 1.0, 2.0, 4.0]);
        let inputs = [PICTURE, none, none, sizes];
        Old::new(opset, "Resize", &inputs, &attributes, 8)
            .computes(&[1.0, 1.0, 2.0, 2.0, 3.0, 3.0, 4.0, 4.0]);
        let gone = AttributeProto::string("coordinate_transformation_mode", "tf_half_pixel_for_nn");
        let old = Old::new(opset, "Resize", &inputs, &[gone], 8);
        assert!(refusal(&old.model).contains("tf_half_pixel_for_nn"));
    }
}

#[test]
fn scatter_becomes_scatter_elements() {
    let places: Stored<'_> = (&[1, 2], &[1.0, 0.0]);
    let updates: Stored<'_> = (&[1, 2], &[8.0, 9.0]);
    Old::new(9, "Scatter", &[SQUARE, places, updates], &[], 4).computes(&[1.0, 9.0, 8.0, 4.0]);
}

#[test]
fn softmax_took_the_axes_behind_as_one() {
    let cube: Stored<'_> = (&[2, 2, 2], &[1.0, 5.0, 3.0, 2.0, 0.0, 1.0, 2.0, 3.0]);
    let rows = [0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0];
    Old::new(7, "Hardmax", &[cube], &[], 8).computes(&rows);
    let all = [AttributeProto::int("axis", 0)];
    let whole = [0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0];
    Old::new(12, "Hardmax", &[cube], &all, 8).computes(&whole);
    let last = [AttributeProto::int("axis", 2)];
    let each = [0.0, 1.0, 1.0, 0.0, 0.0, 1.0, 0.0, 1.0];
    Old::new(12, "Hardmax", &[cube], &last, 8).computes(&each);
}

#[test]
fn the_axes_of_reductions_become_an_input() {
    let attributes = [ints("axes", &[1]), AttributeProto::int("keepdims", 0)];
    for opset in [7, 13, 17] {
        Old::new(opset, "ReduceMax", &[GRID], &attributes, 3).computes(&[4.0, 8.0, 12.0]);
    }
}

#[test]
fn batch_normalization_is_refused_in_training_and_by_pixel() {
    let normal = |opset: i64, attributes: &[AttributeProto], outputs: usize| {
        let mut net = Net::new([2, 3, 2, 2], 5).with_opset(opset);
        let mut inputs = vec!["image".to_string()];
        inputs.extend((0..4).map(|_| net.positive(&[3])));
        let inputs: Vec<&str> = inputs.iter().map(String::as_str).collect();
        let output = net.op("BatchNormalization", &inputs, attributes);
        let mut proto = net.classifier(&output).to_proto();
        let node = &mut proto.graph.as_mut().unwrap().node[0];
        let named = (1..outputs).map(|index| format!("statistics {index}"));
        node.output.extend(named);
        // A trailing output that is not wanted does not tell anything.
        node.output.push(String::new());
        Model::from_proto(proto).unwrap()
    };
    let spatial = |value| [AttributeProto::int("spatial", value)];
    check(&normal(7, &spatial(1), 1)).unwrap();
    let made = differentiate(&normal(8, &spatial(1), 1)).unwrap();
    let node = made
        .graph()
        .node
        .iter()
        .find(|node| node.op_type == "BatchNormalization");
    assert!(
        node.unwrap().attribute.is_empty(),
        "operator set 18 knows no `spatial`"
    );
    assert_eq!(node.unwrap().output.len(), 1);
    assert!(refusal(&normal(7, &spatial(0), 1)).contains("pixel"));
    for opset in [7, 9, 13] {
        assert!(refusal(&normal(opset, &[], 5)).contains("training"));
        // Also where no gradient passes.
        let four = [1.0, 2.0, 3.0, 4.0];
        let (x, row): (Stored<'_>, Stored<'_>) = ((&[1, 4], &four), (&[4], &four));
        let more = |node: &mut NodeProto| node.output.insert(1, "mean".into());
        let inputs = [x, row, row, row, row];
        let old = Old::edited(opset, "BatchNormalization", &inputs, &[], 4, more);
        assert!(refusal(&old.model).contains("as its further outputs tell"));
    }
}

#[test]
fn missing_attributes_of_old_forms_are_named() {
    for (operator, opset, attribute) in [
        ("Pad", 10, "pads"),
        ("Slice", 9, "starts"),
        ("TopK", 9, "k"),
        ("Upsample", 7, "scales"),
    ] {
        let old = Old::new(opset, operator, &[SQUARE], &[], 4);
        assert!(
            refusal(&old.model).contains(&format!("`{attribute}` is missing")),
            "{operator}"
        );
    }
}

#[test]
fn newer_operator_sets_stay() {
    let old = Old::new(
        18,
        "ReduceMax",
        &[GRID],
        &[AttributeProto::int("keepdims", 0)],
        1,
    );
    for opset in 18..=28 {
        let mut proto = old.model.to_proto();
        proto.opset_import[0].version = opset;
        let made = differentiate(&Model::from_proto(proto).unwrap()).unwrap();
        assert_eq!(made.opset(), opset);
    }
}

fn refusal(model: &Model) -> String {
    match differentiate(model) {
        Err(Error::NotDifferentiable(obstacles)) => obstacles[0].reason.clone(),
        other => panic!("{other:?}"),
    }
}
