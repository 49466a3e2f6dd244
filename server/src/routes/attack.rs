use std::{convert::Infallible, sync::Arc, time::Instant};

use axum::{
    extract::{Request, State},
    http::{HeaderMap, HeaderName, header},
    response::{
        IntoResponse, Response,
        sse::{Event, KeepAlive, Sse},
    },
};
use buckler_onnx::printable_json;
use buckler_runtime::Classifier;
use futures::{Stream, StreamExt, future, stream};
use serde::Serialize;
use tokio::sync::watch;
use tokio_stream::wrappers::WatchStream;

use crate::{
    app::App,
    attacks::{Accepted, Answer, Attacked, Job, Metered, PARAMETERS, Seen, Wanted, Work},
    caller::Caller,
    error::ApiError,
    json::Json,
    metrics::Tally,
    openapi::{AttackFailures, AttackParameters, Png},
    request::ImageRequest,
    routes::accept,
};

/// Characters of assumptions in a header, which clients bound.
const MAX_HEADER: usize = 2048;

/// What the client wants to be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wish {
    Json,
    Png,
    Events,
}

impl Wish {
    /// What the client would rather have; JSON where it wants none of what there is.
    fn of(headers: &HeaderMap) -> Self {
        let types = ["application/json", "text/event-stream", "image/png"];
        match accept::preferred(headers, &types) {
            Some(1) => Self::Events,
            Some(2) => Self::Png,
            _ => Self::Json,
        }
    }
}

/// `POST /attack`
#[utoipa::path(post, path = "/attack", tag = "images", summary = "Attacks images and reports what it took", params(AttackParameters), responses(
    (status = 200, description = "One report for one image and one radius, else a list of them, image by image. With `Accept: text/event-stream` the \
        attack's course, with `Accept: image/png` the adversarial image. Events are `accepted` \
        (`Accepted`), any number of `progress` (`Seen`), and one `result` (as in JSON) or `error` (`ErrorBody`).",
        headers(("x-buckler-outcome" = String, description = "With a PNG."),
            ("x-buckler-assumptions" = String, description = "With a PNG: the report's `assumptions`, with `; ` between; other characters \
            than those of ASCII are shown as `?`.")),
        content((Answer = "application/json"), (String = "text/event-stream"), (inline(Png) = "image/png"))),
    AttackFailures,
))]
pub(crate) async fn attack(
    State(app): State<Arc<App>>,
    caller: Caller,
    request: Request,
) -> Result<Response, ApiError> {
    let start = Instant::now();
    let wish = Wish::of(request.headers());
    let (accepted, job) = prepare(&app, &caller, start, wish, request).await?;
    let (sender, seen) = watch::channel(None);
    let tally = Tally::of(&app.metrics, &job);
    let ended = app.attacks.spawn(async move {
        let results = job.run(sender).await?;
        tally.answer(&results);
        Ok(results)
    });
    Ok(match wish {
        Wish::Json => Json(Answer::of(ended.await?)).into_response(),
        Wish::Png => picture(ended.await?)?,
        Wish::Events => events(&accepted, seen, ended),
    })
}

/// Everything up to the attack itself, in an order in which a request that is refused has cost little. The key's budget is
/// charged last: a request that cannot be answered costs nothing of it.
async fn prepare(
    app: &App,
    caller: &Caller,
    start: Instant,
    wish: Wish,
    request: Request,
) -> Result<(Accepted, Job), ApiError> {
    let ImageRequest { images, parameters } = ImageRequest::read(request, PARAMETERS, app).await?;
    let mut chosen = app.choose(parameters.text("model").as_deref(), None)?;
    let background = parameters.background()?;
    let classifier = chosen.classifier();
    let mut wanted = Wanted::of(&parameters, classifier, &app.config)?;
    wanted.image |= wish == Wish::Png;
    if wish == Wish::Png && (images.len() > 1 || wanted.radii().len() > 1) {
        return Err(ApiError::OnePicture);
    }
    let cost = wanted.price(images.len(), classifier.classes(), app.config.max_cost)?;
    let needs_gradients = wanted.needs_gradients;
    let refused = |classifier: &Classifier| match classifier.can_attack() {
        Err(reason) if needs_gradients => Err(ApiError::NoGradient(reason.to_owned())),
        _ => Ok(()),
    };
    // As far as the graph tells, and then as it was seen.
    refused(classifier)?;
    chosen.prepare_attacks().await?;
    let classifier = chosen.classifier();
    refused(classifier)?;
    let (forward, gradient) = classifier.seconds_per_row();
    let row = classifier.input().values() * size_of::<f32>();
    let work = Work {
        model: chosen.entry.name.clone(),
        queries: cost,
        seconds_per_query: if wanted.needs_gradients {
            gradient
        } else {
            forward
        },
        bytes: wanted.rows(images.len()).saturating_mul(row),
    };
    if app.is_closing() {
        return Err(ApiError::Stopping);
    }
    let ticket = app.admission.admit(work, caller.deadline.left())?;
    let images = app.decode(&mut chosen, images, background).await?;
    let payment = caller.tenant.charge_attack(cost)?;
    let accepted = Accepted {
        model: chosen.entry.name.clone(),
        version: chosen.entry.version.clone(),
        images: images.shape().first().copied().unwrap_or(0),
        eps: wanted.radii(),
        cost,
        predicted_seconds: ticket.predicted().as_secs_f64(),
    };
    let job = Job {
        victim: Metered {
            victim: chosen
                .classifier()
                .attacker(Arc::clone(&caller.tenant.name)),
            ticket,
            payment,
            evaluations: app.metrics.evaluations(&chosen.entry.name),
        },
        frame: chosen.frame(wanted.image),
        wanted,
        images,
        start,
        deadline: caller.deadline,
        hurry: Arc::clone(&app.hurry),
    };
    Ok((accepted, job))
}

