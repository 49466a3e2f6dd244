//! The boundaries between classes, as they look from a point.

use crate::{Norm, Objective, case::Case, desk::Stop};

/// The boundary between the label and another class, taken for a hyperplane.
pub(crate) struct Boundary {
    /// The gradient of the other class's lead.
    pub slope: Vec<f32>,
    /// What is missing of the lead until it is zero.
    pub gap: f64,
    /// The length of the slope in the dual norm: how much the lead changes for a unit of the norm.
    pub steepness: f64,
}

impl Boundary {
    /// How far away it seems.
    pub(crate) fn distance(&self) -> f64 {
        self.gap.abs() / self.steepness
    }
}

/// Gradients that are asked at once: those towards all of many classes would not fit into memory for large images.
const TARGETS_AT_ONCE: usize = 64;

/// The boundary to one of some classes that seems closest; `None` where none of them has a slope.
pub(crate) async fn closest(
    case: &mut Case,
    norm: Norm,
    point: &[f32],
    targets: &[usize],
) -> Result<Option<Boundary>, Stop> {
    let from = case.label;
    let mut closest: Option<Boundary> = None;
    for targets in targets.chunks(TARGETS_AT_ONCE) {
        let ask = |&target: &usize| (point.to_vec(), difference(case.classes, from, target));
        let slopes = case.slopes(targets.iter().map(ask).collect()).await?;
        let boundaries = slopes
            .into_iter()
            .zip(targets)
            .filter_map(|(slope, &target)| {
                let [label, target] = [from, target].map(|class| slope.logits.get(class).copied());
                let gap = f64::from(label?) - f64::from(target?);
                let steepness = dual_length(norm, &slope.gradient);
                let boundary = Boundary {
                    slope: slope.gradient,
                    gap,
                    steepness,
                };
                (steepness > 0.0 && gap.is_finite()).then_some(boundary)
            });
        closest = closest
            .into_iter()
            .chain(boundaries)
            .min_by(|a, b| a.distance().total_cmp(&b.distance()));
    }
    Ok(closest)
}

/// `z_target - z_label`.
pub(crate) fn difference(classes: usize, label: usize, target: usize) -> Objective {
    let weight = |class| match class {
        class if class == target => 1.0,
        class if class == label => -1.0,
        _ => 0.0,
    };
    Objective::Cotangent((0..classes).map(weight).collect())
}

/// The length of a change.
pub(crate) fn length(norm: Norm, change: &[f64]) -> f64 {
    let values = change.iter().map(|d| d.abs());
    match norm {
        Norm::Linf => values.fold(0.0, f64::max),
        Norm::L2 => values.map(|d| d * d).sum::<f64>().sqrt(),
        Norm::L1 => values.sum(),
    }
}

/// The length of a gradient in the dual norm: how much a linear loss rises for a unit of the norm.
pub(crate) fn dual_length(norm: Norm, gradient: &[f32]) -> f64 {
    let dual = match norm {
        Norm::Linf => Norm::L1,
        Norm::L2 => Norm::L2,
        Norm::L1 => Norm::Linf,
    };
    let values: Vec<f64> = gradient.iter().map(|&g| f64::from(g)).collect();
    length(dual, &values)
}
