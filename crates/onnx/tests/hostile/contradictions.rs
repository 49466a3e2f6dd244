//! Nodes that contradict their operators, or themselves.

use buckler_onnx::{
    Dim, Model,
    proto::{AttributeProto, AttributeType, TensorProto},
};

use crate::{chain, encode, node, reference::net::Net, said, survive::survive};

/// The nodes of a linear classifier with its stored tensors changed.
fn misfit(
    operator: &str,
    image: [usize; 4],
    weights: &[&[usize]],
    attributes: &[AttributeProto],
) -> String {
    let mut net = Net::new(image, 1);
    let weights: Vec<String> = weights.iter().map(|dims| net.positive(dims)).collect();
    let flat = ["Gemm", "MatMul"].contains(&operator);
    let x = if flat {
        net.op("Flatten", &["image"], [])
    } else {
        "image".into()
    };
    let inputs: Vec<&str> = [x.as_str()]
        .into_iter()
        .chain(weights.iter().map(String::as_str))
        .collect();
    let y = net.op(operator, &inputs, attributes);
    let y = if flat {
        y
    } else {
        net.op("GlobalAveragePool", &[&y], [])
    };
    let y = net.op("Flatten", &[&y], []);
    let model = net.finish(&y, Some(&[Dim::Symbol("n".into()), Dim::Known(3)]));
    let message = survive(&model.to_bytes()).expect("a contradiction");
    assert!(message.contains(&format!("({operator})")), "{message}");
    message
}

#[test]
fn weights_that_do_not_fit_are_named() {
    let image = [1, 3, 4, 4];
    let conv = |weights: &[&[usize]], group| {
        misfit(
            "Conv",
            image,
            weights,
            &[AttributeProto::int("group", group)],
        )
    };
    assert!(conv(&[&[3, 4, 3, 3]], 1).contains("take 4 channels, and its input has 3"));
    assert!(conv(&[&[3, 1, 3, 3]], 2).contains("take 2 channels"));
    assert!(conv(&[&[4, 1, 3, 3]], 3).contains("cannot be split into 3 groups"));
    assert!(conv(&[&[3, 3, 3]], 1).contains("[3, 3, 3]"));
    assert!(conv(&[&[3, 3, 3, 3], &[4]], 1).contains("bias has shape [4]"));
    assert!(
        misfit("BatchNormalization", image, &[&[3], &[3], &[2], &[3]], &[])
            .contains("input 3 has shape [2]")
    );
    assert!(misfit("Add", image, &[&[5, 1, 1]], &[]).contains("[5, 1, 1]"));
    assert!(misfit("Gemm", image, &[&[47, 3]], &[]).contains("inner sizes 48 and 47"));
    let turned = [AttributeProto::int("transB", 1)];
    assert!(misfit("Gemm", image, &[&[48, 3]], &turned).contains("inner sizes 48 and 3"));
    assert!(misfit("MatMul", image, &[&[3, 48]], &[]).contains("inner sizes 48 and 3"));
}

#[test]
fn weights_that_do_not_fit_beside_the_way_are_named() {
    let with = |weights: &[i64], bias: i64| {
        let mut graph = chain(2, "Relu");
        graph.node[0] = node("ConvTranspose", &["c", "w", "b"], &["t1"]);
        graph.node[1] = node("Add", &["image", "t1"], &["t2"]);
        let floats = |name: &str, dims: &[i64]| {
            let count: i64 = dims.iter().product();
            TensorProto::floats(name, dims, &vec![1.0; count as usize])
        };
        graph.initializer = vec![
            floats("c", &[1, 2, 1, 1]),
            floats("w", weights),
            floats("b", &[bias]),
        ];
        said(graph)
    };
    assert!(with(&[4, 3, 2, 2], 3).contains("take 4 channels, and its input has 2"));
    assert!(with(&[2, 3, 2, 2], 2).contains("bias has shape [2]"));
    assert!(!with(&[2, 3, 2, 2], 3).contains("(ConvTranspose)"));
}

