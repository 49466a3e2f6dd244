//! What hostile clients need: an address, and requests that the server knows.
use std::{net::SocketAddr, sync::Arc};

use bytes::Bytes;
use reqwest::{Method, Request, Url, header::AUTHORIZATION};
use tokio::{net::TcpStream, task::JoinSet};

use super::{
    Attack, HostilePlan,
    field::Field,
    readers::{Questions, never_read},
    silent::{self, stay_silent},
    streams::{Habit, Streams, keep_open},
};
use crate::{
    Load, LoadError, Measurement,
    ask::below,
    drive::{Drive, check, client},
    plan::bearer,
    wire,
};

/// Bytes of the body that is announced and does not come, at least.
const ANNOUNCED: usize = 64 << 10;

/// Bytes of pipelined answers, which are more than the buffers between two sockets hold.
const PIPELINED: usize = 8 << 20;

/// Pipelined requests, at most.
const MAX_PIPELINED: usize = 1024;

/// Bytes of pipelined requests, unless one of each has more.
const MAX_PIPELINED_BYTES: usize = 4 << 20;

/// What all attacks are made with.
pub(super) struct Means {
    pub address: SocketAddr,
    pub health: Request,
    metrics: Request,
    /// The proper client's request, without its key.
    open: Request,
    /// Of this request in HTTP/1.1.
    head: Bytes,
    /// The same in HTTP/2, without a body and with one that trickles.
    held: [Arc<Streams>; 2],
    large: Vec<Large>,
    load: Load,
}

/// A request with a large answer.
struct Large {
    request: Request,
    bytes: usize,
}

impl Means {
    /// # Errors
    /// When the server does not answer what an attack needs.
    pub async fn new(plan: &HostilePlan) -> Result<Self, LoadError> {
        let client = client()?;
        let timeout = plan.load.timeout;
        let proper = &plan.target.request;
        check(&client, proper, timeout).await?;
        let health = get(&plan.base, &["v2", "health", "live"])?;
        check(&client, &health, timeout).await?;
        let metrics = hostile(plan, &get(&plan.base, &["metrics"])?)?;
        if plan.attacks.contains(&Attack::Scrapes) {
            check(&client, &metrics, timeout).await?;
        }
        let mut large = Vec::new();
        if plan.attacks.contains(&Attack::StoppedReaders) {
            for request in &plan.large {
                let request = hostile(plan, request)?;
                if let Ok(bytes) = check(&client, &request, timeout).await {
                    large.push(Large { request, bytes });
                }
            }
            if large.is_empty() {
                let urls: Vec<&str> = plan.large.iter().map(|one| one.url().as_str()).collect();
                return Err(LoadError::Plan(format!(
                    "stopped-readers need an answer that they do not read, and none of these succeeds: {}; leave this scenario out",
                    urls.join(", ")
                )));
            }
        }
        let open = hostile(plan, proper)?;
        let announced = wire::body(proper).len().max(ANNOUNCED);
        let (authority, head) = wire::head(&open, announced)?;
        let request = wire::request(&open, announced)?;
        let held = [Habit::Silent, Habit::Trickle].map(|habit| {
            let requests = vec![(request.clone(), Bytes::new())];
            Arc::new(Streams { requests, habit })
        });
        Ok(Self {
            address: address(&authority).await?,
            health,
            metrics,
            open,
            head: head.into(),
            held,
            large,
            load: plan.load.clone(),
        })
    }

    /// What clients ask in an attack.
    pub fn asked(&self, attack: Attack) -> Vec<String> {
        let named = |request: &Request| format!("{} {}", request.method(), request.url().path());
        match attack {
            Attack::HeldStreams | Attack::Heads => vec![named(&self.open)],
            Attack::IdleHttp2 => Vec::new(),
            Attack::StoppedReaders => self.large.iter().map(|one| named(&one.request)).collect(),
            Attack::Scrapes => vec![named(&self.metrics)],
        }
    }

    /// Whole requests on streams that take no answers.
    fn unread(&self) -> Result<Streams, LoadError> {
        let requests = self.large.iter().map(|Large { request, .. }| {
            let body = wire::shared_body(request);
            Ok((wire::request(request, body.len())?, body))
        });
        Ok(Streams {
            requests: requests.collect::<Result<_, LoadError>>()?,
            habit: Habit::NotReading,
        })
    }

