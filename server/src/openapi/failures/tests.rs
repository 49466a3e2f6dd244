use std::{num::NonZero, time::Duration};

use axum::{http::Method, response::IntoResponse};
use buckler_attack::{AttackError, SampleError, SmoothingError, VictimError};
use buckler_runtime::{ImageError, NotServed};
use serde_json::Value;

use super::*;
use crate::{
    attacks::Refused,
    auth::{Denied, OverBudget, Scope},
    error::ApiError,
    in_flight::Full,
    v2::ProtocolError,
};

/// Where a request can fail so. A new error has to be given its place here, and its routes the place.
fn place(error: &ApiError) -> Option<&'static [Failure]> {
    use ApiError as E;
    match error {
        // They are about requests to no route.
        E::UnknownRoute(_) | E::WrongMethod { .. } => None,
        E::NotServed(NotServed::Version { .. }) => Some(VERSION),
        E::Protocol(_) => Some(V2_BODY),
        E::NotLoaded(_) => Some(LOAD),
        E::Header { .. } | E::Host(_) => Some(ANY),
        E::Full(Full::Requests(_) | Full::Bytes(_) | Full::GivenUp) => Some(TURN),
        E::Full(_) | E::ContentEncoding(_) | E::SlowBody(_) => Some(BODY),
        E::Denied(Denied::Exposed(_)) => Some(EXPOSED),
        E::OverBudget(_) | E::Stopping => Some(ADMISSION),
        E::Denied(_) => Some(KEY),
        E::NotServed(_) | E::NoModels => Some(MODEL),
        E::BodyTooLarge { .. }
        | E::Body(_)
        | E::NoImage
        | E::TooManyImages { .. }
        | E::Json(_)
        | E::Base64 { .. }
        | E::Multipart(_)
        | E::Query(_)
        | E::UnknownField { .. }
        | E::FileField(_)
        | E::Conflict { .. }
        | E::Value { .. }
        | E::Attack(AttackError::Samples(_)) => Some(READING),
        E::Image {
            error: ImageError::NotEncodable(_),
            ..
        } => Some(ANY),
        E::Image { .. } | E::TextForImage(_) => Some(IMAGES),
        E::TooExpensive { .. } | E::TooManyDraws { .. } | E::Refused(_) => Some(ADMISSION),
        E::OnePicture | E::NoPicture { .. } | E::NoGradient(_) => Some(ATTACK),
        E::Attack(AttackError::Victim(error)) | E::Victim(error) => Some(match error {
            VictimError::NoGradient(_) | VictimError::NoFeatures => ATTACK,
            VictimError::Overloaded { .. } | VictimError::Closed => ANSWER,
            VictimError::Query { .. } | VictimError::Runtime(_) => ANY,
        }),
        E::Attack(AttackError::NotFinite { .. }) | E::NotFinite { .. } => Some(LOGITS),
        E::Timeout(_) => Some(TIME),
        E::Attack(
            AttackError::Smoothing(_)
            | AttackError::Answer { .. }
            | AttackError::Read(_)
            | AttackError::Stalled(_),
        )
        | E::Internal(_) => Some(ANY),
    }
}

