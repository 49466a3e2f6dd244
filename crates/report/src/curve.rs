//! The accuracy over the radius, as a drawing: a falling step for every attack and for the worst case.

use buckler_attack::{Certification, Evaluation, WorstCase, WorstCaseError, worst_cases};
use plotters::{
    coord::{Shift, types::RangedCoordf64},
    prelude::*,
};

use crate::{Report, ReportError};

/// That can be told apart on white, by Okabe and Ito (2008).
const COLOURS: [RGBColor; 6] = [
    RGBColor(0, 114, 178),
    RGBColor(213, 94, 0),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
    RGBColor(86, 180, 233),
    RGBColor(230, 159, 0),
];

/// The accuracy under every attack at its radii, and the worst case over all radii up to the largest.
pub(crate) fn svg(report: &Report, worst: &WorstCase) -> Result<String, ReportError> {
    let mut svg = String::new();
    draw(report, worst, &mut svg).map_err(|error| ReportError::Drawing {
        what: "the accuracy over the radius",
        reason: error.to_string(),
    })?;
    Ok(svg)
}

/// Certified accuracy over the radius, as an SVG.
///
/// # Errors
/// When it cannot be drawn.
pub fn certified_curve(certification: &Certification) -> Result<String, ReportError> {
    let mut svg = String::new();
    draw_certified(certification, &mut svg).map_err(|error| ReportError::Drawing {
        what: "the certified accuracy over the radius",
        reason: error.to_string(),
    })?;
    Ok(svg)
}

fn draw_certified(
    certification: &Certification,
    svg: &mut String,
) -> Result<(), Box<dyn std::error::Error>> {
    let curve = &certification.curve;
    let right = curve.last().map_or(0.0, |point| 1.05 * point.radius);
    let right = right.max(certification.smoothing.sigma);
    let root = SVGBackend::with_string(svg, (760, 420)).into_drawing_area();
    root.fill(&WHITE)?;
    let mut chart = chart(
        &root,
        right,
        "l2 radius, pixels in [0, 1]",
        "certified accuracy",
    )?;
    let mut corners = vec![(0.0, certification.accuracy)];
    for (index, point) in curve.iter().enumerate() {
        let after = curve.get(index + 1).map_or(0.0, |next| next.accuracy);
        corners.extend([(point.radius, point.accuracy), (point.radius, after)]);
    }
    corners.push((right, corners.last().map_or(0.0, |corner| corner.1)));
    chart.draw_series([PathElement::new(corners, BLACK.stroke_width(2))])?;
    root.present()?;
    Ok(())
}

type Chart<'a, 'svg> =
    ChartContext<'a, SVGBackend<'svg>, Cartesian2d<RangedCoordf64, RangedCoordf64>>;

/// Shares over what reaches from 0 to `right`.
fn chart<'a, 'svg>(
    root: &'a DrawingArea<SVGBackend<'svg>, Shift>,
    right: f64,
    x: &str,
    y: &str,
) -> Result<Chart<'a, 'svg>, Box<dyn std::error::Error>>
where
    'svg: 'a,
{
    let mut chart = ChartBuilder::on(root)
        .margin(12)
        .x_label_area_size(40)
        .y_label_area_size(56)
        .build_cartesian_2d(0.0..right, 0.0..1.0)?;
    chart
        .configure_mesh()
        .x_desc(x)
        .y_desc(y)
        .y_label_formatter(&|share| format!("{:.0} %", 100.0 * share))
        .light_line_style(TRANSPARENT)
        .draw()?;
    Ok(chart)
}

/// The worst case of one attack at all its radii, under its name.
struct Line {
    name: String,
    worst: WorstCase,
}

