use std::path::Path;

use burn::module::{Module, Param};
use burn::nn::{Linear, LinearConfig};
use burn::store::{ModuleSnapshot, PytorchStore};
use burn::tensor::Device;

use crate::checkpoint::{Checkpoint, CheckpointState};
use crate::error::TrainError;
use crate::head::unit;
use crate::network::{Body, Network, Precision};
use crate::recipe::Recipe;

/// A network as PyTorch's checkpoints hold it: the last layer is a linear one of its own.
#[derive(Module, Debug)]
struct Released {
    body: Body,
    fc: Linear,
}

/// Where a state dict may lie inside a checkpoint.
const STATE_DICTS: [Option<&str>; 4] = [None, Some("state_dict"), Some("net"), Some("model")];

/// From the names of the released checkpoints (TRADES and its descendants, torchvision, kuangliu's PreActResNet) to
/// ours, as regular expressions, in this order.
const NAMES: [(&str, &str); 10] = [
    (r"^module\.", ""),
    (r"^(feature_extractor|classifier)\.", ""),
    (r"^(linear|fc3)\.", "fc."),
    (r"^fc1\.", "hidden1."),
    (r"^fc2\.", "hidden2."),
    (r"\.convShortcut\.", ".conv_shortcut."),
    (r"\.shortcut\.0\.", ".conv_shortcut."),
    (r"\.downsample\.0\.", ".downsample.conv."),
    (r"\.downsample\.1\.", ".downsample.bn."),
    (r"^(conv|bn|block|layer|hidden)(\d*)\.", "body.$1$2."),
];

impl Checkpoint {
    /// A PyTorch checkpoint (`.pt`, `.pth`) of the recipe's network for images of `[channels, height, width]`.
    ///
    /// The released hypersphere models normalise the rows of their last layer in the forward pass and may be saved with
    /// rows of other lengths: they are given unit length here. Input normalisation is the recipe's.
    ///
    /// # Errors
    /// When the file cannot be read, or is of another network; names the tensors that are missing or of another shape.
    pub fn from_pytorch(
        path: &Path,
        recipe: &Recipe,
        image: [usize; 3],
        classes: Vec<String>,
        device: &Device,
    ) -> Result<Self, TrainError> {
        let mut network = Network::init(
            &recipe.network,
            recipe.normalization.as_ref(),
            &recipe.head,
            image,
            classes.len(),
            Precision::F32,
            device,
        )?;
        let released = Released {
            fc: LinearConfig::new(network.body.features(), classes.len())
                .with_bias(network.head.bias.is_some())
                .init(device),
            body: network.body,
        };
        let released = load(path, &released)?;
        let weight = released.fc.weight.val();
        network.head.weight = Param::from_tensor(if network.head.weight_norm {
            unit(weight, 0)
        } else {
            weight
        });
        network.head.bias = released.fc.bias;
        network.body = released.body;
        let state = CheckpointState {
            recipe: recipe.clone(),
            epochs: 0,
            steps: 0,
            loss_sum: 0.0,
            skipped: 0,
            image,
            classes,
        };
        Ok(Self {
            network: network.valid(),
            state,
        })
    }
}

fn load(path: &Path, fresh: &Released) -> Result<Released, TrainError> {
    let wrong = |reason: String| TrainError::Checkpoint {
        path: path.to_owned(),
        reason,
    };
    let mut first = None;
    for key in STATE_DICTS {
        let mut store = PytorchStore::from_file(path)
            // Blocks are numbered from 0 without gaps, and what is numbered otherwise has names of its own here.
            .map_indices_contiguous(false)
            .validate(false)
            .allow_partial(true);
        for (from, to) in NAMES {
            store = store.with_key_remapping(from, to);
        }
        if let Some(key) = key {
            store = store.with_top_level_key(key);
        }
        let mut released = fresh.clone();
        let reason = match released.load_from(&mut store) {
            Ok(result) if result.missing.is_empty() && result.errors.is_empty() => {
                return Ok(released);
            }
            Ok(result) if result.applied.is_empty() => {
                "it holds no tensor of the recipe's network".to_owned()
            }
            Ok(result) => {
                let mut faults: Vec<String> = result
                    .errors
                    .iter()
                    .map(|error| format!("{error}"))
                    .collect();
                faults.extend(
                    result
                        .missing
                        .iter()
                        .map(|(name, _)| format!("{name} is missing")),
                );
                let more = faults.len().saturating_sub(3);
                faults.truncate(3);
                let more = if more > 0 {
                    format!(", and {more} more")
                } else {
                    String::new()
                };
                return Err(wrong(format!(
                    "it is of another network than the recipe's: {}{more}",
                    faults.join("; ")
                )));
            }
            Err(error) => error.to_string(),
        };
        first.get_or_insert(reason);
    }
    Err(wrong(first.unwrap_or_default()))
}
