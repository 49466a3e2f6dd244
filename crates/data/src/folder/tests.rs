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
    folder(dir.path(), split, Preprocessing::center_crop(4))
        .unwrap_err()
        .to_string()
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
    let train = folder(dir.path(), Split::Train, Preprocessing::center_crop(4)).unwrap();
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
    let test = folder(dir.path(), Split::Test, Preprocessing::center_crop(4)).unwrap();
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
    let whole = folder(dir.path(), Split::Train, Preprocessing::center_crop(4)).unwrap();
    assert_eq!(
        whole,
        folder(dir.path(), Split::Train, Preprocessing::center_crop(4)).unwrap()
    );
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
    let data = folder(dir.path(), Split::Test, Preprocessing::center_crop(2)).unwrap();
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
        folder(both.path(), Split::Test, Preprocessing::center_crop(4))
            .unwrap()
            .classes(),
        ["a"]
    );
    let only = layout([("test/b/1.png", 1)]);
    assert_eq!(
        folder(only.path(), Split::Test, Preprocessing::center_crop(4))
            .unwrap()
            .classes(),
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
        ("train/README.md", 0),
    ]);
    let data = folder(dir.path(), Split::Train, Preprocessing::center_crop(4)).unwrap();
    assert_eq!((data.len(), data.ignored()), (1, 4));
    let [told] = data.assumptions().try_into().unwrap();
    assert!(
        told.ends_with(
            ": train/README.md, train/a/extensionless, train/a/notes.txt, train/a/photo.tiff"
        ),
        "{told}"
    );
}

#[test]
fn many_files_that_are_left_out_are_counted_and_some_named() {
    let names: Vec<String> = (0..9).map(|i| format!("val/a/{i}.tif")).collect();
    let all = names.iter().map(|name| (name.as_str(), 0));
    let dir = layout(all.chain([("val/a/\u{1b}[2J.txt", 0), ("val/a/1.png", 1)]));
    let data = folder(dir.path(), Split::Test, Preprocessing::center_crop(4)).unwrap();
    let [told] = data.take(1).assumptions().try_into().unwrap();
    assert!(
        told.starts_with("10 entries of the folder were left out") && told.ends_with("and 5 more"),
        "{told}"
    );
    assert!(!told.contains('\u{1b}'), "{told}");
}

#[test]
fn images_in_folders_below_that_of_their_class_are_its_images_and_told() {
    let dir = layout([
        ("val/cat/1.png", 10),
        ("val/cat/sub/9.png", 20),
        ("val/cat/sub/deeper/0.png", 30),
        ("val/cat/sub/.hidden/7.png", 90),
        ("val/cat/sub/notes.txt", 0),
        ("val/cat/z.png/3.png", 40),
        ("val/dog/only/below/1.png", 50),
    ]);
    let data = folder(dir.path(), Split::Test, Preprocessing::new([3, 2, 2])).unwrap();
    let mut seen: Vec<(u8, u16)> = (0..data.len())
        .map(|index| (data.image(index).unwrap()[0], data.label(index).unwrap()))
        .collect();
    seen.sort_unstable();
    assert_eq!(seen, [(10, 0), (20, 0), (30, 0), (40, 0), (50, 1)]);
    assert_eq!(
        data,
        folder(dir.path(), Split::Test, Preprocessing::new([3, 2, 2])).unwrap()
    );
    let [left_out, nested] = data.assumptions().try_into().unwrap();
    assert!(
        left_out.starts_with("1 entry ") && left_out.ends_with(": val/cat/sub/notes.txt"),
        "{left_out}"
    );
    assert!(
        nested.starts_with("4 of the folder's 5 images lie in folders below that of their class")
            && nested.contains("val/cat/sub/9.png"),
        "{nested}"
    );
    // Nothing to tell of a plain folder.
    let plain = layout([("val/cat/1.png", 10)]);
    let data = folder(plain.path(), Split::Test, Preprocessing::new([3, 2, 2])).unwrap();
    assert_eq!(data.assumptions(), [] as [String; 0]);
}

#[test]
fn folders_that_lie_too_deep_are_refused() {
    let path = |depth: usize| format!("val/cat/{}1.png", "a/".repeat(depth));
    for (depth, taken) in [(32, true), (33, false)] {
        let (deep, flat) = (path(depth), path(0));
        let dir = layout([(flat.as_str(), 1), (deep.as_str(), 2)]);
        let data = folder(dir.path(), Split::Test, Preprocessing::center_crop(4));
        assert_eq!(data.is_ok(), taken, "{depth}");
        if let Err(error) = data {
            let error = error.to_string();
            assert!(
                error.contains("lies 33 folders below that of its class"),
                "{error}"
            );
        }
    }
}

