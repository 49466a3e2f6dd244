//! Tensors that PyTorch stores with the opposite sign: views of `torch._neg_view` keep their storage as it was and a mark that it
//! is negated, which the reader passes over.

use std::borrow::Cow;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use zip::ZipArchive;

/// Bytes of a pickle that are looked at: names, shapes and marks, and no elements.
const MOST: u64 = 256 << 20;

/// Whether one of a file's tensors is marked as negated (`{"neg": True}` among the arguments that rebuild it).
pub(super) fn is_marked(path: &Path) -> io::Result<bool> {
    let mut pickle = Vec::new();
    match ZipArchive::new(File::open(path)?) {
        Ok(mut archive) => {
            let is_pickle = |name: &Cow<'_, str>| name.ends_with("data.pkl");
            let name = archive.file_names().flatten().find(is_pickle);
            let Some(name) = name.map(Cow::into_owned) else {
                return Ok(false);
            };
            let entry = archive.by_name(&name).map_err(io::Error::other)?;
            entry.take(MOST).read_to_end(&mut pickle)?;
        }
        // The format of before 1.6 begins with the pickle.
        Err(_) => {
            File::open(path)?.take(MOST).read_to_end(&mut pickle)?;
        }
    }
    Ok(marks(&pickle))
}

/// The key as a pickle writes it, perhaps an instruction that remembers it, and `True`.
fn marks(pickle: &[u8]) -> bool {
    const TRUE: u8 = 0x88;
    let after = |key: &[u8]| {
        let mut rest = pickle;
        while let Some(found) = rest.windows(key.len()).position(|part| part == key) {
            rest = rest.get(found + key.len()..).unwrap_or_default();
            let value = match rest.first() {
                Some(b'q') => rest.get(2),
                Some(b'r') => rest.get(5),
                Some(0x94) => rest.get(1),
                other => other,
            };
            if value == Some(&TRUE) {
                return true;
            }
        }
        false
    };
    after(b"X\x03\0\0\0neg") || after(b"\x8c\x03neg")
}
