//! What leaves a server's process as logs and traces. A subscriber is set once per process, and no process may change
//! its own environment safely: every case runs in a process of its own, which is this test again.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod support;

use std::{
    collections::HashMap,
    env, fs,
    process::{Command, Output},
};

use axum::{Router, body::Bytes, http::StatusCode as Status, routing::post};
use buckler_server::telemetry::{self, Format};
use opentelemetry_proto::tonic::{
    collector::trace::v1::ExportTraceServiceRequest,
    common::v1::{KeyValue, any_value::Value as Attribute},
    trace::v1::span::SpanKind,
};
use prost::Message;
use serde_json::Value;
use support::{Server, left};
use tokio::{net::TcpListener, sync::mpsc};
use tracing_subscriber::EnvFilter;

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const SPAN: &str = "00f067aa0ba902b7";
const THREADS: &str = "threads started: ";

/// A server that answers one request, with all that the environment asks for.
#[test]
#[ignore = "the other tests start it in a process of its own"]
fn a_server() {
    let threads = || fs::read_dir("/proc/self/task").unwrap().count();
    let before = threads();
    let log = EnvFilter::new("info");
    let telemetry = telemetry::init(Format::Json, log).unwrap();
    println!("\n{THREADS}{}", threads() - before);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let server = Server::start().await;
        let request = server
            .post("/predict?model=halves")
            .header("x-request-id", "r-17")
            .header("traceparent", format!("00-{TRACE}-{SPAN}-01"))
            .body(left(40));
        assert_eq!(request.send().await.unwrap().status(), 200);
        server.stop().await;
    });
    drop(telemetry);
}

async fn served(variables: &[(&str, &str)]) -> Output {
    let mut command = Command::new(env::current_exe().unwrap());
    command.args(["--exact", "a_server", "--ignored", "--nocapture"]);
    for (name, _) in env::vars_os() {
        if name.to_string_lossy().starts_with("OTEL_") {
            command.env_remove(name);
        }
    }
    command.envs(variables.iter().copied());
    let output = tokio::task::spawn_blocking(move || command.output().unwrap())
        .await
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    output
}

fn threads(output: &Output) -> usize {
    let text = String::from_utf8_lossy(&output.stdout);
    let line = text.lines().find_map(|line| line.strip_prefix(THREADS));
    line.unwrap_or_else(|| panic!("{text}")).parse().unwrap()
}

/// Every line of the log.
fn log(output: &Output) -> Vec<Value> {
    let text = str::from_utf8(&output.stderr).unwrap();
    let parse = |line| serde_json::from_str(line).unwrap_or_else(|_| panic!("no JSON: {line}"));
    text.lines().map(parse).collect()
}

/// A collector's address, and what it is sent.
async fn collector() -> (String, mpsc::UnboundedReceiver<ExportTraceServiceRequest>) {
    let (sender, received) = mpsc::unbounded_channel();
    let traces = move |body: Bytes| async move {
        let request = ExportTraceServiceRequest::decode(body).unwrap();
        sender.send(request).unwrap();
        Status::OK
    };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let router = Router::new().route("/v1/traces", post(traces));
    tokio::spawn(async { axum::serve(listener, router).await });
    (address, received)
}

fn attributes(pairs: &[KeyValue]) -> HashMap<&str, String> {
    let text = |pair: &KeyValue| match pair.value.clone()?.value? {
        Attribute::StringValue(text) => Some(text),
        Attribute::IntValue(number) => Some(number.to_string()),
        _ => None,
    };
    let known = pairs
        .iter()
        .filter_map(|pair| Some((&*pair.key, text(pair)?)));
    known.collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[tokio::test]
async fn a_request_becomes_a_span_in_the_trace_of_its_sender() {
    let (address, mut received) = collector().await;
    let output = served(&[("OTEL_EXPORTER_OTLP_ENDPOINT", &address)]).await;
    assert_ne!(threads(&output), 0, "who sends without a thread?");

    // The process was over long before a batch was due: the end of the server sent it.
    let sent = received.try_recv().unwrap();
    let [resource] = &sent.resource_spans[..] else {
        panic!("{sent:?}")
    };
    let of_service = attributes(&resource.resource.as_ref().unwrap().attributes);
    assert_eq!(of_service["service.name"], "buckler");
    let [scope] = &resource.scope_spans[..] else {
        panic!("{sent:?}")
    };
    let [span] = &scope.spans[..] else {
        panic!("{sent:?}")
    };
    assert_eq!(hex(&span.trace_id), TRACE);
    assert_eq!(hex(&span.parent_span_id), SPAN);
    assert_eq!(span.name, "POST /predict");
    assert_eq!(span.kind(), SpanKind::Server);
    let of_span = attributes(&span.attributes);
    for (name, value) in [
        ("method", "POST"),
        ("route", "/predict"),
        ("request_id", "r-17"),
        ("status", "200"),
    ] {
        assert_eq!(of_span.get(name).map(String::as_str), Some(value), "{name}");
    }
}

#[tokio::test]
async fn the_standard_variables_name_the_service_and_the_address_of_traces() {
    let (address, mut received) = collector().await;
    let traces = format!("{address}/v1/traces");
    served(&[
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1"),
        ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", &traces),
        ("OTEL_RESOURCE_ATTRIBUTES", "site=here, service.name=shield"),
    ])
    .await;
    let sent = received.try_recv().unwrap();
    let resource = sent.resource_spans[0].resource.as_ref().unwrap();
    let of_service = attributes(&resource.attributes);
    assert_eq!(of_service["service.name"], "shield");
    assert_eq!(of_service["site"], "here");
}

#[tokio::test]
async fn without_a_collector_no_thread_is_started_and_the_log_is_json_with_the_request() {
    let output = served(&[("OTEL_SERVICE_NAME", "buckler")]).await;
    assert_eq!(threads(&output), 0);
    let log = log(&output);
    let answered = log
        .iter()
        .find(|line| line["message"] == "answered")
        .unwrap();
    assert!(answered["milliseconds"].is_u64(), "{answered}");
    assert_eq!(answered["span"]["request_id"], "r-17");
    assert_eq!(answered["span"]["route"], "/predict");
    assert_eq!(answered["span"]["status"], 200);
}

#[tokio::test]
async fn a_collector_that_cannot_be_used_is_named_in_the_log_and_the_server_serves() {
    for (endpoint, remedy) in [
        ("https://collector.example:4318", "http://"),
        ("not an address", "not an address"),
        ("http://127.0.0.1:1", "export failed"),
    ] {
        let output = served(&[("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint)]).await;
        let warned = log(&output).iter().any(|line| {
            let serious = line["level"] == "WARN" || line["level"] == "ERROR";
            serious && line.to_string().contains(remedy)
        });
        assert!(
            warned,
            "{endpoint}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
}
