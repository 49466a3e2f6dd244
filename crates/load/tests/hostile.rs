//! Servers that stand hostile clients, and servers that do not.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
#[path = "support/limits.rs"]
mod limits;

use std::{
    collections::BTreeSet,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use axum::{
    Router,
    body::Body,
    http::{HeaderMap, StatusCode},
    routing::{get, post},
};
use buckler_load::{
    Answer, Ask, Attack, AttackReport, HostilePlan, HostileReport, Length, Load, LoadArgs,
    LoadError, Raw, Target, hostile,
};
use clap::Parser;
use limits::{Limits, STREAMS};
use reqwest::Url;
use serde_json::json;
use tokio::sync::Semaphore;

const CONNECTIONS: usize = 6;

async fn plan(url: &str, attacks: &[Attack], key: Option<&str>) -> HostilePlan {
    let ask = Ask::Raw(Raw {
        body: b"hello".to_vec(),
        content_type: "text/plain".to_owned(),
    });
    let target = Target::new(url, &ask, key).await.unwrap();
    let plan = HostilePlan::new(target, Url::parse(url).unwrap()).unwrap();
    HostilePlan {
        attacks: attacks.to_vec(),
        connections: Some(CONNECTIONS),
        load: Load {
            warm_up: Duration::ZERO,
            length: Length::Duration(Duration::from_millis(300)),
            timeout: Duration::from_secs(10),
            ..plan.load
        },
        calm: Duration::from_millis(100),
        rest: Duration::ZERO,
        ..plan
    }
}

/// `limits` with a handler that reads a request's body within them.
fn routes(limits: Limits) -> Router {
    Limits::routes().route("/", post(move |body: Body| limits.read(body)))
}

async fn attacked(limits: Limits, attack: Attack, hold_limit: Duration) -> AttackReport {
    let (url, _serving) = limits.serve(routes(limits));
    let plan = HostilePlan {
        hold_limit,
        ..plan(&url, &[attack], None).await
    };
    let mut report = hostile(&plan, |_| {}).await.unwrap();
    report.attacks.remove(0)
}

async fn strict(attack: Attack) -> AttackReport {
    let report = attacked(Limits::STRICT, attack, Duration::from_secs(30)).await;
    assert_eq!(report.failures, [""; 0], "{report}");
    for measured in [&report.before, &report.meanwhile, &report.after] {
        assert!(measured.ok > 0 && measured.not_ok() == 0, "{report}");
    }
    assert!(report.health.ok > 0, "{report}");
    report
}

#[tokio::test]
async fn requests_without_a_body_are_held_on_all_streams_until_the_server_gives_them_up() {
    let report = strict(Attack::HeldStreams).await;
    let streams = report.streams.clone().unwrap();
    assert_eq!(streams.most, (CONNECTIONS * STREAMS) as u64, "{report}");
    assert!(streams.ended >= streams.most, "{report}");
    assert_eq!(streams.statuses[&408], streams.ended, "{report}");
    assert!(streams.longest_seconds >= 0.3, "{report}");
    assert_eq!(report.connections.unwrap().most, CONNECTIONS as u64);
}

#[tokio::test]
async fn heads_without_a_body_are_sent_until_the_server_closes_their_connections() {
    let (url, _serving) = Limits::STRICT.serve(routes(Limits::STRICT));
    let mut plan = plan(&url, &[Attack::Heads], None).await;
    // Long enough for each to be closed and opened again.
    plan.load.length = Length::Duration(Duration::from_millis(1500));
    let report = hostile(&plan, |_| {}).await.unwrap().attacks.remove(0);
    assert_eq!(report.failures, [""; 0], "{report}");
    let connections = report.connections.clone().unwrap();
    assert_eq!(connections.most, CONNECTIONS as u64, "{report}");
    assert!(connections.opened >= 2 * connections.most, "{report}");
    assert_eq!(connections.ended, connections.opened, "{report}");
    assert_eq!(connections.statuses[&408], connections.opened, "{report}");
    assert_eq!(
        (report.streams, &report.asked[..]),
        (None, &["POST /".to_owned()][..])
    );
}

#[tokio::test]
async fn silent_connections_of_http_2_are_held_until_the_server_closes_them() {
    let report = strict(Attack::IdleHttp2).await;
    let connections = report.connections.clone().unwrap();
    assert_eq!(connections.most, CONNECTIONS as u64, "{report}");
    assert_eq!(connections.ended, connections.opened, "{report}");
    assert!(connections.longest_seconds >= 0.8, "{report}");
    assert!(connections.statuses.is_empty(), "{report}");
}

#[tokio::test]
async fn answers_are_not_read_until_the_server_closes_their_connections() {
    let report = strict(Attack::StoppedReaders).await;
    let connections = report.connections.clone().unwrap();
    assert_eq!(connections.ended, connections.opened, "{report}");
    assert!(connections.longest_seconds >= 0.8, "{report}");
    let streams = report.streams.clone().unwrap();
    assert_eq!(streams.most, (CONNECTIONS / 2 * STREAMS) as u64, "{report}");
    assert_eq!(streams.ended, streams.opened, "{report}");
    assert!(streams.longest_seconds >= 0.8, "{report}");
}

#[tokio::test]
async fn scrapes_run_beside_a_proper_client_at_its_rate() {
    let (url, _serving) = Limits::STRICT.serve(routes(Limits::STRICT));
    let mut plan = plan(&url, &[Attack::Scrapes], None).await;
    plan.load.rate = Some(50.0);
    let report = hostile(&plan, |_| {}).await.unwrap();
    assert_eq!(report.failures, [""; 0], "{report}");
    let attack = &report.attacks[0];
    assert_eq!((attack.meanwhile.requests, attack.before.requests), (15, 5));
    let scrapes = attack.scrapes.as_ref().unwrap();
    assert!(scrapes.ok > CONNECTIONS as u64, "{report}");
    assert_eq!((&attack.connections, &attack.streams), (&None, &None));
}

#[tokio::test]
async fn a_server_that_lets_clients_hold_what_they_have_does_not_stand_them() {
    let never = |attack| attacked(Limits::NONE, attack, Duration::from_millis(500));
    let (streams, heads, idle, readers) = tokio::join!(
        never(Attack::HeldStreams),
        never(Attack::Heads),
        never(Attack::IdleHttp2),
        never(Attack::StoppedReaders),
    );
    let held = (CONNECTIONS * STREAMS) as u64;
    assert_eq!(streams.streams.as_ref().unwrap().outlived, held);
    for (report, what) in [
        (&streams, "60 streams"),
        (&heads, "6 connections"),
        (&idle, "6 connections"),
        (&readers, "3 connections"),
        (&readers, "30 streams"),
    ] {
        let told = format!("{what} were held for longer than the limit of 0.5 s (--hold-limit)");
        assert!(report.failures.contains(&told), "{report}");
        assert_eq!(report.meanwhile.not_ok(), 0, "{report}");
    }
}

#[tokio::test]
async fn a_server_whose_places_are_held_by_others_fails_the_proper_client() {
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    let answer = move |body: Body| {
        let places = Arc::clone(&places);
        async move {
            match places.try_acquire() {
                Ok(_place) => Limits::NONE.read(body).await,
                Err(_) => StatusCode::SERVICE_UNAVAILABLE,
            }
        }
    };
    let (url, _serving) = Limits::NONE.serve(Limits::routes().route("/", post(answer)));
    let plan = HostilePlan {
        hold_limit: Duration::from_millis(500),
        ..plan(&url, &[Attack::Heads, Attack::Scrapes], None).await
    };
    let steps = Mutex::new(Vec::new());
    let report = hostile(&plan, |step| steps.lock().unwrap().push(step.to_string())).await;
    let report = report.unwrap();
    let refused = report.attacks[0].meanwhile.statuses[&503];
    assert!(refused > 0, "{report}");
    let told = |failure: &String| {
        failure.starts_with("heads: meanwhile ") && failure.contains(&format!("{refused} x 503"))
    };
    assert!(report.failures.iter().any(told), "{report}");
    assert!(report.attacks[0].before.not_ok() == 0, "{report}");
    assert_eq!(report.attacks[1].failures, [""; 0], "{report}");
    let text = report.to_string();
    assert!(
        text.contains("\nall: 1 of 2 attacks have failures"),
        "{text}"
    );
    assert_eq!(json!(report)["attacks"][0]["attack"], "heads");
    let again: HostileReport = serde_json::from_value(json!(report)).unwrap();
    assert_eq!(again.failures, report.failures);
    let [first, second] = <[String; 2]>::try_from(steps.into_inner().unwrap()).unwrap();
    assert!(first.starts_with("round 1 of 2: ") && first.ends_with(", beside 6 x heads"));
    assert!(second.ends_with(", beside 6 x scrapes"), "{second}");
}

#[tokio::test]
async fn a_health_probe_that_fails_is_a_failure() {
    let asked = AtomicU64::new(0);
    let health = move || {
        // The one that goes ahead is answered.
        let first = asked.fetch_add(1, Ordering::SeqCst) == 0;
        std::future::ready(match first {
            true => StatusCode::OK,
            false => StatusCode::SERVICE_UNAVAILABLE,
        })
    };
    let health = Arc::new(health);
    let routes = Router::new()
        .route("/", post(|body: Body| Limits::STRICT.read(body)))
        .route("/metrics", get(|| std::future::ready("")))
        .route("/v2/health/live", get(move || health()));
    let (url, _serving) = Limits::STRICT.serve(routes);
    let plan = plan(&url, &[Attack::Scrapes], None).await;
    let report = hostile(&plan, |_| {}).await.unwrap();
    let probes = report.attacks[0].health.requests;
    let told = format!("scrapes: {probes} of {probes} health probes failed: {probes} x 503");
    assert!(report.failures[0].starts_with(&told), "{report}");
}

#[tokio::test]
async fn a_server_that_keeps_memory_does_not_stand_it() {
    let kept = Arc::new(Mutex::new(Vec::new()));
    let leak = move || {
        let mut kept = kept.lock().unwrap();
        if kept.len() < 40 {
            kept.push(vec![1_u8; 4 << 20]);
        }
        std::future::ready("")
    };
    let routes = Router::new()
        .route("/", post(|body: Body| Limits::STRICT.read(body)))
        .route("/metrics", get(leak))
        .route("/v2/health/live", get(|| std::future::ready(())));
    let (url, _serving) = Limits::STRICT.serve(routes);
    let plan = HostilePlan {
        pid: Some(std::process::id()),
        ..plan(&url, &[Attack::Scrapes], None).await
    };
    let report = hostile(&plan, |_| {}).await.unwrap();
    let told = "scrapes: the process does not come back to what it held: resident memory";
    assert!(report.failures[0].starts_with(told), "{report}");
    assert_eq!(report.usage, report.attacks[0].usage);
}

#[tokio::test]
async fn hostile_clients_have_a_key_of_their_own_or_none() {
    let seen = Arc::new(Mutex::new(BTreeSet::new()));
    let (url, _serving) = Limits::STRICT.serve(Limits::routes().route("/", {
        let seen = Arc::clone(&seen);
        post(async move |headers: HeaderMap, body: Body| {
            let key = headers.get("authorization");
            let key = key.map(|key| key.to_str().unwrap().to_owned());
            let status = Limits::STRICT.read(body).await;
            seen.lock().unwrap().insert((key, status.as_u16()));
            status
        })
    }));
    let mut plan = plan(&url, &[Attack::Heads, Attack::HeldStreams], Some("proper")).await;
    let proper = (Some("Bearer proper".to_owned()), 200);
    hostile(&plan, |_| {}).await.unwrap();
    let without = [(None, 408), proper.clone()];
    assert_eq!(std::mem::take(&mut *seen.lock().unwrap()), without.into());
    plan.key = Some("hostile".to_owned());
    hostile(&plan, |_| {}).await.unwrap();
    let with = [(Some("Bearer hostile".to_owned()), 408), proper];
    assert_eq!(*seen.lock().unwrap(), with.into());
}

#[tokio::test]
async fn an_attack_that_the_server_knows_nothing_of_has_shown_nothing() {
    let limits = Limits {
        http2: false,
        ..Limits::STRICT
    };
    let report = attacked(limits, Attack::HeldStreams, Duration::from_secs(30)).await;
    let told = "no streams were opened (0 refused), so this was no attack";
    assert_eq!(report.failures, [told], "{report}");
}

#[tokio::test]
async fn plans_that_can_show_nothing_are_refused_with_the_remedy() {
    let (url, _serving) = Limits::STRICT.serve(routes(Limits::STRICT));
    let refused = async |change: fn(&mut HostilePlan)| {
        let mut plan = plan(&url, &[Attack::Heads], None).await;
        change(&mut plan);
        hostile(&plan, |_| {}).await.unwrap_err().to_string()
    };
    let none = refused(|plan| plan.attacks.clear()).await;
    assert!(none.contains("give at least one"), "{none}");
    let none = refused(|plan| plan.connections = Some(0)).await;
    assert!(none.contains("give at least 1"), "{none}");
    let many = refused(|plan| plan.connections = Some(usize::MAX)).await;
    assert!(many.contains("give fewer connections"), "{many}");
    let zero = refused(|plan| plan.hold_limit = Duration::ZERO).await;
    assert!(zero.contains("give some"), "{zero}");
    let nothing = refused(|plan| {
        plan.attacks = vec![Attack::StoppedReaders];
        plan.large[0].url_mut().set_path("/nothing");
    });
    let nothing = nothing.await;
    assert!(
        nothing.contains("/nothing; leave this scenario out"),
        "{nothing}"
    );

    // Without the routes that are to be asked.
    let bare = Router::new().route("/", post(|body: Body| Limits::STRICT.read(body)));
    let (url, _bare) = Limits::STRICT.serve(bare);
    let plan = plan(&url, &[Attack::Heads], None).await;
    let error = hostile(&plan, |_| {}).await.unwrap_err();
    assert!(
        error
            .to_string()
            .contains("/v2/health/live answers with 404"),
        "{error}"
    );
    assert!(matches!(error, LoadError::Refused { status: 404, .. }));
}

#[derive(Parser)]
struct Cli {
    #[command(flatten)]
    load: LoadArgs,
}

#[tokio::test]
async fn a_command_line_names_the_scenario_the_limit_and_the_connections() {
    let proper = post(|body: Body| Limits::STRICT.read(body));
    let (url, _serving) = Limits::STRICT.serve(Limits::routes().route("/proper", proper));
    let body = concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml");
    let run = async |scenario: &str| {
        let target = format!("{url}/proper");
        let given = "bench --request raw --duration 0.2 --warm-up 0 --hold-limit 20 --hostile-connections 3";
        let given = given
            .split(' ')
            .chain(["--scenario", scenario, "--body", body, &target]);
        let answer = Cli::try_parse_from(given).unwrap().load.run(|_| {}).await;
        match answer.unwrap() {
            Answer::Hostile(report) => report,
            other => panic!("{other}"),
        }
    };
    let heads = run("heads").await;
    assert_eq!(heads.failures, [""; 0], "{heads}");
    let [report] = &heads.attacks[..] else {
        panic!("{heads}")
    };
    assert_eq!(
        (report.attack, report.hostile_connections),
        (Attack::Heads, 3)
    );
    assert!(report.hold_limit_seconds == 20.0 && report.connections.as_ref().unwrap().most == 3);
    for attack in Attack::ALL {
        let given = ["bench", "--scenario", attack.name(), "--body", body, &url];
        assert!(Cli::try_parse_from(given).is_ok(), "{attack}");
    }
}
