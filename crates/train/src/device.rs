use std::{fmt, str::FromStr};

use burn::tensor::Device;

use crate::TrainError;

/// Where tensors live: `cpu` or `cuda:N`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ComputeDevice {
    /// Burn's pure Rust backend, `flex`.
    #[default]
    Cpu,
    /// A CUDA device by its index.
    Cuda(usize),
}

impl ComputeDevice {
    /// The devices that this build can reach on this machine, the CPU first.
    pub fn available() -> Vec<Self> {
        let mut devices = vec![Self::Cpu];
        devices.extend((0..cuda_devices()).map(Self::Cuda));
        devices
    }

    /// The Burn device.
    ///
    /// # Errors
    /// When this build or this machine does not have it: Burn itself would panic without a driver.
    pub fn open(self) -> Result<Device, TrainError> {
        match self {
            Self::Cpu => Ok(Device::flex()),
            Self::Cuda(index) => open_cuda(index),
        }
    }
}

/// The device that holds the weights.
pub(crate) fn first(devices: &[Device]) -> Result<Device, TrainError> {
    devices
        .first()
        .cloned()
        .ok_or_else(|| TrainError::Device("no device to train on: name one, such as `cpu`".into()))
}

#[cfg(feature = "cuda")]
fn cuda_devices() -> usize {
    use burn::tensor::DeviceType;
    // Without libcuda the enumeration panics inside the bindings; no driver is no device.
    std::panic::catch_unwind(|| Device::enumerate(DeviceType::Cuda).into_vec().len()).unwrap_or(0)
}

#[cfg(not(feature = "cuda"))]
fn cuda_devices() -> usize {
    0
}

#[cfg(feature = "cuda")]
fn open_cuda(index: usize) -> Result<Device, TrainError> {
    let found = cuda_devices();
    if index < found {
        Ok(Device::cuda(index))
    } else {
        Err(TrainError::Device(format!(
            "device cuda:{index}: this machine shows {found} CUDA device(s); check the driver with `nvidia-smi`, or use device `cpu`"
        )))
    }
}

#[cfg(not(feature = "cuda"))]
fn open_cuda(index: usize) -> Result<Device, TrainError> {
    Err(TrainError::Device(format!(
        "device cuda:{index}: this binary was built without CUDA; build it with the feature `cuda`, or use device `cpu`"
    )))
}

impl fmt::Display for ComputeDevice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cpu => f.write_str("cpu"),
            Self::Cuda(index) => write!(f, "cuda:{index}"),
        }
    }
}

/// The text names no device.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown device `{0}`: use `cpu`, `cuda` or `cuda:N`")]
pub struct ParseDeviceError(String);

impl FromStr for ComputeDevice {
    type Err = ParseDeviceError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "cpu" => Ok(Self::Cpu),
            "cuda" => Ok(Self::Cuda(0)),
            _ => text
                .strip_prefix("cuda:")
                .and_then(|index| index.parse().ok())
                .map(Self::Cuda)
                .ok_or_else(|| ParseDeviceError(text.to_owned())),
        }
    }
}
