//! From a recipe and its data to the state that the first or next step needs.

use std::path::Path;

use buckler_data::Dataset;
use buckler_onnx::{Color, Grey, Preprocessing, Resize};
use burn::module::Module;
use burn::optim::decay::WeightDecayConfig;
use burn::optim::momentum::MomentumConfig;
use burn::optim::{ModuleOptimizer, SgdConfig};
use burn::tensor::Device;

use crate::checkpoint::{Checkpoint, CheckpointState};
use crate::device::first;
use crate::error::TrainError;
use crate::export::card;
use crate::fingerprint::Fingerprint;
use crate::pictures::scaled_up;
use crate::pytorch::check_classes;
use crate::recipe::{ImageSize, OptimizerConfig, Recipe};
use crate::run::Run;
use crate::step::TrainingState;
use crate::trainer::TrainOptions;

/// That a recipe fits the data; logs what is allowed but rarely meant.
pub(crate) fn check_data(
    recipe: &Recipe,
    images: &Dataset,
    validation: &Dataset,
) -> Result<(), TrainError> {
    recipe.check().map_err(TrainError::Recipe)?;
    check_classes(images.classes())?;
    check_card(recipe, images)?;
    let training = &recipe.training;
    let wrong = |reason: String| Err(TrainError::Recipe(reason));
    for (key, expected, found) in [
        ("training.images", training.images, images.len()),
        (
            "validation.images",
            Some(recipe.validation.images),
            validation.len(),
        ),
    ] {
        if let Some(expected) = expected.filter(|expected| *expected > found) {
            return wrong(format!(
                "{key} is {expected}, and the data set leaves {found}: it has {} images for training and validation together",
                images.len() + validation.len()
            ));
        }
    }
    let [channels, height, width] = images.shape();
    if let Some(expected) = recipe
        .image_channels
        .filter(|expected| *expected != channels)
    {
        return wrong(format!(
            "image_channels is {expected}, and the images of {} have {channels}",
            images.name()
        ));
    }
    if let Some([rows, columns]) = recipe.image_size.map(ImageSize::sides)
        && [rows, columns] != [height, width]
    {
        return wrong(format!(
            "image_size is {rows}x{columns}, and the images of {} are {height}x{width}",
            images.name()
        ));
    }
    if training.batch_size > images.len() {
        return wrong(format!(
            "training.batch_size is {}, and there are {} training images: use a smaller batch",
            training.batch_size,
            images.len()
        ));
    }
    let mut seen = vec![false; images.classes().len()];
    for label in images.labels() {
        if let Some(seen) = seen.get_mut(usize::from(*label)) {
            *seen = true;
        }
    }
    if let [only] = images
        .classes()
        .iter()
        .zip(&seen)
        .filter(|(_, seen)| **seen)
        .map(|(class, _)| class)
        .collect::<Vec<_>>()[..]
    {
        return wrong(format!(
            "all training images are of one class, `{}`: there is nothing to tell apart",
            only.escape_debug()
        ));
    }
    let unseen = images
        .classes()
        .iter()
        .zip(&seen)
        .filter(|(_, seen)| !**seen);
    let unseen: Vec<_> = unseen
        .map(|(class, _)| format!("`{}`", class.escape_debug()))
        .collect();
    if !unseen.is_empty() {
        tracing::warn!(
            "{} of {} classes have no training image: {}",
            unseen.len(),
            seen.len(),
            unseen
                .iter()
                .take(5)
                .cloned()
                .collect::<Vec<_>>()
                .join(", ")
        );
    }
    for warning in recipe.warnings().into_iter().chain(scaled_up(images)) {
        tracing::warn!("{}: {warning}", recipe.name);
    }
    Ok(())
}

/// That what is trained can be exported: a card may hold what it is of.
fn check_card(recipe: &Recipe, images: &Dataset) -> Result<(), TrainError> {
    let mut state = CheckpointState::new(recipe.clone(), images.shape(), images.classes().to_vec());
    state.preprocessing = preprocessing(images);
    state.epochs = 1;
    let card = card(&state, &recipe.name);
    card.check("the card of the trained model")
        .map_err(|error| {
            TrainError::Recipe(format!(
                "{error}; the classes are named as in the data, a folder's classes as their folders"
            ))
        })
}

