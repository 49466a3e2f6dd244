use std::fmt;

use half::{bf16, f16};

/// What a tensor's elements are (Open Inference Protocol V2, "Tensor Data Types").
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Datatype {
    Bool,
    Uint8,
    Uint16,
    Uint32,
    Uint64,
    Int8,
    Int16,
    Int32,
    Int64,
    Fp16,
    Bf16,
    Fp32,
    Fp64,
    Bytes,
}

impl Datatype {
    pub const ALL: [Self; 14] = [
        Self::Bool,
        Self::Uint8,
        Self::Uint16,
        Self::Uint32,
        Self::Uint64,
        Self::Int8,
        Self::Int16,
        Self::Int32,
        Self::Int64,
        Self::Fp16,
        Self::Bf16,
        Self::Fp32,
        Self::Fp64,
        Self::Bytes,
    ];

    pub fn named(name: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|datatype| datatype.name() == name)
    }

    /// Of a model's output, by the name of its elements as Python's libraries write it; other types are not given.
    pub fn of_elements(name: &str) -> Self {
        match name {
            "bool" => Self::Bool,
            "uint8" => Self::Uint8,
            "uint16" => Self::Uint16,
            "uint32" => Self::Uint32,
            "uint64" => Self::Uint64,
            "int8" => Self::Int8,
            "int16" => Self::Int16,
            "int32" => Self::Int32,
            "int64" => Self::Int64,
            "float64" => Self::Fp64,
            _ => Self::Fp32,
        }
    }

    pub fn name(self) -> &'static str {
        match self {
            Self::Bool => "BOOL",
            Self::Uint8 => "UINT8",
            Self::Uint16 => "UINT16",
            Self::Uint32 => "UINT32",
            Self::Uint64 => "UINT64",
            Self::Int8 => "INT8",
            Self::Int16 => "INT16",
            Self::Int32 => "INT32",
            Self::Int64 => "INT64",
            Self::Fp16 => "FP16",
            Self::Bf16 => "BF16",
            Self::Fp32 => "FP32",
            Self::Fp64 => "FP64",
            Self::Bytes => "BYTES",
        }
    }

    /// The bytes of one element; `None` where elements tell their own length.
    pub fn size(self) -> Option<usize> {
        match self {
            Self::Bool => Some(size_of::<u8>()),
            Self::Uint8 => Some(size_of::<u8>()),
            Self::Uint16 => Some(size_of::<u16>()),
            Self::Uint32 => Some(size_of::<u32>()),
            Self::Uint64 => Some(size_of::<u64>()),
            Self::Int8 => Some(size_of::<i8>()),
            Self::Int16 => Some(size_of::<i16>()),
            Self::Int32 => Some(size_of::<i32>()),
            Self::Int64 => Some(size_of::<i64>()),
            Self::Fp16 => Some(size_of::<f16>()),
            Self::Bf16 => Some(size_of::<bf16>()),
            Self::Fp32 => Some(size_of::<f32>()),
            Self::Fp64 => Some(size_of::<f64>()),
            Self::Bytes => None,
        }
    }

    /// The fewest bytes that an element takes: a byte string is a length and the bytes.
    pub fn least_size(self) -> usize {
        self.size().unwrap_or(size_of::<u32>())
    }

    /// JSON has numbers of 64 bits, and the protocol gives the short floats no form in it.
    pub fn has_json(self) -> bool {
        !matches!(self, Self::Fp16 | Self::Bf16)
    }
}

impl fmt::Display for Datatype {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
