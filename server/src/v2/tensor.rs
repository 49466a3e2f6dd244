use std::borrow::Cow;

use serde::{Serialize, Serializer, ser::Error};

use super::{datatype::Datatype, elements, error::TensorError};

/// A named array.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Tensor<'a> {
    pub name: Cow<'a, str>,
    pub datatype: Datatype,
    pub shape: Vec<usize>,
    /// Row-major and little-endian, as the binary extension sends it. It fits the datatype and the shape.
    pub data: Cow<'a, [u8]>,
}

/// What is known of a tensor before its data is looked at.
#[derive(Debug)]
pub(super) struct Form {
    datatype: Datatype,
    shape: Vec<usize>,
    count: usize,
}

impl Form {
    /// `limit` is for the bytes of the tensor.
    pub fn new(datatype: &str, shape: &[i64], limit: usize) -> Result<Self, TensorError> {
        let datatype = Datatype::named(datatype)
            .ok_or_else(|| TensorError::Datatype(datatype.chars().take(32).collect()))?;
        if shape.iter().any(|&size| size < 0) {
            return Err(TensorError::NegativeSize(shape.to_vec()));
        }
        let too_large = || TensorError::TooLarge {
            shape: shape.to_vec(),
            datatype,
            limit,
        };
        let sizes: Option<Vec<usize>> = shape.iter().map(|&size| size.try_into().ok()).collect();
        let sizes = sizes.ok_or_else(too_large)?;
        // Where one size is 0, the others are still bounded.
        let mut extents = sizes.iter().filter(|&&size| size > 0);
        let extent = extents.try_fold(1usize, |product, &size| product.checked_mul(size));
        let extent = extent
            .filter(|extent| {
                extent
                    .checked_mul(datatype.least_size())
                    .is_some_and(|bytes| bytes <= limit)
            })
            .ok_or_else(too_large)?;
        Ok(Self {
            datatype,
            count: if sizes.contains(&0) { 0 } else { extent },
            shape: sizes,
        })
    }

    /// With elements in JSON.
    pub fn with_json<'a>(self, name: Cow<'a, str>, json: &str) -> Result<Tensor<'a>, TensorError> {
        let data = elements::read(json, self.datatype, &self.shape, self.count)?;
        Ok(self.with(name, data.into()))
    }

    /// With elements as they are in binary.
    pub fn with_binary<'a>(
        self,
        name: Cow<'a, str>,
        data: &'a [u8],
    ) -> Result<Tensor<'a>, TensorError> {
        match self.datatype.size() {
            Some(size) if size * self.count != data.len() => {
                return Err(TensorError::Size {
                    got: data.len(),
                    datatype: self.datatype,
                    expected: size * self.count,
                    shape: self.shape,
                });
            }
            Some(_) => {}
            None => check_byte_strings(data, self.count)?,
        }
        if self.datatype == Datatype::Bool
            && let Some((index, &byte)) = data.iter().enumerate().find(|(_, byte)| **byte > 1)
        {
            return Err(TensorError::Bool { index, byte });
        }
        Ok(self.with(name, data.into()))
    }

    fn with<'a>(self, name: Cow<'a, str>, data: Cow<'a, [u8]>) -> Tensor<'a> {
        Tensor {
            name,
            datatype: self.datatype,
            shape: self.shape,
            data,
        }
    }
}

/// A tensor's elements in JSON: a flat list.
pub(super) struct Elements<'a>(pub &'a Tensor<'a>);

impl Serialize for Elements<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let Tensor { datatype, data, .. } = self.0;
        macro_rules! numbers {
            ($type:ty) => {{
                let (elements, _) = data.as_chunks();
                to.collect_seq(elements.iter().map(|&bytes| <$type>::from_le_bytes(bytes)))
            }};
        }
        macro_rules! finite {
            ($type:ty) => {{
                let (elements, _) = data.as_chunks();
                let mut values = elements.iter().map(|&bytes| <$type>::from_le_bytes(bytes));
                match values
                    .clone()
                    .enumerate()
                    .find(|(_, value)| !value.is_finite())
                {
                    Some((index, value)) => {
                        Err(S::Error::custom(format!("element {index} is {value}")))
                    }
                    None => to.collect_seq(&mut values),
                }
            }};
        }
        match datatype {
            Datatype::Bool => to.collect_seq(data.iter().map(|&byte| byte != 0)),
            Datatype::Uint8 => numbers!(u8),
            Datatype::Uint16 => numbers!(u16),
            Datatype::Uint32 => numbers!(u32),
            Datatype::Uint64 => numbers!(u64),
            Datatype::Int8 => numbers!(i8),
            Datatype::Int16 => numbers!(i16),
            Datatype::Int32 => numbers!(i32),
            Datatype::Int64 => numbers!(i64),
            Datatype::Fp16 | Datatype::Bf16 => Err(S::Error::custom(datatype)),
            Datatype::Fp32 => finite!(f32),
            Datatype::Fp64 => finite!(f64),
            Datatype::Bytes => {
                let texts: Result<Vec<&str>, _> = ByteStrings(data)
                    .enumerate()
                    .map(|(index, bytes)| {
                        let text = bytes.and_then(|bytes| std::str::from_utf8(bytes).ok());
                        text.ok_or_else(|| S::Error::custom(format!("element {index} is no UTF-8")))
                    })
                    .collect();
                to.collect_seq(texts?)
            }
        }
    }
}

fn check_byte_strings(data: &[u8], expected: usize) -> Result<(), TensorError> {
    let whole = ByteStrings(data)
        .take_while(Option::is_some)
        .take(expected)
        .count();
    match (whole == expected, ByteStrings(data).nth(expected)) {
        (true, None) => Ok(()),
        _ => Err(TensorError::ByteStrings {
            expected,
            index: whole,
        }),
    }
}

/// Elements of BYTES, each a 32-bit little-endian length and the bytes; the last is `None` where it is cut off.
struct ByteStrings<'a>(&'a [u8]);

impl<'a> Iterator for ByteStrings<'a> {
    type Item = Option<&'a [u8]>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let element = self.0.split_first_chunk().and_then(|(length, rest)| {
            let length = u32::from_le_bytes(*length).try_into().ok()?;
            rest.split_at_checked(length)
        });
        let (bytes, rest) = element.unzip();
        self.0 = rest.unwrap_or_default();
        Some(bytes)
    }
}
