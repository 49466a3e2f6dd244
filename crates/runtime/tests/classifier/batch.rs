//! Models whose answer for an image depends on the other images of its batch.
use buckler_attack::{Objective, Victim};
use buckler_onnx::{Model, proto::DataType};
use buckler_runtime::Classifier;
use ndarray::{Axis, Slice, concatenate};

use crate::models::{Batch, Builder, named, numbers, smooth_network};
use crate::{CLASSES, RGB, images, loaded};

/// A convolution whose channels are normalised by the statistics of the batch.
fn by_statistics(batch: Batch, normalize: impl Fn(&mut Builder)) -> Model {
    let mut builder = Builder::new(RGB, batch);
    builder.floats("K", &[6, 3, 3, 3], &numbers(162, 1));
    builder.floats("W", &[6, CLASSES], &numbers(6 * CLASSES, 2));
    builder.ints("all", &[0, 2, 3]);
    builder.ints("space", &[2, 3]);
    builder.node("Conv", &["image", "K"], "c", &[]);
    normalize(&mut builder);
    builder.node("Relu", &["n"], "r", &[]);
    builder.node(
        "ReduceMean",
        &["r", "space"],
        "pooled",
        &[("keepdims", &[0])],
    );
    builder.node("MatMul", &["pooled", "W"], "logits", &[]);
    builder.finish(&[CLASSES as i64])
}

fn written_out(builder: &mut Builder) {
    builder.floats("small", &[], &[1e-5]);
    builder.node("ReduceMean", &["c", "all"], "mean", &[]);
    builder.node("Sub", &["c", "mean"], "shifted", &[]);
    builder.node("Mul", &["shifted", "shifted"], "squares", &[]);
    builder.node("ReduceMean", &["squares", "all"], "variance", &[]);
    builder.node("Add", &["variance", "small"], "safe", &[]);
    builder.node("Sqrt", &["safe"], "deviation", &[]);
    builder.node("Div", &["shifted", "deviation"], "n", &[]);
}

fn instance(builder: &mut Builder) {
    builder.floats("ones", &[6], &[1.0; 6]);
    builder.floats("zeros", &[6], &[0.0; 6]);
    builder.node("InstanceNormalization", &["c", "ones", "zeros"], "n", &[]);
}

async fn together_and_alone(classifier: &Classifier) {
    let images = images(5, RGB, 4);
    let objectives = vec![Objective::Margin { label: 1 }; 5];
    let together = classifier.logits(images.clone()).await.unwrap();
    let gradient = classifier
        .gradient(images.clone(), objectives)
        .await
        .unwrap();
    for row in 0..5 {
        let image = images
            .slice_axis(Axis(0), Slice::from(row..row + 1))
            .to_owned();
        let alone = classifier.logits(image.clone()).await.unwrap();
        assert_eq!(alone.row(0), together.row(row));
        let objectives = vec![Objective::Margin { label: 1 }];
        let alone = classifier.gradient(image, objectives).await.unwrap();
        assert_eq!(
            alone.input.index_axis(Axis(0), 0),
            gradient.input.index_axis(Axis(0), row)
        );
    }
}

#[tokio::test]
async fn images_of_such_a_model_are_run_one_at_a_time_and_it_is_said() {
    for batch in [Batch::Any, Batch::Fixed(1), Batch::Fixed(4)] {
        let classifier = loaded(&by_statistics(batch, written_out));
        let said = classifier.assumptions().join("\n");
        match batch {
            Batch::Fixed(1) => assert!(said.contains("images are run 1 at a time"), "{said}"),
            _ => assert!(
                said.contains("depends on the other images of its batch, by up to"),
                "{said}"
            ),
        }
        let alone = !matches!(batch, Batch::Fixed(1));
        assert_eq!(Victim::depends_on_batch(&classifier), alone);
        together_and_alone(&classifier).await;
    }
}

#[test]
fn batch_norm_in_training_mode_is_said_and_not_differentiated() {
    let classifier = loaded(&by_statistics(Batch::Any, |builder| {
        for (name, value) in [
            ("gamma", 1.0),
            ("beta", 0.0),
            ("mean", 0.0),
            ("variance", 1.0),
        ] {
            builder.floats(name, &[6], &[value; 6]);
        }
        let inputs = ["c", "gamma", "beta", "mean", "variance"];
        builder.node(
            "BatchNormalization",
            &inputs,
            "n",
            &[("training_mode", &[1])],
        );
        builder.also(&["running_mean", "running_variance"]);
    }));
    let said = classifier.assumptions().join("\n");
    // Some versions of the runtime go on with the statistics of the run before, so that no two runs are alike.
    let told = [
        "depends on the other images of its batch, by up to",
        "is random",
    ];
    assert!(told.iter().any(|part| said.contains(part)), "{said}");
    let reason = classifier.can_attack().unwrap_err().to_string();
    assert!(reason.contains("training mode"), "{reason}");
}

#[tokio::test]
async fn rows_that_do_not_depend_on_each_other_raise_nothing() {
    for model in [
        by_statistics(Batch::Any, instance),
        smooth_network(RGB, CLASSES, Batch::Any),
        smooth_network(RGB, CLASSES, Batch::Fixed(4)),
    ] {
        let classifier = loaded(&model);
        let said = classifier.assumptions().join("\n");
        assert!(
            !said.contains("depends on") && !said.contains("random"),
            "{said}"
        );
    }
}

