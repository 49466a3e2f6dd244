//! Names for the files that are written for several images: one each, whatever the images are called.
use std::{
    collections::HashMap,
    path::{Component, Path, PathBuf},
};

/// A file name below the folder that is written to for each image, in order: `seven.adversarial.png`. Where two images would share
/// it, the extension is kept (`seven.bmp.adversarial.png`), then the folders below the one that all images have in common
/// (`a/seven.png.adversarial.png`), then a number is added.
pub fn names(images: &[PathBuf], suffix: &str) -> Vec<PathBuf> {
    let shared = shared_folder(images);
    let forms: [fn(&Path, &Path) -> PathBuf; 3] = [stem, file_name, below];
    let mut names: Vec<Option<PathBuf>> = vec![None; images.len()];
    for form in forms {
        let candidates: Vec<PathBuf> = images.iter().map(|image| form(image, &shared)).collect();
        let mut count = HashMap::new();
        for candidate in &candidates {
            *count.entry(fold(candidate)).or_insert(0) += 1;
        }
        for (name, candidate) in names.iter_mut().zip(candidates) {
            if name.is_none() && count.get(&fold(&candidate)) == Some(&1) {
                *name = Some(candidate);
            }
        }
    }
    let mut taken = std::collections::HashSet::new();
    let names = names.into_iter().enumerate().map(|(index, name)| {
        let wanted = name.unwrap_or_else(|| below(&images[index], &shared));
        let mut name = with_suffix(&wanted, "", suffix);
        for number in 2.. {
            if taken.insert(fold(&name)) {
                break;
            }
            name = with_suffix(&wanted, &format!(".{number}"), suffix);
        }
        name
    });
    names.collect()
}

/// File systems that ignore case must not merge two names.
fn fold(path: &Path) -> String {
    path.to_string_lossy().to_lowercase()
}

fn stem(image: &Path, _: &Path) -> PathBuf {
    image.file_stem().unwrap_or(image.as_os_str()).into()
}

fn file_name(image: &Path, _: &Path) -> PathBuf {
    image.file_name().unwrap_or(image.as_os_str()).into()
}

/// The path below `shared`, without anything that leads out of a folder.
fn below(image: &Path, shared: &Path) -> PathBuf {
    let rest = image.strip_prefix(shared).unwrap_or(image);
    let normal = rest.components().filter_map(|component| match component {
        Component::Normal(name) => Some(name.to_os_string()),
        Component::ParentDir => Some("up".into()),
        _ => None,
    });
    normal.collect()
}

fn with_suffix(path: &Path, number: &str, suffix: &str) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_os_string();
    name.push(number);
    name.push(suffix);
    path.with_file_name(name)
}

/// The longest folder that all images lie in.
fn shared_folder(images: &[PathBuf]) -> PathBuf {
    let mut folders = images
        .iter()
        .map(|image| image.parent().unwrap_or(Path::new("")));
    let first = folders.next().unwrap_or(Path::new("")).to_owned();
    folders.fold(first, |shared, folder| {
        let common = shared.components().zip(folder.components());
        common.take_while(|(a, b)| a == b).map(|(a, _)| a).collect()
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn named(images: &[&str]) -> Vec<String> {
        let images: Vec<PathBuf> = images.iter().map(PathBuf::from).collect();
        let names = names(&images, ".adversarial.png");
        names
            .iter()
            .map(|name| name.to_str().unwrap().to_owned())
            .collect()
    }

    #[test]
    fn names_are_as_short_as_they_can_be_told_apart() {
        assert_eq!(
            named(&["in/1.png", "in/2.png"]),
            ["1.adversarial.png", "2.adversarial.png"]
        );
        assert_eq!(
            named(&["one.png", "one.bmp", "two.png"]),
            [
                "one.png.adversarial.png",
                "one.bmp.adversarial.png",
                "two.adversarial.png"
            ]
        );
        assert_eq!(
            named(&["/x/a/1.png", "/x/b/1.png"]),
            ["a/1.png.adversarial.png", "b/1.png.adversarial.png"]
        );
        assert_eq!(
            named(&["1.png", "1.png"]),
            ["1.png.adversarial.png", "1.png.2.adversarial.png"]
        );
        assert_eq!(
            named(&["../1.png", "1.png"]),
            ["up/1.png.adversarial.png", "1.png.adversarial.png"]
        );
    }

    proptest! {
        #[test]
        fn every_image_has_a_name_of_its_own_inside_the_folder(
            images in prop::collection::vec("(\\.\\./|/)?([ab]/){0,2}[aAb1](\\.2)?(\\.png|\\.BMP|)", 0..8),
        ) {
            let images: Vec<PathBuf> = images.iter().map(PathBuf::from).collect();
            let names = names(&images, ".png");
            prop_assert_eq!(names.len(), images.len());
            let distinct: std::collections::HashSet<_> = names.iter().map(|name| fold(name)).collect();
            prop_assert_eq!(distinct.len(), names.len());
            for name in &names {
                prop_assert!(name.components().all(|component| matches!(component, Component::Normal(_))));
            }
        }
    }
}
