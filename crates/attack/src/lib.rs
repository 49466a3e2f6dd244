//! Adversarial attacks as async functions over a [`Victim`].
//!
//! Pixels are in `[0, 1]` and images are `[batch, channels, height, width]` throughout; input normalisation is the
//! model's own business. The same attack code runs in the offline evaluation and in the server.
//!
//! An [`AttackConfig`] is what somebody wrote; [`AttackConfig::validate`] turns it into an [`AnyAttack`]; running that
//! on [`Samples`] gives one [`Outcome`] per image; [`recheck`] confirms every reported adversarial on a fresh forward
//! pass. [`examine`] does all of it for a few images and answers with an [`AttackReport`] each, [`evaluate`] does it for
//! a data set and answers with accuracies.
//!
//! [`Smoothing`] goes the other way: it proves that no perturbation of some length changes the class of a smoothed model.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

mod accuracy;
mod adam;
mod any;
mod apgd;
mod attack;
mod autoattack;
mod ball;
mod boundary;
mod carlini_wagner;
mod case;
mod config;
mod deepfool;
mod desk;
mod distances;
mod epsilon;
mod error;
mod evaluate;
mod examine;
mod fab;
mod feature;
mod fgsm;
mod flags;
mod hyperplane;
mod kind;
mod lenient;
mod limits;
mod linearity;
mod logits;
mod mim;
mod multi_targeted;
mod objective;
mod objective_kind;
mod outcome;
mod parameters;
mod pgd;
mod prediction;
mod progress;
mod query;
mod recheck;
mod record;
mod report;
mod rng;
mod sample_source;
mod samples;
mod search;
mod smallest_eps;
mod smoothing;
mod spsa;
mod square;
mod threat;
mod victim;
mod worst_case;

pub use accuracy::{accuracy, predictions};
pub use any::AnyAttack;
pub use apgd::Apgd;
pub use attack::Attack;
pub use autoattack::{AutoAttack, Version};
pub use carlini_wagner::CarliniWagner;
pub use config::{AttackConfig, AttackSpec, ParseSpecError};
pub use deepfool::DeepFool;
pub use distances::Distances;
pub use epsilon::{Epsilon, ParseEpsilonError};
pub use error::AttackError;
pub use evaluate::{Evaluated, Evaluation, EvaluationProgress, evaluate, evaluate_batch};
pub use examine::{Examination, Examined, examine};
pub use fab::Fab;
pub use feature::{FeatureAttack, Source};
pub use fgsm::Fgsm;
pub use flags::{Flag, flags, probe};
pub use kind::{AttackKind, ParseAttackError};
pub use limits::{ConfigError, Limits};
pub use linearity::{Linearity, LinearityRecord, Rise, linearity};
pub use mim::{Mim, ParseVariantsError, Variants};
pub use multi_targeted::MultiTargeted;
pub use objective::Objective;
pub use objective_kind::{ObjectiveKind, ParseObjectiveError};
pub use outcome::{Outcome, Status};
pub use parameters::{Options, Parameters};
pub use pgd::{DEFAULT_MAX_BATCH, Pgd};
pub use prediction::{Candidate, Prediction};
pub use progress::{Observer, Progress};
pub use recheck::{Checked, Demotion, Inspection, recheck, round_to_8_bits};
pub use record::SampleRecord;
pub use report::{AdversarialReport, AttackReport, LabelSource, PngReport, Tried};
pub use sample_source::SampleSource;
pub use samples::{SampleError, Samples};
pub use smallest_eps::{MinEps, smallest_eps};
pub use smoothing::{
    Certification, Certified, Smoothed, SmoothedPrediction, Smoothing, SmoothingError,
    SmoothingProgress,
};
pub use spsa::Spsa;
pub use square::Square;
pub use threat::{Norm, ParseNormError, Threat};
pub use victim::{Gradient, InputSpec, Victim, VictimError};
pub use worst_case::{WorstCase, WorstCaseError, WorstPoint, WorstRecord, worst_cases};
