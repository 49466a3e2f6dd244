use burn::tensor::activation::softmax;
use burn::tensor::{Int, Tensor};
use serde::{Deserialize, Serialize};

use crate::head::Head;
use crate::loss::{cross_entropy, kl_divergence};

/// What is minimised in training, and what the adversary maximises meanwhile.
///
/// `x'` is the adversarial image, `p = softmax(s c)`; with a hypersphere head every `CE` here carries the margin, the
/// adversary's does not (Pang et al. 2020).
///
/// | framework | training objective | the adversary maximises | its batch norm |
/// |---|---|---|---|
/// | `plain` | `CE(x, y)` | | |
/// | `pgd-at` | `CE(x', y)` | `CE` | evaluation |
/// | `alp` | `CE(x, y) / 2 + CE(x', y) / 2 + beta * mean (c(x) - c(x'))^2` | `CE` | evaluation |
/// | `trades` | `CE(x, y) + beta * KL(p(x) \|\| p(x'))` | that KL | evaluation |
/// | `mart` | `CE(x', y) - log(1.0001 - max_{k != y} p_k(x')) + beta * mean KL(p(x) \|\| p(x')) (1 - p_y(x))` | `CE` | evaluation |
/// | `free-at` | `CE(x', y)`, each batch `replays` times; one backward pass moves weights and images | the same, with the margin | training |
/// | `fast-at` | `CE(x', y)` | `CE`, in one step | training |
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Framework {
    /// No adversary.
    // With braces: of variants without, serde ignores unknown keys.
    Plain {},
    /// Madry et al. 2018, arXiv 1706.06083.
    PgdAt {},
    /// Adversarial logit pairing, Kannan et al. 2018, arXiv 1803.06373.
    Alp {
        /// Weight of the pairing.
        beta: f32,
    },
    /// Zhang et al. 2019, arXiv 1901.08573.
    Trades {
        /// Weight of the divergence (there 1 / lambda).
        beta: f32,
    },
    /// Wang et al. 2020, misclassification aware.
    Mart {
        /// Weight of the divergence (there lambda).
        beta: f32,
    },
    /// Shafahi et al. 2019, arXiv 1904.12843.
    FreeAt {
        /// How often each batch is used in a row.
        replays: usize,
    },
    /// Wong et al. 2020, arXiv 2001.03994.
    FastAt {},
}

/// Where the adversarial images of a step come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Crafting {
    /// There are none.
    None,
    /// Several steps against the network in evaluation mode.
    Iterative(Maximised),
    /// One step against the network in training mode.
    SingleStep,
    /// Along with the weights, from the gradient of the training objective.
    Free {
        /// How often each batch is used in a row.
        replays: usize,
    },
}

/// What an adversary maximises.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Maximised {
    /// `CE(x', y)`.
    #[default]
    CrossEntropy,
    /// `KL(p(x) || p(x'))`.
    Divergence,
}

/// What a training objective is made of; the similarities `[batch, classes]` are the head's, before its scale.
pub(crate) struct Terms<'a> {
    pub head: &'a Head,
    pub labels: Tensor<1, Int>,
    /// Of the clean images, where [`Framework::pairs`] says so.
    pub clean: Option<Tensor<2>>,
    /// Of the images that the framework trains on: clean ones for `plain`, else adversarial ones.
    pub trained: Tensor<2>,
    /// In `[0, 1)`, on every cross-entropy.
    pub label_smoothing: f32,
}

impl Framework {
    /// As written in recipes and cards.
    pub fn name(self) -> &'static str {
        match self {
            Framework::Plain {} => "plain",
            Framework::PgdAt {} => "pgd-at",
            Framework::Alp { .. } => "alp",
            Framework::Trades { .. } => "trades",
            Framework::Mart { .. } => "mart",
            Framework::FreeAt { .. } => "free-at",
            Framework::FastAt {} => "fast-at",
        }
    }

    pub(crate) fn crafting(self) -> Crafting {
        match self {
            Framework::Plain {} => Crafting::None,
            Framework::PgdAt {} | Framework::Alp { .. } | Framework::Mart { .. } => {
                Crafting::Iterative(Maximised::CrossEntropy)
            }
            Framework::Trades { .. } => Crafting::Iterative(Maximised::Divergence),
            Framework::FreeAt { replays } => Crafting::Free { replays },
            Framework::FastAt {} => Crafting::SingleStep,
        }
    }

    /// Whether the objective has a term with the clean images beside the adversarial ones.
    pub(crate) fn pairs(self) -> bool {
        matches!(
            self,
            Framework::Alp { .. } | Framework::Trades { .. } | Framework::Mart { .. }
        )
    }

    /// The training objective, a mean over the batch; clean terms carry gradient.
    pub(crate) fn objective(self, terms: Terms<'_>) -> Tensor<1> {
        let Terms {
            head,
            labels,
            clean,
            trained,
            label_smoothing,
        } = terms;
        let ce = |similarity: &Tensor<2>| {
            let logits = head.with_margin(similarity.clone(), labels.clone());
            cross_entropy(logits, labels.clone(), label_smoothing).mean()
        };
        let logits = |similarity: &Tensor<2>| similarity.clone().mul_scalar(head.scale);
        let paired = clean.map(|clean| (clean, trained.clone()));
        match (self, paired) {
            (Framework::Alp { beta }, Some((clean, adversarial))) => {
                let apart = clean.clone() - adversarial.clone();
                (ce(&clean) + ce(&adversarial)).mul_scalar(0.5)
                    + (apart.clone() * apart).mean().mul_scalar(beta)
            }
            (Framework::Trades { beta }, Some((clean, adversarial))) => {
                let divergence = kl_divergence(logits(&clean), logits(&adversarial));
                ce(&clean) + divergence.mean().mul_scalar(beta)
            }
            (Framework::Mart { beta }, Some((clean, adversarial))) => {
                let at_label = labels.clone().unsqueeze_dim::<2>(1);
                let divergence = kl_divergence(logits(&clean), logits(&adversarial));
                let doubt = softmax(logits(&clean), 1)
                    .gather(1, at_label)
                    .squeeze_dim::<1>(1)
                    .neg()
                    .add_scalar(1.0);
                ce(&adversarial)
                    + runner_up_penalty(logits(&adversarial), labels.clone()).mean()
                    + (divergence * doubt).mean().mul_scalar(beta)
            }
            _ => ce(&trained),
        }
    }
}

/// `-log(1.0001 - max_{k != y} p_k)` per row of `logits` `[batch, classes]`: MART's margin term. One minus the largest
/// is taken as the sum of all others, which single precision resolves where the largest is nearly 1.
fn runner_up_penalty(logits: Tensor<2>, labels: Tensor<1, Int>) -> Tensor<1> {
    let classes = logits.dims()[1];
    let runner_up = logits
        .clone()
        .mask_fill(labels.one_hot::<2>(classes).bool(), f32::NEG_INFINITY)
        .argmax(1)
        .squeeze_dim::<1>(1);
    softmax(logits, 1)
        .mask_fill(runner_up.one_hot::<2>(classes).bool(), 0.0)
        .sum_dim(1)
        .squeeze_dim::<1>(1)
        .add_scalar(1e-4)
        .log()
        .neg()
}

#[cfg(test)]
#[path = "framework/tests.rs"]
mod tests;
