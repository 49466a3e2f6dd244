//! Who may ask for what: bearer keys with scopes and rates.
mod browser;
mod budget;
mod key;
mod need;
mod tenant;

use std::{num::NonZero, sync::Arc, time::Duration};

use axum::{
    extract::{MatchedPath, Request, State},
    http::{HeaderMap, header::AUTHORIZATION},
    middleware::Next,
    response::Response,
};
use governor::{DefaultDirectRateLimiter, Quota, clock::Clock};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use tracing::Span;

use self::browser::Browsers;
pub use self::key::{Key, KeysError, Scope};
use self::need::Need;
pub(crate) use self::{
    budget::{OverBudget, Payment},
    tenant::Tenant,
};
use crate::{Config, app::App, attacks::seconds, error::ApiError};

/// The keys with the state of their limits, which live as long as the server.
pub(crate) struct Auth {
    known: Vec<Known>,
    /// Attacks and changes of models are refused, because whoever reaches the server could ask for them.
    exposed: bool,
    metrics_need_key: bool,
    browsers: Browsers,
}

struct Known {
    hash: [u8; 32],
    scopes: Vec<Scope>,
    tenant: Tenant,
    rate: Option<Rate>,
}

struct Rate {
    per_second: NonZero<u32>,
    limiter: DefaultDirectRateLimiter,
}

/// Why a request is not let in. Nothing of the key that came with it is told.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Denied {
    #[error("the request has no key: send one as `Authorization: Bearer KEY`")]
    NoKey,
    #[error("the request's key is not known: check that it is complete and still configured")]
    WrongKey,
    #[error("key `{key}` does not have the scope `{scope}`: use one that has it")]
    Scope { key: Arc<str>, scope: Scope },
    #[error(
        "the server can be reached from other machines and has no keys, so requests of scope `{0}` are refused: configure keys, or \
         set `insecure_attacks = true`"
    )]
    Exposed(Scope),
    #[error(
        "key `{key}` may send {per_second} requests per second: try again in {} s",
        seconds(*.retry)
    )]
    TooFast {
        key: Arc<str>,
        per_second: NonZero<u32>,
        retry: Duration,
    },
    #[error("pages of the origin `{0}` may not use this server: list it in `cors_origins`")]
    ForeignOrigin(String),
    #[error("a page of another site may not use this server: list its origin in `cors_origins`")]
    CrossSite,
    #[error(
        "`{0}` is not a name of this machine: ask for `localhost` or `127.0.0.1`; a server that is asked for under other names needs keys, or `exposed = true`"
    )]
    ForeignHost(String),
}

impl Auth {
    /// Checks the keys.
    pub fn new(config: &Config) -> Result<Self, KeysError> {
        let hashes = key::hashes(&config.keys)?;
        let known = config.keys.iter().zip(hashes).map(|(key, hash)| Known {
            hash,
            scopes: key.scopes.clone(),
            tenant: Tenant::of(key, config),
            rate: key.requests_per_second.map(|per_second| Rate {
                per_second,
                limiter: DefaultDirectRateLimiter::direct(Quota::per_second(per_second)),
            }),
        });
        let exposed = config.exposed && config.keys.is_empty();
        if exposed {
            tracing::warn!(
                insecure_attacks = config.insecure_attacks,
                "other machines can reach the server, and there are no keys"
            );
        }
        Ok(Self {
            known: known.collect(),
            exposed: exposed && !config.insecure_attacks,
            metrics_need_key: config.metrics_need_key,
            browsers: Browsers::of(config),
        })
    }

    /// Who sends these headers, if that may have what is needed.
    fn admit(&self, need: Need, headers: &HeaderMap) -> Result<Tenant, Denied> {
        let scope = match need {
            Need::Nothing => return Ok(Tenant::anonymous()),
            Need::AnyKey => None,
            Need::Scope(scope) => Some(scope),
        };
        if self.known.is_empty() {
            return match scope {
                Some(scope @ (Scope::Attack | Scope::Admin)) if self.exposed => {
                    Err(Denied::Exposed(scope))
                }
                _ => Ok(Tenant::anonymous()),
            };
        }
        let known = self.find(bearer(headers).ok_or(Denied::NoKey)?);
        let known = known.ok_or(Denied::WrongKey)?;
        let name = || Arc::clone(&known.tenant.name);
        if let Some(rate) = &known.rate {
            rate.limiter.check().map_err(|until| Denied::TooFast {
                key: name(),
                per_second: rate.per_second,
                retry: until.wait_time_from(rate.limiter.clock().now()),
            })?;
        }
        match scope {
            Some(scope) if !known.scopes.contains(&scope) => {
                Err(Denied::Scope { key: name(), scope })
            }
            _ => Ok(known.tenant.clone()),
        }
    }

    /// Every key is looked at, and each as a whole: the time it takes tells nothing about them.
    fn find(&self, presented: &[u8]) -> Option<&Known> {
        let hash = Sha256::digest(presented);
        let mut found = None;
        for known in &self.known {
            if known.hash.ct_eq(hash.as_slice()).into() {
                found = Some(known);
            }
        }
        found
    }
}

/// The token of the only `Authorization` header (RFC 6750, section 2.1).
fn bearer(headers: &HeaderMap) -> Option<&[u8]> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let (Some(value), None) = (values.next(), values.next()) else {
        return None;
    };
    let (scheme, token) = value.as_bytes().split_at_checked(7)?;
    let token = token.trim_ascii();
    (scheme.eq_ignore_ascii_case(b"bearer ") && !token.is_empty()).then_some(token)
}

/// Lets in who has the key for the route, and tells the route who it is.
pub(crate) async fn admit(
    State(app): State<Arc<App>>,
    mut request: Request,
    next: Next,
) -> Result<Response, ApiError> {
    let route = request.extensions().get::<MatchedPath>();
    let need = match route {
        Some(route) => Need::of(route.as_str(), app.auth.metrics_need_key),
        // There is no such route, and everybody may know.
        None => Need::Nothing,
    };
    let guarded = need != Need::Nothing || route.is_some_and(|route| route.as_str() == "/metrics");
    if guarded {
        app.auth.browsers.check(&request)?;
    }
    let tenant = app.auth.admit(need, request.headers());
    if let Err(Denied::Scope { key, .. } | Denied::TooFast { key, .. }) = &tenant {
        Span::current().record("tenant", &**key);
    }
    let tenant = tenant?;
    Span::current().record("tenant", &*tenant.name);
    request.extensions_mut().insert(tenant);
    Ok(next.run(request).await)
}