/// The attacks of one norm. An attack with other parameters is another line.
fn lines(report: &Report, worst: &WorstCase) -> Result<Vec<Line>, WorstCaseError> {
    let mut groups: Vec<(String, String, Vec<&Evaluation>)> = Vec::new();
    for evaluation in report.evaluations() {
        let parameters = &evaluation.parameters;
        if parameters.norm != worst.norm {
            continue;
        }
        let name = match parameters.objective {
            Some(objective) => format!("{} {objective}", parameters.attack),
            None => parameters.attack.clone(),
        };
        let effort = format!(
            "steps={} restarts={}",
            parameters.steps, parameters.restarts
        );
        let group = groups
            .iter_mut()
            .find(|(other, others, _)| *other == name && *others == effort);
        match group {
            Some((.., evaluations)) => evaluations.push(evaluation),
            None => groups.push((name, effort, vec![evaluation])),
        }
    }
    let alone = |name: &String| groups.iter().filter(|(other, ..)| other == name).count() == 1;
    let mut lines = Vec::new();
    for (name, effort, evaluations) in &groups {
        let worst = worst_cases(evaluations)?;
        lines.extend(worst.into_iter().map(|worst| Line {
            name: match alone(name) {
                true => name.clone(),
                false => format!("{name} {effort}"),
            },
            worst,
        }));
    }
    Ok(lines)
}

/// The corners of the accuracy as a falling step: it falls by each image at the distance of its closest adversarial found.
fn steps(worst: &WorstCase, right: f64) -> Vec<(f64, f64)> {
    let images = worst.samples.len().max(1) as f64;
    let mut distances: Vec<f64> = worst
        .samples
        .iter()
        .filter_map(|record| Some(f64::from(record.smallest?)))
        .collect();
    distances.sort_by(f64::total_cmp);
    let mut corners = vec![(0.0, 1.0)];
    for (broken, &distance) in distances.iter().enumerate() {
        if distance > right {
            break;
        }
        let x = distance;
        let below = 1.0 - (broken + 1) as f64 / images;
        let above = 1.0 - broken as f64 / images;
        match corners.last_mut() {
            Some(last) if last.0 == x => last.1 = below,
            _ => corners.extend([(x, above), (x, below)]),
        }
    }
    let last = corners.last().map_or(1.0, |corner| corner.1);
    corners.push((right, last));
    corners
}

/// The radii that were evaluated, on the step.
fn measured(worst: &WorstCase) -> Vec<(f64, f64)> {
    let points = worst.curve.iter();
    let points = points.map(|point| (f64::from(point.eps_value), point.accuracy));
    points.collect()
}

fn draw(
    report: &Report,
    worst: &WorstCase,
    svg: &mut String,
) -> Result<(), Box<dyn std::error::Error>> {
    let largest = worst.curve.last().map_or(0.0, |point| point.eps_value);
    let right = f64::from(largest).max(1e-9);
    let root = SVGBackend::with_string(svg, (760, 420)).into_drawing_area();
    root.fill(&WHITE)?;
    let x = format!("eps ({}, pixels in [0, 1])", worst.norm);
    let mut chart = chart(&root, right, &x, "accuracy")?;
    let lines = lines(report, worst)?;
    let attacks = lines.iter().zip(COLOURS.iter().cycle());
    let attacks = attacks.map(|(line, &colour)| (line.name.as_str(), &line.worst, colour, 1));
    for (name, worst, colour, width) in attacks.chain([("worst case", worst, BLACK, 2)]) {
        chart
            .draw_series([PathElement::new(
                steps(worst, right),
                colour.stroke_width(width),
            )])?
            .label(name)
            .legend(move |(x, y)| PathElement::new(vec![(x, y), (x + 16, y)], colour));
        let markers = measured(worst).into_iter();
        chart.draw_series(markers.map(|point| Circle::new(point, 3, colour.filled())))?;
    }
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::LowerLeft)
        .background_style(WHITE.mix(0.8))
        .border_style(BLACK)
        .draw()?;
    root.present()?;
    Ok(())
}

#[cfg(test)]
mod tests;
