use std::{fmt, str::FromStr};

/// The oldest ONNX Runtime that has the C API this crate is built for.
pub(crate) const MINIMUM: Version = Version([1, 24, 0]);

/// A version of ONNX Runtime: major, minor, patch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version(pub [u32; 3]);

impl Version {
    /// Whether this crate can work with it: at least [`MINIMUM`], and of the same major version, since the next one
    /// may break the C API.
    pub(crate) fn fits(self) -> bool {
        self >= MINIMUM && self.0[0] == MINIMUM.0[0]
    }

    /// The first `digits.digits.digits` in a text, such as a file name or the library's build information.
    pub(crate) fn in_text(text: &str) -> Option<Self> {
        text.split(|c: char| !(c.is_ascii_digit() || c == '.'))
            .find_map(|part| part.trim_matches('.').parse().ok())
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [major, minor, patch] = self.0;
        write!(f, "{major}.{minor}.{patch}")
    }
}

impl FromStr for Version {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let mut parts = text.split('.').map(str::parse);
        match (parts.next(), parts.next(), parts.next(), parts.next()) {
            (Some(Ok(major)), Some(Ok(minor)), Some(Ok(patch)), None) => {
                Ok(Self([major, minor, patch]))
            }
            _ => Err(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_read_from_file_names_packages_and_build_information() {
        for (text, expected) in [
            ("libonnxruntime.so.1.31.1", Some([1, 31, 1])),
            ("libonnxruntime.1.24.0.dylib", Some([1, 24, 0])),
            ("onnxruntime_gpu-1.25.2.dist-info", Some([1, 25, 2])),
            (
                "ORT Build Info: git-branch=rel-1.19.0, git-commit-id=26250ae",
                Some([1, 19, 0]),
            ),
            ("libonnxruntime.so.1", None),
            ("onnxruntime.dll", None),
        ] {
            assert_eq!(Version::in_text(text), expected.map(Version), "{text}");
        }
    }

    #[test]
    fn fits_from_the_minimum_up_to_the_next_major_version() {
        for (version, fits) in [
            ([1, 23, 9], false),
            ([1, 24, 0], true),
            ([1, 31, 1], true),
            ([2, 0, 0], false),
            ([0, 99, 0], false),
        ] {
            assert_eq!(Version(version).fits(), fits, "{version:?}");
        }
    }
}
