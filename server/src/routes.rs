//! One file per route.
mod attack;
mod attacks;
mod certify;
mod health;
mod models;
mod predict;

pub(crate) use self::{
    attack::attack, attacks::attacks, certify::certify, health::health, models::models, predict::predict,
};
