//! What a reader of figures about a folder of images has to know: what was left out, and what was taken from deeper down.

use std::path::{Path, PathBuf};

/// Paths that are shown.
const SHOWN: usize = 5;

/// What was found in a folder beside images in the directories of their classes.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Remarks {
    root: PathBuf,
    images: usize,
    ignored: Paths,
    nested: Paths,
}

/// A number of paths, and the first ones.
#[derive(Clone, Debug, Default, PartialEq)]
struct Paths {
    count: usize,
    first: Vec<PathBuf>,
}

impl Remarks {
    /// Of the folder `root`, which is left out where paths are shown.
    pub(super) fn new(root: &Path) -> Self {
        Self {
            root: root.to_owned(),
            ..Self::default()
        }
    }

    /// Counts an entry that is no image by its name, no file, or a link to where the images come from.
    pub(super) fn leave_out(&mut self, path: &Path) {
        self.ignored.add(path, &self.root);
    }

    /// Counts an image, `depth` directories below that of its class.
    pub(super) fn take(&mut self, path: &Path, depth: usize) {
        self.images += 1;
        if depth > 0 {
            self.nested.add(path, &self.root);
        }
    }

    /// Entries that were left out.
    pub(crate) fn ignored(&self) -> usize {
        self.ignored.count
    }

    /// One sentence for each kind.
    pub(crate) fn sentences(&self) -> Vec<String> {
        let mut sentences = Vec::new();
        if self.ignored.count > 0 {
            let (entries, are) = match self.ignored.count {
                1 => (
                    "1 entry of the folder was".to_owned(),
                    "is not an image by its name (png, jpg, jpeg, webp, bmp, gif) or a link back",
                ),
                count => (
                    format!("{count} entries of the folder were"),
                    "are not images by their names (png, jpg, jpeg, webp, bmp, gif) or links back",
                ),
            };
            sentences.push(format!(
                "{entries} left out, which {are}: {}",
                self.ignored.shown()
            ));
        }
        if self.nested.count > 0 {
            sentences.push(format!(
                "{} of the folder's {} images lie in folders below that of their class and are taken for its images: {}",
                self.nested.count,
                self.images,
                self.nested.shown()
            ));
        }
        sentences
    }
}

impl Paths {
    fn add(&mut self, path: &Path, root: &Path) {
        self.count += 1;
        if self.first.len() < SHOWN {
            let path = path.strip_prefix(root).unwrap_or(path);
            self.first.push(path.to_owned());
        }
    }

    /// The first ones, escaped.
    fn shown(&self) -> String {
        let paths = self.first.iter().map(|path| {
            // The same on every system.
            let parts = path.iter().map(|part| part.to_string_lossy());
            let path = parts.collect::<Vec<_>>().join("/");
            path.escape_debug().to_string()
        });
        let more = match self.count - self.first.len() {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        let paths: Vec<String> = paths.collect();
        format!("{}{more}", paths.join(", "))
    }
}
