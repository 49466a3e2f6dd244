//! Servers that stand an overload or vanishing clients, and servers that do not.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod support;

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use axum::{
    Router,
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::post,
};
use buckler_load::{
    Ask, Length, Load, OverloadPlan, OverloadReport, Raw, Target, VanishPlan, VanishReport,
    overload, vanish,
};
use support::Server;
use tokio::{sync::Semaphore, time::sleep};

async fn target(server: &Server) -> Target {
    let ask = Ask::Raw(Raw {
        body: vec![b'x'; 2000],
        content_type: "text/plain".to_owned(),
    });
    Target::new(&server.url, &ask, None).await.unwrap()
}

/// Two requests at a time, each 20 milliseconds, and `refusal` for more than two who wait.
async fn small_server(refusal: fn() -> Response) -> Server {
    let places = Arc::new((Semaphore::new(4), Semaphore::new(2)));
    let answer = move || {
        let places = Arc::clone(&places);
        async move {
            let Ok(_waiting) = places.0.try_acquire() else {
                return refusal();
            };
            let _working = places.1.acquire().await.unwrap();
            sleep(Duration::from_millis(20)).await;
            StatusCode::OK.into_response()
        }
    };
    Server::start(Router::new().route("/", post(answer))).await
}

async fn overloaded(server: &Server) -> OverloadReport {
    let plan = OverloadPlan {
        target: target(server).await,
        load: Load {
            connections: 2,
            length: Length::Duration(Duration::from_secs(1)),
            ..Load::default()
        },
        factor: 10.0,
        connections: 50,
        calibration: Duration::from_millis(500),
        pid: Some(std::process::id()),
    };
    overload(&plan).await.unwrap()
}

#[tokio::test]
async fn a_server_that_refuses_what_it_cannot_do_stands_an_overload() {
    let refusal = || (StatusCode::TOO_MANY_REQUESTS, [("retry-after", "1")]).into_response();
    let report = overloaded(&small_server(refusal).await).await;
    assert_eq!(report.failures, [""; 0], "{report}");
    assert!(
        (50.0..110.0).contains(&report.capacity.per_second),
        "{report}"
    );
    assert!(
        report.overload.statuses[&429] > report.overload.ok,
        "{report}"
    );
    assert!(report.usage.unwrap().peak_resident_bytes > 1 << 20);
}

#[tokio::test]
async fn refusals_without_a_time_to_come_back_and_other_errors_are_failures() {
    let refusal = || StatusCode::SERVICE_UNAVAILABLE.into_response();
    let report = overloaded(&small_server(refusal).await).await;
    assert!(report.failures[0].contains("did not say when"), "{report}");

    let refusal = || StatusCode::INTERNAL_SERVER_ERROR.into_response();
    let report = overloaded(&small_server(refusal).await).await;
    assert!(report.failures[0].contains("status 500"), "{report}");
}

#[tokio::test]
async fn a_server_that_lets_everybody_wait_does_not_stand_an_overload() {
    let place = Arc::new(Semaphore::new(1));
    let answer = move || {
        let place = Arc::clone(&place);
        async move {
            let _working = place.acquire_owned().await;
            sleep(Duration::from_millis(20)).await;
        }
    };
    let server = Server::start(Router::new().route("/", post(answer))).await;
    let report = overloaded(&server).await;
    assert!(report.failures[0].contains("none was refused"), "{report}");
}

#[tokio::test]
async fn a_server_that_nobody_overloaded_has_stood_nothing() {
    // As many at once as there are connections.
    let answer = post(|| sleep(Duration::from_millis(20)));
    let server = Server::start(Router::new().route("/", answer)).await;
    let report = overloaded(&server).await;
    assert!(
        report.failures[0].contains("this was no overload"),
        "{report}"
    );
}

async fn left(server: &Server) -> VanishReport {
    let plan = VanishPlan {
        target: target(server).await,
        clients: 150,
        connections: 20,
        timeout: Duration::from_secs(10),
        pid: Some(std::process::id()),
        seed: 3,
    };
    vanish(&plan).await.unwrap()
}

#[tokio::test]
async fn clients_vanish_amid_the_request_and_amid_the_answer() {
    let slow = |_: axum::body::Bytes| sleep(Duration::from_millis(20));
    let server = Server::start(Router::new().route("/", post(slow))).await;
    let report = left(&server).await;
    assert_eq!(
        report.amid_request + report.amid_answer + report.answered,
        150
    );
    assert!(report.amid_request >= 50, "{report}");
    assert!(report.amid_answer > 10 && report.answered > 10, "{report}");
    assert_eq!((report.refused, report.after.not_ok()), (0, 0), "{report}");
    assert!(
        report.beside.ok > 0 && report.beside.not_ok() == 0,
        "{report}"
    );
}

#[tokio::test]
async fn a_server_that_breaks_when_a_request_is_cancelled_is_found_out() {
    struct Breaks(Arc<AtomicBool>);
    impl Drop for Breaks {
        fn drop(&mut self) {
            self.0.store(true, Ordering::SeqCst);
        }
    }
    let broken = Arc::new(AtomicBool::new(false));
    let answer = move |_: axum::body::Bytes| {
        let broken = Arc::clone(&broken);
        async move {
            if broken.load(Ordering::SeqCst) {
                return StatusCode::INTERNAL_SERVER_ERROR;
            }
            let breaks = Breaks(broken);
            sleep(Duration::from_millis(20)).await;
            std::mem::forget(breaks);
            StatusCode::OK
        }
    };
    let server = Server::start(Router::new().route("/", post(answer))).await;
    let report = left(&server).await;
    assert!(
        report
            .failures
            .iter()
            .any(|failure| failure.contains("20 x 500")),
        "{report}"
    );
}
