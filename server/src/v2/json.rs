//! Limits on JSON, kept while it is read.
use std::{fmt, marker::PhantomData};

use serde::{
    Deserialize, Deserializer,
    de::{Error, MapAccess, SeqAccess, Visitor, value::MapAccessDeserializer},
};

use super::error::ProtocolError;

/// Levels of lists and objects in a request.
pub(crate) const MAX_DEPTH: usize = 64;
/// Axes of a tensor.
pub(crate) const MAX_AXES: usize = 32;
/// Inputs or outputs in one request.
pub(crate) const MAX_TENSORS: usize = 64;

/// Whether JSON, valid or not, is nested deeper than allowed.
pub(crate) fn check_depth(json: &[u8]) -> Result<(), ProtocolError> {
    let (mut depth, mut in_text, mut escaped) = (0usize, false, false);
    for &byte in json {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = in_text,
            b'"' => in_text = !in_text,
            b'[' | b'{' if !in_text => {
                depth += 1;
                if depth > MAX_DEPTH {
                    return Err(ProtocolError::TooDeep);
                }
            }
            b']' | b'}' if !in_text => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    Ok(())
}

/// A list of so many elements at most; one more is an error before it is read.
#[derive(Debug)]
pub(super) struct AtMost<T, const N: usize>(pub Vec<T>);

impl<T, const N: usize> Default for AtMost<T, N> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<'de, T: Deserialize<'de>, const N: usize> Deserialize<'de> for AtMost<T, N> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(Elements(PhantomData))
    }
}

struct Elements<T, const N: usize>(PhantomData<T>);

impl<'de, T: Deserialize<'de>, const N: usize> Visitor<'de> for Elements<T, N> {
    type Value = AtMost<T, N>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a list of at most {N} elements")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
        let mut elements = Vec::new();
        while let Some(element) = list.next_element()? {
            if elements.len() == N {
                return Err(A::Error::invalid_length(N + 1, &self));
            }
            elements.push(element);
        }
        Ok(AtMost(elements))
    }
}

/// What derived code reads from a list too, from an object alone.
#[derive(Debug, Default)]
pub(super) struct Object<T>(pub T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Members(PhantomData))
    }
}

struct Members<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for Members<T> {
    type Value = Object<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
        T::deserialize(MapAccessDeserializer::new(map)).map(Object)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn depth_counts_lists_and_objects_outside_of_text() {
        let nested = |levels: usize| [vec![b'['; levels], vec![b']'; levels]].concat();
        assert_eq!(check_depth(&nested(MAX_DEPTH)), Ok(()));
        assert_eq!(
            check_depth(&nested(MAX_DEPTH + 1)),
            Err(ProtocolError::TooDeep)
        );
        let beside = "[{},".repeat(10) + &"[],{},".repeat(100);
        assert_eq!(check_depth(beside.as_bytes()), Ok(()));
        let text = format!(r#"["{}\"{}\\"]"#, "[".repeat(100), "{".repeat(100));
        assert_eq!(check_depth(text.as_bytes()), Ok(()));
    }

    #[test]
    fn a_list_that_is_too_long_is_an_error_that_names_the_limit() {
        let read = serde_json::from_str::<AtMost<u8, 3>>;
        assert_eq!(read("[1, 2, 3]").unwrap().0, [1, 2, 3]);
        let error = read("[1, 2, 3, 4]").unwrap_err().to_string();
        assert!(error.contains("at most 3"), "{error}");
    }
}
