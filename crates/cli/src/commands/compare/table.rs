//! The table of a comparison, and what stays of an earlier one in the same folder.

use std::path::Path;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use super::STEPS;
use crate::output::percent;

/// The figures of all recipes, and what they were measured with.
#[derive(Clone, Serialize, Deserialize)]
pub struct Report {
    pub data: String,
    pub images: usize,
    pub seed: u64,
    /// The radius that was asked for; absent where each recipe was attacked at its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub eps: Option<String>,
    pub rows: Vec<Row>,
}

/// A recipe and what came of it.
#[derive(Clone, Serialize, Deserialize)]
pub struct Row {
    pub recipe: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub framework: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub head: Option<String>,
    #[serde(flatten)]
    pub figures: Option<Figures>,
    /// Why there are no figures.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// What was measured of a recipe's network.
#[derive(Clone, Serialize, Deserialize)]
pub struct Figures {
    pub eps: String,
    pub best_epoch: usize,
    pub epochs: usize,
    pub clean_accuracy: f64,
    pub pgd_accuracy: f64,
    pub margin_accuracy: f64,
    pub training_seconds: f64,
    pub stopped: Option<String>,
    /// A reason to distrust the best epoch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub warning: Option<String>,
}

impl Report {
    /// The table of an earlier comparison, if there is one.
    pub fn read(path: &Path) -> Result<Option<Self>> {
        if !path.exists() {
            return Ok(None);
        }
        let what = || {
            format!(
                "{} is not the table of a comparison; move it away, or choose another --out",
                path.display()
            )
        };
        let bytes = std::fs::read(path).with_context(what)?;
        serde_json::from_slice(&bytes).map(Some).with_context(what)
    }

    /// In words, the values in which the measurements of two comparisons differ.
    pub fn differing(&self, other: &Self) -> Vec<String> {
        let radius = |report: &Self| match &report.eps {
            Some(eps) => eps.clone(),
            None => "each recipe's".to_owned(),
        };
        let values = |report: &Self| {
            [
                ("data", report.data.clone()),
                ("images", report.images.to_string()),
                ("seed", report.seed.to_string()),
                ("eps", radius(report)),
            ]
        };
        let pairs = values(self).into_iter().zip(values(other));
        pairs
            .filter(|(earlier, now)| earlier != now)
            .map(|((what, earlier), (_, now))| format!("{what} {earlier} there, {now} now"))
            .collect()
    }

    /// The table to keep after an earlier one; `None` where it would lose figures and has none of its own.
    pub fn over(&self, earlier: Option<&Self>) -> Option<Self> {
        let measured = |report: &Self| report.rows.iter().any(|row| row.figures.is_some());
        let Some(earlier) = earlier.filter(|earlier| measured(earlier)) else {
            return Some(self.clone());
        };
        if !earlier.differing(self).is_empty() {
            return measured(self).then(|| self.clone());
        }
        let new = |name: &str| self.rows.iter().find(|row| row.recipe == name);
        let kept = earlier.rows.iter().filter(|row| row.figures.is_some());
        let mut rows: Vec<Row> = kept
            .map(|old| match new(&old.recipe) {
                Some(row) if row.figures.is_some() => row.clone(),
                _ => old.clone(),
            })
            .collect();
        for row in &self.rows {
            if !rows.iter().any(|other| other.recipe == row.recipe) {
                rows.push(row.clone());
            }
        }
        Some(Self {
            rows,
            ..self.clone()
        })
    }
}

/// The table as Markdown, with the reasons of failures and warnings after it.
pub fn markdown(report: &Report) -> String {
    let mut text = format!(
        "{}: the first {} test images, seed {}\n\n| recipe | framework | head | eps | best epoch | clean | PGD-{STEPS} | margin PGD-{STEPS} | training |\n|---|---|---|--:|--:|--:|--:|--:|--:|\n",
        report.data, report.images, report.seed
    );
    for row in &report.rows {
        text.push_str(&format!(
            "| {} | {} | {} | {}\n",
            cell(&row.recipe),
            row.framework.as_deref().unwrap_or_default(),
            row.head.as_deref().unwrap_or_default(),
            match (&row.figures, &row.error) {
                (Some(figures), _) => figures.cells(),
                (None, _) => "| failed | | | | |".to_owned(),
            }
        ));
    }
    for row in &report.rows {
        if let Some(error) = &row.error {
            let error = error.replace(['\n', '\r'], " ");
            text.push_str(&format!("\nfailed: {}: {error}\n", row.recipe));
        }
    }
    for row in &report.rows {
        if let Some(warning) = row
            .figures
            .as_ref()
            .and_then(|figures| figures.warning.as_ref())
        {
            text.push_str(&format!("\nwarning: {}: {warning}\n", row.recipe));
        }
    }
    text
}

impl Figures {
    fn cells(&self) -> String {
        let early = if self.stopped.is_some() {
            " (stopped)"
        } else {
            ""
        };
        format!(
            "{} | {}/{}{early} | {} | {} | {} | {:.0} s |",
            self.eps,
            self.best_epoch,
            self.epochs,
            percent(self.clean_accuracy),
            percent(self.pgd_accuracy),
            percent(self.margin_accuracy),
            self.training_seconds
        )
    }
}

/// Text that does not end a cell of a table.
fn cell(text: &str) -> String {
    text.replace(['\n', '\r'], " ").replace('|', "\\|")
}