#[cfg(unix)]
#[test]
fn links_are_followed_once_and_never_back() {
    use std::os::unix::fs::symlink;

    let dir = layout([
        ("val/cat/1.png", 10),
        ("val/cat/sub/2.png", 20),
        ("val/dog/1.png", 30),
        ("elsewhere/3.png", 40),
    ]);
    let at = |name: &str| dir.path().join(name);
    for (target, link) in [
        ("val/cat", "val/cat/sub/back"),
        ("val", "val/cat/all"),
        ("", "val/cat/sub/everything"),
        ("val/cat/sub", "val/cat/tub"),
        ("elsewhere", "val/cat/more"),
        ("elsewhere/3.png", "val/dog/linked.png"),
    ] {
        symlink(at(target), at(link)).unwrap();
    }
    let data = folder(dir.path(), Split::Test, Preprocessing::new([3, 2, 2])).unwrap();
    let mut seen: Vec<(u8, u16)> = (0..data.len())
        .map(|index| (data.image(index).unwrap()[0], data.label(index).unwrap()))
        .collect();
    seen.sort_unstable();
    assert_eq!(seen, [(10, 0), (20, 0), (30, 1), (40, 0), (40, 1)]);
    assert_eq!(data.ignored(), 4);
}

#[test]
fn names_of_classes_are_compared_in_one_unicode_form() {
    let (composed, decomposed) = ("caf\u{e9}", "cafe\u{301}");
    let (train, val) = (
        format!("train/{decomposed}/1.png"),
        format!("val/{composed}/1.png"),
    );
    let dir = layout([(train.as_str(), 1), (val.as_str(), 2)]);
    for split in [Split::Train, Split::Test] {
        let data = folder(dir.path(), split, Preprocessing::center_crop(4)).unwrap();
        assert_eq!(data.classes(), [composed]);
        data.image(0).unwrap();
    }
    let (one, other) = (
        format!("val/{decomposed}/1.png"),
        format!("val/{composed}/1.png"),
    );
    let dir = layout([(one.as_str(), 1), (other.as_str(), 2)]);
    // On file systems that compose names they are one.
    if fs::read_dir(dir.path().join("val")).unwrap().count() == 2 {
        let message = refusal(&dir, Split::Test);
        assert!(
            message
                .contains("has two classes `caf\u{e9}`, whose names differ in their Unicode form"),
            "{message}"
        );
    }
}

#[test]
fn the_order_of_text_is_told_where_it_is_another() {
    let names = ["1", "2", "10"].map(|class| format!("val/{class}/1.png"));
    let dir = layout(names.iter().map(|name| (name.as_str(), 9)));
    let data = folder(dir.path(), Split::Test, Preprocessing::center_crop(4)).unwrap();
    assert_eq!(data.classes(), ["1", "2", "10"]);
    assert_eq!(data.classes_as_text().unwrap(), ["1", "10", "2"]);
    let dir = layout([("val/01/1.png", 1), ("val/10/1.png", 1)]);
    let data = folder(dir.path(), Split::Test, Preprocessing::center_crop(4)).unwrap();
    assert_eq!(data.classes_as_text(), None);
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
    let message = folder(&absent, Split::Train, Preprocessing::center_crop(4))
        .unwrap_err()
        .to_string();
    assert!(message.contains("absent` is not a directory"), "{message}");
    assert!(refusal(&layout([("val/a/1.png", 1)]), Split::Train).contains("no directory `train`"));
}

#[test]
fn sizes_out_of_range_are_refused() {
    let dir = layout([("train/a/1.png", 1)]);
    for side in [0, MAX_IMAGE_SIZE + 1, usize::MAX] {
        let error = folder(dir.path(), Split::Train, Preprocessing::center_crop(side)).unwrap_err();
        assert!(error.to_string().contains("expected 1 to 1024"), "{error}");
    }
}

#[test]
fn classes_that_are_numbers_are_in_the_order_of_numbers() {
    let names: Vec<String> = (0..12)
        .flat_map(|class| [format!("train/{class}/1.png"), format!("val/{class}/1.png")])
        .collect();
    let dir = layout(names.iter().map(|name| (name.as_str(), 9)));
    let expected: Vec<String> = (0..12).map(|class: usize| class.to_string()).collect();
    for split in [Split::Train, Split::Test] {
        let data = folder(dir.path(), split, Preprocessing::center_crop(4)).unwrap();
        assert_eq!(data.classes(), expected);
        for index in 0..data.len() {
            let class = data.path(index).unwrap().parent().unwrap();
            let label = data.label(index).unwrap().to_string();
            assert_eq!(class.file_name().unwrap().to_str(), Some(label.as_str()));
        }
    }
}

