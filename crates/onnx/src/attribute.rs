use prost::bytes::Bytes;

use crate::proto::{AttributeProto, AttributeType};

impl AttributeProto {
    /// An integer.
    pub fn int(name: &str, value: i64) -> Self {
        Self {
            i: Some(value),
            ..Self::named(name, AttributeType::Int)
        }
    }

    /// A list of integers.
    pub fn ints(name: &str, values: impl Into<Vec<i64>>) -> Self {
        Self {
            ints: values.into(),
            ..Self::named(name, AttributeType::Ints)
        }
    }

    /// A float.
    pub fn float(name: &str, value: f32) -> Self {
        Self {
            f: Some(value),
            ..Self::named(name, AttributeType::Float)
        }
    }

    /// A string.
    pub fn string(name: &str, value: &str) -> Self {
        Self {
            s: Some(Bytes::copy_from_slice(value.as_bytes())),
            ..Self::named(name, AttributeType::String)
        }
    }

    fn named(name: &str, kind: AttributeType) -> Self {
        Self {
            name: name.into(),
            r#type: kind.into(),
            ..Self::default()
        }
    }
}
