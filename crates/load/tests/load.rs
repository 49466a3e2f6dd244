//! The load generator against small servers whose behaviour is known.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod support;

use std::{
    sync::atomic::Ordering,
    time::{Duration, Instant},
};

use axum::{Router, http::StatusCode, routing::post};
use buckler_load::{
    Ask, Beside, Length, Load, LoadError, Measurement, Plan, Raw, Report, Target, run,
};
use serde_json::json;
use support::{Counter, Server};
use tokio::time::sleep;

fn raw() -> Ask {
    Ask::Raw(Raw {
        body: b"hello".to_vec(),
        content_type: "text/plain".to_owned(),
    })
}

fn load(length: Length) -> Load {
    Load {
        connections: 4,
        warm_up: Duration::ZERO,
        length,
        ..Load::default()
    }
}

async fn target(server: &Server) -> Target {
    Target::new(&server.url, &raw(), None).await.unwrap()
}

async fn measured(server: &Server, load: Load) -> Measurement {
    let plan = Plan::new(vec![target(server).await], load);
    let mut report = run(&plan, |_| {}).await.unwrap();
    report.series.remove(0).rounds.remove(0)
}

#[tokio::test]
async fn as_many_requests_are_sent_as_were_asked_for() {
    let counter = Counter::default();
    let server =
        Server::start(Router::new().route("/", post(counter.answer(|_| StatusCode::OK)))).await;
    for (index, rate) in [None, Some(1000.0)].into_iter().enumerate() {
        let load = Load {
            rate,
            ..load(Length::Requests(101))
        };
        let round = measured(&server, load).await;
        assert_eq!((round.requests, round.ok), (101, 101), "{rate:?}");
        // One request more goes ahead of every run.
        assert_eq!(counter.0.load(Ordering::SeqCst), 102 * (index as u64 + 1));
    }
}

#[tokio::test]
async fn answers_are_counted_by_their_status_and_what_they_say_about_coming_back() {
    let counter = Counter::default();
    let answer = counter.answer(|index| match index % 4 {
        1 => (StatusCode::TOO_MANY_REQUESTS, [("retry-after", "3")]),
        2 => (StatusCode::SERVICE_UNAVAILABLE, [("retry-after", "7")]),
        3 => (StatusCode::TOO_MANY_REQUESTS, [("x-nothing", "")]),
        _ => (StatusCode::OK, [("x-nothing", "")]),
    });
    let server = Server::start(Router::new().route("/", post(answer))).await;
    let round = measured(&server, load(Length::Requests(400))).await;
    assert_eq!(round.ok, 100);
    assert_eq!(round.statuses, [(200, 100), (429, 200), (503, 100)].into());
    assert_eq!(round.not_ok(), 300);
    let seen = round.retry_after.unwrap();
    assert_eq!((seen.shortest_seconds, seen.longest_seconds), (3, 7));
    assert_eq!(
        (seen.answers, round.refused_without_retry_after),
        (200, 100)
    );
}

/// Coordinated omission: of a server that stalls once for half a second, a closed loop sees one slow request for each
/// connection; at 200 requests a second a hundred more would have had to wait.
#[tokio::test]
async fn an_open_loop_sees_the_wait_of_all_who_came_while_the_server_stalled() {
    let stall = || {
        let started = std::sync::Arc::new(std::sync::OnceLock::<Instant>::new());
        post(move || {
            let started = started.clone();
            async move {
                let elapsed = started.get_or_init(Instant::now).elapsed();
                let (from, to) = (Duration::from_millis(500), Duration::from_millis(1000));
                if elapsed > from && elapsed < to {
                    sleep(to - elapsed).await;
                }
            }
        })
    };
    let second = Length::Duration(Duration::from_millis(1500));
    let server = Server::start(Router::new().route("/", stall())).await;
    let closed = measured(&server, load(second)).await;
    assert_eq!(closed.not_ok(), 0);
    assert!(closed.latency_ms.unwrap().p90 < 100.0, "{closed:?}");
    assert!(closed.latency_ms.unwrap().max > 300.0, "{closed:?}");

    let server = Server::start(Router::new().route("/", stall())).await;
    let open = measured(
        &server,
        Load {
            rate: Some(200.0),
            ..load(second)
        },
    )
    .await;
    assert_eq!((open.requests, open.not_ok()), (300, 0));
    // A third of the requests fall into the stall, and their waits are spread evenly over its length.
    let latency = open.latency_ms.unwrap();
    assert!(latency.p90 > 250.0, "{latency:?}");
    assert!(latency.p50 < 100.0, "{latency:?}");
}

#[tokio::test]
async fn an_open_loop_keeps_its_rate() {
    let server = Server::start(Router::new().route("/", post(|| async {}))).await;
    let load = Load {
        rate: Some(300.0),
        ..load(Length::Duration(Duration::from_secs(1)))
    };
    let round = measured(&server, load).await;
    assert_eq!(round.requests, 300);
    assert!(round.seconds > 0.95 && round.seconds < 1.5, "{round:?}");
}

#[tokio::test]
async fn what_no_connection_was_free_for_counts_with_its_wait() {
    let slow = post(|| sleep(Duration::from_millis(200)));
    let server = Server::start(Router::new().route("/", slow)).await;
    let load = Load {
        connections: 1,
        rate: Some(100.0),
        ..load(Length::Duration(Duration::from_secs(1)))
    };
    let round = measured(&server, load).await;
    assert_eq!(round.requests, 100);
    assert!(
        round.ok <= 31 && round.unanswered == 100 - round.ok,
        "{round:?}"
    );
    // The last of these had its answer after six seconds, having come within the first.
    assert!(round.per_second <= 6.0, "{round:?}");
    assert!(round.latency_ms.unwrap().p90 > 5000.0, "{round:?}");
}

