//! PyTorch checkpoints: every tensor of the file is used, or the file is refused.

use std::collections::BTreeMap;
use std::path::Path;

use burn::module::{Module, ModuleMapper, Param};
use burn::nn::{Linear, LinearConfig};
use burn::tensor::{Device, Tensor, TensorData};

use crate::checkpoint::{Checkpoint, CheckpointState};
use crate::error::TrainError;
use crate::head::unit;
use crate::network::{BATCH_NORM_EPSILON, Body, Network, NetworkConfig, Precision, ShortcutInput};
use crate::recipe::Recipe;

mod file;
mod names;
mod negation;
mod refusal;
mod zip64;

use file::{Refused, StateDict, Stored};
use names::Names;
use refusal::{listed, refusal};

/// A network as PyTorch's checkpoints hold it: the last layer is a linear one of its own.
#[derive(Module, Debug)]
struct Released {
    body: Body,
    fc: Linear,
}

/// What is in a PyTorch file, besides the recipe that says what it is of.
#[derive(Clone, Debug)]
pub struct PytorchFile<'a> {
    /// The file, `.pt` or `.pth`.
    pub path: &'a Path,
    /// Key of the state dict in it, for files with several, such as `ema`.
    pub weights: Option<&'a str>,
    /// `[channels, height, width]` of the images that it classifies.
    pub image: [usize; 3],
    /// Names of the classes in the order of the logits.
    pub classes: Vec<String>,
}

/// An imported network.
#[derive(Clone, Debug)]
pub struct Imported {
    /// The network, as a checkpoint of no epochs.
    pub checkpoint: Checkpoint,
    /// What was converted or left out, for people.
    pub notes: Vec<String>,
}

impl Checkpoint {
    /// A PyTorch checkpoint of the recipe's network.
    ///
    /// Every tensor of the state dict is used, but for counters of batches (`num_batches_tracked`) and TRADES' unused
    /// `sub_block1`. The released hypersphere models normalise the rows of their last layer in the forward pass and may be
    /// saved with rows of other lengths: they are given unit length here. Input normalisation is the recipe's: a state
    /// dict does not say what the images went through.
    ///
    /// # Errors
    /// When the file cannot be read or is of another network: names the tensors that are left over, missing or of another
    /// shape, as the file does.
    pub fn from_pytorch(
        file: PytorchFile<'_>,
        recipe: &Recipe,
        device: &Device,
    ) -> Result<Imported, TrainError> {
        let wrong = |reason: String| TrainError::Checkpoint {
            path: file.path.to_owned(),
            reason,
        };
        recipe.check().map_err(TrainError::Recipe)?;
        check_classes(&file.classes)?;
        let stored = StateDict::read(file.path, file.weights).map_err(|refused| match refused {
            Refused::SeveralStateDicts(reason) => TrainError::SeveralStateDicts {
                path: file.path.to_owned(),
                reason,
            },
            Refused::Other(reason) => wrong(reason),
        })?;
        let mut recipe = recipe.clone();
        let normalized = take_normalization(&stored, &mut recipe).map_err(&wrong)?;
        let mut network = Network::init(
            &recipe.network,
            recipe.normalization.as_ref(),
            &recipe.head,
            file.image,
            file.classes.len(),
            Precision::F32,
            device,
        )?;
        let released = Released {
            fc: LinearConfig::new(network.body.features(), file.classes.len())
                .with_bias(network.head.bias.is_some())
                .init(device),
            body: network.body,
        };
        let names = Names::new(&recipe.network);
        let (released, mut notes) = fill(released, stored, &names, &recipe).map_err(&wrong)?;
        notes.extend(normalized);
        notes.push(assumed(&recipe.network));
        let weight = released.fc.weight.val();
        network.head.weight = Param::from_tensor(if network.head.weight_norm {
            notes.extend(of_other_lengths(&weight));
            notes.push(
                "assumed: the last layer was trained with normalised rows, as the recipe's hypersphere head has them; a linear layer without a bias has the same names"
                    .to_owned(),
            );
            unit(weight, 0)
        } else {
            weight
        });
        network.head.bias = released.fc.bias;
        network.body = released.body;
        recipe.description = format!(
            "weights from PyTorch, the network of recipe {}",
            recipe.name
        );
        let state = CheckpointState::new(recipe, file.image, file.classes);
        Ok(Imported {
            checkpoint: Self {
                network: network.valid(),
                state,
            },
            notes,
        })
    }
}