/// The run in the folder to go on with, or a new one.
pub(crate) fn open_run(
    recipe: &Recipe,
    out: &Path,
    devices: &[Device],
    data: Fingerprint,
    options: &TrainOptions,
) -> Result<Run, TrainError> {
    let names: Vec<String> = devices.iter().map(|device| format!("{device:?}")).collect();
    let create = || {
        let init = options.init.as_ref().map(|init| {
            let state = &init.state;
            let position = format!("{}, epoch {}", state.recipe.name, state.epochs);
            options.init_from.clone().unwrap_or(position)
        });
        Run::create(out, recipe, &names.join(", "), init)
    };
    let earlier = match options.resume {
        true => Run::find(out)?.filter(Run::has_checkpoint),
        false => None,
    };
    let Some(mut run) = earlier else {
        if options.resume {
            tracing::info!(
                "{} holds no checkpoint to go on from: a new run is started",
                out.display()
            );
        }
        let mut run = create()?;
        run.check_data(data)?;
        return Ok(run);
    };
    // The recipe first: its seed may be what makes the data differ.
    let changes = run.changes_to(recipe, &options.changed)?;
    run.check_data(data)?;
    run.change(changes)?;
    Ok(run)
}

/// Fresh weights, those to start from, or those of the run's last checkpoint.
pub(crate) fn start(
    recipe: &Recipe,
    images: &Dataset,
    devices: &[Device],
    run: &Run,
    init: Option<&Checkpoint>,
) -> Result<(TrainingState, CheckpointState), TrainError> {
    let device = first(devices)?;
    let optimizer = sgd(&recipe.optimizer);
    if let Some(dir) = run.last_checkpoint()? {
        let (state, position) = Checkpoint::resume(&dir, optimizer, devices)?;
        let position = CheckpointState {
            recipe: recipe.clone(),
            ..position
        };
        return Ok((state, position));
    }
    let mut position =
        CheckpointState::new(recipe.clone(), images.shape(), images.classes().to_vec());
    position.preprocessing = preprocessing(images);
    position.run = run.id().map(str::to_owned);
    device.seed(recipe.seed);
    let network = match init {
        Some(init) => {
            check_init(init, &position)?;
            init.weights_into(position.network(recipe.training.precision, &device)?)?
        }
        None => position.network(recipe.training.precision, &device.autodiff())?,
    };
    let state = TrainingState {
        average: recipe.training.ema_decay.map(|_| network.valid()),
        network,
        optimizer,
        perturbation: None,
        devices: devices.to_vec(),
    };
    Ok((state, position))
}

/// That initial weights are of the same network for the same images and classes.
fn check_init(init: &Checkpoint, new: &CheckpointState) -> Result<(), TrainError> {
    let old = &init.state;
    let mut differences = Vec::new();
    for (what, same) in [
        ("network", old.recipe.network == new.recipe.network),
        ("head", old.recipe.head == new.recipe.head),
        (
            "normalization",
            old.recipe.normalization == new.recipe.normalization,
        ),
        ("image size", old.image == new.image),
        ("classes", old.classes == new.classes),
    ] {
        if !same {
            differences.push(what);
        }
    }
    match differences.is_empty() {
        true => Ok(()),
        false => Err(TrainError::Run(format!(
            "the initial weights, of recipe {}, are of another network than that of recipe {}: they differ in {}",
            old.recipe.name,
            new.recipe.name,
            differences.join(", ")
        ))),
    }
}

/// What image files go through to become a data set's images, for the card of the model that they are for; `None` of data that are
/// not files.
pub fn preprocessing(images: &Dataset) -> Option<Preprocessing> {
    let used = images.preprocessing()?;
    Some(Preprocessing {
        resize: match used.resize {
            buckler_data::Resize::Stretch => Resize::Stretch,
            buckler_data::Resize::CenterCrop => Resize::CenterCrop,
        },
        crop_pct: used.crop_pct,
        background: Color(used.background),
        grey: match used.grey {
            buckler_data::Grey::Refuse => Grey::Refuse,
            buckler_data::Grey::Luma => Grey::Luma,
        },
    })
}

pub(crate) fn sgd(config: &OptimizerConfig) -> ModuleOptimizer {
    let momentum = MomentumConfig::new()
        .with_momentum(config.momentum)
        // Burn's default of 0.1 is not PyTorch's.
        .with_dampening(0.0);
    let decay = (config.weight_decay > 0.0).then(|| WeightDecayConfig::new(config.weight_decay));
    SgdConfig::new()
        .with_momentum(Some(momentum))
        .with_weight_decay(decay)
        .init()
}
