use std::{sync::Arc, time::Instant};

use axum::{
    extract::{MatchedPath, Request, State},
    http::{Method, StatusCode},
    middleware::Next,
    response::Response,
};
use metrics::{Gauge, counter, gauge, histogram};

use crate::{app::App, error::Code};

/// Routes with their methods.
const ROUTES: &[(&str, &str)] = &[
    ("GET", "/"),
    ("GET", "/attacks"),
    ("GET", "/openapi.json"),
    ("GET", "/health"),
    ("GET", "/metrics"),
    ("GET", "/models"),
    ("POST", "/predict"),
    ("POST", "/attack"),
    ("POST", "/certify"),
    ("GET", "/v2"),
    ("GET", "/v2/health/live"),
    ("GET", "/v2/health/ready"),
    ("GET", "/v2/models/{model}"),
    ("POST", "/v2/models/{model}/infer"),
    ("POST", "/v2/repository/index"),
    ("POST", "/v2/repository/models/{model}/load"),
    ("POST", "/v2/repository/models/{model}/unload"),
];

/// What clients ask for that is none of them.
const NO_ROUTE: &str = "none";

/// The codes of answers that refuse.
const REASONS: &[&str] = &[
    "attack_budget",
    "busy",
    "closing",
    "exposed_without_keys",
    "foreign_host",
    "foreign_origin",
    "missing_scope",
    "model_not_ready",
    "no_key",
    "overloaded",
    "rate_limited",
    "stopping",
    "too_late",
    "too_many_at_once",
    "wrong_key",
];

pub(super) fn zeros() {
    gauge!("buckler_http_in_flight").set(0.0);
    for (method, route) in ROUTES {
        counter!("buckler_http_requests_total", "route" => *route, "method" => *method, "status" => "200")
            .absolute(0);
        let _ = histogram!("buckler_http_request_seconds", "route" => *route);
    }
    for reason in REASONS {
        counter!("buckler_rejected_total", "reason" => *reason).absolute(0);
    }
}

/// Counts every request and its answer, by the route's pattern: a path is the client's choice, and each would be a series.
pub(crate) async fn count(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    let route = match request.extensions().get::<MatchedPath>() {
        Some(route) => route.as_str().to_owned(),
        None => NO_ROUTE.to_owned(),
    };
    let method = name(request.method());
    let start = Instant::now();
    let in_flight = app
        .metrics
        .record(|| InFlight::one(gauge!("buckler_http_in_flight")));
    let response = next.run(request).await;
    drop(in_flight);
    app.metrics.record(|| {
        let status = response.status();
        let code = status.as_str().to_owned();
        counter!("buckler_http_requests_total", "route" => route.clone(), "method" => method, "status" => code)
            .increment(1);
        histogram!("buckler_http_request_seconds", "route" => route).record(start.elapsed());
        if let Some(reason) = reason(status, response.extensions().get()) {
            counter!("buckler_rejected_total", "reason" => reason).increment(1);
        }
    });
    response
}

fn reason(status: StatusCode, code: Option<&Code>) -> Option<&'static str> {
    let otherwise = match status {
        StatusCode::UNAUTHORIZED => "unauthorized",
        StatusCode::FORBIDDEN => "forbidden",
        StatusCode::TOO_MANY_REQUESTS => "overloaded",
        StatusCode::SERVICE_UNAVAILABLE => "unavailable",
        _ => return None,
    };
    Some(code.map_or(otherwise, |code| code.0))
}

/// A client may invent methods.
fn name(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::DELETE => "DELETE",
        Method::OPTIONS => "OPTIONS",
        Method::PATCH => "PATCH",
        _ => "other",
    }
}

/// Counts down also where the client has left.
struct InFlight(Gauge);

impl InFlight {
    fn one(gauge: Gauge) -> Self {
        gauge.increment(1.0);
        Self(gauge)
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.decrement(1.0);
    }
}
