//! A tensor's elements in JSON.
use super::{datatype::Datatype, error::TensorError};

/// How much of an element is repeated in an error.
const SHOWN: usize = 32;

/// The elements of `json`, a valid JSON list that is flat or nested as `shape`, as the binary extension writes them:
/// row-major, little-endian. Of so many elements at most is room made as `json` can have.
///
/// Not by serde: numbers go from text to their own type in one step, so that none is rounded twice.
pub(super) fn read(
    json: &str,
    datatype: Datatype,
    shape: &[usize],
    count: usize,
) -> Result<Vec<u8>, TensorError> {
    if !datatype.has_json() {
        return Err(TensorError::BinaryOnly(datatype));
    }
    if !json.starts_with('[') {
        return Err(TensorError::NotAList);
    }
    let room = count.min(json.len() / 2) * datatype.least_size();
    let mut list = Nested {
        shape,
        count,
        lengths: Vec::new(),
        leaves: None,
        found: 0,
    };
    let mut bytes = Vec::with_capacity(room);
    let mut rest = json;
    while let Some(first) = rest.bytes().next() {
        let length = match first {
            b'[' => {
                list.open()?;
                1
            }
            b']' => {
                list.close()?;
                1
            }
            b',' | b' ' | b'\n' | b'\r' | b'\t' => 1,
            _ => {
                let length = token(rest);
                let text = rest.get(..length).unwrap_or(rest);
                push(datatype, text, &mut bytes).ok_or_else(|| TensorError::Element {
                    index: list.found,
                    text: text.chars().take(SHOWN).collect(),
                    datatype,
                })?;
                list.element()?;
                length
            }
        };
        rest = rest.get(length..).unwrap_or_default();
    }
    list.finish()?;
    Ok(bytes)
}

/// The length of the text, number, word or other thing at the start.
fn token(json: &str) -> usize {
    let mut bytes = json.bytes().enumerate();
    if json.starts_with('"') {
        let mut escaped = true;
        let end = bytes.find(|&(_, byte)| {
            let ends = byte == b'"' && !escaped;
            escaped = byte == b'\\' && !escaped;
            ends
        });
        return end.map_or(json.len(), |(index, _)| index + 1);
    }
    let end = bytes.find(|(_, byte)| matches!(byte, b',' | b']' | b' ' | b'\n' | b'\r' | b'\t'));
    end.map_or(json.len(), |(index, _)| index)
}

fn push(datatype: Datatype, text: &str, bytes: &mut Vec<u8>) -> Option<()> {
    macro_rules! number {
        ($type:ty) => {
            bytes.extend(text.parse::<$type>().ok()?.to_le_bytes())
        };
    }
    match datatype {
        Datatype::Bool => bytes.push(match text {
            "true" => 1,
            "false" => 0,
            _ => return None,
        }),
        Datatype::Uint8 => number!(u8),
        Datatype::Uint16 => number!(u16),
        Datatype::Uint32 => number!(u32),
        Datatype::Uint64 => number!(u64),
        Datatype::Int8 => number!(i8),
        Datatype::Int16 => number!(i16),
        Datatype::Int32 => number!(i32),
        Datatype::Int64 => number!(i64),
        Datatype::Fp32 => {
            let value: f32 = text.parse().ok().filter(|value: &f32| value.is_finite())?;
            bytes.extend(value.to_le_bytes());
        }
        Datatype::Fp64 => {
            let value: f64 = text.parse().ok().filter(|value: &f64| value.is_finite())?;
            bytes.extend(value.to_le_bytes());
        }
        Datatype::Bytes => {
            let value: String = serde_json::from_str(text).ok()?;
            bytes.extend(u32::try_from(value.len()).ok()?.to_le_bytes());
            bytes.extend(value.as_bytes());
        }
        Datatype::Fp16 | Datatype::Bf16 => return None,
    }
    Some(())
}

/// Lists within lists, compared with a shape.
struct Nested<'a> {
    shape: &'a [usize],
    count: usize,
    /// Of the lists that are open, the outermost first.
    lengths: Vec<usize>,
    /// In how many lists the elements are.
    leaves: Option<usize>,
    found: usize,
}

