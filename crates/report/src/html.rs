//! The report as one HTML page that needs nothing else.

use maud::{DOCTYPE, Markup, PreEscaped, html};

use crate::{
    Report,
    gallery::{Exhibit, Gallery},
    table,
};

const STYLE: &str = include_str!("style.css");

/// `curves` are drawings, one for each worst case, and so are the galleries.
pub(crate) fn page(
    report: &Report,
    curves: &[&str],
    galleries: &[Gallery],
    class_names: &[String],
) -> String {
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { "Robustness of " (report.subject.model) }
                style { (PreEscaped(STYLE)) }
            }
            body {
                h1 { "Robustness of " (report.subject.model) }
                (flags(report))
                (worst_cases(report, curves))
                (attacks(report))
                @for gallery in galleries { (pictures(gallery, class_names)) }
                h2 { "What was measured" }
                dl {
                    @for (name, value) in table::facts(report) {
                        dt { (name) }
                        dd { (value) }
                    }
                    dt { "command" }
                    dd { code { (report.subject.command) } }
                }
            }
        }
    };
    page.into_string()
}

fn flags(report: &Report) -> Markup {
    html! {
        @if report.flags.is_empty() {
            p.fine { "No flag was raised: no sign of masked gradients, randomness, or probabilities in place of logits." }
        } @else {
            section.flags role="alert" {
                h2 { "Do not trust these figures yet" }
                ul { @for flag in &report.flags { li { (flag) } } }
            }
        }
    }
}

fn worst_cases(report: &Report, curves: &[&str]) -> Markup {
    html! {
        @for (worst, curve) in report.worst_cases.iter().zip(curves) {
            h2 { "Worst case over all attacks, " (worst.norm) }
            div.side {
                table {
                    thead { tr { th { "eps" } th { "accuracy" } } }
                    tbody {
                        @for (eps, accuracy) in table::worst_case(worst) {
                            tr { td { (eps) } td { (accuracy) } }
                        }
                    }
                }
                figure { (PreEscaped(curve)) }
            }
            @if report.seeks_smallest(worst.norm) { p { (table::median(worst)) } }
        }
    }
}

fn attacks(report: &Report) -> Markup {
    html! {
        h2 { "Attacks" }
        (rows(&table::HEADER, &table::rows(report)))
        @for line in table::found_by(report) { p { (line) } }
        p { (table::NOTE) }
        @if !report.linearity.is_empty() {
            h2 { "How linear the loss is" }
            (rows(&table::LINEARITY_HEADER, &table::linearity(report)))
            p { (table::LINEARITY_NOTE) }
        }
    }
}

fn rows(header: &[&str], rows: &[Vec<String>]) -> Markup {
    html! {
        div.wide {
            table {
                thead { tr { @for name in header { th { (name) } } } }
                tbody {
                    @for row in rows {
                        tr { @for cell in row { td { (cell) } } }
                    }
                }
            }
        }
    }
}

fn pictures(gallery: &Gallery, class_names: &[String]) -> Markup {
    html! {
        @for (title, exhibits) in [
            ("Easiest to fool", &gallery.easiest),
            ("Hardest to fool, of those that were", &gallery.hardest),
        ] {
            @if !exhibits.is_empty() {
                h2 { (title) ", " (gallery.norm) }
                p { "The image, the adversarial image, and what was added to it, amplified about grey." }
                div.gallery { @for exhibit in exhibits { (picture(exhibit, class_names)) } }
            }
        }
    }
}

fn picture(exhibit: &Exhibit, class_names: &[String]) -> Markup {
    let name = |class: usize| {
        let name = class_names.get(class).cloned();
        name.unwrap_or_else(|| class.to_string())
    };
    let (label, prediction) = (name(exhibit.label), name(exhibit.prediction));
    html! {
        figure {
            div.three {
                img src=(exhibit.clean) alt={ "image " (exhibit.id) ", " (label) };
                img src=(exhibit.adversarial) alt={ "taken for " (prediction) };
                img src=(exhibit.difference) alt="the perturbation";
            }
            figcaption {
                "image " (exhibit.id)
                @if !exhibit.file.is_empty() { " (" (exhibit.file) ")" }
                ": " b { (label) } " taken for " b { (prediction) } " at "
                (format!("{:.4}", exhibit.distance)) br;
                small { (exhibit.attack) ", added times " (format!("{:.1}", exhibit.amplification)) }
            }
        }
    }
}
