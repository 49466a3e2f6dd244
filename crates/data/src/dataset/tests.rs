use super::*;

fn dataset(n: u8) -> Dataset {
    let pixels = (0..n).flat_map(|i| [i, 255 - i]).collect();
    let labels = (0..n).map(|i| u16::from(i % 2)).collect();
    let classes = vec!["even".into(), "odd".into()];
    Dataset::new("toy", Split::Train, classes, [1, 1, 2], pixels, labels).unwrap()
}

/// The same number of files that do not exist.
fn files(n: u8) -> Dataset {
    let files = (0..n).map(|i| (PathBuf::from(format!("{i}.png")), u16::from(i % 2)));
    let classes = vec!["even".into(), "odd".into()];
    let preprocessing = Preprocessing::center_crop(8);
    Dataset::from_files(
        "toy",
        Split::Train,
        classes,
        preprocessing,
        files.collect(),
        Remarks::default(),
    )
}

fn paths(data: &Dataset) -> Vec<&Path> {
    (0..data.len()).filter_map(|i| data.path(i)).collect()
}

#[test]
fn images_and_labels_are_found_by_index_and_not_beyond_the_end() {
    let data = dataset(3);
    assert_eq!(*data.image(2).unwrap(), [2, 253]);
    assert_eq!(data.label(1), Some(1));
    for index in [3, usize::MAX / 2, usize::MAX] {
        assert_eq!(data.label(index), None);
        for data in [dataset(3), files(3)] {
            assert!(matches!(
                data.image(index),
                Err(DataError::Index { len: 3, .. })
            ));
        }
        assert!(matches!(
            data.to_f32([0, index]),
            Err(DataError::Index { len: 3, .. })
        ));
    }
    assert!(data.to_f32(0..usize::MAX).is_err());
}

#[test]
fn numbers_are_the_bytes_over_255_in_the_order_asked_for() {
    let data = dataset(3);
    assert_eq!(
        data.to_f32([2, 0]).unwrap(),
        [2.0 / 255.0, 253.0 / 255.0, 0.0, 1.0]
    );
    assert_eq!(data.to_f32(0..0).unwrap(), []);
}

#[test]
fn split_off_and_what_remains_are_the_whole() {
    let whole = dataset(10);
    let mut train = whole.clone();
    let held_out = train.split_off(3).unwrap();
    assert_eq!((train.len(), held_out.len()), (7, 3));
    let numbers = |data: &Dataset| data.to_f32(0..data.len()).unwrap();
    assert_eq!(
        [numbers(&train), numbers(&held_out)].concat(),
        numbers(&whole)
    );
    assert_eq!([train.labels(), held_out.labels()].concat(), whole.labels());
    assert_eq!(whole.take(7), train);

    let whole = files(10);
    let mut train = whole.clone();
    let held_out = train.split_off(3).unwrap();
    assert_eq!([paths(&train), paths(&held_out)].concat(), paths(&whole));
    assert_eq!([train.labels(), held_out.labels()].concat(), whole.labels());
    assert_eq!(whole.take(7), train);
}

#[test]
fn split_off_leaves_at_least_one_image_on_either_side() {
    for n in [0, 4, 5, usize::MAX] {
        for whole in [dataset(4), files(4)] {
            let mut data = whole.clone();
            assert!(data.split_off(n).is_err(), "{n}");
            assert_eq!(data, whole);
        }
    }
}

#[test]
fn take_of_more_than_there_is_changes_nothing() {
    assert_eq!(dataset(4).take(9), dataset(4));
    assert!(dataset(4).take(0).is_empty());
    assert_eq!(files(4).take(9), files(4));
    assert!(files(4).take(0).is_empty());
}

#[test]
fn parts_that_do_not_fit_are_named() {
    let build = |shape, pixels: usize, label| {
        let pixels = vec![0; pixels];
        Dataset::new(
            "toy",
            Split::Test,
            vec!["a".into()],
            shape,
            pixels,
            vec![label],
        )
        .unwrap_err()
        .to_string()
    };
    assert!(build([2, 1, 1], 2, 0).contains("channels is 2, expected 1 or 3"));
    assert!(build([1, 0, 1], 0, 0).contains("height is 0"));
    assert!(build([1, 2, 2], 3, 0).contains("is 3, expected 1 x 1 x 2 x 2"));
    assert!(build([1, 1, 1], 1, 7).contains("label of image 0 is 7, expected less than 1"));
    assert!(build([1, usize::MAX, 2], 0, 0).contains("pixel values is 0"));
}
