//! Logs to stderr, and the spans of requests to an OpenTelemetry collector.
//!
//! Spans are sent as protobuf over HTTP (OTLP) when `OTEL_EXPORTER_OTLP_ENDPOINT` or
//! `OTEL_EXPORTER_OTLP_TRACES_ENDPOINT` names a collector; without them nothing is sent and no thread is started. The
//! other `OTEL_*` variables of the [specification] that concern traces hold as well: the service's name, its
//! attributes, the sampler, the batches, the headers.
//!
//! [specification]: https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/
mod lines;

use std::{
    env,
    io::{self, IsTerminal},
    time::Duration,
};

use axum::{
    extract::{MatchedPath, Request},
    http::HeaderMap,
    response::Response,
};
use opentelemetry::{
    Context,
    propagation::TextMapPropagator,
    trace::{Status, TraceContextExt, TracerProvider},
};
use opentelemetry_http::HeaderExtractor;
use opentelemetry_otlp::{
    ExporterBuildError, OTEL_EXPORTER_OTLP_ENDPOINT, OTEL_EXPORTER_OTLP_TRACES_ENDPOINT,
    SpanExporter,
};
use opentelemetry_sdk::{Resource, propagation::TraceContextPropagator, trace::SdkTracerProvider};
use tracing::{Span, field::Empty, level_filters::LevelFilter};
use tracing_opentelemetry::OpenTelemetrySpanExt;
use tracing_subscriber::{
    EnvFilter, Layer, filter::Targets, fmt, layer::SubscriberExt, util::SubscriberInitExt,
    util::TryInitError,
};

use self::lines::Lines;
use crate::{error::Code, request_id::RequestId};

/// How a log is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Lines for people.
    Text,
    /// One JSON object a line.
    Json,
}

/// Keeps the sending of spans alive; what is left is sent when it is dropped, for five seconds at most.
#[derive(Debug)]
#[must_use = "spans are sent until this is dropped"]
pub struct Telemetry {
    provider: Option<SdkTracerProvider>,
}

impl Drop for Telemetry {
    fn drop(&mut self) {
        if let Some(provider) = &self.provider
            && let Err(error) = provider.shutdown()
        {
            tracing::warn!("the last traces were not sent: {error}");
        }
    }
}

/// Why no traces are sent although a collector is named.
#[derive(Debug, thiserror::Error)]
enum TracesError {
    #[error(
        "{variable} is `{endpoint}`, but traces are sent without TLS: name a collector with http:// that is near \
         and passes them on"
    )]
    Tls {
        variable: &'static str,
        endpoint: String,
    },
    #[error(transparent)]
    Exporter(#[from] ExporterBuildError),
}

/// Starts the log of this process, and its traces where a collector is named. What is wrong with the traces is logged;
/// it keeps nobody from serving.
///
/// # Errors
/// When the process has a log already.
pub fn init(format: Format, filter: EnvFilter) -> Result<Telemetry, TryInitError> {
    let traces = provider();
    let provider = traces.as_ref().ok().cloned().flatten();
    let spans = provider.as_ref().map(|provider| {
        tracing_opentelemetry::layer()
            .with_location(false)
            .with_tracer(provider.tracer("buckler"))
            // A quiet log leaves the traces whole, and what sends them is not traced itself.
            .with_filter(Targets::new().with_target("buckler", LevelFilter::INFO))
    });
    let ansi = format == Format::Text && io::stderr().is_terminal();
    let log = fmt::layer().with_writer(move || Lines {
        to: io::stderr(),
        format,
        ansi,
    });
    let log = match format {
        Format::Text => log.with_ansi(ansi).with_target(false).boxed(),
        Format::Json => log.json().flatten_event(true).with_span_list(false).boxed(),
    };
    tracing_subscriber::registry()
        .with(log.with_filter(filter))
        .with(spans)
        .try_init()?;
    if let Err(error) = traces {
        tracing::warn!("no traces are sent: {error}");
    }
    Ok(Telemetry { provider })
}