#[tokio::test]
async fn a_server_that_never_answers_holds_nobody_up() {
    let counter = Counter::default();
    let sent = counter.0.clone();
    let stuck = post(move || async move {
        // The request ahead of the load is answered.
        if sent.fetch_add(1, Ordering::SeqCst) > 0 {
            sleep(Duration::from_secs(600)).await;
        }
    });
    let server = Server::start(Router::new().route("/", stuck)).await;
    let started = Instant::now();
    let load = Load {
        timeout: Duration::from_millis(300),
        ..load(Length::Duration(Duration::from_millis(500)))
    };
    let round = measured(&server, load).await;
    assert!(started.elapsed() < Duration::from_secs(4));
    assert_eq!((round.ok, round.per_second), (0, 0.0));
    assert_eq!(round.failures["timeout"], round.requests);
    assert!(round.latency_ms.unwrap().p50 > 295.0);
}

#[tokio::test]
async fn a_target_that_refuses_or_is_not_there_is_an_error_and_no_measurement() {
    let server = Server::start(Router::new()).await;
    let plan = Plan::new(vec![target(&server).await], Load::default());
    let error = run(&plan, |_| {}).await.unwrap_err();
    assert!(
        matches!(error, LoadError::Refused { status: 404, .. }),
        "{error}"
    );

    let url = server.url.clone();
    server.stop().await;
    let target = Target::new(&url, &raw(), None).await.unwrap();
    let error = run(&Plan::new(vec![target], Load::default()), |_| {}).await;
    let error = error.unwrap_err();
    assert!(matches!(error, LoadError::Unreachable { .. }), "{error}");
    assert!(
        error.to_string().contains("is the server running?"),
        "{error}"
    );
}

#[tokio::test]
async fn targets_take_turns_and_are_compared_with_the_first() {
    let delayed = |milliseconds| post(move || sleep(Duration::from_millis(milliseconds)));
    let routes = Router::new()
        .route("/", delayed(0))
        .route("/slow", delayed(20));
    let server = Server::start(routes).await;
    let url = &server.url;
    let quick = Target::new(&format!("quick={url}"), &raw(), None).await;
    let slow = Target::new(&format!("slow={url}/slow"), &raw(), None).await;
    let plan = Plan {
        rounds: 2,
        ..Plan::new(
            vec![quick.unwrap(), slow.unwrap()],
            load(Length::Requests(20)),
        )
    };
    let turns = std::sync::Mutex::new(Vec::new());
    let report = run(&plan, |step| turns.lock().unwrap().push(step.name.clone())).await;
    let report = report.unwrap();
    assert_eq!(*turns.lock().unwrap(), ["quick", "slow", "quick", "slow"]);
    assert!(report.series.iter().all(|series| series.rounds.len() == 2));
    assert!(report.series[1].latency_ms.unwrap().p50 >= 20.0);
    assert!(report.series[1].per_second < report.series[0].per_second);
    let again: Report = serde_json::from_value(json!(report)).unwrap();
    assert_eq!(again.series[1].name, "slow");
}

#[tokio::test]
async fn load_beside_runs_while_its_own_series_is_measured_and_only_then() {
    let counter = Counter::default();
    let busy = counter.clone();
    let routes = Router::new()
        .route("/", post(|| async {}))
        .route("/attack", post(counter.answer(|_| StatusCode::OK)));
    let server = Server::start(routes).await;
    let mut target = target(&server).await;
    let request = Target::new(&format!("{}/attack", server.url), &raw(), None).await;
    target.beside = Some(Beside {
        request: request.unwrap().request,
        connections: 2,
    });
    let plan = Plan::new(vec![target], load(Length::Requests(50)));
    let seen = std::sync::Mutex::new(Vec::new());
    let report = run(&plan, |_| {
        seen.lock().unwrap().push(busy.0.load(Ordering::SeqCst));
    })
    .await
    .unwrap();
    // The first request is the one that goes ahead.
    assert_eq!(*seen.lock().unwrap(), [1, 1]);
    assert_eq!(report.series.len(), 2);
    assert_eq!(report.series[0].beside, None);
    assert_eq!(report.series[1].beside.as_deref(), Some("2 x /attack"));
    let beside = &report.series[1].rounds_beside[0];
    assert!(beside.ok > 0);
    assert_eq!(beside.ok, counter.0.load(Ordering::SeqCst) - 1);
}

#[tokio::test]
async fn settings_without_sense_are_refused_with_the_remedy() {
    let server = Server::start(Router::new().route("/", post(|| async {}))).await;
    let broken = [
        Load {
            connections: 0,
            ..Load::default()
        },
        Load {
            rate: Some(0.0),
            ..Load::default()
        },
        Load {
            rate: Some(f64::NAN),
            ..Load::default()
        },
        load(Length::Requests(0)),
        load(Length::Duration(Duration::ZERO)),
    ];
    for load in broken {
        let plan = Plan::new(vec![target(&server).await], load);
        let error = run(&plan, |_| {}).await.unwrap_err();
        assert!(matches!(error, LoadError::Plan(_)), "{error}");
    }
    for given in ["localhost:8080", "name=https://localhost", "http://"] {
        let error = Target::new(given, &raw(), None).await.unwrap_err();
        assert!(error.to_string().contains(given), "{error}");
    }
}