#[test]
fn classes_that_one_split_lacks_are_named_in_natural_order_too() {
    let dir = layout([
        ("train/9/1.png", 1),
        ("train/10/1.png", 1),
        ("val/10/1.png", 1),
    ]);
    let message = refusal(&dir, Split::Train);
    assert!(message.contains("val` has no class `9`"), "{message}");
}

#[test]
fn files_of_one_name_in_two_classes_are_two_images() {
    let dir = layout([
        ("val/a/1.png", 10),
        ("val/b/1.png", 20),
        ("val/b/1.bmp", 30),
    ]);
    let data = folder(dir.path(), Split::Test, Preprocessing::new([3, 2, 2])).unwrap();
    let mut seen: Vec<(u8, u16)> = (0..data.len())
        .map(|index| (data.image(index).unwrap()[0], data.label(index).unwrap()))
        .collect();
    seen.sort_unstable();
    assert_eq!(seen, [(10, 0), (20, 1), (30, 1)]);
}

#[test]
fn grey_and_oblong_pixels_are_made_of_files() {
    let dir = layout([("val/a/1.png", 51)]);
    let grey = Preprocessing::new([1, 2, 3]);
    let data = folder(dir.path(), Split::Test, grey).unwrap();
    assert_eq!(
        (data.shape(), data.preprocessing()),
        ([1, 2, 3], Some(&grey))
    );
    assert_eq!(*data.image(0).unwrap(), [51; 6]);
    assert_eq!(data.to_f32([0]).unwrap(), [0.2; 6]);
    for shape in [[2, 4, 4], [3, 0, 4], [3, 4, 1025]] {
        assert!(folder(dir.path(), Split::Test, Preprocessing::new(shape)).is_err());
    }
    for crop_pct in [0.0, 1e-300, -1.0, 1.5, f64::NAN] {
        let wrong = Preprocessing { crop_pct, ..grey };
        let message = folder(dir.path(), Split::Test, wrong)
            .unwrap_err()
            .to_string();
        assert!(message.contains("crop_pct"), "{message}");
    }
}

#[test]
fn broken_files_are_found_before_anything_is_learnt() {
    let names: Vec<String> = (1..=30)
        .map(|i| format!("val/{}/{i:02}.png", i % 3))
        .collect();
    let dir = layout((1..=30).zip(&names).map(|(i, name)| (name.as_str(), i)));
    for name in ["val/0/03.png", "val/1/16.png"] {
        fs::write(dir.path().join(name), "").unwrap();
    }
    let whole = folder(dir.path(), Split::Test, Preprocessing::center_crop(4)).unwrap();
    let (data, mut skipped) = whole.clone().without_broken().unwrap();
    assert_eq!((data.len(), whole.len()), (28, 30));
    for index in 0..data.len() {
        let path = data.path(index).unwrap();
        let at = (0..30).find(|&at| whole.path(at) == Some(path)).unwrap();
        assert_eq!(data.label(index), whole.label(at));
    }
    data.to_f32(0..28).unwrap();
    skipped.sort_by(|a, b| a.path.cmp(&b.path));
    let paths: Vec<_> = skipped.iter().map(|one| one.path.clone()).collect();
    assert_eq!(
        paths,
        ["val/0/03.png", "val/1/16.png"].map(|name| dir.path().join(name))
    );
    for one in &skipped {
        assert!(one.reason.contains("0 bytes"), "{one:?}");
    }
}

#[test]
fn files_smaller_than_what_is_asked_for_are_counted() {
    let dir = layout([("val/a/1.png", 1), ("val/a/2.png", 0), ("val/a/3.png", 1)]);
    let count = |side| {
        let data = folder(dir.path(), Split::Test, Preprocessing::center_crop(side)).unwrap();
        data.enlarged(100).unwrap()
    };
    // They are 6 x 5.
    assert_eq!((count(5), count(6), count(224)), ((0, 2), (2, 2), (2, 2)));
}

/// Opening it would wait for somebody to write.
#[cfg(unix)]
#[test]
fn a_pipe_is_not_an_image() {
    let dir = layout([("val/a/1.png", 1)]);
    let pipe = dir.path().join("val/a/2.png");
    let made = std::process::Command::new("mkfifo").arg(&pipe).status();
    assert!(made.unwrap().success());
    let data = folder(dir.path(), Split::Test, Preprocessing::center_crop(4)).unwrap();
    assert_eq!((data.len(), data.ignored()), (1, 1));
}
