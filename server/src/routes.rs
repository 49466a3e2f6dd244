//! One file per route.
mod accept;
pub(crate) mod attack;
pub(crate) mod attacks;
pub(crate) mod certify;
pub(crate) mod health;
pub(crate) mod metrics;
pub(crate) mod models;
pub(crate) mod predict;

pub(crate) use self::{
    attack::attack, attacks::attacks, certify::certify, health::health, metrics::metrics,
    models::models, predict::predict,
};
