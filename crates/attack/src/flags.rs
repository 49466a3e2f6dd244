//! What makes an evaluation's figures doubtful: the checks of AutoAttack (Croce & Hein 2020, and its `flags_doc`), and those
//! of Carlini et al. 2019, "On Evaluating Adversarial Robustness".

mod collapse;
mod effort;
mod masking;
mod model;

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{AttackKind, Epsilon, Evaluation, Norm};

pub(crate) use self::effort::shortfalls;
pub use self::model::probe;

/// A reason to distrust an evaluation. Displayed as a sentence with its remedy.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "flag", rename_all = "snake_case")]
pub enum Flag {
    /// The same images give different logits from one forward pass to the next.
    Randomised {
        /// Images whose logits differed.
        differing: usize,
        /// Images looked at.
        images: usize,
    },
    /// The model's answer for an image depends on the others of its batch; every image is run alone.
    DependsOnBatch,
    /// The logits are the same whatever the image.
    SameLogits {
        /// Images looked at.
        images: usize,
    },
    /// The outputs are probabilities, not logits.
    Probabilities {
        /// Images looked at.
        images: usize,
    },
    /// In a ball that holds every image there is, an attack on the gradients finds nothing.
    UnboundedAttackFails {
        /// Images that held.
        held: usize,
        /// Images that the model gets right as they are, of those looked at.
        images: usize,
    },
    /// Images held, and at some point their gradient was zero in every pixel.
    ZeroGradients {
        /// The attack with its parameters.
        attack: String,
        /// Those images.
        held: usize,
        /// All images.
        images: usize,
    },
    /// Gradients had values that were NaN or infinite, and counted as 0.
    NonFiniteGradients {
        /// The attack with its parameters.
        attack: String,
        /// Images with such gradients.
        affected: usize,
        /// Those of them that held.
        held: usize,
        /// All images.
        images: usize,
        /// The values, over all gradients.
        values: u64,
    },
    /// An attack had less effort than it is published with, or than its default.
    WeakerThanDefault {
        /// The attack's name.
        attack: AttackKind,
        /// `steps`, `queries` or `restarts`.
        option: String,
        /// How many it had.
        used: usize,
        /// How many are its default.
        default: usize,
    },
    /// All steps of an attack together are shorter than the radius, and than they are by default.
    ShortSteps {
        /// The attack's name.
        attack: AttackKind,
        /// How many it had.
        steps: usize,
        /// Their length, in pixel units of the norm.
        step_size: f32,
        /// The radius.
        eps: Epsilon,
    },
    /// A step is longer than the ball is wide: every point but the first lies on its edge.
    LongSteps {
        /// The attack's name.
        attack: AttackKind,
        /// The length of a step, in pixel units of the norm.
        step_size: f32,
        /// The radius.
        eps: Epsilon,
    },
    /// The model takes nearly all images for one class, whatever they show.
    OneClass {
        /// The class.
        class: usize,
        /// The share of clean images that are taken for it.
        predicted: f64,
        /// The share that are of it.
        actual: f64,
        /// The share that the model gets right.
        clean_accuracy: f64,
    },
    /// An attack that asks for no gradients breaks images that none of those on the gradients breaks.
    GradientMasking {
        /// The norm of both.
        norm: Norm,
        /// The radius of both.
        eps: Epsilon,
        /// Accuracy under the attacks on the gradients.
        with_gradients: f64,
        /// Accuracy when those without are added.
        with_all: f64,
    },
    /// No attack used gradients.
    NoGradients {
        /// Why the model has none, if it has none.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
    },
    /// A larger ball left more images unbroken than a smaller one inside it.
    NotMonotone {
        /// The attack at the larger radius.
        attack: String,
        /// The smaller radius.
        smaller_eps: Epsilon,
        /// The accuracy there.
        smaller_accuracy: f64,
        /// The accuracy at the larger radius.
        larger_accuracy: f64,
    },
    /// Clean images whose logits are not finite: they have no prediction and count as wrong.
    NoPrediction {
        /// How many.
        without: usize,
        /// All images.
        images: usize,
    },
    /// Reported adversarials did not pass their re-check.
    NotReproduced {
        /// The attack with its parameters.
        attack: String,
        /// How many.
        demoted: usize,
    },
    /// The difference of logits ratio needs more classes; the margin was climbed instead.
    FewClasses {
        /// The classes there are.
        classes: usize,
        /// The attacks, by name.
        attacks: Vec<String>,
    },
}

