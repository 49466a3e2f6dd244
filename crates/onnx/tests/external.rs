//! Tensors that lie in files beside the model.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod reference;

use std::{fs, path::Path};

use buckler_onnx::{
    Dim, Error, Model, differentiate,
    proto::{
        AttributeProto, AttributeType, DataType, GraphProto, ModelProto, NodeProto,
        SparseTensorProto, StringStringEntryProto, TensorProto,
    },
};
use prost::Message;
use reference::net::Net;

/// A linear classifier with two stored tensors.
fn whole() -> Model {
    let mut net = Net::new([2, 1, 2, 2], 1);
    let flat = net.op("Flatten", &["image"], []);
    let (weight, bias) = (net.weights(&[4, 3]), net.weights(&[3]));
    let logits = net.op("Gemm", &[&flat, &weight, &bias], []);
    net.finish(&logits, Some(&[Dim::Symbol("n".into()), Dim::Known(3)]))
}

fn entries(entries: &[(&str, &str)]) -> Vec<StringStringEntryProto> {
    let entries = entries.iter().map(|(key, value)| StringStringEntryProto {
        key: key.to_string(),
        value: value.to_string(),
    });
    entries.collect()
}

/// Makes a tensor external; returns its elements.
fn put_out(tensor: &mut TensorProto, keys: &[(&str, &str)]) -> Vec<u8> {
    tensor.data_location = Some(1);
    tensor.external_data = entries(keys);
    tensor.raw_data.take().unwrap().to_vec()
}

fn save(directory: &Path, proto: &ModelProto) -> std::path::PathBuf {
    let path = directory.join("model.onnx");
    fs::write(&path, proto.encode_to_vec()).unwrap();
    path
}

/// The classifier with its weights in `weights.bin`, 12 floats behind 16 bytes of something else, under other keys.
fn with_weights(directory: &Path, keys: &[(&str, &str)]) -> Result<Model, Error> {
    let mut proto = whole().to_proto();
    let weight = &mut proto.graph.as_mut().unwrap().initializer[0];
    let elements = put_out(weight, keys);
    let file = [vec![255; 16], elements].concat();
    fs::write(directory.join("weights.bin"), file).unwrap();
    Model::read(save(directory, &proto))
}

fn refused(keys: &[(&str, &str)]) -> String {
    let dir = tempfile::tempdir().unwrap();
    let error = with_weights(dir.path(), keys).unwrap_err();
    let location = keys.iter().find(|(key, _)| *key == "location");
    assert!(
        matches!(&error, Error::ExternalData { name, location: found, .. }
            if name == &whole().graph().initializer[0].name && location.is_none_or(|own| own.1 == found)),
        "{error}"
    );
    error.to_string()
}

#[test]
fn a_model_in_two_files_is_the_model_in_one() {
    let keys: [&[(&str, &str)]; 3] = [
        &[
            ("location", "weights.bin"),
            ("offset", "16"),
            ("length", "48"),
        ],
        // Without a length, the shape tells it; the checksum is that of the file.
        &[
            ("location", "./weights.bin"),
            ("offset", "16"),
            ("checksum", "00"),
        ],
        &[
            ("length", "48"),
            ("offset", "16"),
            ("location", "weights.bin"),
        ],
    ];
    for keys in keys {
        let dir = tempfile::tempdir().unwrap();
        let model = with_weights(dir.path(), keys).unwrap();
        assert_eq!(model.graph_sha256(), whole().graph_sha256());
        differentiate(&model).unwrap();
        let single = dir.path().join("single.onnx");
        model.write(&single).unwrap();
        fs::remove_file(dir.path().join("weights.bin")).unwrap();
        assert_eq!(Model::read(single).unwrap(), whole());
    }
}

