//! The state dict of a PyTorch file.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use half::{bf16, f16};
use pytorch_reader::{DType, PickleValue, PytorchReader, Tensor};
use tempfile::NamedTempFile;

use super::{negation, zip64};

/// Keys under which training scripts put the weights beside other things, the likeliest first.
const STATE_DICTS: [&str; 8] = [
    "state_dict",
    "model_state_dict",
    "model",
    "net",
    "weights",
    "ema",
    "state_dict_ema",
    "model_ema",
];

/// What wrappers put before all names: `DataParallel`, `torch.compile`, a model inside another.
const WRAPPERS: [&str; 4] = ["module.", "_orig_mod.", "model.", "net."];

/// Entries of a checkpoint that are never weights of its network.
const OTHER_STATE: [&str; 8] = [
    "optimizer",
    "optimizer_state_dict",
    "optimizer_state",
    "opt",
    "scheduler",
    "lr_scheduler",
    "scaler",
    "amp",
];

/// What chooses the tensors that are in no state dict of their own.
const OUTSIDE: &str = ".";

/// The tensors of one network.
pub(super) struct StateDict {
    /// By their names without [`StateDict::prefix`].
    pub tensors: BTreeMap<String, Stored>,
    /// What all names begin with in the file.
    pub prefix: String,
    /// What was passed over, for people.
    pub notes: Vec<String>,
    /// A layer in front that normalises images, which some networks keep in the file.
    pub normalization: Option<StoredNormalization>,
    /// Where the tensors are read from, if not from the file itself.
    _copy: Option<NamedTempFile>,
}

/// `(x - mean) / std` by two tensors of a file.
pub(super) struct StoredNormalization {
    pub mean: Vec<f32>,
    pub std: Vec<f32>,
    /// Of the tensors, for people.
    pub names: String,
}

impl StoredNormalization {
    /// Whether it leaves every pixel as it is.
    pub fn changes_nothing(&self) -> bool {
        self.mean.iter().all(|mean| *mean == 0.0) && self.std.iter().all(|std| *std == 1.0)
    }
}

/// Why a file cannot be read.
pub(super) enum Refused {
    /// One of them has to be chosen.
    SeveralStateDicts(String),
    Other(String),
}

impl From<String> for Refused {
    fn from(reason: String) -> Self {
        Self::Other(reason)
    }
}

impl StateDict {
    /// Reads the names of a file's tensors; `weights` chooses one of several state dicts.
    pub fn read(path: &Path, weights: Option<&str>) -> Result<Self, Refused> {
        let opened = PytorchReader::new(path);
        let copy = match &opened {
            Err(error) if error.to_string().contains("Central Directory") => {
                zip64::without_record(path).map_err(|error| error.to_string())?
            }
            _ => None,
        };
        let (path, opened) = match &copy {
            Some(copy) => (copy.path(), PytorchReader::new(copy.path())),
            None => (path, opened),
        };
        let reader = opened.map_err(|error| {
            let error = error.to_string();
            match error.contains("__torch__") {
                true => format!(
                    "it is a TorchScript archive, whose code is not read: save `model.state_dict()` instead ({error})"
                ),
                false => error,
            }
        })?;
        let all: BTreeMap<String, Tensor> = reader.into_tensors().into_iter().collect();
        if all.is_empty() {
            return Err("it holds no tensor".to_owned().into());
        }
        if negation::is_marked(path).map_err(|error| error.to_string())? {
            return Err(
                "a tensor in it is a view that negates its values, which is not read: save the tensors after `resolve_neg()`"
                    .to_owned()
                    .into(),
            );
        }
        let key = choose(&all, weights)?;
        let beside = |entry: &str| {
            let other = weights == Some(OUTSIDE) && STATE_DICTS.contains(&entry);
            key.is_none() && (other || OTHER_STATE.contains(&entry))
        };
        refuse_modules(path, key.as_deref(), beside)?;
        let mut prefix = key
            .as_deref()
            .map_or(String::new(), |key| format!("{key}."));
        let mut tensors = BTreeMap::new();
        let mut passed_over = BTreeSet::new();
        for (name, tensor) in all {
            let entry = name.split('.').next().unwrap_or_default();
            match name.strip_prefix(&prefix) {
                Some(_) if beside(entry) => {
                    passed_over.insert(entry.to_owned());
                }
                Some(rest) => {
                    let rest = rest.to_owned();
                    tensors.insert(rest, Stored { name, tensor });
                }
                None => {
                    passed_over.insert(entry.to_owned());
                }
            }
        }
        let mut tensors = unwrapped(tensors, &mut prefix, &WRAPPERS);
        let normalization = take_normalization(&mut tensors)?;
        if normalization.is_some() {
            // The layer in front was the first of two parts.
            tensors = unwrapped(tensors, &mut prefix, &["1.", "model.", "net.", "module."]);
        }
        let notes = match passed_over.is_empty() {
            true => Vec::new(),
            false => vec![format!(
                "passed over beside the weights: {}",
                quoted(passed_over.iter().map(String::as_str))
            )],
        };
        Ok(Self {
            tensors,
            prefix,
            notes,
            normalization,
            _copy: copy,
        })
    }
}

