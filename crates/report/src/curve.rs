//! The accuracy over the radius, as a drawing.

use buckler_attack::{Certification, WorstCase};
use plotters::{
    coord::{Shift, types::RangedCoordf64},
    prelude::*,
};

use crate::{Report, ReportError};

/// Points of the drawn step function.
const STEPS: usize = 200;

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
    let steps = (0..=STEPS).map(|step| {
        let radius = right * step as f64 / STEPS as f64;
        (radius, certification.accuracy_at(radius))
    });
    chart.draw_series(LineSeries::new(steps, BLACK.stroke_width(2)))?;
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

/// The figures of one attack at its radii, from the smallest.
struct Line {
    name: String,
    points: Vec<(f64, f64)>,
}

fn lines(report: &Report, worst: &WorstCase) -> Vec<Line> {
    let mut lines: Vec<Line> = Vec::new();
    for evaluation in report.evaluations() {
        let parameters = &evaluation.parameters;
        if parameters.norm != worst.norm {
            continue;
        }
        let name = match parameters.objective {
            Some(objective) => format!("{} {objective}", parameters.attack),
            None => parameters.attack.clone(),
        };
        let point = (
            f64::from(parameters.eps_value),
            evaluation.accuracy_under_attack,
        );
        match lines.iter_mut().find(|line| line.name == name) {
            Some(line) => line.points.push(point),
            None => lines.push(Line {
                name,
                points: vec![point],
            }),
        }
    }
    for line in &mut lines {
        line.points.push((0.0, worst.clean_accuracy));
        line.points.sort_by(|a, b| a.0.total_cmp(&b.0));
    }
    lines
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
    let lines = lines(report, worst).into_iter();
    for (line, &colour) in lines.zip(COLOURS.iter().cycle()) {
        chart
            .draw_series(LineSeries::new(line.points, colour.stroke_width(1)).point_size(3))?
            .label(line.name)
            .legend(move |(x, y)| PathElement::new(vec![(x, y), (x + 16, y)], colour));
    }
    let steps = (0..=STEPS).map(|step| {
        let eps = right * step as f64 / STEPS as f64;
        (eps, worst.accuracy_at(eps as f32))
    });
    chart
        .draw_series(LineSeries::new(steps, BLACK.stroke_width(2)))?
        .label("worst case")
        .legend(|(x, y)| PathElement::new(vec![(x, y), (x + 16, y)], BLACK));
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::LowerLeft)
        .background_style(WHITE.mix(0.8))
        .border_style(BLACK)
        .draw()?;
    root.present()?;
    Ok(())
}
