use super::{super::axes::fix, *};
use crate::proto::{AttributeProto, DataType, NodeProto, TensorProto};

const ANY: Wanted = Wanted {
    output: None,
    size: None,
    channels: None,
    classes: None,
};

fn sized(channels: Option<usize>, height: usize, width: usize) -> Wanted {
    Wanted {
        size: Some((height, width)),
        channels,
        ..ANY
    }
}

/// -1 is open.
fn dims(shape: &[i64]) -> Vec<Dim> {
    let dims = shape.iter().enumerate();
    dims.map(|(axis, &size)| u64::try_from(size).map_or(Dim::unknown("x", axis), Dim::Known))
        .collect()
}

fn decided(shape: &[i64], wanted: &Wanted) -> Result<ImageInput, String> {
    let decided = decide(&GraphProto::default(), "x", &dims(shape), wanted);
    decided.map_err(|error| error.to_string())
}

fn image(shape: &[i64], wanted: &Wanted) -> (Layout, [usize; 3]) {
    let image = decided(shape, wanted).unwrap();
    (image.layout, [image.channels, image.height, image.width])
}

#[test]
fn four_axes_are_channels_first_unless_only_the_last_can_be_channels() {
    let first = |sizes| (Layout::ChannelsFirst, sizes);
    let last = |sizes| (Layout::ChannelsLast, sizes);
    assert_eq!(image(&[-1, 3, 32, 24], &ANY), first([3, 32, 24]));
    assert_eq!(image(&[-1, 32, 24, 3], &ANY), last([3, 32, 24]));
    assert_eq!(image(&[1, 28, 28, 1], &ANY), last([1, 28, 28]));
    assert_eq!(image(&[1, 3, 3, 3], &ANY), first([3, 3, 3]));
    assert_eq!(image(&[-1, -1, -1, 3], &sized(None, 8, 9)), last([3, 8, 9]));
    assert_eq!(
        image(&[-1, 3, -1, -1], &sized(None, 8, 9)),
        first([3, 8, 9])
    );
    assert_eq!(image(&[-1, 3, -1, 9], &sized(None, 8, 9)), first([3, 8, 9]));
}

#[test]
fn fewer_axes_are_rows_of_squares_or_grey_images_and_say_so() {
    for shape in [&[1, 784][..], &[-1, 784, 1], &[-1, 1, 784], &[-1, 28, 28]] {
        assert_eq!(image(shape, &ANY), (Layout::ChannelsFirst, [1, 28, 28]));
        let said = decided(shape, &ANY).unwrap().assumptions.join("\n");
        assert!(said.contains("a grey image of 28x28"), "{said}");
    }
    assert_eq!(image(&[-1, 3072], &ANY).1, [3, 32, 32]);
    assert_eq!(image(&[-1, 2304], &sized(Some(3), 32, 24)).1, [3, 32, 24]);
    assert_eq!(image(&[-1, 2304], &sized(None, 32, 24)).1, [3, 32, 24]);
}

#[test]
fn vectors_are_images_only_where_a_size_is_stated() {
    for (shape, size) in [
        (&[1, 16][..], (4, 4)),
        (&[1, 1, 1, 5], (1, 5)),
        (&[-1, 5, 1, 1], (5, 1)),
        (&[-1, 3, 16], (3, 16)),
        (&[1, 48], (4, 4)),
    ] {
        let message = decided(shape, &ANY).unwrap_err();
        assert!(message.contains("not an image"), "{message}");
        decided(shape, &sized(None, size.0, size.1)).unwrap();
    }
    for shape in [&[1, 10][..], &[1, 0], &[-1, -1], &[1, 2, 3, 4, 5]] {
        decided(shape, &ANY).unwrap_err();
    }
}

#[test]
fn what_is_stated_must_agree_with_the_graph() {
    for (shape, wanted) in [
        (&[-1, 3, 32, 24][..], sized(None, 32, 32)),
        (&[-1, 3, 32, 24], sized(Some(1), 32, 24)),
        (&[-1, 784], sized(None, 32, 32)),
        (&[-1, 28, 28], sized(Some(3), 28, 28)),
    ] {
        let message = decided(shape, &wanted).unwrap_err();
        assert!(message.contains("32") || message.contains('3'), "{message}");
    }
    let message = decided(&[-1, 3, 32, 24], &sized(None, 32, 30)).unwrap_err();
    assert!(
        message.contains("24") && message.contains("30"),
        "{message}"
    );
}

#[test]
fn absurd_sizes_and_batches_are_refused_before_anything_is_allocated() {
    for (shape, wanted) in [
        (&[-1, 3, 1 << 40, 1 << 40][..], ANY),
        (&[-1, 3, -1, -1], sized(None, usize::MAX, usize::MAX)),
        (&[-1, 3, -1, -1], sized(None, 1_000_000_000, 1)),
        (&[1_000_000_000, 3, 32, 32], ANY),
        (&[i64::MAX, 3, 32, 32], ANY),
        (&[0, 3, 32, 32], ANY),
        (&[4096, 3, 512, 512], ANY),
        (&[1, i64::MAX], ANY),
        (&[-1, 3, 0, 32], ANY),
    ] {
        decided(shape, &wanted).unwrap_err();
    }
}

#[test]
fn open_channels_are_those_of_the_first_convolution() {
    let node = |operator: &str, inputs: [&str; 2], output: &str| NodeProto {
        op_type: operator.into(),
        input: inputs.map(str::to_owned).to_vec(),
        output: vec![output.into()],
        ..NodeProto::default()
    };
    let mut graph = GraphProto {
        node: vec![
            node("Sub", ["x", "mean"], "shifted"),
            node("Conv", ["shifted", "W"], "y"),
        ],
        initializer: vec![TensorProto::floats("W", &[8, 1, 1, 1], &[0.0; 8])],
        ..GraphProto::default()
    };
    let open = dims(&[-1, -1, -1, -1]);
    let wanted = sized(None, 8, 8);
    let decided = decide(&graph, "x", &open, &wanted).unwrap();
    assert_eq!((decided.channels, decided.assumptions.len()), (1, 0));
    graph.node[0].op_type = "Transpose".into();
    graph.node[0].input.truncate(1);
    graph.node[0].attribute = vec![AttributeProto::ints("perm", [0, 3, 1, 2])];
    let decided = decide(&graph, "x", &open, &wanted).unwrap();
    assert_eq!(decided.layout, Layout::ChannelsLast);
    assert_eq!((decided.channels, decided.assumptions.len()), (1, 0));
}

#[test]
fn sizes_are_fixed_wherever_their_names_stand() {
    let named = ["n", "c", "h", "w"].map(|name| Dim::Symbol(name.into()));
    let info = |name| shape::value_info(name, DataType::Float, &named);
    let mut graph = GraphProto {
        input: vec![info("x")],
        output: vec![info("y")],
        ..GraphProto::default()
    };
    assert!(fix(&mut graph, "x", &[3, 8, 9]));
    for info in graph.input.iter().chain(&graph.output) {
        let shape = shape::declared(info).unwrap();
        assert_eq!(shape::display(&shape), "[n, 3, 8, 9]");
    }
    assert!(!fix(&mut graph, "x", &[3, 8, 9]));
}
