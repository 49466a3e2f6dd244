//! Files of other formats that are given in place of an ONNX model, told by their first bytes.

/// What a file is, with the way to the model; `None` where its first bytes are not those of a known other format.
pub(crate) fn of(bytes: &[u8]) -> Option<&'static str> {
    let start = bytes.get(..bytes.len().min(512))?;
    let magic = |offset: usize, magic: &[u8]| {
        let found = start.get(offset..offset + magic.len());
        found == Some(magic)
    };
    if magic(0, b"version https://git-lfs.github.com/spec/") {
        return Some(
            "a pointer of Git LFS, which stands for the model in a clone without it: run `git lfs pull`",
        );
    }
    let text = String::from_utf8_lossy(start)
        .trim_start_matches(['\u{feff}', ' ', '\t', '\r', '\n'])
        .to_lowercase();
    if ["<!doctype html", "<html", "<head", "<?xml"]
        .iter()
        .any(|begin| text.starts_with(begin))
    {
        return Some(
            "a web page or XML, as a download gives in place of a file that needs a log-in or another address: download the file itself",
        );
    }
    if magic(0, b"PK\x03\x04") {
        return Some(
            "a zip archive, such as PyTorch's checkpoints are: unpack the model from it, or export the network to ONNX",
        );
    }
    if magic(0, b"\x1f\x8b")
        || magic(0, b"BZh")
        || magic(0, b"\xfd7zXZ")
        || magic(0, b"\x28\xb5\x2f\xfd")
    {
        return Some("compressed (gzip, bzip2, xz or zstd): decompress it");
    }
    if magic(257, b"ustar") {
        return Some("a tar archive: unpack the model from it");
    }
    if magic(0, b"\x89HDF\r\n\x1a\n") {
        return Some(
            "an HDF5 file, as Keras writes: export the network to ONNX (tf2onnx, keras2onnx)",
        );
    }
    if magic(4, b"TFL3") {
        return Some("a TensorFlow Lite model: convert it to ONNX (tf2onnx)");
    }
    if magic(4, b"ORTM") {
        return Some(
            "a model in ONNX Runtime's own format: give the ONNX file that it was made from",
        );
    }
    if magic(0, b"\x80\x02") || magic(0, b"\x80\x04") {
        return Some(
            "a Python pickle, as older checkpoints of PyTorch are: export the network to ONNX",
        );
    }
    if magic(8, b"{\"") && !magic(0, b"\x08") {
        return Some(
            "a safetensors file, which holds weights without a network: export the network to ONNX",
        );
    }
    if magic(0, b"\x89PNG") || magic(0, b"\xff\xd8\xff") {
        return Some("an image: the model comes before the images");
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Error, Model};

    #[test]
    fn files_of_other_formats_are_named() {
        let mut tar = vec![0; 512];
        tar[257..262].copy_from_slice(b"ustar");
        let files: [(&[u8], &str); 11] = [
            (
                b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 3\n",
                "git lfs pull",
            ),
            (b"\n<!DOCTYPE HTML><title>Sign in</title>", "web page"),
            (b"PK\x03\x04....", "zip archive"),
            (b"\x1f\x8b\x08.....", "decompress"),
            (&tar, "tar archive"),
            (b"\x89HDF\r\n\x1a\n....", "HDF5"),
            (b"\x1c\0\0\0TFL3....", "TensorFlow Lite"),
            (b"\x20\0\0\0ORTM....", "ONNX Runtime's own"),
            (b"\x80\x02}q\0.", "pickle"),
            (b"\x40\0\0\0\0\0\0\0{\"w\":{}}", "safetensors"),
            (b"\xff\xd8\xff\xe0", "an image"),
        ];
        for (bytes, told) in files {
            let error = Model::from_bytes(bytes).unwrap_err();
            assert!(matches!(error, Error::OtherFormat(_)), "{told}");
            assert!(error.to_string().contains(told), "{error}");
        }
        assert_eq!(of(b""), None);
        assert_eq!(of(b"\x08\x08\x12\x07pytorch"), None);
    }
}
