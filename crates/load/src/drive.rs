use std::{
    error::Error,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use reqwest::{Client, Request, StatusCode};
use tokio::{
    task::JoinSet,
    time::{Instant, timeout_at},
};

use crate::{
    Length, Load, LoadError, Measurement,
    schedule::{GRACE, Schedule},
    tally::{Outcome, Tally},
};

/// A client that goes to the server itself, whatever proxy the environment names.
pub(crate) fn client() -> Result<Client, LoadError> {
    Ok(Client::builder().no_proxy().build()?)
}

/// One request that must succeed: a load of refusals measures nothing. Answers with the bytes of its answer's body.
pub(crate) async fn check(
    client: &Client,
    request: &Request,
    timeout: Duration,
) -> Result<usize, LoadError> {
    let url = request.url().to_string();
    let unreachable = |reason: String| LoadError::Unreachable {
        url: url.clone(),
        reason,
    };
    let Some(request) = request.try_clone() else {
        return Err(unreachable("its body can be sent only once".to_owned()));
    };
    let exchange = async {
        let response = client.execute(request).await?;
        Ok((response.status(), response.text().await?))
    };
    let answer: Result<(StatusCode, String), reqwest::Error> =
        tokio::time::timeout(timeout, exchange)
            .await
            .map_err(|_| unreachable(format!("no answer within {} s", timeout.as_secs_f64())))?;
    let (status, body) = answer.map_err(|error| unreachable(with_causes(&error)))?;
    if !status.is_success() {
        return Err(LoadError::Refused {
            url,
            status: status.as_u16(),
            body: body.chars().take(300).collect(),
        });
    }
    Ok(body.len())
}

fn with_causes(error: &reqwest::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(&format!(": {error}"));
        cause = error.source();
    }
    text
}

/// Load that is under way.
pub(crate) struct Drive {
    schedule: Arc<Schedule>,
    tally: Arc<Mutex<Tally>>,
    workers: JoinSet<()>,
}

/// Sends the load for its length, and measures.
pub(crate) async fn drive(
    client: &Client,
    request: &Request,
    load: &Load,
    length: Length,
) -> Result<Measurement, LoadError> {
    Drive::start(client, request, load, Some(length))?
        .finish()
        .await
}

impl Drive {
    /// Without a length it goes on until it is stopped. Dropped, it gives up its requests.
    pub fn start(
        client: &Client,
        request: &Request,
        load: &Load,
        length: Option<Length>,
    ) -> Result<Self, LoadError> {
        let tally = Arc::new(Mutex::new(Tally::new()?));
        let schedule = Schedule::start(load.rate, length, load.connections);
        let mut workers = JoinSet::new();
        for _ in 0..load.connections {
            let worker = Worker {
                client: client.clone(),
                request: request.try_clone(),
                timeout: load.timeout,
                schedule: Arc::clone(&schedule),
                tally: Arc::clone(&tally),
            };
            workers.spawn(worker.work());
        }
        Ok(Self {
            schedule,
            tally,
            workers,
        })
    }

    /// Sends no more, and waits for the answers that are due.
    pub async fn stop(self) -> Result<Measurement, LoadError> {
        self.schedule.stop();
        self.finish().await
    }

    async fn finish(mut self) -> Result<Measurement, LoadError> {
        while let Some(worker) = self.workers.join_next().await {
            worker?;
        }
        let started = self.schedule.started();
        let now = Instant::now();
        let end = self.schedule.end().map_or(now, |end| end.min(now));
        let mut tally = self.tally.lock().unwrap_or_else(PoisonError::into_inner);
        for due in self.schedule.left_over() {
            tally.count(&Outcome::Unanswered, now - due, false);
        }
        Ok(tally.measurement(end - started))
    }
}

/// One connection.
struct Worker {
    client: Client,
    request: Option<Request>,
    timeout: Duration,
    schedule: Arc<Schedule>,
    tally: Arc<Mutex<Tally>>,
}

impl Worker {
    async fn work(self) {
        let end = self.schedule.end();
        while let Some(due) = self.schedule.next().await {
            let Some(request) = self.request.as_ref().and_then(Request::try_clone) else {
                return;
            };
            let given_up = Instant::now() + self.timeout;
            let over = end.map_or(given_up, |end| end + GRACE);
            let exchange = async { Outcome::of(self.client.execute(request).await).await };
            let outcome = match timeout_at(given_up.min(over), exchange).await {
                Ok(outcome) => outcome,
                Err(_) if given_up <= over => Outcome::TimedOut,
                Err(_) => Outcome::Unanswered,
            };
            let now = Instant::now();
            let in_time = end.is_none_or(|end| now <= end);
            let mut tally = self.tally.lock().unwrap_or_else(PoisonError::into_inner);
            tally.count(&outcome, now - due, in_time);
        }
    }
}
