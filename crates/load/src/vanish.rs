use std::{fmt, io, time::Duration};

use rand::{Rng, SeedableRng, rngs::StdRng};
use serde::{Deserialize, Serialize};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    task::JoinSet,
    time::{Instant, sleep_until, timeout_at},
};

use crate::{
    Length, Load, LoadError, Measurement, Target, Usage,
    drive::{Drive, check, client, drive},
    process::{Rest, Watch},
    wire,
};

/// Clients that connect, ask and go.
#[derive(Debug)]
pub struct VanishPlan {
    /// The server.
    pub target: Target,
    /// How many clients there are.
    pub clients: usize,
    /// How many of them at once.
    pub connections: usize,
    /// When a proper request is given up.
    pub timeout: Duration,
    /// The server's process.
    pub pid: Option<u32>,
    /// Of the moments at which they go.
    pub seed: u64,
}

/// How a server has stood it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct VanishReport {
    /// What was asked.
    pub url: String,
    /// Clients that went with their request half sent.
    pub amid_request: usize,
    /// Clients that went while they waited for the answer.
    pub amid_answer: usize,
    /// Clients that had the whole of an answer, or its beginning, when they went.
    pub answered: usize,
    /// Clients whose connection the server refused or ended.
    pub refused: usize,
    /// A client that asked properly before.
    pub before: Measurement,
    /// A client that asked properly meanwhile.
    pub beside: Measurement,
    /// A client that asked properly afterwards.
    pub after: Measurement,
    /// What the server's process held.
    pub usage: Option<Usage>,
    /// What a server must not do, and this one did; empty when it has stood it.
    pub failures: Vec<String>,
}

/// Proper requests before and after.
const PROPER: u64 = 20;

/// Every third client goes with its request half sent, the others at a moment between the connection and twice the median latency.
/// One more client asks properly all the time.
///
/// # Errors
/// As [`crate::run`]. A server that does not stand it is no error but a report with failures.
pub async fn vanish(plan: &VanishPlan) -> Result<VanishReport, LoadError> {
    let one = Load {
        connections: 1,
        timeout: plan.timeout,
        length: Length::Requests(PROPER),
        ..Load::default()
    };
    if plan.clients == 0 || plan.connections == 0 {
        return Err(LoadError::Plan(
            "no clients, or none at once: at least 1 is needed".to_owned(),
        ));
    }
    let request = &plan.target.request;
    check(&client()?, request, plan.timeout).await?;
    let before = drive(&client()?, request, &one, one.length).await?;
    let median = before.latency_ms.map_or(1.0, |latency| latency.p50);

    let watch = plan.pid.map(Watch::start).transpose()?;
    let beside = Drive::start(&client()?, request, &one, None)?;
    let mut ends = Ends::default();
    let (address, bytes) = wire::whole(request)?;
    let mut random = StdRng::seed_from_u64(plan.seed);
    let mut clients = JoinSet::new();
    for index in 0..plan.clients {
        if clients.len() >= plan.connections
            && let Some(end) = clients.join_next().await
        {
            ends.add(end?);
        }
        let sent = if index % 3 == 0 {
            random.random_range(0..bytes.len())
        } else {
            bytes.len()
        };
        let patience = Duration::from_secs_f64(random.random_range(0.0..2.0 * median / 1000.0));
        clients.spawn(appear(address.clone(), bytes.clone(), sent, patience));
    }
    while let Some(end) = clients.join_next().await {
        ends.add(end?);
    }
    let beside = beside.stop().await?;
    let after = drive(&client()?, request, &one, one.length).await?;
    let mut failures = Vec::new();
    for (when, measured) in [("meanwhile", &beside), ("afterwards", &after)] {
        failures.extend(measured.of_proper_client(when));
    }
    if ends.refused > 0 {
        failures.push(format!("{} connections were refused or lost", ends.refused));
    }
    let usage = match &watch {
        Some(watch) => watch.settled(&Rest::DEFAULT, &mut failures).await,
        None => None,
    };
    Ok(VanishReport {
        url: request.url().to_string(),
        amid_request: ends.amid_request,
        amid_answer: ends.amid_answer,
        answered: ends.answered,
        refused: ends.refused,
        before,
        beside,
        after,
        usage,
        failures,
    })
}

/// Where clients were when they went.
#[derive(Default)]
struct Ends {
    amid_request: usize,
    amid_answer: usize,
    answered: usize,
    refused: usize,
}

enum End {
    AmidRequest,
    AmidAnswer,
    Answered,
}

impl Ends {
    fn add(&mut self, end: io::Result<End>) {
        *match end {
            Ok(End::AmidRequest) => &mut self.amid_request,
            Ok(End::AmidAnswer) => &mut self.amid_answer,
            Ok(End::Answered) => &mut self.answered,
            Err(_) => &mut self.refused,
        } += 1;
    }
}

/// Sends the first bytes of a request, waits for an answer as long as its patience lasts, and is gone.
async fn appear(
    address: String,
    bytes: Vec<u8>,
    sent: usize,
    patience: Duration,
) -> io::Result<End> {
    let mut stream = TcpStream::connect(&address).await?;
    let leaves = Instant::now() + patience;
    let whole = sent == bytes.len();
    let head = bytes.get(..sent).unwrap_or_default();
    match timeout_at(leaves, stream.write_all(head)).await {
        Ok(written) => written?,
        Err(_) => return Ok(End::AmidRequest),
    }
    if !whole {
        sleep_until(leaves).await;
        return Ok(End::AmidRequest);
    }
    let mut first = [0];
    match timeout_at(leaves, stream.read(&mut first)).await {
        Ok(Ok(0)) => Err(io::ErrorKind::UnexpectedEof.into()),
        Ok(read) => read.map(|_| End::Answered),
        Err(_) => Ok(End::AmidAnswer),
    }
}

impl fmt::Display for VanishReport {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        writeln!(
            f,
            "gone amid the request: {}, amid the answer: {}, with an answer: {}; refused: {}",
            self.amid_request, self.amid_answer, self.answered, self.refused
        )?;
        let p50 = |measured: &Measurement| {
            let latency = measured.latency_ms;
            latency.map_or("none".to_owned(), |latency| {
                format!("{:.1} ms", latency.p50)
            })
        };
        write!(
            f,
            "median latency of a proper client: {} before, {} meanwhile, {} after",
            p50(&self.before),
            p50(&self.beside),
            p50(&self.after)
        )?;
        if let Some(usage) = &self.usage {
            write!(f, "\n{usage}")?;
        }
        for failure in &self.failures {
            write!(f, "\nFAILED: {failure}")?;
        }
        Ok(())
    }
}
