//! From an evaluation to something that can be trusted: [`run`] measures what a [`Plan`] says, with its state on disk in a
//! [`Folder`], so that a killed run goes on where it stopped; [`write`] leaves `report.json`, `report.md` and `report.html`
//! behind; [`verify`] recomputes what a report claims from the adversarial images saved beside it.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

mod adversarials;
mod curve;
mod error;
mod folder;
mod gallery;
mod html;
mod markdown;
mod plan;
mod report;
mod run;
mod settings;
mod table;
mod verify;
mod write;

pub use curve::certified_curve;
pub use error::ReportError;
pub use folder::{Folder, FolderLock};
pub use plan::{Entry, Plan};
pub use report::{Measured, Report, Skipped, Subject, images_sha256};
pub use run::{RunProgress, run};
pub use settings::ModelSettings;
pub use table::fixed;
pub use verify::{Claim, Expected, Verification, verify};
pub use write::write;