    /// Pipelined requests, beginning with another one for each of so many clients.
    fn questions(&self) -> Result<Vec<Questions>, LoadError> {
        let whole = self
            .large
            .iter()
            .map(|one| Ok(wire::whole(&one.request)?.1));
        let whole: Vec<Vec<u8>> = whole.collect::<Result<_, LoadError>>()?;
        let answers: usize = self.large.iter().map(|one| one.bytes).sum();
        let bytes: usize = whole.iter().map(Vec::len).sum();
        let most = (MAX_PIPELINED / whole.len().max(1)).min(MAX_PIPELINED_BYTES / bytes.max(1));
        let rounds = (PIPELINED / answers.max(1) + 1).min(most.max(1));
        let first = |index: usize| {
            let (before, from) = whole.split_at(index);
            let round = [from.concat(), before.concat()].concat();
            Questions {
                pipelined: round.repeat(rounds).into(),
                one: from.first().cloned().unwrap_or_default().into(),
            }
        };
        Ok((0..whole.len()).map(first).collect())
    }
}

/// `GET` of a path below `base`.
pub(super) fn get(base: &Url, path: &[&str]) -> Result<Request, LoadError> {
    Ok(Request::new(Method::GET, below(base, path)?))
}

/// A request with the hostile clients' key, or without one.
fn hostile(plan: &HostilePlan, request: &Request) -> Result<Request, LoadError> {
    let mut request = request.try_clone().ok_or_else(|| {
        LoadError::Plan(format!(
            "the body for {} can be sent only once",
            request.url()
        ))
    })?;
    let headers = request.headers_mut();
    headers.remove(AUTHORIZATION);
    if let Some(key) = &plan.key {
        headers.insert(AUTHORIZATION, bearer(key)?);
    }
    Ok(request)
}

/// Of the addresses that a name has, one that the server listens on.
async fn address(authority: &str) -> Result<SocketAddr, LoadError> {
    let peer = async { TcpStream::connect(authority).await?.peer_addr() };
    peer.await.map_err(|error| LoadError::Unreachable {
        url: authority.to_owned(),
        reason: error.to_string(),
    })
}

/// Hostile clients at work.
pub(super) enum Crowd {
    Holding(JoinSet<()>),
    Scraping(Drive),
}

impl Crowd {
    pub fn start(
        attack: Attack,
        means: &Means,
        field: &Arc<Field>,
        connections: usize,
    ) -> Result<Self, LoadError> {
        if attack == Attack::Scrapes {
            let load = Load {
                connections,
                rate: None,
                ..means.load.clone()
            };
            return Drive::start(&client()?, &means.metrics, &load, None).map(Self::Scraping);
        }
        let mut clients = JoinSet::new();
        let unread = Arc::new(means.unread()?);
        let questions = means.questions()?;
        for index in 0..connections {
            let field = Arc::clone(field);
            let half = index / 2;
            match attack {
                Attack::HeldStreams => {
                    let [silent, trickle] = &means.held;
                    let streams = if index % 2 == 0 { silent } else { trickle };
                    clients.spawn(keep_open(field, Arc::clone(streams)));
                }
                Attack::StoppedReaders => {
                    match half
                        .checked_rem(questions.len())
                        .map(|turn| questions.get(turn))
                    {
                        Some(Some(questions)) if index % 2 == 0 => {
                            clients.spawn(never_read(field, questions.clone()));
                        }
                        _ => {
                            clients.spawn(keep_open(field, Arc::clone(&unread)));
                        }
                    }
                }
                Attack::IdleHttp2 => {
                    clients.spawn(stay_silent(field, silent::http2(index)));
                }
                Attack::Heads | Attack::Scrapes => {
                    clients.spawn(stay_silent(field, means.head.clone()));
                }
            }
        }
        Ok(Self::Holding(clients))
    }

    /// Waits until the server has ended what clients held, or they gave up. Scrapes are told what they got.
    pub async fn gone(self) -> Result<Option<Measurement>, LoadError> {
        match self {
            Self::Scraping(scrapes) => scrapes.stop().await.map(Some),
            Self::Holding(mut clients) => {
                while let Some(client) = clients.join_next().await {
                    client?;
                }
                Ok(None)
            }
        }
    }
}