/// Takes off what all names begin with, one wrapper around another.
fn unwrapped(
    mut tensors: BTreeMap<String, Stored>,
    prefix: &mut String,
    wrappers: &[&str],
) -> BTreeMap<String, Stored> {
    let shared = |tensors: &BTreeMap<String, Stored>| {
        let all = |wrapper: &&&str| tensors.keys().all(|name| name.starts_with(**wrapper));
        wrappers.iter().find(all).copied()
    };
    while let Some(wrapper) = shared(&tensors).filter(|_| !tensors.is_empty()) {
        prefix.push_str(wrapper);
        let shorter = |(name, stored): (String, Stored)| {
            let name = name.strip_prefix(wrapper).unwrap_or(&name).to_owned();
            (name, stored)
        };
        tensors = tensors.into_iter().map(shorter).collect();
    }
    tensors
}

/// The two tensors of a layer that normalises images, taken out.
fn take_normalization(
    tensors: &mut BTreeMap<String, Stored>,
) -> Result<Option<StoredNormalization>, String> {
    for place in ["", "0.", "normalize.", "normalizer.", "normalization."] {
        for (mean, std) in [("mean", "std"), ("mu", "sigma")] {
            let (mean, std) = (format!("{place}{mean}"), format!("{place}{std}"));
            if !(tensors.contains_key(&mean) && tensors.contains_key(&std)) {
                continue;
            }
            if let (Some(mean), Some(std)) = (tensors.remove(&mean), tensors.remove(&std)) {
                return Ok(Some(StoredNormalization {
                    mean: mean.values()?.0,
                    std: std.values()?.0,
                    names: format!("`{}`, `{}`", mean.name(), std.name()),
                }));
            }
        }
    }
    Ok(None)
}

/// That the weights are a state dict. The pickle of a whole module holds the same tensors, and beside them what a network computes
/// with them (activations, epsilons), which is Python code that is not read here.
fn refuse_modules(
    path: &Path,
    key: Option<&str>,
    beside: impl Fn(&str) -> bool,
) -> Result<(), String> {
    let found = PytorchReader::read_pickle_data(path, None).map_err(|error| error.to_string())?;
    let PickleValue::Dict(all) = found else {
        return Err("its weights are not a dictionary: save `model.state_dict()`".to_owned());
    };
    // Names may also begin with the key.
    let entries = match key.and_then(|key| all.get(key)) {
        Some(PickleValue::Dict(entries)) => entries,
        _ => &all,
    };
    let part = entries.iter().find(|(name, value)| {
        !beside(name) && matches!(value, PickleValue::Dict(_)) && holds_tensors(value)
    });
    match part {
        None => Ok(()),
        Some((name, _)) if key.is_some() && name.contains("state_dict") => Err(format!(
            "its weights are two entries deep, `{}` in `{}`, and only the file's own entries are read: save that state dict alone",
            name.escape_debug(),
            key.unwrap_or_default().escape_debug()
        )),
        Some((name, _)) => Err(format!(
            "it is the pickle of a whole module, whose code is not read (`{}` is a part of its own): save `model.state_dict()` instead",
            name.escape_debug()
        )),
    }
}

fn holds_tensors(value: &PickleValue) -> bool {
    match value {
        PickleValue::Unsupported(_) => true,
        PickleValue::Dict(entries) => entries.values().any(holds_tensors),
        _ => false,
    }
}