/// One of each.
fn all() -> Vec<ApiError> {
    use ApiError as E;
    let text = String::new;
    let (retry, limit) = (Duration::from_secs(1), 1);
    let mut all = vec![
        E::UnknownRoute(text()),
        E::WrongMethod {
            method: Method::GET,
            path: text(),
        },
        E::NotServed(NotServed::Unknown {
            name: text(),
            known: text(),
        }),
        E::NotServed(NotServed::Version {
            name: text(),
            version: text(),
            served: text(),
        }),
        E::NotServed(NotServed::NotReady {
            name: text(),
            reason: text(),
        }),
        E::NoModels,
        E::BodyTooLarge { limit },
        E::Body(text()),
        E::NoImage,
        E::TooManyImages { count: 2, limit },
        E::Json(text()),
        E::Base64 {
            field: text(),
            reason: text(),
        },
        E::Multipart(text()),
        E::Query(text()),
        E::FileField(String::new()),
        E::TextForImage(String::new()),
        E::UnknownField {
            name: text(),
            known: text(),
        },
        E::Conflict {
            name: text(),
            first: text(),
            second: text(),
        },
        E::value("eps", text()),
        E::Header {
            name: "",
            value: text(),
            expected: "",
        },
        E::Host(2),
        E::SlowBody(Duration::from_secs(1)),
        E::Full(Full::Requests(1)),
        E::Full(Full::KeyRequests {
            key: "a".into(),
            limit: 1,
        }),
        E::Full(Full::Stalled {
            stall: Duration::from_secs(1),
            rate: 1,
        }),
        E::Stopping,
        E::Denied(Denied::NoKey),
        E::Denied(Denied::WrongKey),
        E::Denied(Denied::ForeignOrigin(String::new())),
        E::Denied(Denied::CrossSite),
        E::Denied(Denied::ForeignHost(String::new())),
        E::Denied(Denied::Exposed(Scope::Attack)),
        E::Denied(Denied::Scope {
            key: "".into(),
            scope: Scope::Attack,
        }),
        E::Denied(Denied::TooFast {
            key: "".into(),
            per_second: NonZero::<u32>::MIN,
            retry,
        }),
        E::OverBudget(OverBudget::Wait {
            cost: 2,
            budget: NonZero::<u32>::MIN,
            retry,
        }),
        E::OverBudget(OverBudget::Never {
            cost: 2,
            budget: NonZero::<u32>::MIN,
        }),
        E::ContentEncoding(text()),
        E::Protocol(ProtocolError::LoadParameter(text())),
        E::NotLoaded(NotServed::Unknown {
            name: text(),
            known: text(),
        }),
        E::NotLoaded(NotServed::NotReady {
            name: text(),
            reason: text(),
        }),
        E::TooExpensive {
            cost: 2,
            images: 1,
            radii: 1,
            restarts: 1,
            steps: 1,
            limit: 1,
        },
        E::TooManyDraws {
            queries: 2,
            images: 1,
            draws: 2,
            limit: 1,
        },
        E::Refused(Refused::Full { running: 1, retry }),
        E::Refused(Refused::Memory {
            queued: 1,
            limit,
            retry,
        }),
        E::Refused(Refused::Late {
            wait: retry,
            deadline: retry,
            retry,
        }),
        E::OnePicture,
        E::NoPicture { outcome: text() },
        E::NoGradient(text()),
        E::Attack(AttackError::Samples(SampleError::Classes(1))),
        E::Attack(AttackError::Smoothing(SmoothingError::Alpha(2.0))),
        E::Attack(AttackError::Stalled("pgd")),
        E::Attack(AttackError::Answer {
            what: "logits",
            expected: vec![1],
            got: vec![2],
        }),
        E::Attack(AttackError::NotFinite {
            id: 0,
            reason: text(),
        }),
        E::NotFinite { index: 0 },
        E::Timeout(retry),
        E::Internal(text()),
    ];
    let images = [
        ImageError::TooManyBytes { bytes: 2, limit },
        ImageError::NotAnImage {
            bytes: 0,
            found: text(),
        },
        ImageError::TooManyPixels {
            size: text(),
            pixels: 1,
            side: 1,
        },
        ImageError::Broken(text()),
        ImageError::WrongChannels,
        ImageError::ModelChannels(2),
        ImageError::NotEncodable([2, 1, 1]),
    ];
    all.extend(images.map(|error| E::Image { index: 0, error }));
    let victim = || {
        [
            VictimError::Query {
                what: "images",
                expected: text(),
                got: text(),
            },
            VictimError::NoGradient(text()),
            VictimError::NoFeatures,
            VictimError::Closed,
            VictimError::Overloaded { queued: 2, limit },
            VictimError::Runtime(text().into()),
        ]
    };
    all.extend(victim().map(E::Victim));
    all.extend(victim().map(|error| E::Attack(AttackError::Victim(error))));
    all
}

/// Status and code, as they are sent.
fn sent(error: ApiError) -> (u16, String) {
    let body = serde_json::to_value(error.body()).unwrap();
    let Value::String(code) = &body["error"]["code"] else {
        panic!("{body}")
    };
    (error.into_response().status().as_u16(), code.clone())
}

#[test]
fn every_error_is_documented_where_it_can_come_and_nothing_else_is() {
    let mut documented: Vec<(u16, String)> = [
        ANY, TURN, KEY, BODY, READING, MODEL, VERSION, IMAGES, ANSWER, LOGITS, TIME, EXPOSED,
        ADMISSION, ATTACK, V2_BODY, LOAD,
    ]
    .concat()
    .into_iter()
    .map(|(status, code, _)| (status, code.to_owned()))
    .collect();
    for error in all() {
        let place = place(&error);
        let said = error.to_string();
        let (status, code) = sent(error);
        if let Some(place) = place {
            let here = place
                .iter()
                .any(|failure| (failure.0, failure.1) == (status, code.as_str()));
            assert!(here, "{status} {code} ({said}) is not documented");
            documented.retain(|failure| *failure != (status, code.clone()));
        }
    }
    assert!(documented.is_empty(), "never sent: {documented:?}");
}

#[test]
fn a_route_promises_the_statuses_of_its_places_and_no_others() {
    let promised = responses("ErrorBody", &[MODEL, EXPOSED, ADMISSION]);
    let statuses: Vec<_> = promised.keys().map(String::as_str).collect();
    assert_eq!(statuses, ["403", "404", "422", "429", "503"]);
    let RefOr::T(busy) = &promised["429"] else {
        panic!()
    };
    assert!(busy.headers.contains_key("retry-after"));
    assert!(busy.description.contains("`overloaded`") && busy.description.contains("`too_late`"));
}
