//! Load for an HTTP server, measured from the client's side.
//!
//! A **closed loop** keeps a number of connections busy: it finds what a server can do at most. An **open loop** sends at a
//! constant rate, whether or not the server keeps up, as independent users do; a latency counts from the moment at which the
//! request was to be sent, so that a server that stalls is charged for everybody who waited, not only for those who were
//! on the line (G. Tene's "coordinated omission").
//!
//! Latencies are those of answers with a status from 200 to 299, to their last byte. A request that was given up counts with
//! the time it has waited, which is the least that it would have taken. Refusals and failures are counted apart: a quick 429 makes
//! no server fast.
//!
//! ```no_run
//! use buckler_load::{Ask, Image, Load, Plan, Target, run};
//!
//! # async fn measure() -> Result<(), Box<dyn std::error::Error>> {
//! let ask = Ask::Predict(Image {
//!     model: None,
//!     query: Vec::new(),
//!     file: std::fs::read("seven.png")?,
//!     copies: 1,
//! });
//! let target = Target::new("buckler=http://127.0.0.1:8080", &ask, None).await?;
//! let report = run(&Plan::new(vec![target], Load::default()), |step| eprintln!("{step}")).await?;
//! println!("{report}");
//! # Ok(())
//! # }
//! ```
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]
mod args;
mod ask;
mod drive;
mod error;
mod hostile;
mod measurement;
mod overload;
mod plan;
mod process;
mod report;
mod run;
mod schedule;
mod tally;
mod tensor;
mod vanish;
mod wire;

pub use args::{Answer, LoadArgs, Scenario};
pub use ask::{Ask, Image, Raw};
pub use error::LoadError;
pub use hostile::{Attack, AttackReport, Held, HostilePlan, HostileReport, hostile};
pub use measurement::{Latency, Measurement, RetryAfter};
pub use overload::{OverloadPlan, OverloadReport, overload};
pub use plan::{Beside, Length, Load, Plan, Target};
pub use process::{Process, Usage};
pub use report::{Report, Series};
pub use run::{Step, run};
pub use vanish::{VanishPlan, VanishReport, vanish};