#[test]
fn inputs_that_are_missing_are_named() {
    let with = |operator: &str, inputs: &[&str]| {
        let mut graph = chain(1, "Relu");
        graph.initializer = vec![TensorProto::floats("w", &[3], &[1.0; 3])];
        graph.node[0] = node(operator, inputs, &["t1"]);
        said(graph)
    };
    for (operator, inputs, index) in [
        ("Add", &["image"][..], 1),
        ("Mul", &["", "image"], 0),
        ("Where", &["image", "", "w"], 1),
        ("InstanceNormalization", &["image", "w"], 2),
        ("BatchNormalization", &["image", "w", "w", "w"], 4),
        ("Reshape", &["image"], 1),
    ] {
        let message = with(operator, inputs);
        let expected = format!("({operator}): input {index} is missing");
        assert!(message.contains(&expected), "{message}");
    }
}

#[test]
fn attributes_of_another_type_are_named() {
    let with = |attribute: AttributeProto| {
        let mut graph = chain(1, "MaxPool");
        graph.node[0].name = "pool".into();
        graph.node[0].attribute = vec![attribute];
        said(graph)
    };
    // The type contradicts the value.
    let kernel = AttributeProto::ints("kernel_shape", [1, 1]);
    let stated = |kind: AttributeType| AttributeProto {
        r#type: kind.into(),
        ..kernel.clone()
    };
    for kind in [
        AttributeType::Int,
        AttributeType::Float,
        AttributeType::Graph,
        AttributeType::Strings,
    ] {
        let message = with(stated(kind));
        assert!(
            message.contains("`kernel_shape` of node `pool`") && message.contains("Ints"),
            "{message}"
        );
    }
    assert!(
        with(AttributeProto {
            r#type: 99,
            ..kernel.clone()
        })
        .contains("type 99, which is unknown")
    );
    assert!(
        with(AttributeProto {
            f: Some(1.0),
            ..kernel.clone()
        })
        .contains("two values")
    );
    let tensor = AttributeProto {
        r#type: AttributeType::Tensor.into(),
        ..AttributeProto::ints("kernel_shape", [])
    };
    assert!(with(tensor).contains("holds nothing"));
    let function = AttributeProto {
        ref_attr_name: "k".into(),
        ..kernel.clone()
    };
    assert!(with(function).contains("function"));
    // In the oldest files there is no type.
    assert_eq!(with(stated(AttributeType::Undefined)), "nothing");
    // The value contradicts the operator.
    for attribute in [
        AttributeProto::int("kernel_shape", 2),
        AttributeProto::string("kernel_shape", "2"),
        AttributeProto::float("storage_order", 1.0),
        AttributeProto::int("auto_pad", 1),
    ] {
        let name = attribute.name.clone();
        let message = with(attribute);
        assert!(
            message.contains(&format!("`{name}` should be of type")),
            "{message}"
        );
    }
}

#[test]
fn attributes_that_are_missing_are_named_or_have_a_default() {
    assert!(said(chain(1, "MaxPool")).contains("`kernel_shape` is missing"));
    // Writers of proto3 leave out what is zero.
    let mut graph = chain(1, "ReduceMean");
    graph.initializer = vec![TensorProto::int64s("axes", &[1], &[3])];
    graph.node[0].input.push("axes".into());
    graph.node[0].attribute = vec![AttributeProto {
        i: None,
        ..AttributeProto::int("keepdims", 7)
    }];
    let model = Model::from_bytes(&encode(graph)).unwrap();
    assert_eq!(model.graph().node[0].attribute[0].i, Some(0));
}

#[test]
fn weights_that_are_no_numbers_are_weights() {
    for value in [
        f32::NAN,
        f32::INFINITY,
        f32::NEG_INFINITY,
        f32::MIN_POSITIVE / 2.0,
    ] {
        let mut graph = chain(1, "Mul");
        graph.initializer = vec![TensorProto::floats("w", &[], &[value])];
        for operator in ["Mul", "Div", "Pow", "Max", "Clip"] {
            graph.node[0] = node(operator, &["image", "w"], &["t1"]);
            assert_eq!(said(graph.clone()), "nothing", "{operator} {value}");
        }
    }
}
