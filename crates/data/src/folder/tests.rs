use std::collections::HashSet;

use image::{Rgb, RgbImage};
use tempfile::TempDir;

use super::*;

/// Puts a small image of one colour, or the text `x` where the colour is 0, at every path.
fn layout<'a>(files: impl IntoIterator<Item = (&'a str, u8)>) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    for (name, colour) in files {
        let path = dir.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        match colour {
            0 => fs::write(path, "x").unwrap(),
            _ => RgbImage::from_pixel(6, 5, Rgb([colour; 3]))
                .save(path)
                .unwrap(),
        }
    }
    dir
}

fn refusal(dir: &TempDir, split: Split) -> String {
    folder(dir.path(), split, 4).unwrap_err().to_string()
}

fn paths(data: &Dataset) -> Vec<&Path> {
    (0..data.len()).map(|i| data.path(i).unwrap()).collect()
}

#[test]
fn images_carry_the_class_of_their_directory() {
    let dir = layout([
        ("train/cat/1.png", 10),
        ("train/cat/2.bmp", 20),
        ("train/ant/1.png", 30),
        ("train/bee/x.gif", 40),
        ("val/cat/1.png", 50),
        ("val/ant/1.png", 60),
        ("val/bee/1.png", 70),
    ]);
    let train = folder(dir.path(), Split::Train, 4).unwrap();
    assert_eq!(train.classes(), ["ant", "bee", "cat"]);
    assert_eq!((train.len(), train.shape()), (4, [3, 4, 4]));
    for index in 0..4 {
        let colour = train.image(index).unwrap()[0];
        let class = train.label(index).unwrap();
        assert!([(10, 2), (20, 2), (30, 0), (40, 1)].contains(&(colour, class)));
        assert_eq!(*train.image(index).unwrap(), [colour; 48]);
        assert_eq!(
            train.to_f32([index]).unwrap(),
            [f32::from(colour) / 255.0; 48]
        );
    }
    let test = folder(dir.path(), Split::Test, 4).unwrap();
    let labels: HashSet<u16> = test.labels().iter().copied().collect();
    assert_eq!((test.len(), labels.len()), (3, 3));
}

#[test]
fn beginning_and_end_are_mixtures_of_all_classes_and_the_same_each_time() {
    let names: Vec<String> = ["a", "b", "c", "d"]
        .iter()
        .flat_map(|class| (0..50).map(move |i| format!("train/{class}/{i}.png")))
        .collect();
    let dir = layout(names.iter().map(|name| (name.as_str(), 0)));
    let whole = folder(dir.path(), Split::Train, 4).unwrap();
    assert_eq!(whole, folder(dir.path(), Split::Train, 4).unwrap());
    assert_eq!(paths(&whole).into_iter().collect::<HashSet<_>>().len(), 200);
    let held_out = whole.clone().split_off(40).unwrap();
    let beginning = whole.take(40);
    for part in [held_out, beginning] {
        for class in 0..4 {
            let count = part
                .labels()
                .iter()
                .filter(|&&label| label == class)
                .count();
            assert!((3..=20).contains(&count), "{count}");
        }
    }
}

#[test]
fn many_files_become_numbers_in_the_order_asked_for() {
    let names: Vec<String> = (1..=60).map(|i| format!("val/a/{i:02}.png")).collect();
    let dir = layout((1..=60).zip(&names).map(|(i, name)| (name.as_str(), i)));
    let data = folder(dir.path(), Split::Test, 2).unwrap();
    let order: Vec<usize> = (0..60).rev().chain([7, 7, 3]).collect();
    let expected: Vec<f32> = order
        .iter()
        .flat_map(|&index| {
            let name = data.path(index).unwrap().file_stem().unwrap();
            let colour: u8 = name.to_str().unwrap().parse().unwrap();
            [f32::from(colour) / 255.0; 12]
        })
        .collect();
    assert_eq!(data.to_f32(order).unwrap(), expected);
    assert_eq!(data.to_f32([]).unwrap(), []);
    assert!(data.to_f32(0..usize::MAX).is_err());
    let path = data.path(30).unwrap();
    fs::write(path, "no image").unwrap();
    let message = data.to_f32(0..60).unwrap_err().to_string();
    assert!(message.contains(&path.display().to_string()), "{message}");
}

#[test]
fn val_is_preferred_to_test_and_either_will_do() {
    let both = layout([("val/a/1.png", 1), ("test/b/1.png", 1)]);
    assert_eq!(
        folder(both.path(), Split::Test, 4).unwrap().classes(),
        ["a"]
    );
    let only = layout([("test/b/1.png", 1)]);
    assert_eq!(
        folder(only.path(), Split::Test, 4).unwrap().classes(),
        ["b"]
    );
}

#[test]
fn hidden_entries_are_passed_over_and_other_files_counted() {
    let dir = layout([
        ("train/a/1.PNG", 9),
        ("train/a/.hidden.png", 9),
        ("train/.cache/1.png", 9),
        ("train/.DS_Store", 0),
        ("train/a/notes.txt", 0),
        ("train/a/extensionless", 0),
        ("train/a/photo.tiff", 0),
        ("train/a/deeper/2.png", 9),
        ("train/README.md", 0),
    ]);
    let data = folder(dir.path(), Split::Train, 4).unwrap();
    assert_eq!((data.len(), data.ignored()), (1, 5));
}

#[test]
fn an_empty_class_is_named() {
    let dir = layout([("train/full/1.png", 1), ("train/empty/readme.txt", 0)]);
    let message = refusal(&dir, Split::Train);
    assert!(
        message.contains("empty` holds no image: put PNG"),
        "{message}"
    );
}

#[test]
fn different_classes_for_training_and_testing_are_named() {
    let dir = layout([
        ("train/a/1.png", 1),
        ("train/b/1.png", 1),
        ("val/a/1.png", 1),
        ("val/c/1.png", 1),
    ]);
    for split in [Split::Train, Split::Test] {
        let message = refusal(&dir, split);
        assert!(
            message.contains("val` has no class `b`, and `"),
            "{message}"
        );
    }
    let dir = layout([("train/a/1.png", 1), ("val/a/1.png", 1), ("val/b/1.png", 1)]);
    for split in [Split::Train, Split::Test] {
        let message = refusal(&dir, split);
        assert!(
            message.contains("train` has no class `b`, and `"),
            "{message}"
        );
    }
}

#[test]
fn missing_directories_are_named() {
    let dir = layout([("train/a/1.png", 1)]);
    let message = refusal(&dir, Split::Test);
    assert!(
        message.contains("has no directory `val` or `test`: put"),
        "{message}"
    );
    let flat = layout([("1.png", 1), ("train/1.png", 1)]);
    let message = refusal(&flat, Split::Train);
    assert!(
        message.contains("train` has no directories, one for each class"),
        "{message}"
    );
    let absent = dir.path().join("absent");
    let message = folder(&absent, Split::Train, 4).unwrap_err().to_string();
    assert!(message.contains("absent` is no directory"), "{message}");
    assert!(refusal(&layout([("val/a/1.png", 1)]), Split::Train).contains("no directory `train`"));
}

#[test]
fn sizes_out_of_range_are_refused() {
    let dir = layout([("train/a/1.png", 1)]);
    for side in [0, MAX_IMAGE_SIZE + 1, usize::MAX] {
        let error = folder(dir.path(), Split::Train, side).unwrap_err();
        assert!(error.to_string().contains("must be in 1..=1024"), "{error}");
    }
}
