use std::{str::FromStr, sync::Arc, time::Instant};

use axum::extract::{Request, State};
use buckler_attack::{Samples, Smoothed, Smoothing, SmoothingError};
use serde::Serialize;
use utoipa::ToSchema;

use crate::{
    app::{App, Chosen},
    attacks::{Metered, Work},
    caller::Caller,
    error::ApiError,
    json::Json,
    openapi::{CertifyFailures, CertifyParameters},
    request::{ImageRequest, Parameters},
};

pub(crate) const PARAMETERS: &[&str] =
    &["model", "sigma", "n0", "n", "alpha", "seed", "background"];

/// The standard deviation that is usual in the paper, in pixel units.
const SIGMA: f64 = 0.25;

/// A certificate for every image.
#[derive(Serialize, ToSchema)]
pub(crate) struct Certificates {
    model: String,
    version: String,
    /// Of the model file.
    sha256: String,
    /// What was taken for granted, because neither the model nor the request says it.
    assumptions: Vec<String>,
    #[serde(flatten)]
    smoothing: Smoothing,
    results: Vec<Certificate>,
    /// For the whole request.
    seconds: f64,
    note: &'static str,
}

/// What is proven about one image.
#[derive(Serialize, ToSchema)]
pub(crate) struct Certificate {
    /// The class of the smoothed classifier; null where it abstains.
    class: Option<usize>,
    name: Option<String>,
    /// Within this L2 distance in pixel units no perturbation changes the class; 0 where the classifier abstains.
    radius_l2: f64,
    /// The lower confidence bound of the class's probability under noise.
    probability: f64,
    /// How often each class was seen under noise.
    counts: Vec<u64>,
    forward_evaluations: u64,
}

const NOTE: &str = "The certificate is about the smoothed classifier, which answers with the class most often seen under \
Gaussian noise, and each is wrong with probability alpha at most. It says nothing about the model's own answer to the image.";

/// `POST /certify`: randomised smoothing (Cohen, Rosenfeld and Kolter 2019).
#[utoipa::path(post, path = "/certify", tag = "images", summary = "Certifies classes within a radius, by randomised smoothing", params(CertifyParameters), responses(
    (status = 200, body = Certificates),
    CertifyFailures,
))]
pub(crate) async fn certify(
    State(app): State<Arc<App>>,
    caller: Caller,
    request: Request,
) -> Result<Json<Certificates>, ApiError> {
    let start = Instant::now();
    let ImageRequest { images, parameters } = ImageRequest::read(request, PARAMETERS, &app).await?;
    let mut chosen = app.choose(parameters.text("model").as_deref(), None)?;
    let background = parameters.background()?;
    let smoothing = smoothing(&parameters)?;
    chosen.prepare_attacks().await?;
    let work = work(&app, &chosen, &smoothing, images.len())?;
    if app.is_closing() {
        return Err(ApiError::Stopping);
    }
    let queries = work.queries;
    let ticket = app.admission.admit(work, caller.deadline.left())?;
    let images = app.decode(&mut chosen, images, background).await?;
    let payment = caller.tenant.charge_attack(queries)?;
    // No label is known, and none is needed: a certificate is about whatever class is seen.
    let labels = vec![0; images.shape().first().copied().unwrap_or(0)];
    let samples = Samples::new(images, labels).with_content_ids();
    let victim = Metered {
        victim: chosen
            .classifier()
            .attacker(Arc::clone(&caller.tenant.name)),
        ticket,
        payment,
        evaluations: app.metrics.evaluations(&chosen.entry.name),
    };
    let drawn = smoothing.clone();
    let smoothed = app.attacks.spawn(async move {
        let certified = drawn.certify(&victim, &samples, |_| ());
        let certified = tokio::time::timeout_at(caller.deadline.at.into(), certified).await;
        Ok(certified.map_err(|_| ApiError::Timeout(caller.deadline.limit))??)
    });
    let smoothed = smoothed.await?;
    let classifier = chosen.classifier();
    let names = classifier.class_names();
    Ok(Json(Certificates {
        model: chosen.entry.name.clone(),
        version: chosen.entry.version.clone(),
        sha256: classifier.sha256().to_owned(),
        results: smoothed
            .into_iter()
            .map(|one| Certificate::of(one, names))
            .collect(),
        assumptions: chosen.assumptions,
        smoothing,
        seconds: start.elapsed().as_secs_f64(),
        note: NOTE,
    }))
}

impl Certificate {
    fn of(smoothed: Smoothed, names: &[String]) -> Self {
        let name = smoothed.class.and_then(|class| names.get(class));
        Self {
            class: smoothed.class,
            name: name.cloned(),
            radius_l2: smoothed.radius,
            probability: smoothed.probability,
            counts: smoothed.counts,
            forward_evaluations: smoothed.forward_evaluations,
        }
    }
}

fn smoothing(parameters: &Parameters) -> Result<Smoothing, ApiError> {
    let default = Smoothing::new(number(parameters, "sigma")?.unwrap_or(SIGMA));
    let smoothing = Smoothing {
        n0: number(parameters, "n0")?.unwrap_or(default.n0),
        n: number(parameters, "n")?.unwrap_or(default.n),
        alpha: number(parameters, "alpha")?.unwrap_or(default.alpha),
        seed: number(parameters, "seed")?.unwrap_or(default.seed),
        ..default
    };
    smoothing.check().map_err(|error| {
        let field = match &error {
            SmoothingError::Sigma(_) => "sigma",
            SmoothingError::Alpha(_) => "alpha",
            SmoothingError::Draws { name, .. } => name,
        };
        ApiError::value(field, error.to_string())
    })?;
    Ok(smoothing)
}

fn number<T: FromStr>(parameters: &Parameters, field: &str) -> Result<Option<T>, ApiError> {
    let text = parameters.text(field);
    text.map(|text| {
        text.parse().map_err(|_| {
            ApiError::value(
                field,
                format!("{field} `{text}` is no number that it can be"),
            )
        })
    })
    .transpose()
}

fn work(
    app: &App,
    chosen: &Chosen,
    smoothing: &Smoothing,
    images: usize,
) -> Result<Work, ApiError> {
    let draws = smoothing.n0.saturating_add(smoothing.n);
    let queries = u64::try_from(draws.saturating_mul(images)).unwrap_or(u64::MAX);
    let limit = app.config.max_cost;
    if queries > limit {
        return Err(ApiError::TooManyDraws {
            queries,
            images,
            draws,
            limit,
        });
    }
    let row = chosen.classifier().input().values() * size_of::<f32>();
    let (seconds_per_query, _) = chosen.classifier().seconds_per_row();
    Ok(Work {
        model: chosen.entry.name.clone(),
        queries,
        seconds_per_query,
        bytes: smoothing.max_batch.saturating_mul(row),
    })
}
