use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

/// A bar on stderr when that is a terminal, a line per epoch in the log when it is not.
pub(crate) struct Progress {
    bar: ProgressBar,
}

impl Progress {
    pub(crate) fn epoch(name: &str, epoch: usize, epochs: usize, images: usize) -> Self {
        let bar = ProgressBar::new(images as u64);
        if let Ok(style) = ProgressStyle::with_template(
            "{prefix} [{bar:30}] {pos}/{len} images  {per_sec}  ETA {eta}  {msg}",
        ) {
            bar.set_style(style.progress_chars("=> ").with_key(
                "per_sec",
                |state: &indicatif::ProgressState, out: &mut dyn std::fmt::Write| {
                    // Writing to a string does not fail.
                    let _ = write!(out, "{:.0} images/s", state.per_sec());
                },
            ));
        }
        bar.set_prefix(format!("{name} epoch {epoch}/{epochs}"));
        bar.enable_steady_tick(Duration::from_millis(500));
        Self { bar }
    }

    /// Images that a resumed epoch has behind it.
    pub(crate) fn skip(&self, images: usize) {
        self.bar.inc(images as u64);
        self.bar.reset_eta();
    }

    pub(crate) fn advance(&self, images: usize, loss: f64) {
        self.bar.inc(images as u64);
        self.bar.set_message(format!("loss {loss:.3}"));
    }

    pub(crate) fn validating(&self) {
        self.bar.set_message("validating");
    }

    pub(crate) fn finish(self, line: &str) {
        let hidden = self.bar.is_hidden();
        self.bar.finish_and_clear();
        if hidden {
            tracing::info!("{line}");
        } else {
            eprintln!("{line}");
        }
    }
}
