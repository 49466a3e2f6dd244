//! What both the Markdown and the HTML page say.

use std::collections::BTreeMap;

use buckler_attack::WorstCase;
use buckler_onnx::ChannelOrder;

use crate::{ModelSettings, Report, Skipped};

/// Files that were left out and are listed.
const SHOWN: usize = 20;

pub(crate) const HEADER: [&str; 7] = [
    "attack",
    "accuracy",
    "adversarials",
    "still so as 8-bit image",
    "gradients per image",
    "forward passes per image",
    "seconds per image",
];

pub(crate) const NOTE: &str = "An image counts as broken when it is misclassified as it is, or when an adversarial image was found and passed its re-check: inside the ball, inside [0, 1], misclassified by a fresh forward pass. An accuracy under attack is an upper bound: it says what these attacks did not find, not what there is not.";

/// What was measured.
pub(crate) fn facts(report: &Report) -> Vec<(&'static str, String)> {
    let subject = &report.subject;
    let mut facts = vec![
        (
            "model",
            format!("{}, SHA-256 {}", subject.model, subject.sha256),
        ),
        (
            "data",
            format!(
                "{} images of {}, SHA-256 {}",
                report.images, subject.data, subject.images_sha256
            ),
        ),
        ("clean accuracy", percent(report.clean_accuracy)),
        (
            "measured by",
            format!(
                "buckler {} in {:.0} seconds",
                subject.buckler, report.seconds
            ),
        ),
    ];
    let stated = subject.settings.as_ref();
    if let Some(ModelSettings { output, input, .. }) = stated {
        let order = match (input.channels, input.channel_order) {
            (3, Some(ChannelOrder::Rgb)) => ", red to blue",
            (3, Some(ChannelOrder::Bgr)) => ", blue to red",
            _ => "",
        };
        let (channels, height, width) = (input.channels, input.height, input.width);
        facts.push((
            "opened",
            format!(
                "images of {channels} x {height} x {width}{order}, logits from output `{output}`"
            ),
        ));
    }
    let of_card = stated.and_then(|stated| stated.input.normalization.as_ref());
    if let Some(normalization) = of_card.or(subject.normalization.as_ref()) {
        let (mean, std) = (&normalization.mean, &normalization.std);
        facts.push((
            "normalisation",
            format!("(pixel - mean) / std before the graph, mean {mean:?}, std {std:?}"),
        ));
    }
    if let Some(classes) = &subject.classes {
        facts.push(("classes", classes.summary()));
    }
    let assumed = subject.assumptions.iter();
    facts.extend(assumed.map(|assumption| ("assumed", assumption.clone())));
    let skipped = subject.skipped.len();
    if skipped > 0 {
        let count = format!("{skipped} files that cannot be read");
        facts.push(("left out", count));
        let files = subject.skipped.iter().take(SHOWN);
        facts.extend(
            files.map(|Skipped { file, reason }| ("left out", format!("{file}: {reason}"))),
        );
    }
    facts
}

/// A number with so many digits after the point, and without the sign of what rounds to zero.
pub fn fixed(value: f64, digits: usize) -> String {
    let text = format!("{value:.digits$}");
    match text.strip_prefix('-') {
        Some(digits) if digits.bytes().all(|byte| matches!(byte, b'0' | b'.')) => digits.to_owned(),
        _ => text,
    }
}

/// One row for each attack.
pub(crate) fn rows(report: &Report) -> Vec<Vec<String>> {
    let rows = report.evaluations.iter().map(|measured| {
        let evaluation = &measured.evaluation;
        let images = evaluation.images.max(1) as f64;
        let each = |count: u64| format!("{:.1}", count as f64 / images);
        vec![
            evaluation.parameters.to_string(),
            percent(evaluation.accuracy_under_attack),
            evaluation.adversarial_found.to_string(),
            evaluation.adversarial_after_rounding.to_string(),
            each(evaluation.gradient_evaluations),
            each(evaluation.forward_evaluations),
            format!("{:.3}", measured.seconds / images),
        ]
    });
    rows.collect()
}

pub(crate) const LINEARITY_HEADER: [&str; 7] = [
    "ball",
    "loss",
    "eps times dual norm of the gradient",
    "predicted within [0, 1]",
    "after that step",
    "under PGD",
    "cosine of the gradients",
];

pub(crate) const LINEARITY_NOTE: &str = "Means over the images of the rise of the loss: what the gradient at the clean image predicts (Lemma 1 of Simon-Gabriel et al. 2019), what the step that it points out does, and the largest that PGD sees. The last column compares the gradient at the image with that after the step. Where the three rises differ, the loss is curved inside the ball.";

/// One row for each ball.
pub(crate) fn linearity(report: &Report) -> Vec<Vec<String>> {
    let number = |value: f64| fixed(value, 4);
    let rows = report.linearity.iter().map(|linearity| {
        let mean = &linearity.mean;
        vec![
            format!("{} {}", linearity.parameters.norm, linearity.parameters.eps),
            number(mean.loss),
            number(mean.predicted),
            number(mean.predicted_in_box),
            number(mean.one_step),
            number(mean.iterated),
            mean.cosine.map_or_else(String::new, number),
        ]
    });
    rows.collect()
}

/// Which of an ensemble's attacks found how many adversarials, one line for each ensemble, most first.
pub(crate) fn found_by(report: &Report) -> Vec<String> {
    let lines = report.evaluations().into_iter().filter_map(|evaluation| {
        let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
        for record in &evaluation.samples {
            if let Some(attack) = &record.found_by {
                *counts.entry(attack).or_default() += 1;
            }
        }
        let mut counts: Vec<(&str, usize)> = counts.into_iter().collect();
        counts.sort_by_key(|&(_, count)| std::cmp::Reverse(count));
        let counts: Vec<String> = counts
            .iter()
            .map(|(attack, count)| format!("{attack} {count}"))
            .collect();
        let parameters = &evaluation.parameters;
        (!counts.is_empty()).then(|| {
            format!(
                "Of the adversarials of {} at {} {}, found by: {}.",
                parameters.attack,
                parameters.norm,
                parameters.eps,
                counts.join(", ")
            )
        })
    });
    lines.collect()
}

/// The radii with their accuracies, the clean one first.
pub(crate) fn worst_case(worst: &WorstCase) -> Vec<(String, String)> {
    let clean = ("0".to_owned(), percent(worst.clean_accuracy));
    let curve = worst.curve.iter();
    let curve = curve.map(|point| (point.eps.to_string(), percent(point.accuracy)));
    std::iter::once(clean).chain(curve).collect()
}

/// The median of the smallest perturbations.
pub(crate) fn median(worst: &WorstCase) -> String {
    match worst.median() {
        Some(median) => format!(
            "The median over all images of the closest misclassified image found is {median:.4} away."
        ),
        None => "For half of the images or more, no misclassified image was found.".to_owned(),
    }
}

pub(crate) fn percent(share: f64) -> String {
    format!("{:.2} %", 100.0 * share)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_rounds_to_zero_has_no_sign() {
        assert_eq!(fixed(-0.00004, 4), "0.0000");
        assert_eq!(fixed(-0.0, 2), "0.00");
        assert_eq!(fixed(-0.00005001, 4), "-0.0001");
        assert_eq!(fixed(-12.5, 0), "-12");
        assert_eq!(fixed(-0.4, 0), "0");
        assert_eq!(fixed(f64::NEG_INFINITY, 2), "-inf");
    }
}