/// A classifier chooses between classes.
pub(crate) fn check_classes(classes: &[String]) -> Result<(), TrainError> {
    match classes {
        [] | [_] => Err(TrainError::Recipe(format!(
            "the data set has {} class(es){}: a classifier needs at least 2",
            classes.len(),
            classes.first().map_or(String::new(), |class| format!(
                " (`{}`)",
                class.escape_debug()
            ))
        ))),
        _ => Ok(()),
    }
}

/// That a normalisation which the file states is the recipe's; takes the file's digits, and says so.
fn take_normalization(stored: &StateDict, recipe: &mut Recipe) -> Result<Option<String>, String> {
    let Some(found) = &stored.normalization else {
        return Ok(None);
    };
    // Published with three or four digits: what is closer is the same, with the file's digits.
    let close = |a: &[f32], b: &[f32]| {
        a.len() == b.len() && a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-3)
    };
    match &mut recipe.normalization {
        Some(config) if close(&config.mean, &found.mean) && close(&config.std, &found.std) => {
            let same = config.mean == found.mean && config.std == found.std;
            config.mean.clone_from(&found.mean);
            config.std.clone_from(&found.std);
            Ok(Some(match same {
                true => format!("{} of the file are the recipe's normalisation", found.names),
                false => format!(
                    "normalisation: mean {:?} and std {:?} as {} of the file, which are the recipe's but for rounding",
                    found.mean, found.std, found.names
                ),
            }))
        }
        // The same function as without it.
        None if found.changes_nothing() => Ok(Some(format!(
            "{} of the file change no pixel (mean 0, std 1) and were left out",
            found.names
        ))),
        config => Err(format!(
            "it normalises images by mean {:?} and std {:?} ({}), and the recipe {}",
            found.mean,
            found.std,
            found.names,
            config
                .as_ref()
                .map_or("does not normalise them".to_owned(), |config| format!(
                    "by mean {:?} and std {:?}",
                    config.mean, config.std
                ))
        )),
    }
}

/// Puts the file's tensors into the network.
fn fill(
    fresh: Released,
    dict: StateDict,
    names: &Names,
    recipe: &Recipe,
) -> Result<(Released, Vec<String>), String> {
    let mut notes = dict.notes;
    let prefix = dict.prefix;
    let mut tensors: BTreeMap<String, Stored> = BTreeMap::new();
    let mut unused: BTreeMap<&str, usize> = BTreeMap::new();
    for (name, stored) in dict.tensors {
        if let Some(kind) = names.harmless(&name) {
            *unused.entry(kind).or_default() += 1;
            continue;
        }
        let ours = names.ours(&name);
        if let Some(other) = tensors.get(&ours) {
            return Err(format!(
                "it holds two tensors for one of the network's: `{}` and `{}`",
                other.name(),
                stored.name()
            ));
        }
        tensors.insert(ours, stored);
    }
    let blocks = names.described(tensors.keys().map(String::as_str));
    let mut filler = Filler {
        tensors,
        names,
        prefix: &prefix,
        path: Vec::new(),
        missing: Vec::new(),
        faults: Vec::new(),
        unusable: Vec::new(),
        converted: BTreeMap::new(),
    };
    let released = fresh.map(&mut filler);
    let left_over: Vec<&str> = filler.tensors.values().map(Stored::name).collect();
    if filler.missing.is_empty() && filler.faults.is_empty() && left_over.is_empty() {
        if !filler.unusable.is_empty() {
            return Err(format!(
                "its tensors are those of the recipe's network, with values that weights cannot have: {}",
                listed(&filler.unusable)
            ));
        }
        for (kind, count) in unused {
            notes.push(format!("{count} tensors left out: {kind}"));
        }
        for (kind, count) in filler.converted {
            notes.push(format!("{count} tensors converted from {kind} to float32"));
        }
        return Ok((released, notes));
    }
    Err(refusal(
        &filler.missing,
        &filler.faults,
        &left_over,
        blocks.as_deref(),
        recipe,
    ))
}

