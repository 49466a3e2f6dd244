use std::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer, de};

/// Where a model is run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Provider {
    /// On the processor.
    #[default]
    Cpu,
    /// On an NVIDIA GPU, by its number. It takes an ONNX Runtime that was built for CUDA, such as that of the Python package
    /// `onnxruntime-gpu`, with the CUDA libraries that it names.
    Cuda(u16),
}

/// The text names no provider.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no execution provider: use `cpu`, `cuda`, or `cuda:1` for the second GPU")]
pub struct ParseProviderError(String);

impl FromStr for Provider {
    type Err = ParseProviderError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let number = match text {
            "cpu" => return Ok(Self::Cpu),
            "cuda" => Some(0),
            _ => text
                .strip_prefix("cuda:")
                .and_then(|number| number.parse().ok()),
        };
        number
            .map(Self::Cuda)
            .ok_or_else(|| ParseProviderError(text.to_owned()))
    }
}

impl fmt::Display for Provider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cpu => f.write_str("cpu"),
            Self::Cuda(number) => write!(f, "cuda:{number}"),
        }
    }
}

impl<'de> Deserialize<'de> for Provider {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn providers_are_read_as_they_are_written() {
        for (text, provider) in [
            ("cpu", Provider::Cpu),
            ("cuda:0", Provider::Cuda(0)),
            ("cuda:3", Provider::Cuda(3)),
        ] {
            assert_eq!(text.parse(), Ok(provider));
            assert_eq!(provider.to_string(), text);
        }
        assert_eq!("cuda".parse(), Ok(Provider::Cuda(0)));
        for text in ["", "gpu", "cuda:", "cuda:-1", "cuda:99999"] {
            let error = text.parse::<Provider>().unwrap_err().to_string();
            assert!(
                error.contains(&format!("`{text}`")) && error.contains("cuda:1"),
                "{error}"
            );
        }
    }
}