/// The key of the state dict, or none where the file is one itself.
fn choose(
    all: &BTreeMap<String, Tensor>,
    weights: Option<&str>,
) -> Result<Option<String>, Refused> {
    let holds = |key: &str| all.keys().any(|name| name.starts_with(&format!("{key}.")));
    if weights == Some(OUTSIDE) {
        return Ok(None);
    }
    if let Some(key) = weights {
        let entries: BTreeSet<&str> = all
            .keys()
            .filter_map(|name| name.split('.').next())
            .collect();
        return match holds(key) {
            true => Ok(Some(key.to_owned())),
            false => Err(format!(
                "it has no entry `{key}` with tensors; its entries are {}",
                quoted(entries.into_iter())
            )
            .into()),
        };
    }
    let found: Vec<&str> = STATE_DICTS.into_iter().filter(|key| holds(key)).collect();
    // A network may have a part that is called `model` or `net` itself: then there is something beside it.
    let beside = |key: &str| {
        all.keys().any(|name| {
            let entry = name.split('.').next().unwrap_or_default();
            entry != key && !STATE_DICTS.contains(&entry) && !OTHER_STATE.contains(&entry)
        })
    };
    // An average of the weights, kept as a part of the network or beside it.
    let copied = |key: &str| {
        let prefix = format!("{key}.");
        all.keys()
            .filter_map(|name| name.strip_prefix(&prefix))
            .any(|rest| all.contains_key(rest))
    };
    let several = |keys: &[&str]| {
        Refused::SeveralStateDicts(format!(
            "it holds several state dicts, {}: say which one is meant",
            quoted(keys.iter().copied())
        ))
    };
    let alike = alike(all);
    if alike.len() > 1 && found.len() < 2 {
        return Err(several(&alike));
    }
    match found.as_slice() {
        [] => Ok(None),
        [key] if matches!(*key, "model" | "net") && beside(key) => Ok(None),
        [key] if copied(key) => Err(Refused::SeveralStateDicts(format!(
            "it holds the same tensors twice, in `{key}` and beside it: say whether `{key}` is meant or `{OUTSIDE}`, those beside it"
        ))),
        [key] => Ok(Some((*key).to_owned())),
        keys => Err(several(keys)),
    }
}

/// The entries of a file in which every entry with tensors holds tensors of the same names: a network repeats parts too,
/// but has others beside them.
fn alike(all: &BTreeMap<String, Tensor>) -> Vec<&str> {
    let mut entries: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for name in all.keys() {
        let (entry, rest) = name.split_once('.').unwrap_or((name, ""));
        if !OTHER_STATE.contains(&entry) {
            entries.entry(entry).or_default().insert(rest);
        }
    }
    let mut names = entries.values();
    let first = names.next();
    // Layers are not networks: `weight` and `bias` alone.
    let of_networks = first.is_some_and(|names| names.iter().any(|name| name.contains('.')));
    match names.all(|names| Some(names) == first) && of_networks {
        true => entries.into_keys().collect(),
        false => Vec::new(),
    }
}

fn quoted<'a>(names: impl Iterator<Item = &'a str>) -> String {
    let names: Vec<String> = names
        .map(|name| format!("`{}`", name.escape_debug()))
        .collect();
    names.join(", ")
}

/// A tensor in the file.
pub(super) struct Stored {
    name: String,
    tensor: Tensor,
}

impl Stored {
    /// As the file has it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Outermost dimension first.
    pub fn shape(&self) -> &[usize] {
        self.tensor.shape()
    }

    /// In single precision, row-major, with the name of the type that they were converted from.
    pub fn values(&self) -> Result<(Vec<f32>, Option<&'static str>), String> {
        let name = self.name.escape_debug();
        let bytes = self.tensor.read().map_err(|error| error.to_string())?;
        let (values, converted): (Vec<f32>, _) = match self.tensor.dtype() {
            DType::F32 => (each(&bytes, f32::from_ne_bytes), None),
            DType::F64 => (
                each(&bytes, |value| f64::from_ne_bytes(value) as f32),
                Some("float64"),
            ),
            DType::F16 => (
                each(&bytes, |value| f16::from_ne_bytes(value).to_f32()),
                Some("float16"),
            ),
            DType::BF16 => (
                each(&bytes, |value| bf16::from_ne_bytes(value).to_f32()),
                Some("bfloat16"),
            ),
            other => {
                return Err(format!(
                    "`{name}` holds {other:?}, weights are floating point numbers"
                ));
            }
        };
        match values.iter().find(|value| !value.is_finite()) {
            Some(value) => Err(format!("`{name}` holds {value}")),
            None => Ok((values, converted)),
        }
    }
}

fn each<const N: usize>(bytes: &[u8], convert: impl Fn([u8; N]) -> f32) -> Vec<f32> {
    let (values, _) = bytes.as_chunks::<N>();
    values.iter().map(|value| convert(*value)).collect()
}
