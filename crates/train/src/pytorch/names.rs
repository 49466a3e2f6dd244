//! Names of tensors: those of the released checkpoints (TRADES and its descendants, torchvision, kuangliu's
//! PreActResNet), and the ones that the networks here have in common.

use crate::network::NetworkConfig;

/// How the checkpoints of one kind of network name its tensors.
pub(super) struct Names {
    network: NetworkConfig,
}

impl Names {
    pub fn new(network: &NetworkConfig) -> Self {
        Self {
            network: network.clone(),
        }
    }

    /// Why a tensor of this name may be left out, if it may.
    pub fn harmless(&self, name: &str) -> Option<&'static str> {
        if name.ends_with("num_batches_tracked") {
            return Some("`num_batches_tracked`, counters of batches that evaluation does not use");
        }
        let wide = matches!(self.network, NetworkConfig::WideResnet { .. });
        (wide && name.starts_with("sub_block1."))
            .then_some("`sub_block1`, which TRADES' network has and never uses")
    }

    /// From the file's name, without a prefix of all names, to ours.
    pub fn ours(&self, name: &str) -> String {
        let small = matches!(self.network, NetworkConfig::SmallCnn { .. });
        let mut name = name.to_owned();
        if small {
            for part in ["feature_extractor.", "classifier."] {
                if let Some(rest) = name.strip_prefix(part) {
                    name = rest.to_owned();
                }
            }
            for (theirs, ours) in [("fc3.", "fc."), ("fc1.", "hidden1."), ("fc2.", "hidden2.")] {
                if let Some(rest) = name.strip_prefix(theirs) {
                    return format!("{ours}{rest}");
                }
            }
        }
        if let Some(rest) = name.strip_prefix("linear.") {
            return format!("fc.{rest}");
        }
        for (theirs, ours) in SHORTCUTS {
            name = name.replace(theirs, ours);
        }
        name
    }

    /// From our name to one that a checkpoint of this kind of network has.
    pub fn published(&self, ours: &str) -> String {
        match self.network {
            NetworkConfig::SmallCnn { .. } => match ours.split_once('.') {
                Some(("fc", rest)) => format!("classifier.fc3.{rest}"),
                Some(("hidden1", rest)) => format!("classifier.fc1.{rest}"),
                Some(("hidden2", rest)) => format!("classifier.fc2.{rest}"),
                _ => format!("feature_extractor.{ours}"),
            },
            NetworkConfig::PreactResnet { .. } => match ours.strip_prefix("fc.") {
                Some(rest) => format!("linear.{rest}"),
                None => ours.replace(".conv_shortcut.", ".shortcut.0."),
            },
            NetworkConfig::Resnet { .. } => ours
                .replace(".downsample.conv.", ".downsample.0.")
                .replace(".downsample.bn.", ".downsample.1."),
            NetworkConfig::WideResnet { .. } => ours.replace(".conv_shortcut.", ".convShortcut."),
        }
    }

    /// The network that a wide residual one's blocks are of, by the names of its tensors.
    pub fn described<'a>(&self, names: impl Iterator<Item = &'a str>) -> Option<String> {
        let NetworkConfig::WideResnet { depth, .. } = self.network else {
            return None;
        };
        let blocks = names
            .filter_map(|name| {
                let number = name.strip_prefix("block1.layer.")?.split('.').next()?;
                number.parse::<usize>().ok()
            })
            .max()?
            .checked_add(1)?;
        let found = blocks.checked_mul(6)?.checked_add(4)?;
        (found != depth).then(|| format!("a wide residual network of depth {found}"))
    }
}

const SHORTCUTS: [(&str, &str); 4] = [
    (".convShortcut.", ".conv_shortcut."),
    (".shortcut.0.", ".conv_shortcut."),
    (".downsample.0.", ".downsample.conv."),
    (".downsample.1.", ".downsample.bn."),
];

/// A path in a module, with the names that PyTorch gives to the parameters of batch norm.
pub(super) fn in_pytorch(path: &str) -> String {
    match path.rsplit_once('.') {
        Some((layer, "gamma")) => format!("{layer}.weight"),
        Some((layer, "beta")) => format!("{layer}.bias"),
        _ => path.to_owned(),
    }
}