#[test]
fn tensors_may_share_a_file_their_elements_and_a_directory_below() {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("data")).unwrap();
    let mut proto = whole().to_proto();
    let graph = proto.graph.as_mut().unwrap();
    let twin = TensorProto {
        name: "twin".into(),
        ..graph.initializer[0].clone()
    };
    graph.initializer.push(twin);
    let expected = Model::from_proto(proto.clone()).unwrap();
    let [weight, bias, twin] = &mut proto.graph.as_mut().unwrap().initializer[..] else {
        panic!()
    };
    let location = ("location", "data/all.bin");
    let weights = put_out(weight, &[location]);
    let biases = put_out(bias, &[location, ("offset", "48")]);
    put_out(twin, &[location]);
    let all = [weights, biases].concat();
    fs::write(dir.path().join("data/all.bin"), all).unwrap();
    assert_eq!(Model::read(save(dir.path(), &proto)).unwrap(), expected);
}

#[test]
fn tensors_of_nodes_of_subgraphs_and_sparse_ones_are_read_too() {
    let dir = tempfile::tempdir().unwrap();
    let tensor = |name: &str| TensorProto::floats(name, &[1], &[4.5]);
    let constant = |name: &str| NodeProto {
        op_type: "Constant".into(),
        output: vec![name.into()],
        attribute: vec![AttributeProto {
            name: "value".into(),
            r#type: AttributeType::Tensor.into(),
            t: Some(tensor("")),
            ..AttributeProto::default()
        }],
        ..NodeProto::default()
    };
    let mut graph = GraphProto {
        node: vec![constant("a")],
        sparse_initializer: vec![SparseTensorProto {
            values: Some(tensor("sparse")),
            indices: Some(TensorProto::int64s("", &[1], &[0])),
            dims: vec![4],
        }],
        ..GraphProto::default()
    };
    let inner = GraphProto {
        node: vec![constant("b")],
        ..GraphProto::default()
    };
    graph.node.push(NodeProto {
        op_type: "If".into(),
        output: vec!["c".into()],
        attribute: vec![AttributeProto {
            name: "then_branch".into(),
            r#type: AttributeType::Graph.into(),
            g: Some(inner),
            ..AttributeProto::default()
        }],
        ..NodeProto::default()
    });
    let whole = ModelProto {
        graph: Some(graph),
        ..ModelProto::default()
    };
    let expected = Model::from_proto(whole.clone()).unwrap();
    let mut parted = whole;
    let graph = parted.graph.as_mut().unwrap();
    let [first, second] = &mut graph.node[..] else {
        panic!()
    };
    let inner = &mut second.attribute[0].g.as_mut().unwrap().node[0];
    for tensor in [
        first.attribute[0].t.as_mut().unwrap(),
        inner.attribute[0].t.as_mut().unwrap(),
        graph.sparse_initializer[0].values.as_mut().unwrap(),
    ] {
        put_out(tensor, &[("location", "four-and-a-half")]);
    }
    fs::write(dir.path().join("four-and-a-half"), 4.5f32.to_le_bytes()).unwrap();
    assert_eq!(Model::read(save(dir.path(), &parted)).unwrap(), expected);
}

#[test]
fn locations_outside_the_directory_are_refused() {
    for location in [
        "/etc/hostname",
        "../weights.bin",
        "data/../../weights.bin",
        "..",
        "data/..",
    ] {
        let message = refused(&[("location", location)]);
        assert!(
            message.contains("relative") && message.contains("single.onnx"),
            "{message}"
        );
    }
    assert!(refused(&[]).contains("path of the file is missing"));
    assert!(refused(&[("location", "")]).contains("path of the file is missing"));
    assert!(refused(&[("location", "weights\0.bin")]).contains("cannot be read"));
    assert!(refused(&[("location", "absent.bin")]).contains("cannot be read"));
    assert!(refused(&[("location", ".")]).contains("not an ordinary file"));
}

