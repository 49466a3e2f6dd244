use serde::{Deserialize, Serialize};

use crate::{
    Checked, Distances, Flag, Inspection, MinEps, Norm, ObjectiveKind, Parameters, Prediction,
    Status, flags::shortfalls, logits::possible_classes, record::is_zero,
};

/// What an attack did to one image: the answer of the attack endpoint and of the command line.
///
/// Serialises to a flat object, so that a server can add the model, the time and the cost around it with
/// `#[serde(flatten)]`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct AttackReport {
    /// How it ended.
    pub outcome: Status,
    /// `attack`, `norm`, `eps`, `eps_value`, `steps`, `step_size`, `restarts`, `objective`, `seed`.
    #[serde(flatten)]
    pub parameters: Parameters,
    /// The class to reach, in a targeted attack.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<usize>,
    /// The class to leave.
    pub label: usize,
    /// Where the label comes from.
    pub label_source: LabelSource,
    /// What the model says about the clean image.
    pub clean: Prediction,
    /// The adversarial image, if one was found.
    pub adversarial: Option<AdversarialReport>,
    /// The adversarial image rounded to 8 bits, as in a PNG.
    pub png: Option<PngReport>,
    /// The smallest radius that fools the model, where that was searched and something found.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min_eps: Option<MinEps>,
    /// The effort spent; less than the parameters allow when the attack succeeded or was stopped early.
    pub tried: Tried,
    /// Gradients computed for this image.
    pub gradient_evaluations: u64,
    /// Forward passes without a gradient computed for this image, re-checks included.
    pub forward_evaluations: u64,
    /// The objective had no gradient at some point: finding nothing says little.
    pub zero_gradient: bool,
    /// Values of the gradients, over all of them, that were NaN or infinite and counted as 0; left
    /// out when there are none.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub non_finite_gradient: u64,
    /// What the outcome means, in plain words; the warnings are part of it.
    pub note: String,
    /// What makes the outcome doubtful, a sentence or two each; left out when nothing does.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
}

/// Where the class to leave comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "lowercase")]
pub enum LabelSource {
    /// It was given with the image.
    Given,
    /// It is the prediction for the clean image.
    Predicted,
}

/// An adversarial image, confirmed on a fresh forward pass.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct AdversarialReport {
    /// What the model says about it.
    pub prediction: Prediction,
    /// The largest change of a value.
    pub linf: f32,
    /// The Euclidean length of the change.
    pub l2: f32,
    /// The sum of the absolute changes.
    pub l1: f32,
    /// The number of values changed.
    pub l0: usize,
    /// The largest change in grey levels, `255 linf`.
    pub linf_255: f32,
}

/// The adversarial image after rounding to 8 bits.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct PngReport {
    /// Whether the rounded image still fools the model.
    pub still_adversarial: bool,
    /// What the model says about it; absent when its logits are not finite.
    pub prediction: Option<Prediction>,
    /// The largest change of a value.
    pub linf: f32,
    /// The Euclidean length of the change.
    pub l2: f32,
    /// Whether it is still inside the ball; rounding moves a value by up to half a grey level.
    pub within_eps: bool,
}

/// The effort spent on one image.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Tried {
    /// Steps taken, over all restarts.
    pub steps: usize,
    /// Restarts begun.
    pub restarts: usize,
}

impl AttackReport {
    /// The report on a re-checked outcome; `None` when the clean logits hold no prediction.
    pub(crate) fn new(
        checked: &Checked,
        parameters: Parameters,
        label: (usize, LabelSource),
        target: Option<usize>,
        min_eps: Option<MinEps>,
        names: &[String],
    ) -> Option<Self> {
        let outcome = &checked.outcome;
        let found = outcome.status == Status::AdversarialFound;
        let exact = checked.exact.as_ref().filter(|_| found);
        let warnings = warnings(checked, &parameters, min_eps);
        Some(Self {
            outcome: outcome.status,
            target,
            label: label.0,
            label_source: label.1,
            clean: Prediction::new(&outcome.clean_logits, names)?,
            adversarial: exact.and_then(|look| AdversarialReport::new(look, names)),
            png: checked
                .rounded
                .as_ref()
                .map(|look| PngReport::new(look, names)),
            min_eps,
            tried: Tried {
                steps: outcome.steps_used,
                restarts: outcome.restarts_used,
            },
            gradient_evaluations: outcome.gradient_evaluations,
            forward_evaluations: outcome.forward_evaluations,
            zero_gradient: outcome.zero_gradient,
            non_finite_gradient: outcome.non_finite_gradient,
            note: note(checked, &parameters, min_eps, &warnings),
            warnings,
            parameters,
        })
    }
}

