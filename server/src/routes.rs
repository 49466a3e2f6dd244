//! One file per route.
mod attack;
mod certify;
mod health;
mod metrics;
mod models;
mod predict;

use axum::response::Html;

pub(crate) use self::{
    attack::attack, certify::certify, health::health, metrics::metrics, models::models,
    predict::predict,
};

/// `GET /`: a form for people.
pub(crate) async fn page() -> Html<&'static str> {
    Html(include_str!("page.html"))
}
