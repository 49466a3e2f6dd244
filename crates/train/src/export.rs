use buckler_onnx::{Card, CleanNames, Input, Model, Training, clean};
use burn::module::{Module, Param};
use burn::tensor::{Device, Int, Tensor, TensorData};
use burn_onnx::export::{AxisSpec, InputSpec, OnnxExporter};

use crate::adversary::input_gradient;
use crate::checkpoint::{Checkpoint, CheckpointState};
use crate::error::TrainError;
use crate::head::{HeadConfig, unit};
use crate::network::Network;

/// A network whose head has its constants folded in: `s * w~` is one matrix.
#[derive(Module, Debug)]
struct Folded {
    network: Network,
    weight: Param<Tensor<2>>,
    bias: Option<Param<Tensor<1>>>,
    feature_norm: bool,
}

impl Folded {
    fn new(network: &Network) -> Self {
        Self {
            network: network.clone(),
            weight: Param::from_tensor(network.head.folded_weight()),
            bias: network.head.bias.clone(),
            feature_norm: network.head.feature_norm,
        }
    }

    fn forward(&self, images: Tensor<4>) -> (Tensor<2>, Tensor<2>) {
        let features = self.network.features(images);
        let direction = if self.feature_norm {
            unit(features.clone(), 1)
        } else {
            features.clone()
        };
        let logits = direction.matmul(self.weight.val());
        let logits = match &self.bias {
            Some(bias) => logits + bias.val().unsqueeze(),
            None => logits,
        };
        (logits, features)
    }
}

/// The checkpoint as an ONNX model: `image` `[batch, channels, height, width]` in `[0, 1]` to `logits`
/// `[batch, classes]` (for a hypersphere head `s * cosine`) and `features`, with its card in the metadata.
///
/// # Errors
/// When Burn's exporter refuses the network.
pub fn export(checkpoint: &Checkpoint, name: &str) -> Result<Model, TrainError> {
    let device = Device::flex();
    let network = checkpoint.network.clone().fork(&device).valid();
    let [channels, height, width] = checkpoint.state.image;
    let sample = |batch| Tensor::<4>::zeros([batch, channels, height, width], &device);
    let axes = [InputSpec::new([
        AxisSpec::dynamic("batch"),
        AxisSpec::Static,
        AxisSpec::Static,
        AxisSpec::Static,
    ])];
    let exported = OnnxExporter::new()
        .export_dynamic(
            &Folded::new(&network),
            sample(2),
            sample(3),
            &axes,
            Folded::forward,
        )
        .map_err(|error| TrainError::Export(error.to_string()))?;
    let mut model = clean(
        Model::from_bytes(exported.as_bytes())?,
        &CleanNames::default(),
    )?;
    model.set_card(&card(&checkpoint.state, name))?;
    Ok(model)
}

/// What the exported model states of itself.
pub fn card(state: &CheckpointState, name: &str) -> Card {
    let recipe = &state.recipe;
    let [channels, height, width] = state.image;
    let adversary = recipe.adversary.as_ref();
    // Weights from elsewhere: the recipe says what network they are of, not how they were trained.
    let imported = state.epochs == 0 && state.steps == 0;
    Card {
        name: name.to_owned(),
        description: recipe.description.clone(),
        classes: state.classes.clone(),
        input: Input {
            channels,
            height,
            width,
            // Of weights from elsewhere it is not known unless there are data.
            preprocessing: match &state.preprocessing {
                None if imported => None,
                stated => Some(stated.clone().unwrap_or_default()),
            },
            ..Input::default()
        },
        head: Some(match recipe.head {
            HeadConfig::Linear {} => buckler_onnx::Head::Linear,
            HeadConfig::Hypersphere {
                feature_norm,
                weight_norm,
                scale,
                margin,
            } => buckler_onnx::Head::Hypersphere {
                feature_norm,
                weight_norm,
                scale,
                margin,
            },
        }),
        training: (!imported).then(|| Training {
            recipe: recipe.name.clone(),
            framework: recipe.framework.name().to_owned(),
            // Without the folder, which is one of the machine that trained it.
            data: match recipe.data.split_once(':') {
                Some((name, _)) => name.to_owned(),
                None => recipe.data.clone(),
            },
            epochs: recipe.training.epochs,
            best_epoch: state.epochs,
            seed: recipe.seed,
            norm: adversary.map(|adversary| adversary.norm.to_string()),
            eps: adversary.map(|adversary| adversary.eps.to_string()),
        }),
        ..Card::default()
    }
}

/// The trainer's own logits `[batch, classes]`, row by row, for checking an export against.
///
/// # Errors
/// When `pixels` is not a whole number of images.
pub fn logits(checkpoint: &Checkpoint, pixels: &[f32]) -> Result<Vec<f32>, TrainError> {
    let logits = checkpoint
        .network
        .forward(tensor(checkpoint, pixels)?)
        .logits;
    values(logits)
}

/// The trainer's own gradient of cross-entropy with respect to the pixels, row by row.
///
/// # Errors
/// When `pixels` is not a whole number of images, one for each label.
pub fn gradient(
    checkpoint: &Checkpoint,
    pixels: &[f32],
    labels: &[usize],
) -> Result<Vec<f32>, TrainError> {
    let images = tensor(checkpoint, pixels)?;
    if images.dims()[0] != labels.len() {
        return Err(TrainError::Export(format!(
            "{} images with {} labels",
            images.dims()[0],
            labels.len()
        )));
    }
    let labels: Vec<i64> = labels.iter().map(|label| *label as i64).collect();
    let count = labels.len();
    let labels = Tensor::<1, Int>::from_data(TensorData::new(labels, [count]), &images.device());
    values(input_gradient(&checkpoint.network, images, labels))
}

fn tensor(checkpoint: &Checkpoint, pixels: &[f32]) -> Result<Tensor<4>, TrainError> {
    let [channels, height, width] = checkpoint.state.image;
    let size = channels * height * width;
    if pixels.is_empty() || !pixels.len().is_multiple_of(size) {
        return Err(TrainError::Export(format!(
            "{} pixel values are not a whole number of images of {size}",
            pixels.len()
        )));
    }
    let shape = [pixels.len() / size, channels, height, width];
    let device = checkpoint
        .network
        .devices()
        .first()
        .cloned()
        .unwrap_or_else(Device::flex);
    Ok(Tensor::from_data(
        TensorData::new(pixels.to_vec(), shape),
        &device,
    ))
}

fn values<const D: usize>(tensor: Tensor<D>) -> Result<Vec<f32>, TrainError> {
    tensor
        .into_data()
        .try_to_vec()
        .map_err(|error| TrainError::Export(format!("{error:?}")))
}