/// What a state dict does not say of its network.
fn assumed(network: &NetworkConfig) -> String {
    let more = match network {
        NetworkConfig::SmallCnn { .. } => {
            return "assumed, since a file of weights does not say it: ReLU and max pooling as in the MNIST network of TRADES".to_owned();
        }
        NetworkConfig::PreactResnet { shortcut, .. } => match shortcut {
            ShortcutInput::Activated => {
                ", convolutions of shortcuts behind the activation (`network.shortcut`: as Rice et al.; Fast AT's take the raw input)"
            }
            ShortcutInput::Raw => {
                ", convolutions of shortcuts on the raw input (`network.shortcut`: as Fast AT; those of Rice et al. are behind the activation)"
            }
        },
        NetworkConfig::Resnet { .. } => {
            ", stride in the 3x3 convolution of a bottleneck as in torchvision"
        }
        NetworkConfig::WideResnet { .. } => {
            ", convolutions of shortcuts behind the activation as in TRADES"
        }
    };
    format!(
        "assumed, since a file of weights does not say it: ReLU, batch norm with epsilon {BATCH_NORM_EPSILON}{more}"
    )
}

/// Says so when the rows of a last layer that is normalised anyway are not of unit length.
fn of_other_lengths(weight: &Tensor<2>) -> Option<String> {
    let lengths: Vec<f32> = (weight.clone() * weight.clone())
        .sum_dim(0)
        .sqrt()
        .into_data()
        .try_to_vec()
        .ok()?;
    let other = lengths.iter().filter(|length| (*length - 1.0).abs() > 1e-3);
    let other = other.count();
    (other > 0).then(|| {
        format!("{other} rows of the last layer were given unit length, as the head does in its forward pass")
    })
}

/// Replaces every tensor of a network by the file's.
struct Filler<'a> {
    tensors: BTreeMap<String, Stored>,
    names: &'a Names,
    prefix: &'a str,
    path: Vec<String>,
    missing: Vec<String>,
    faults: Vec<String>,
    unusable: Vec<String>,
    converted: BTreeMap<&'static str, usize>,
}

impl ModuleMapper for Filler<'_> {
    fn enter_module(&mut self, name: &str, container_type: &str) {
        // Variants of an enum are no part of a name, and neither is the body.
        let silent = container_type.starts_with("Enum") || (self.path.is_empty() && name == "body");
        self.path.push(if silent {
            String::new()
        } else {
            name.to_owned()
        });
    }

    fn exit_module(&mut self, _name: &str, _container_type: &str) {
        self.path.pop();
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let parts: Vec<&str> = self.path.iter().map(String::as_str).collect();
        let parts: Vec<&str> = parts.into_iter().filter(|part| !part.is_empty()).collect();
        let name = names::in_pytorch(&parts.join("."));
        let Some(stored) = self.tensors.remove(&name) else {
            let published = self.names.published(&name);
            self.missing.push(format!("{}{published}", self.prefix));
            return param;
        };
        let dims = param.val().dims();
        // A linear layer's weights are `[out, in]` there and `[in, out]` here.
        let mut expected = dims;
        if D == 2 {
            expected.reverse();
        }
        if stored.shape() != expected {
            self.faults.push(format!(
                "`{}` is {:?}, the recipe's network has {expected:?}",
                stored.name(),
                stored.shape()
            ));
            return param;
        }
        let (values, converted) = match stored.values() {
            Ok(values) => values,
            Err(fault) => {
                self.unusable.push(fault);
                return param;
            }
        };
        if stored.name().ends_with("running_var")
            && let Some(value) = values.iter().find(|value| **value < 0.0)
        {
            self.unusable.push(format!(
                "`{}` holds {value}, a variance is at least 0",
                stored.name().escape_debug()
            ));
            return param;
        }
        if let Some(kind) = converted {
            *self.converted.entry(kind).or_default() += 1;
        }
        param.map(|old| {
            let data = TensorData::new(values, expected);
            let new = Tensor::<D>::from_data(data, &old.device());
            let new = if D == 2 { new.swap_dims(0, 1) } else { new };
            new.set_require_grad(old.is_require_grad())
        })
    }
}