/// What sends spans, if the environment names a collector.
fn provider() -> Result<Option<SdkTracerProvider>, TracesError> {
    // The one for traces goes before the one for every signal, and an empty value counts as none.
    let named = [
        OTEL_EXPORTER_OTLP_TRACES_ENDPOINT,
        OTEL_EXPORTER_OTLP_ENDPOINT,
    ]
    .into_iter()
    .find_map(|variable| Some((variable, env::var(variable).ok().filter(|v| !v.is_empty())?)));
    let Some((variable, endpoint)) = named else {
        return Ok(None);
    };
    if endpoint.starts_with("https:") {
        return Err(TracesError::Tls { variable, endpoint });
    }
    let exporter = SpanExporter::builder().with_http().build()?;
    Ok(Some(
        SdkTracerProvider::builder()
            .with_batch_exporter(exporter)
            .with_resource(resource())
            .build(),
    ))
}

/// Who sends: `OTEL_SERVICE_NAME`, or `service.name` in `OTEL_RESOURCE_ATTRIBUTES`, or `buckler`.
fn resource() -> Resource {
    let resource = Resource::builder();
    let named = |variable: &str, by: fn(&str) -> bool| env::var(variable).is_ok_and(|v| by(&v));
    let is_named = named("OTEL_SERVICE_NAME", |name| !name.is_empty())
        || named("OTEL_RESOURCE_ATTRIBUTES", |attributes| {
            attributes
                .split(',')
                .any(|one| one.trim_start().starts_with("service.name="))
        });
    if is_named {
        resource.build()
    } else {
        resource.with_service_name("buckler").build()
    }
}

/// The trace that a request belongs to by its `traceparent` and `tracestate`
/// ([W3C Trace Context](https://www.w3.org/TR/trace-context/)); a header that does not keep to the standard counts as none.
#[must_use]
pub fn parent(headers: &HeaderMap) -> Context {
    TraceContextPropagator::new().extract(&HeaderExtractor(headers))
}

/// Characters of a method that are logged.
const MAX_METHOD: usize = 20;

/// The span of a request, part of its sender's trace. `tenant`, `status` and an error's `code` are recorded when they
/// are known.
pub(crate) fn request_span(request: &Request) -> Span {
    // A client may invent one of any length.
    let method = request.method().as_str();
    let method = method.get(..MAX_METHOD).unwrap_or(method);
    // Not the path itself: clients choose that, and names of spans have to be few.
    let route = request
        .extensions()
        .get::<MatchedPath>()
        .map_or("", MatchedPath::as_str);
    let id = request.extensions().get::<RequestId>();
    let span = tracing::info_span!(
        "request",
        otel.name = format!("{method} {route}").trim_end(),
        otel.kind = "server",
        method,
        route,
        request_id = id.map(RequestId::as_str),
        tenant = Empty,
        status = Empty,
        code = Empty,
    );
    let parent = parent(request.headers());
    if parent.span().span_context().is_valid() {
        // It fails where no traces are sent.
        let _ = span.set_parent(parent);
    }
    span
}

/// Records an answer's status, and logs it; a failure of the server is one of the span.
pub(crate) fn answered(response: &Response, latency: Duration, span: &Span) {
    let status = response.status();
    span.record("status", status.as_u16());
    if let Some(Code(code)) = response.extensions().get() {
        span.record("code", code);
    }
    if status.is_server_error() {
        span.set_status(Status::error(""));
    }
    // As a u128 it would be a string in JSON.
    let milliseconds = u64::try_from(latency.as_millis()).unwrap_or(u64::MAX);
    tracing::info!(milliseconds, "answered");
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn trace_of(value: &'static str) -> Option<String> {
        let mut headers = HeaderMap::new();
        headers.insert("traceparent", HeaderValue::from_static(value));
        let context = parent(&headers);
        let span = context.span().span_context().clone();
        span.is_valid().then(|| span.trace_id().to_string())
    }

    #[test]
    fn a_parent_is_taken_from_a_traceparent_that_keeps_to_the_standard_alone() {
        let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
        assert_eq!(
            trace_of("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01").as_deref(),
            Some(trace)
        );
        for wrong in [
            "",
            "1",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e473x-00f067aa0ba902b7-01",
        ] {
            assert_eq!(trace_of(wrong), None, "{wrong}");
        }
    }
}