impl fmt::Display for Flag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let percent = |share: &f64| format!("{:.2} %", 100.0 * share);
        match self {
            Flag::Randomised { differing, images } => write!(
                f,
                "the model draws something at random: the logits of {differing} of {images} images differ between five forward passes; use `autoattack-rand`, which averages gradients, and read the accuracy as that of one draw"
            ),
            Flag::DependsOnBatch => write!(
                f,
                "the model's answer for an image depends on the other images of its batch, and every image is run alone: in other batches it \
                 answers otherwise, and its accuracy is another; export it in evaluation mode, with stored statistics"
            ),
            Flag::SameLogits { images } => write!(
                f,
                "the logits are the same for all of {images} images: the answer does not depend on the image, and no attack can change it; check \
                 the weights, the pixels that the model expects and the output that was chosen"
            ),
            Flag::Probabilities { images } => write!(
                f,
                "the outputs are probabilities: they lie in [0, 1] and sum to 1 for each of {images} images; attacks see vanishing gradients through a softmax: give the model's logits instead"
            ),
            Flag::UnboundedAttackFails { held, images } => write!(
                f,
                "of {images} images, {held} held against PGD at linf eps 1, a ball that holds every image: the gradients lead nowhere, and no attack on them says much; trust attacks without gradients (`square`, `spsa`)"
            ),
            Flag::ZeroGradients {
                attack,
                held,
                images,
            } => write!(
                f,
                "{held} of {images} images held against {attack} while their gradient was zero in every pixel at some point: there was nothing to follow; use a loss that does not saturate (the margin, `apgd-dlr`) and attacks without gradients (`square`)"
            ),
            Flag::NonFiniteGradients {
                attack,
                affected,
                held,
                images,
                values,
            } => write!(
                f,
                "gradients that are not finite: under {attack}, those of {affected} of {images} images were NaN or infinite in {values} values, which counted as 0, and {held} of these images held; the model computes something without a slope there, such as a square root or a power at 0, a division by 0 or the logarithm of a probability that underflows: keep it away from there (sqrt(x + 1e-8)), and trust attacks without gradients (`square`) more"
            ),
            Flag::WeakerThanDefault {
                attack,
                option,
                used,
                default,
            } => write!(
                f,
                "{attack} had {used} {option} where {default} are its default: it may miss what the attack can find; set options for this attack alone, or leave them out"
            ),
            Flag::ShortSteps {
                attack,
                steps,
                step_size,
                eps,
            } => write!(
                f,
                "{attack} had {steps} steps of {step_size}, which together do not reach the edge of the ball at {eps}: it misses what the attack can find; leave the step size out, or take more steps"
            ),
            Flag::LongSteps {
                attack,
                step_size,
                eps,
            } => write!(
                f,
                "{attack} had steps of {step_size} in the ball at {eps}, which is no wider than twice that: it leaps from edge to edge and misses what the attack can find; leave the step size out, or shorten it"
            ),
            Flag::OneClass {
                class,
                predicted,
                actual,
                clean_accuracy,
            } => write!(
                f,
                "the model takes {} of the clean images for class {class}, and {} are of it: it has collapsed to one class, or gets other input than it was trained on (scale, normalisation, channel order); its accuracy of {} says nothing",
                percent(predicted),
                percent(actual),
                percent(clean_accuracy)
            ),
            Flag::GradientMasking {
                norm,
                eps,
                with_gradients,
                with_all,
            } => write!(
                f,
                "gradient masking at {norm} eps {eps}: attacks on the gradients leave {}, those without gradients bring it down to {}; either the gradients mislead and the accuracy is lower still, or the attacks on them are too weak (use `autoattack`, more restarts)",
                percent(with_gradients),
                percent(with_all)
            ),
            Flag::NoGradients { reason } => match reason {
                Some(reason) => write!(
                    f,
                    "no attack used gradients, because the model has none ({reason}): the accuracy is that under black-box attacks alone, which an attacker who knows the model can be expected to undercut"
                ),
                None => write!(
                    f,
                    "no attack used gradients: the accuracy is that under black-box attacks alone; add `pgd` or use `autoattack`"
                ),
            },
            Flag::NotMonotone {
                attack,
                smaller_eps,
                smaller_accuracy,
                larger_accuracy,
            } => write!(
                f,
                "{attack} leaves {}, more than the {} at eps {smaller_eps}, whose ball lies inside: the search has not converged; use more steps or restarts",
                percent(larger_accuracy),
                percent(smaller_accuracy)
            ),
            Flag::NoPrediction { without, images } => write!(
                f,
                "the logits of {without} of {images} clean images are not finite: these count as misclassified and were not attacked; check the model's weights and its preprocessing"
            ),
            Flag::NotReproduced { attack, demoted } => write!(
                f,
                "{demoted} adversarial images reported by {attack} failed their re-check and do not count: the model answers a second forward pass differently"
            ),
            Flag::FewClasses { classes, attacks } => write!(
                f,
                "with {classes} classes the difference of logits ratio is not defined; {} climbed the margin instead",
                attacks.join(", ")
            ),
        }
    }
}

