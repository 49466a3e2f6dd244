//! A batch size that a file fixes is freed.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod reference;

use buckler_onnx::{Dim, Model, differentiate, free_batch, proto::AttributeProto, without_softmax};
use reference::{
    net::{Net, Random, check},
    run,
    tensor::Tensor,
};

/// A network whose every `Reshape` repeats the size of the batch.
fn fixed(batch: usize) -> Model {
    let mut net = Net::fixed([batch, 2, 4, 4], 3);
    let rows = batch as i64;
    let grouped = net.ints(&[rows, 2, 1, 16]);
    let x = net.op("Reshape", &["image", &grouped], []);
    let x = net.op("Tanh", &[&x], []);
    let flat = net.ints(&[rows, -1]);
    let x = net.op("Reshape", &[&x, &flat], []);
    let weight = net.weights(&[32, 3]);
    let logits = net.op("MatMul", &[&x, &weight], []);
    net.finish(&logits, Some(&[Dim::Known(batch as u64), Dim::Known(3)]))
}

#[test]
fn rows_together_give_what_they_give_alone() {
    for batch in [1, 3] {
        let model = fixed(batch);
        let (free, size) = free_batch(&model).unwrap();
        assert_eq!(size, batch);
        let output = &model.graph().output[0].name;
        let image = Random::new(1).tensor(&[6, 2, 4, 4], 0.0, 1.0);
        let together = &run(free.graph(), &[("image", image.clone())])[output];
        for (part, expected) in image
            .data
            .chunks(32 * batch)
            .zip(together.data.chunks(3 * batch))
        {
            let part = Tensor::new(&[batch, 2, 4, 4], part.to_vec());
            assert_eq!(
                run(model.graph(), &[("image", part)])[output].data,
                expected
            );
        }
        check(&free, &image, 2);
    }
}

/// As torch's newer exporter writes them: every `Reshape` takes zeros as sizes, and attention folds its heads into the batch.
fn exported_by_torch(batch: usize) -> Model {
    let mut net = Net::fixed([batch, 2, 4, 4], 3);
    let rows = batch as i64;
    let zeros = || [AttributeProto::int("allowzero", 1)];
    let heads = net.ints(&[2 * rows, 4, 4]);
    let x = net.op("Reshape", &["image", &heads], zeros());
    let x = net.op("MatMul", &[&x, &x], []);
    let apart = net.ints(&[rows, 2, 16]);
    let x = net.op("Reshape", &[&x, &apart], zeros());
    let x = net.op("Tanh", &[&x], []);
    let flat = net.ints(&[rows, 32]);
    let x = net.op("Reshape", &[&x, &flat], zeros());
    let weight = net.weights(&[32, 3]);
    let logits = net.op("MatMul", &[&x, &weight], []);
    net.finish(&logits, Some(&[Dim::Known(batch as u64), Dim::Known(3)]))
}

#[test]
fn reshapes_that_take_zeros_as_sizes_are_freed_too() {
    for batch in [1, 3] {
        let model = exported_by_torch(batch);
        let (free, size) = free_batch(&model).unwrap();
        assert_eq!(size, batch);
        let output = &model.graph().output[0].name;
        let image = Random::new(2).tensor(&[6, 2, 4, 4], 0.0, 1.0);
        let together = &run(free.graph(), &[("image", image.clone())])[output];
        for (part, expected) in image
            .data
            .chunks(32 * batch)
            .zip(together.data.chunks(3 * batch))
        {
            let part = Tensor::new(&[batch, 2, 4, 4], part.to_vec());
            assert_eq!(
                run(model.graph(), &[("image", part)])[output].data,
                expected
            );
        }
        check(&free, &image, 2);
    }
}

#[test]
fn nodes_of_other_domains_are_left_alone() {
    let mut proto = exported_by_torch(1).to_proto();
    let graph = proto.graph.as_mut().unwrap();
    for node in graph
        .node
        .iter_mut()
        .filter(|node| node.op_type == "Reshape")
    {
        node.domain = "com.example".into();
    }
    let model = Model::from_proto(proto).unwrap();
    let (free, _) = free_batch(&model).unwrap();
    assert_eq!(free.graph().node, model.graph().node);
}

#[test]
fn a_batch_that_is_open_already_is_left_alone() {
    let mut net = Net::new([2, 1, 2, 2], 1);
    let logits = net.op("Flatten", &["image"], []);
    assert_eq!(free_batch(&net.finish(&logits, None)), None);
}

#[test]
fn a_model_of_logits_has_no_softmax_to_take_off_and_one_of_probabilities_has() {
    let mut net = Net::new([2, 1, 2, 2], 1);
    let logits = net.op("Flatten", &["image"], []);
    assert_eq!(without_softmax(&net.finish(&logits, None)).unwrap(), None);
    let soft = net.op("Softmax", &[&logits], []);
    let model = without_softmax(&net.finish(&soft, None)).unwrap().unwrap();
    assert_eq!(model.graph().output[0].name, logits);
    differentiate(&model).unwrap();
}
