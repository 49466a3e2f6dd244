use serde::{Deserialize, Serialize};

use super::{
    Smoothing,
    bounds::{lower_bound, normal_quantile, two_sided},
    tally::Tally,
};

/// An image, certified or not.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Smoothed {
    /// The sample's id.
    pub id: u64,
    /// Its true class.
    pub label: usize,
    /// The smoothed class; absent where the classifier abstains.
    pub class: Option<usize>,
    /// The radius within which, in L2 and pixel units, the smoothed class does not change, whatever it is;
    /// 0 where the classifier abstains.
    pub radius: f64,
    /// The class that the first draws selected; absent when none of their answers was finite.
    pub candidate: Option<usize>,
    /// The lower confidence bound of its probability under noise.
    pub probability: f64,
    /// How often each class was seen in the draws that selected.
    pub selection: Vec<u64>,
    /// How often each class was seen in the draws that estimated.
    pub counts: Vec<u64>,
    /// How many of either draws had logits that were not finite: they count as draws, and for no class.
    pub not_finite: u64,
    /// Forward passes.
    pub forward_evaluations: u64,
}

impl Smoothed {
    pub(super) fn new(
        smoothing: &Smoothing,
        (id, label): (u64, usize),
        selection: Tally,
        estimation: Tally,
    ) -> Self {
        let candidate = selection.first();
        let hits = candidate.map_or(0, |class| estimation.of(class));
        let probability = lower_bound(hits, estimation.total(), smoothing.alpha);
        let class = candidate.filter(|_| probability > 0.5);
        Self {
            id,
            label,
            class,
            radius: class.map_or(0.0, |_| smoothing.sigma * normal_quantile(probability)),
            candidate,
            probability,
            not_finite: selection.not_finite + estimation.not_finite,
            forward_evaluations: selection.total() + estimation.total(),
            selection: selection.counts,
            counts: estimation.counts,
        }
    }

    /// Whether the smoothed class is the label.
    pub fn is_right(&self) -> bool {
        self.class == Some(self.label)
    }
}

/// A class that a smoothed classifier gives an image.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SmoothedPrediction {
    /// The sample's id.
    pub id: u64,
    /// The smoothed class; absent where the classifier abstains.
    pub class: Option<usize>,
    /// The probability of such a lead over the runner-up, had both been equally likely.
    pub p_value: f64,
    /// How often each class was seen.
    pub counts: Vec<u64>,
    /// How many draws had logits that were not finite; they stand against a prediction like a class of their own.
    pub not_finite: u64,
    /// Forward passes.
    pub forward_evaluations: u64,
}

impl SmoothedPrediction {
    pub(super) fn new(alpha: f64, id: u64, tally: Tally) -> Self {
        let first = tally.first();
        let first = first.filter(|&class| tally.of(class) > tally.second(class));
        let p_value = first.map_or(1.0, |class| two_sided(tally.of(class), tally.second(class)));
        Self {
            id,
            class: first.filter(|_| p_value <= alpha),
            p_value,
            not_finite: tally.not_finite,
            forward_evaluations: tally.total(),
            counts: tally.counts,
        }
    }
}