#[tokio::test]
async fn a_sum_over_the_batch_is_found_where_the_batch_is_fixed_too() {
    let mut builder = Builder::new(RGB, Batch::Fixed(3));
    builder.floats("W", &[192, CLASSES], &numbers(192 * CLASSES, 2));
    builder.ints("first", &[0]);
    builder.node("Flatten", &["image"], "flat", &[]);
    builder.node("ReduceMean", &["flat", "first"], "mean", &[]);
    builder.node("Sub", &["flat", "mean"], "shifted", &[]);
    builder.node("Add", &["shifted", "flat"], "sum", &[]);
    builder.node("MatMul", &["sum", "W"], "logits", &[]);
    let classifier = loaded(&builder.finish(&[CLASSES as i64]));
    together_and_alone(&classifier).await;
    // Every image is alone with copies of itself, so that nothing is taken off.
    let images = images(2, RGB, 1);
    let logits = classifier.logits(images.clone()).await.unwrap();
    let copies = concatenate![Axis(0), images.view(), images.view()];
    let more = classifier.logits(copies).await.unwrap();
    assert_eq!(logits, more.slice_axis(Axis(0), Slice::from(..2)));
}

#[tokio::test]
async fn a_batch_that_is_open_in_name_alone_is_run_one_by_one() {
    // As traced at a batch of 1: a token of one row is put in front of each image's.
    let token = |builder: &mut Builder| {
        builder.floats("token", &[1, 1, 48], &numbers(48, 3));
        builder.ints("rows", &[0, -1, 48]);
        builder.node("Reshape", &["image", "rows"], "parts", &[]);
        builder.node("Concat", &["token", "parts"], "all", &[("axis", &[1])]);
    };
    // One image is spread over the rows, whatever their number was.
    let spread = |builder: &mut Builder| {
        builder.ints("rows", &[1, -1, 48]);
        builder.node("Reshape", &["image", "rows"], "all", &[]);
    };
    let parts: [&dyn Fn(&mut Builder); 2] = [&token, &spread];
    for part in parts {
        let made = |batch| {
            let mut builder = Builder::new(RGB, batch);
            builder.floats("W", &[48, CLASSES], &numbers(48 * CLASSES, 2));
            builder.ints("axis", &[1]);
            part(&mut builder);
            builder.node(
                "ReduceMean",
                &["all", "axis"],
                "mean",
                &[("keepdims", &[0])],
            );
            builder.node("MatMul", &["mean", "W"], "logits", &[]);
            builder.finish(&[CLASSES as i64])
        };
        let (open, fixed) = (loaded(&made(Batch::Any)), loaded(&made(Batch::Fixed(1))));
        let images = images(3, RGB, 4);
        let expected = fixed.logits(images.clone()).await.unwrap();
        assert_eq!(open.logits(images.clone()).await.unwrap(), expected);
        let objectives = vec![Objective::Margin { label: 1 }; 3];
        let slopes = open.gradient(images.clone(), objectives.clone()).await;
        let by_fixed = fixed.gradient(images, objectives).await.unwrap();
        assert_eq!(slopes.unwrap().input, by_fixed.input);
        let said = open.assumptions().join("\n");
        assert!(said.contains("leaves the size of the batch open"), "{said}");
        assert!(!said.contains("the file fixes the batch"), "{said}");
    }
}

#[test]
fn a_random_model_is_called_random_and_not_dependent_on_its_batch() {
    let mut builder = Builder::new(RGB, Batch::Any);
    builder.floats("W", &[192, CLASSES], &numbers(192 * CLASSES, 2));
    builder.node("RandomNormalLike", &["image"], "noise", &[]);
    builder.node("Add", &["image", "noise"], "noisy", &[]);
    builder.node("Flatten", &["noisy"], "flat", &[]);
    builder.node("MatMul", &["flat", "W"], "logits", &[]);
    let said = loaded(&builder.finish(&[CLASSES as i64]))
        .assumptions()
        .join("\n");
    assert!(
        said.contains("is random") && !said.contains("depends on"),
        "{said}"
    );
}

#[test]
fn absurd_batches_and_sizes_are_refused_without_allocating() {
    let linear = || {
        let mut builder = Builder::new(RGB, Batch::Any);
        builder.ints("space", &[2, 3]);
        builder.node(
            "ReduceMean",
            &["image", "space"],
            "logits",
            &[("keepdims", &[0])],
        );
        builder
    };
    for axes in [
        ["1000000000", "3", "224", "224"],
        ["4611686018427387904", "3", "8", "8"],
        ["n", "3", "1000000", "1000000"],
        ["n", "3", "0", "8"],
    ] {
        let image = named("image", DataType::Float, &axes);
        let output = named("logits", DataType::Float, &["?", "3"]);
        let model = linear().finish_as(Some(image), vec![output]);
        let error = Classifier::from_bytes(&model.to_bytes(), None, &crate::options()).unwrap_err();
        assert!(
            matches!(error, buckler_runtime::RuntimeError::Onnx(_)),
            "{axes:?}: {error}"
        );
    }
}