#[test]
#[cfg(unix)]
fn symbolic_links_may_stay_inside_but_not_lead_out() {
    use std::os::unix::fs::symlink;
    let outside = tempfile::tempdir().unwrap();
    fs::write(outside.path().join("weights.bin"), [0; 48]).unwrap();
    let dir = tempfile::tempdir().unwrap();
    symlink(outside.path(), dir.path().join("away")).unwrap();
    symlink(
        outside.path().join("weights.bin"),
        dir.path().join("far.bin"),
    )
    .unwrap();
    symlink("weights.bin", dir.path().join("near.bin")).unwrap();
    for location in ["away/weights.bin", "far.bin"] {
        let error = with_weights(dir.path(), &[("location", location)]).unwrap_err();
        assert!(error.to_string().contains("symbolic link"), "{error}");
        assert!(matches!(&error, Error::ExternalData { location: found, .. } if found == location));
    }
    let keys = [("location", "near.bin"), ("offset", "16")];
    assert_eq!(with_weights(dir.path(), &keys).unwrap(), whole());
    // The model itself may be reached through a link to its directory.
    let link = outside.path().join("models");
    symlink(dir.path(), &link).unwrap();
    assert_eq!(Model::read(link.join("model.onnx")).unwrap(), whole());
}

#[test]
#[cfg(unix)]
fn where_a_model_is_a_link_its_target_decides_for_the_weights_too() {
    use std::os::unix::fs::symlink;
    let keys = [("location", "weights.bin"), ("offset", "16")];
    // As the cache of Hugging Face: links to files that are called by their hashes.
    let cache = tempfile::tempdir().unwrap();
    let (blobs, snapshot) = (
        cache.path().join("blobs"),
        cache.path().join("snapshots/ab/onnx"),
    );
    fs::create_dir_all(&blobs).unwrap();
    fs::create_dir_all(&snapshot).unwrap();
    with_weights(&blobs, &keys).unwrap();
    fs::rename(blobs.join("model.onnx"), blobs.join("0123")).unwrap();
    fs::rename(blobs.join("weights.bin"), blobs.join("4567")).unwrap();
    symlink("../../../blobs/0123", snapshot.join("model.onnx")).unwrap();
    symlink("../../../blobs/4567", snapshot.join("weights.bin")).unwrap();
    assert_eq!(Model::read(snapshot.join("model.onnx")).unwrap(), whole());
    // A link to that link, from where no weights lie.
    let elsewhere = tempfile::tempdir().unwrap();
    symlink(
        snapshot.join("model.onnx"),
        elsewhere.path().join("mine.onnx"),
    )
    .unwrap();
    assert_eq!(
        Model::read(elsewhere.path().join("mine.onnx")).unwrap(),
        whole()
    );
    // A model is a link to where it lies with its weights.
    let export = tempfile::tempdir().unwrap();
    with_weights(export.path(), &keys).unwrap();
    let link = elsewhere.path().join("model.onnx");
    symlink(export.path().join("model.onnx"), &link).unwrap();
    assert_eq!(Model::read(&link).unwrap(), whole());
    // What lies beside the link goes first.
    fs::write(elsewhere.path().join("weights.bin"), [0; 64]).unwrap();
    assert_ne!(Model::read(&link).unwrap(), whole());
    // A link of the weights to anywhere else still leads out.
    let outside = tempfile::tempdir().unwrap();
    fs::write(outside.path().join("weights.bin"), [0; 64]).unwrap();
    for directory in [elsewhere.path(), export.path()] {
        fs::remove_file(directory.join("weights.bin")).unwrap();
        symlink(
            outside.path().join("weights.bin"),
            directory.join("weights.bin"),
        )
        .unwrap();
        let error = Model::read(&link).unwrap_err().to_string();
        assert!(error.contains("symbolic link"), "{error}");
        fs::remove_file(directory.join("weights.bin")).unwrap();
    }
    assert!(
        Model::read(&link)
            .unwrap_err()
            .to_string()
            .contains("cannot be read")
    );
}

