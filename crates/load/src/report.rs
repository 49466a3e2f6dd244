use std::fmt;

use comfy_table::{CellAlignment, Table, presets};
use serde::{Deserialize, Serialize};

use crate::{Latency, Measurement, Usage};

/// What was measured.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// One for each server, and one more for each that was also measured with load beside.
    pub series: Vec<Series>,
    /// What the watched process held.
    pub usage: Option<Usage>,
}

/// One server under one load.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Series {
    /// The server's name.
    pub name: String,
    /// What was asked.
    pub url: String,
    /// What other connections asked meanwhile.
    pub beside: Option<String>,
    /// The rounds, in order.
    pub rounds: Vec<Measurement>,
    /// What the load beside got, in the same order.
    pub rounds_beside: Vec<Measurement>,
    /// The median over the rounds of the requests a second.
    pub per_second: f64,
    /// The median over the rounds of each quantile; none when nothing was answered.
    pub latency_ms: Option<Latency>,
}

impl Series {
    pub(crate) fn add(&mut self, round: Measurement, beside: Option<Measurement>) {
        self.rounds.push(round);
        self.rounds_beside.extend(beside);
        self.per_second = median(self.rounds.iter().map(|round| round.per_second)).unwrap_or(0.0);
        self.latency_ms = self.medians();
    }

    fn medians(&self) -> Option<Latency> {
        let over = |quantile: fn(&Latency) -> f64| {
            let rounds = self
                .rounds
                .iter()
                .filter_map(|round| round.latency_ms.as_ref());
            median(rounds.map(quantile))
        };
        Some(Latency {
            mean: over(|latency| latency.mean)?,
            p50: over(|latency| latency.p50)?,
            p90: over(|latency| latency.p90)?,
            p99: over(|latency| latency.p99)?,
            p999: over(|latency| latency.p999)?,
            max: over(|latency| latency.max)?,
        })
    }

    fn title(&self) -> String {
        match &self.beside {
            Some(beside) => format!("{}, beside {beside}", self.name),
            None => self.name.clone(),
        }
    }
}

/// Of an even number, the mean of the two in the middle.
fn median(values: impl Iterator<Item = f64>) -> Option<f64> {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    let upper = *values.get(values.len() / 2)?;
    let lower = *values.get((values.len() - 1) / 2)?;
    Some(f64::midpoint(lower, upper))
}

const HEADER: [&str; 10] = [
    "",
    "requests/s",
    "p50 ms",
    "p90 ms",
    "p99 ms",
    "p99.9 ms",
    "max ms",
    "not 2xx",
    "requests/s / first",
    "p99 / first",
];

/// A table of the medians, and below it what went wrong.
impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let compared = self.series.len() > 1;
        let columns = if compared {
            HEADER.len()
        } else {
            HEADER.len() - 2
        };
        let mut table = Table::new();
        table
            .load_preset(presets::NOTHING)
            .set_header(HEADER.iter().take(columns));
        for series in &self.series {
            table.add_row(self.row(series).into_iter().take(columns));
        }
        for column in table.column_iter_mut().skip(1) {
            column.set_cell_alignment(CellAlignment::Right);
        }
        write!(f, "{}", table.trim_fmt())?;
        for series in &self.series {
            for (index, round) in series.rounds.iter().enumerate() {
                if round.not_ok() > 0 {
                    write!(f, "\n{}, round {}: {round}", series.title(), index + 1)?;
                }
            }
            let beside = median(series.rounds_beside.iter().map(|round| round.per_second));
            if let (Some(what), Some(per_second)) = (&series.beside, beside) {
                write!(f, "\n{}: {per_second:.2} requests/s of {what}", series.name)?;
            }
        }
        if let Some(usage) = &self.usage {
            write!(f, "\n{usage}")?;
        }
        Ok(())
    }
}

impl Report {
    fn row(&self, series: &Series) -> Vec<String> {
        let latency = |quantile: fn(&Latency) -> f64| {
            let value = series.latency_ms.as_ref().map(quantile);
            value.map_or_else(String::new, |value| format!("{value:.2}"))
        };
        let first = self.series.first();
        let ratio = |value: fn(&Series) -> Option<f64>| {
            let ratio = value(series).zip(first.and_then(value));
            ratio.map_or_else(String::new, |(value, first)| {
                format!("{:.2}", value / first)
            })
        };
        let not_ok: u64 = series.rounds.iter().map(Measurement::not_ok).sum();
        vec![
            series.title(),
            format!("{:.1}", series.per_second),
            latency(|latency| latency.p50),
            latency(|latency| latency.p90),
            latency(|latency| latency.p99),
            latency(|latency| latency.p999),
            latency(|latency| latency.max),
            not_ok.to_string(),
            ratio(|series| Some(series.per_second)),
            ratio(|series| Some(series.latency_ms?.p99)),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_of_an_even_number_lies_between_the_two_in_the_middle() {
        assert_eq!(median([].into_iter()), None);
        assert_eq!(median([3.0, 1.0, 2.0].into_iter()), Some(2.0));
        assert_eq!(median([4.0, 1.0, 2.0, 3.0].into_iter()), Some(2.5));
    }
}
