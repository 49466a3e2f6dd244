//! The attacks against victims whose answers are known in closed form.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

mod closed_form;
mod closest;
mod effort;
mod evaluation;
mod exact_ball;
mod examination;
mod feature;
mod flags;
mod independence;
mod linearity;
mod never_chosen;
mod non_finite;
mod progress;
mod rechecks;
mod refusals;
mod smoothing;
mod suite;
