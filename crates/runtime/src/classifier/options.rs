//! How a classifier is run.
use std::{path::PathBuf, time::Duration};

use buckler_onnx::{ChannelOrder, Normalization};
use serde::{Deserialize, Deserializer, de::Error as _};

use crate::{
    engine::{Lane, Watch},
    session::{Placement, Provider},
};

/// How a classifier is run.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LoadOptions {
    /// What the model is called in logs and by [`LoadOptions::watch`]; the name on its card where this is `None`.
    #[serde(skip)]
    pub name: Option<String>,
    /// Where the model is run.
    pub provider: Provider,
    /// Threads for one run; predictions and attacks have their own.
    pub threads: usize,
    /// Rows in one batch at most; rounded down to a power of two.
    pub max_batch: usize,
    /// Memory for the rows that wait in each of the two queues, in bytes. More is answered with
    /// [`VictimError::Overloaded`](buckler_attack::VictimError::Overloaded).
    pub queue_bytes: usize,
    /// How long a [`Repository`](crate::Repository) lets one version of a model load before it gives it up, in seconds in a
    /// configuration.
    #[serde(deserialize_with = "seconds")]
    pub load_timeout: Duration,
    /// A [`Repository`](crate::Repository) serves models whose files are links out of its directory.
    pub follow_links: bool,
    /// What the graph expects of pixels in `[0, 1]`, instead of what its card says.
    #[serde(skip)]
    pub normalization: Option<Normalization>,
    /// Name of the output with the logits or probabilities, instead of the card's.
    #[serde(skip)]
    pub output: Option<String>,
    /// Height and width of images, instead of the card's; graphs that state them must agree.
    #[serde(skip)]
    pub size: Option<(usize, usize)>,
    /// Order of the channels that the graph takes, instead of the card's. Images, gradients, `mean` and `std` are in the order RGB all the
    /// same: pixels are normalised first, and then brought to the graph's order.
    #[serde(skip)]
    pub channel_order: Option<ChannelOrder>,
    /// Keeps what [`Classifier::infer`](crate::Classifier::infer) needs for outputs other than the one with the logits: the bytes of the model, and a session once
    /// one is asked for.
    #[serde(skip)]
    pub all_outputs: bool,
    /// Makes the gradient graph from the model, whatever graph is stored beside it.
    #[serde(skip)]
    pub make_gradient: bool,
    /// Where gradient graphs that had to be made at load are kept for the next time; nowhere without it.
    #[serde(skip)]
    pub gradient_cache: Option<PathBuf>,
    /// Attacks ask nothing of the session that predicts: they have a second one for their forward passes, and leave the
    /// processors to predictions where both want them. This takes the memory of one more session.
    #[serde(skip)]
    pub separate_attacks: bool,
    /// Makes the lane of attacks, its sessions and what is tried of them, when it is first asked for: see
    /// [`Classifier::prepare_attacks`](crate::Classifier::prepare_attacks). Until then the graph alone tells whether the model can be attacked. A
    /// [`Repository`](crate::Repository) always does.
    #[serde(skip)]
    pub attacks_on_demand: bool,
    /// Is told of every batch.
    #[serde(skip)]
    pub watch: Option<Watch>,
}

impl LoadOptions {
    pub(super) fn placement(&self, lane: Lane) -> Placement {
        Placement {
            provider: self.provider,
            threads: self.threads,
            background: self.separate_attacks && lane == Lane::Attack,
        }
    }
}

impl Default for LoadOptions {
    /// As many threads as this process may use, batches of up to 16 rows, 256 MiB, five minutes to load.
    fn default() -> Self {
        Self {
            name: None,
            provider: Provider::default(),
            threads: crate::library::processors(),
            max_batch: 16,
            queue_bytes: 256 << 20,
            load_timeout: Duration::from_secs(300),
            follow_links: false,
            normalization: None,
            output: None,
            size: None,
            channel_order: None,
            all_outputs: false,
            make_gradient: false,
            gradient_cache: None,
            separate_attacks: false,
            attacks_on_demand: false,
            watch: None,
        }
    }
}

fn seconds<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    let seconds = f64::deserialize(deserializer)?;
    Duration::try_from_secs_f64(seconds)
        .map_err(|error| D::Error::custom(format!("{seconds} is not a time in seconds: {error}")))
}