fn picture(results: Vec<Attacked>) -> Result<Response, ApiError> {
    let Some(one) = results.into_iter().next() else {
        return Err(ApiError::OnePicture);
    };
    let outcome = one.report.outcome.to_string();
    match one.png {
        Some(png) => {
            let headers = [
                (header::CONTENT_TYPE, "image/png".to_owned()),
                (HeaderName::from_static("x-buckler-outcome"), outcome),
                (
                    HeaderName::from_static("x-buckler-assumptions"),
                    visible(&one.assumptions.join("; ")),
                ),
            ];
            Ok((headers, png).into_response())
        }
        None => Err(ApiError::NoPicture { outcome }),
    }
}

/// The characters that a header can hold; others become `?`.
fn visible(text: &str) -> String {
    text.chars()
        .take(MAX_HEADER)
        .map(|character| match character {
            ' '..='~' => character,
            _ => '?',
        })
        .collect()
}

/// `accepted`, then `progress` (the latest when there is time to send it), then one `result` or `error`.
fn events(
    accepted: &Accepted,
    seen: watch::Receiver<Option<Seen>>,
    ended: impl Future<Output = Result<Vec<Attacked>, ApiError>> + Send + 'static,
) -> Response {
    let progress = WatchStream::from_changes(seen)
        .filter_map(|seen| future::ready(seen.map(|seen| event("progress", &seen))));
    let end = stream::once(ended).map(|ended| match ended {
        Ok(results) => event("result", &Answer::of(results)),
        Err(error) => event("error", &error.body()),
    });
    let first = stream::iter([event("accepted", accepted)]);
    let rest = until_last(progress, end);
    Sse::new(first.chain(rest).map(Ok::<_, Infallible>))
        .keep_alive(KeepAlive::default())
        .into_response()
}

/// Progress until the end is there, which comes last.
fn until_last(
    progress: impl Stream<Item = Event> + Send,
    end: impl Stream<Item = Event> + Send,
) -> impl Stream<Item = Event> + Send {
    stream::select(
        progress.map(|event| (false, event)),
        end.map(|event| (true, event)),
    )
    .scan(false, |ended, (last, event)| {
        let item = (!*ended).then_some(event);
        *ended |= last;
        future::ready(item)
    })
}

fn event(name: &'static str, data: &impl Serialize) -> Event {
    match serde_json::to_string(data) {
        Ok(text) => Event::default().event(name).data(printable_json(&text)),
        // Only numbers that JSON does not have can fail, and answers have none.
        Err(error) => Event::default().event("error").data(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_type_that_is_rated_highest_decides_and_of_equals_the_first() {
        for (accept, wish) in [
            ("*/*", Wish::Json),
            ("image/png", Wish::Png),
            ("IMAGE/PNG;q=1", Wish::Png),
            ("image/*", Wish::Png),
            ("text/*", Wish::Events),
            ("image/png;q=0", Wish::Json),
            ("image/png;q=0, */*", Wish::Json),
            ("image/png;q=0.000, text/event-stream;q=0.001", Wish::Events),
            (
                "text/html, text/event-stream;q=0.9, application/json",
                Wish::Json,
            ),
            ("text/event-stream;q=0.9, application/json", Wish::Json),
            ("application/json;q=0.1, image/png;q=0.2", Wish::Png),
            ("application/json, image/png", Wish::Json),
            ("image/png, application/json", Wish::Png),
            ("*/*, image/png", Wish::Png),
            ("*/*;q=0.9, image/png;q=0.8", Wish::Json),
            ("image/*;q=0.9, image/png;q=0", Wish::Json),
            (
                "text/event-stream ; Q=0.4 , image/png;q=0.5;level=1",
                Wish::Png,
            ),
            ("text/html", Wish::Json),
            ("image/png;q=banana", Wish::Png),
            (",,;", Wish::Json),
        ] {
            let headers = HeaderMap::from_iter([(header::ACCEPT, accept.parse().unwrap())]);
            assert_eq!(Wish::of(&headers), wish, "{accept}");
        }
        assert_eq!(Wish::of(&HeaderMap::new()), Wish::Json);
    }
}