/// What the figures themselves give away. `no_gradient` is the reason why the model has no gradients, if it has none.
pub fn flags(evaluations: &[&Evaluation], classes: usize, no_gradient: Option<&str>) -> Vec<Flag> {
    let mut flags = Vec::from_iter(evaluations.first().and_then(|e| collapse::one_class(e)));
    flags.extend(effort::weaker_than_default(evaluations));
    flags.extend(masking::no_gradients(evaluations, no_gradient));
    flags.extend(evaluations.first().and_then(|e| no_prediction(e)));
    flags.extend(evaluations.iter().filter_map(|e| zero_gradients(e)));
    flags.extend(evaluations.iter().filter_map(|e| non_finite_gradients(e)));
    flags.extend(masking::gradient_masking(evaluations));
    flags.extend(not_monotone(evaluations));
    flags.extend(evaluations.iter().filter_map(|e| not_reproduced(e)));
    flags.extend(few_classes(evaluations, classes));
    flags
}

fn no_prediction(evaluation: &Evaluation) -> Option<Flag> {
    let without = evaluation.samples.iter();
    let without = without.filter(|r| r.clean_prediction.is_none()).count();
    (without > 0).then_some(Flag::NoPrediction {
        without,
        images: evaluation.images,
    })
}

fn zero_gradients(evaluation: &Evaluation) -> Option<Flag> {
    let held = evaluation.samples.iter();
    let held = held.filter(|r| !r.broken && r.zero_gradient).count();
    (held > 0).then(|| Flag::ZeroGradients {
        attack: evaluation.parameters.to_string(),
        held,
        images: evaluation.images,
    })
}

fn non_finite_gradients(evaluation: &Evaluation) -> Option<Flag> {
    let affected = evaluation.samples.iter();
    let affected: Vec<_> = affected.filter(|r| r.non_finite_gradient > 0).collect();
    (!affected.is_empty()).then(|| Flag::NonFiniteGradients {
        attack: evaluation.parameters.to_string(),
        affected: affected.len(),
        held: affected.iter().filter(|record| !record.broken).count(),
        images: evaluation.images,
        values: affected.iter().map(|r| r.non_finite_gradient).sum(),
    })
}

/// Restarts and random squares leave this much to chance.
const MONOTONE_TOLERANCE: f64 = 0.005;

fn not_monotone(evaluations: &[&Evaluation]) -> Vec<Flag> {
    let same = |a: &Evaluation, b: &Evaluation| {
        let (a, b) = (&a.parameters, &b.parameters);
        (&a.attack, a.norm, a.steps, a.restarts, a.objective)
            == (&b.attack, b.norm, b.steps, b.restarts, b.objective)
            && a.options == b.options
    };
    let pairs = evaluations.iter().flat_map(|larger| {
        let smaller = evaluations.iter().filter(move |smaller| {
            same(smaller, larger)
                && smaller.parameters.eps_value < larger.parameters.eps_value
                && larger.accuracy_under_attack > smaller.accuracy_under_attack + MONOTONE_TOLERANCE
        });
        smaller.map(move |smaller| (smaller, larger))
    });
    pairs
        .map(|(smaller, larger)| Flag::NotMonotone {
            attack: larger.parameters.to_string(),
            smaller_eps: smaller.parameters.eps,
            smaller_accuracy: smaller.accuracy_under_attack,
            larger_accuracy: larger.accuracy_under_attack,
        })
        .collect()
}

fn not_reproduced(evaluation: &Evaluation) -> Option<Flag> {
    let demoted = evaluation.samples.iter();
    let demoted = demoted.filter(|record| record.demoted.is_some()).count();
    (demoted > 0).then(|| Flag::NotReproduced {
        attack: evaluation.parameters.to_string(),
        demoted,
    })
}

/// The ratio's denominator needs the third largest logit, and towards a target the fourth.
fn few_classes(evaluations: &[&Evaluation], classes: usize) -> Option<Flag> {
    let needs = |attack: &str| match attack {
        "apgd-dlr" | "autoattack-rand" => 3,
        "apgd-t" | "autoattack" | "autoattack-plus" => 4,
        _ => 0,
    };
    let mut attacks: Vec<String> = evaluations
        .iter()
        .map(|e| e.parameters.attack.clone())
        .filter(|attack| classes < needs(attack))
        .collect();
    attacks.dedup();
    (!attacks.is_empty()).then_some(Flag::FewClasses { classes, attacks })
}
