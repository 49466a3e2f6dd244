use prost::bytes::Bytes;

use crate::proto::{DataType, TensorProto};

impl DataType {
    /// The name as Python's libraries write it: `float32`, `int64`, `bool`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Undefined => "undefined",
            Self::Float => "float32",
            Self::Uint8 => "uint8",
            Self::Int8 => "int8",
            Self::Uint16 => "uint16",
            Self::Int16 => "int16",
            Self::Int32 => "int32",
            Self::Int64 => "int64",
            Self::String => "string",
            Self::Bool => "bool",
            Self::Float16 => "float16",
            Self::Double => "float64",
            Self::Uint32 => "uint32",
            Self::Uint64 => "uint64",
            Self::Complex64 => "complex64",
            Self::Complex128 => "complex128",
            Self::Bfloat16 => "bfloat16",
            Self::Float8e4m3fn => "float8e4m3fn",
            Self::Float8e4m3fnuz => "float8e4m3fnuz",
            Self::Float8e5m2 => "float8e5m2",
            Self::Float8e5m2fnuz => "float8e5m2fnuz",
            Self::Uint4 => "uint4",
            Self::Int4 => "int4",
            Self::Float4e2m1 => "float4e2m1",
            Self::Float8e8m0 => "float8e8m0",
            Self::Uint2 => "uint2",
            Self::Int2 => "int2",
            Self::Float6e2m3 => "float6e2m3",
            Self::Float6e3m2 => "float6e3m2",
        }
    }

    /// Bits of one element in `raw_data`; `None` where elements have no fixed size.
    pub fn bits(self) -> Option<u64> {
        Some(match self {
            Self::Undefined | Self::String => return None,
            Self::Uint2 | Self::Int2 => 2,
            Self::Uint4 | Self::Int4 | Self::Float4e2m1 => 4,
            Self::Float6e2m3 | Self::Float6e3m2 => 6,
            Self::Uint8
            | Self::Int8
            | Self::Bool
            | Self::Float8e4m3fn
            | Self::Float8e4m3fnuz
            | Self::Float8e5m2
            | Self::Float8e5m2fnuz
            | Self::Float8e8m0 => 8,
            Self::Uint16 | Self::Int16 | Self::Float16 | Self::Bfloat16 => 16,
            Self::Float | Self::Int32 | Self::Uint32 => 32,
            Self::Int64 | Self::Uint64 | Self::Double | Self::Complex64 => 64,
            Self::Complex128 => 128,
        })
    }
}

impl TensorProto {
    /// A float tensor; `values` are rows first.
    pub fn floats(name: &str, dims: &[i64], values: &[f32]) -> Self {
        let bytes: Vec<u8> = values.iter().flat_map(|v| v.to_le_bytes()).collect();
        Self::raw(name, dims, DataType::Float, bytes)
    }

    /// An int64 tensor; `values` are rows first.
    pub fn int64s(name: &str, dims: &[i64], values: &[i64]) -> Self {
        let bytes: Vec<u8> = values.iter().flat_map(|v| v.to_le_bytes()).collect();
        Self::raw(name, dims, DataType::Int64, bytes)
    }

    /// The elements of a float, double, int32 or int64 tensor; `None` for other types.
    pub fn to_f64s(&self) -> Option<Vec<f64>> {
        let raw = self.raw_data.as_deref().filter(|raw| !raw.is_empty());
        Some(match (DataType::try_from(self.data_type).ok()?, raw) {
            (DataType::Float, Some(raw)) => elements(raw, |b| f32::from_le_bytes(b).into()),
            (DataType::Float, None) => self.float_data.iter().map(|&v| v.into()).collect(),
            (DataType::Double, Some(raw)) => elements(raw, f64::from_le_bytes),
            (DataType::Double, None) => self.double_data.clone(),
            _ => self.to_i64s()?.into_iter().map(|v| v as f64).collect(),
        })
    }

    /// The elements of an int32, int64 or bool tensor; `None` for other types.
    pub fn to_i64s(&self) -> Option<Vec<i64>> {
        let raw = self.raw_data.as_deref().filter(|raw| !raw.is_empty());
        Some(match (DataType::try_from(self.data_type).ok()?, raw) {
            (DataType::Int64, Some(raw)) => elements(raw, i64::from_le_bytes),
            (DataType::Int64, None) => self.int64_data.clone(),
            (DataType::Int32, Some(raw)) => elements(raw, |b| i32::from_le_bytes(b).into()),
            (DataType::Bool, Some(raw)) => raw.iter().map(|&b| (b != 0).into()).collect(),
            (DataType::Int32 | DataType::Bool, None) => {
                self.int32_data.iter().map(|&v| v.into()).collect()
            }
            _ => return None,
        })
    }

    fn raw(name: &str, dims: &[i64], kind: DataType, bytes: Vec<u8>) -> Self {
        Self {
            name: name.into(),
            dims: dims.to_vec(),
            data_type: kind.into(),
            raw_data: Some(Bytes::from(bytes)),
            ..Self::default()
        }
    }
}

fn elements<const N: usize, T>(raw: &[u8], decode: impl Fn([u8; N]) -> T) -> Vec<T> {
    raw.chunks_exact(N)
        .filter_map(|chunk| chunk.try_into().ok())
        .map(decode)
        .collect()
}
