use std::collections::{BTreeMap, BTreeSet};

use crate::support::Server;

/// A page in Prometheus' text format 0.0.4.
pub struct Page {
    pub text: String,
    samples: BTreeMap<(String, BTreeMap<String, String>), f64>,
    types: BTreeMap<String, String>,
}

impl Page {
    pub async fn of(server: &Server) -> Self {
        let answer = server.get("/metrics").send().await.unwrap();
        assert_eq!(answer.status(), 200);
        assert_eq!(
            answer.headers()["content-type"],
            "text/plain; version=0.0.4; charset=utf-8"
        );
        Self::parse(answer.text().await.unwrap())
    }

    /// Panics at a line that is not of the format.
    fn parse(text: String) -> Self {
        let (mut samples, mut types) = (BTreeMap::new(), BTreeMap::new());
        let mut helped = BTreeSet::new();
        assert!(text.ends_with('\n'));
        for line in text.lines().filter(|line| !line.is_empty()) {
            if let Some(help) = line.strip_prefix("# HELP ") {
                let (name, words) = help.split_once(' ').expect(line);
                assert!(
                    helped.insert(name.to_owned()) && !words.is_empty(),
                    "{line}"
                );
            } else if let Some(kind) = line.strip_prefix("# TYPE ") {
                let (name, kind) = kind.split_once(' ').expect(line);
                assert!(["counter", "gauge", "histogram"].contains(&kind), "{line}");
                let twice = types.insert(name.to_owned(), kind.to_owned());
                assert!(twice.is_none() && helped.contains(name), "{line}");
            } else {
                let (series, value) = line.rsplit_once(' ').expect(line);
                let (name, labels) = match series.split_once('{') {
                    Some((name, labels)) => (name, labels.strip_suffix('}').expect(line)),
                    None => (series, ""),
                };
                assert!(family(&types, name).is_some(), "no type: {line}");
                let sample = (name.to_owned(), parse_labels(labels));
                let twice = samples.insert(sample, value.parse().expect(line));
                assert!(twice.is_none(), "{line}");
            }
        }
        Self {
            text,
            samples,
            types,
        }
    }

    /// The sum over the series of a name that have these labels; it must have some.
    pub fn sum(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        let values: Vec<f64> = self.having(name, labels).map(|(_, value)| value).collect();
        assert!(!values.is_empty(), "no {name} {labels:?} in\n{}", self.text);
        values.iter().sum()
    }

    /// The sum over the series of a name that have these labels, of which there may be none yet.
    pub fn count(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        self.having(name, labels).map(|(_, value)| value).sum()
    }

    /// The server's own metrics with the labels of their series.
    pub fn families(&self) -> BTreeMap<String, BTreeSet<String>> {
        let own = self
            .types
            .iter()
            .filter(|(name, _)| !name.starts_with("process_"));
        own.map(|(name, kind)| {
            let counted = match kind.as_str() {
                "histogram" => format!("{name}_count"),
                _ => name.clone(),
            };
            let labels = self.having(&counted, &[]);
            let labels = labels.flat_map(|(labels, _)| labels.keys().cloned());
            (name.clone(), labels.collect())
        })
        .collect()
    }

    pub fn having<'a>(
        &'a self,
        name: &'a str,
        labels: &'a [(&str, &str)],
    ) -> impl Iterator<Item = (&'a BTreeMap<String, String>, f64)> {
        self.samples
            .iter()
            .filter(move |((one, has), _)| {
                let fits =
                    |(label, value): &(&str, &str)| has.get(*label).is_some_and(|has| has == value);
                one == name && labels.iter().all(fits)
            })
            .map(|((_, labels), value)| (labels, *value))
    }

    pub fn names(&self) -> BTreeSet<&str> {
        self.types.keys().map(String::as_str).collect()
    }

    pub fn samples(&self) -> impl Iterator<Item = (&str, &BTreeMap<String, String>, f64)> {
        let samples = self.samples.iter();
        samples.map(|((name, labels), value)| (name.as_str(), labels, *value))
    }

    /// Buckets add up, and the last holds everything.
    pub fn check_histograms(&self) {
        let mut checked = 0;
        for (name, kind) in &self.types {
            if kind != "histogram" {
                continue;
            }
            for (labels, count) in self.having(&format!("{name}_count"), &[]) {
                let mut buckets: Vec<(f64, f64)> = self
                    .having(&format!("{name}_bucket"), &[])
                    .filter_map(|(has, value)| {
                        let mut rest = has.clone();
                        let end = rest.remove("le").unwrap();
                        (rest == *labels).then(|| (end.parse().unwrap(), value))
                    })
                    .collect();
                buckets.sort_by(|a, b| a.0.total_cmp(&b.0));
                assert!(buckets.is_sorted_by_key(|bucket| bucket.1), "{name}");
                assert_eq!(buckets.last(), Some(&(f64::INFINITY, count)), "{name}");
                assert!(buckets.len() > 5, "{name}");
                checked += 1;
            }
        }
        assert!(checked > 0);
    }
}

fn family<'a>(types: &'a BTreeMap<String, String>, name: &str) -> Option<&'a String> {
    types.get(name).or_else(|| {
        let stems = ["_bucket", "_sum", "_count"];
        let stem = stems.iter().find_map(|end| name.strip_suffix(end))?;
        types.get(stem).filter(|kind| *kind == "histogram")
    })
}

/// `name="value"`, with commas between; no value of these has a quote or a backslash.
fn parse_labels(text: &str) -> BTreeMap<String, String> {
    let mut labels = BTreeMap::new();
    let mut rest = text;
    while !rest.is_empty() {
        let (name, after) = rest.split_once("=\"").expect(text);
        let (value, after) = after.split_once('"').expect(text);
        let legal = |letter: char| letter.is_ascii_alphanumeric() || letter == '_';
        assert!(!name.is_empty() && name.chars().all(legal), "{text}");
        assert!(!value.contains('\\'), "{text}");
        assert!(labels.insert(name.to_owned(), value.to_owned()).is_none());
        rest = match after.strip_prefix(',') {
            Some(rest) => rest,
            None => {
                assert!(after.is_empty(), "{text}");
                after
            }
        };
    }
    labels
}