impl AdversarialReport {
    fn new(look: &Inspection, names: &[String]) -> Option<Self> {
        let Distances { linf, l2, l1, l0 } = look.distances;
        Some(Self {
            prediction: Prediction::new(&look.logits, names)?,
            linf: linf as f32,
            l2: l2 as f32,
            l1: l1 as f32,
            l0,
            linf_255: (255.0 * linf) as f32,
        })
    }
}

impl PngReport {
    fn new(look: &Inspection, names: &[String]) -> Self {
        Self {
            still_adversarial: look.succeeds,
            prediction: Prediction::new(&look.logits, names),
            linf: look.distances.linf as f32,
            l2: look.distances.l2 as f32,
            within_eps: look.within_eps,
        }
    }
}

fn note(
    checked: &Checked,
    parameters: &Parameters,
    min_eps: Option<MinEps>,
    warnings: &[String],
) -> String {
    let ball = match parameters.norm {
        Norm::Linf => format!("eps {} per value", parameters.eps),
        Norm::L2 => format!("an L2 distance of {}", parameters.eps),
        Norm::L1 => format!("an L1 distance of {}", parameters.eps),
    };
    let mut note = match checked.outcome.status {
        Status::AdversarialFound => {
            format!("An image within {ball} fools the model, confirmed on a fresh forward pass.")
        }
        Status::NotFound => format!(
            "This attack found nothing within {ball}. That is no proof that nothing is there: a stronger attack, more steps or more restarts may find it."
        ),
        Status::MisclassifiedClean => {
            "The model gets the image wrong as it is, so there was nothing to attack.".to_owned()
        }
        Status::Incomplete => format!(
            "The attack was stopped before it was done. So far it found nothing within {ball}, which says little."
        ),
    };
    if let Some(MinEps {
        value, nothing_at, ..
    }) = min_eps
    {
        note += &format!(
            " The closest one found is at a distance of {value}, and within {nothing_at} this attack found nothing."
        );
    }
    if let Some(rounded) = &checked.rounded {
        if !rounded.succeeds {
            note += " Rounded to 8 bits it no longer does, so its PNG will not fool the model.";
        } else if !rounded.within_eps {
            note += " Its PNG does too, but rounding to 8 bits takes it slightly beyond eps.";
        }
    }
    for warning in warnings {
        note.push(' ');
        note.push_str(warning);
    }
    note
}

/// What makes the outcome doubtful.
fn warnings(checked: &Checked, parameters: &Parameters, min_eps: Option<MinEps>) -> Vec<String> {
    let outcome = &checked.outcome;
    let mut warnings = Vec::new();
    if let Some(reason) = &checked.demoted {
        warnings.push(format!("A candidate was dropped: {reason}."));
    }
    if min_eps.is_some_and(|min_eps| !min_eps.complete) {
        warnings.push(
            "The search for the smallest radius was stopped before it was done: a smaller one may do."
                .to_owned(),
        );
    }
    let nothing_found = matches!(outcome.status, Status::NotFound | Status::Incomplete);
    if !nothing_found && min_eps.is_none() {
        return warnings;
    }
    if outcome.zero_gradient {
        warnings.push("The gradient was zero in every pixel at some point, so the attack had nothing to follow there: the model may hide its gradients, or its logits may be too large for the cross-entropy; try the margin objective.".to_owned());
    }
    if outcome.non_finite_gradient > 0 {
        let gradients = outcome.gradient_evaluations;
        warnings.push(format!(
            "The gradient was NaN or infinite in some pixels ({} values of {gradients} gradients), which counted as 0: the model computes something without a slope there, such as a square root at 0; try an attack without gradients (square).",
            outcome.non_finite_gradient
        ));
    }
    let possible = possible_classes(&outcome.clean_logits);
    let classes = outcome.clean_logits.len();
    if parameters.objective == Some(ObjectiveKind::Dlr) && possible < 3 {
        warnings.push(format!(
            "The difference of logits ratio takes 3 classes, and {possible} of {classes} can be chosen: the margin was climbed instead."
        ));
    }
    for flag in shortfalls(parameters) {
        match flag {
            Flag::WeakerThanDefault {
                attack,
                option,
                used,
                default,
            } => warnings.push(format!(
                "{attack} had {used} {option} where {default} are its default."
            )),
            Flag::ShortSteps {
                attack,
                steps,
                step_size,
                eps,
            } => warnings.push(format!(
                "{attack} had {steps} steps of {step_size}, which together do not reach the edge of the ball at {eps}."
            )),
            Flag::LongSteps {
                attack,
                step_size,
                eps,
            } => warnings.push(format!(
                "{attack} had steps of {step_size}, longer than the ball at {eps} is wide."
            )),
            _ => (),
        }
    }
    warnings
}