impl Nested<'_> {
    fn open(&mut self) -> Result<(), TensorError> {
        self.lengths.push(0);
        match self.lengths.len() <= self.shape.len().max(1) {
            true => Ok(()),
            false => Err(self.nesting()),
        }
    }

    fn element(&mut self) -> Result<(), TensorError> {
        self.found += 1;
        if self.found > self.count {
            return Err(TensorError::TooMany {
                shape: self.shape.to_vec(),
                expected: self.count,
            });
        }
        let depth = self.lengths.len();
        if *self.leaves.get_or_insert(depth) != depth || (depth != 1 && depth != self.shape.len()) {
            return Err(self.nesting());
        }
        self.lengthen();
        Ok(())
    }

    fn close(&mut self) -> Result<(), TensorError> {
        let length = self.lengths.pop();
        let depth = self.lengths.len();
        let flat = depth == 0 && (self.leaves == Some(1) || length == Some(0));
        if !flat && length != self.shape.get(depth).copied() {
            return Err(self.nesting());
        }
        self.lengthen();
        Ok(())
    }

    fn lengthen(&mut self) {
        if let Some(length) = self.lengths.last_mut() {
            *length += 1;
        }
    }

    fn finish(self) -> Result<(), TensorError> {
        match self.found == self.count {
            true => Ok(()),
            false => Err(TensorError::TooFew {
                got: self.found,
                shape: self.shape.to_vec(),
                expected: self.count,
            }),
        }
    }

    fn nesting(&self) -> TensorError {
        TensorError::Nesting(self.shape.to_vec())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn floats(json: &str, shape: &[usize]) -> Result<Vec<f32>, TensorError> {
        let bytes = read(json, Datatype::Fp32, shape, shape.iter().product())?;
        let (floats, _) = bytes.as_chunks();
        Ok(floats
            .iter()
            .map(|&bytes| f32::from_le_bytes(bytes))
            .collect())
    }

    #[test]
    fn lists_are_flat_or_nested_as_the_shape() {
        for json in [
            "[1,2,3,4,5,6]",
            "[[1,2,3],[4,5,6]]",
            " [ [1 , 2,\n3], [4,\t5, 6e0 ] ] ".trim(),
        ] {
            assert_eq!(
                floats(json, &[2, 3]).unwrap(),
                [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]
            );
        }
        assert_eq!(floats("[7]", &[]).unwrap(), [7.0]);
        assert_eq!(floats("[[[7]]]", &[1, 1, 1]).unwrap(), [7.0]);
        for json in ["[]", "[[],[]]"] {
            assert_eq!(floats(json, &[2, 0]).unwrap(), [0.0; 0]);
        }
    }

    #[test]
    fn other_nestings_are_refused() {
        for (json, shape) in [
            ("[[1,2],[3,4,5,6]]", &[2, 3][..]),
            ("[[1,2,3],[4,5,6]]", &[3, 2]),
            ("[[1],[2]]", &[2]),
            ("[1,[2]]", &[2, 1]),
            ("[[1],2]", &[2, 1]),
            ("[[1,2],[3,4]]", &[2, 2, 1]),
            ("[[7]]", &[]),
            ("[[]]", &[0]),
            ("[[],[]]", &[3, 0]),
        ] {
            let error = floats(json, shape).unwrap_err();
            assert_eq!(error, TensorError::Nesting(shape.to_vec()), "{json}");
        }
        for (json, got) in [("[1]", 1), ("[]", 0)] {
            let error = floats(json, &[2, 1]).unwrap_err();
            assert!(matches!(error, TensorError::TooFew { got: found, .. } if found == got));
        }
        let error = floats("[1,2,3]", &[2, 1]).unwrap_err();
        assert!(matches!(error, TensorError::TooMany { .. }), "{error}");
    }

    #[test]
    fn numbers_are_rounded_once_and_must_fit() {
        // Halfway between two floats in 64 bits, but a little above it.
        assert_eq!(
            floats("[1.00000005960464478]", &[1]).unwrap(),
            [1.000_000_1]
        );
        for text in ["1e39", "-1e999", "null", "true", "\"1\"", "{}"] {
            let error = floats(&format!("[0,{text}]"), &[2]).unwrap_err();
            let named = format!("element 1 is {text}, which is no FP32");
            assert_eq!(error.to_string(), named);
        }
        for (datatype, text) in [
            (Datatype::Uint8, "256"),
            (Datatype::Int8, "-129"),
            (Datatype::Uint64, "18446744073709551616"),
            (Datatype::Int64, "9223372036854775808"),
            (Datatype::Int32, "1.0"),
            (Datatype::Bool, "1"),
            (Datatype::Bytes, "1"),
        ] {
            let error = read(&format!("[{text}]"), datatype, &[1], 1).unwrap_err();
            assert!(matches!(error, TensorError::Element { .. }), "{error}");
        }
    }

    #[test]
    fn byte_strings_may_hold_what_separates_elsewhere() {
        let json = r#"["a,]\"[\\", "", "\u00e9"]"#;
        let bytes = read(json, Datatype::Bytes, &[3], 3).unwrap();
        assert_eq!(bytes, *b"\x06\0\0\0a,]\"[\\\0\0\0\0\x02\0\0\0\xc3\xa9");
    }
}