#[test]
#[cfg(unix)]
fn locations_that_leave_the_directories_are_refused_of_linked_models_too() {
    use std::os::unix::fs::symlink;
    let export = tempfile::tempdir().unwrap();
    for location in ["../weights.bin", "/etc/hostname", "data/../../x"] {
        with_weights(export.path(), &[("location", location)]).unwrap_err();
        let dir = tempfile::tempdir().unwrap();
        let link = dir.path().join("model.onnx");
        symlink(export.path().join("model.onnx"), &link).unwrap();
        let error = Model::read(&link).unwrap_err().to_string();
        assert!(error.contains("relative"), "{error}");
    }
    let dir = tempfile::tempdir().unwrap();
    let link = dir.path().join("model.onnx");
    symlink("model.onnx", &link).unwrap();
    assert!(matches!(Model::read(&link), Err(Error::Io { .. })));
}

#[test]
fn sizes_that_contradict_the_file_or_the_shape_are_refused() {
    let at = |offset: &'static str, length: &'static str| {
        refused(&[
            ("location", "weights.bin"),
            ("offset", offset),
            ("length", length),
        ])
    };
    assert!(at("16", "47").contains("47 bytes, and shape [4, 3] needs 48"));
    assert!(at("17", "48").contains("the file has 64"));
    assert!(at("18446744073709551615", "48").contains("the file has 64"));
    assert!(at("-1", "48").contains("`-1` is no number"));
    assert!(at("16", "many").contains("`many` is no number"));
    assert!(at("16", "99999999999999999999").contains("no number"));
}

#[test]
fn claims_beyond_the_file_are_refused_before_anything_is_read() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("small.bin"), [0; 64]).unwrap();
    for (dims, reason) in [
        (vec![1i64 << 61], "the file has 64"),
        (vec![1 << 31, 1 << 31], "the file has 64"),
        (vec![i64::MAX, 2, 2], "more elements"),
        (vec![-1], "negative"),
    ] {
        let mut tensor = TensorProto {
            name: "claim".into(),
            dims,
            data_type: DataType::Float.into(),
            data_location: Some(1),
            external_data: entries(&[("location", "small.bin")]),
            ..TensorProto::default()
        };
        let read = |tensor: &TensorProto| {
            let graph = GraphProto {
                initializer: vec![tensor.clone()],
                ..GraphProto::default()
            };
            let proto = ModelProto {
                graph: Some(graph),
                ..ModelProto::default()
            };
            Model::read(save(dir.path(), &proto))
                .unwrap_err()
                .to_string()
        };
        let message = read(&tensor);
        assert!(
            message.contains("`claim`") && message.contains(reason),
            "{message}"
        );
        tensor.data_type = DataType::String.into();
        tensor.dims = vec![1];
        assert!(read(&tensor).contains("no fixed size"));
    }
}

#[test]
fn overlapping_tensors_do_not_multiply_a_file() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("all.bin"), [0; 64]).unwrap();
    let tensors = (0..8).map(|offset| TensorProto {
        name: format!("t{offset}"),
        dims: vec![8],
        data_type: DataType::Float.into(),
        data_location: Some(1),
        external_data: entries(&[("location", "all.bin"), ("offset", &offset.to_string())]),
        ..TensorProto::default()
    });
    let graph = GraphProto {
        initializer: tensors.collect(),
        ..GraphProto::default()
    };
    let proto = ModelProto {
        graph: Some(graph),
        ..ModelProto::default()
    };
    let error = Model::read(save(dir.path(), &proto)).unwrap_err();
    assert!(error.to_string().contains("overlap"), "{error}");
}

#[test]
fn bytes_without_a_directory_say_that_the_file_is_needed() {
    let mut proto = whole().to_proto();
    let weight = &mut proto.graph.as_mut().unwrap().initializer[0];
    put_out(weight, &[("location", "weights.bin")]);
    let error = Model::from_bytes(&proto.encode_to_vec()).unwrap_err();
    assert!(matches!(&error, Error::External { location, .. } if location == "weights.bin"));
    assert!(
        error.to_string().contains("read the model from its file"),
        "{error}"
    );
}
