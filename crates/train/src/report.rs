use std::fmt::Write;
use std::path::Path;

use plotters::prelude::*;

use crate::error::TrainError;
use crate::run::{EpochRecord, Run};

/// Writes `report.md` and `curves.svg` into the run's folder.
pub(crate) fn write_report(run: &Run) -> Result<(), TrainError> {
    write(&run.dir().join("curves.svg"), &curves(run)?)?;
    write(&run.dir().join("report.md"), &report(run)?)
}

fn write(path: &Path, text: &str) -> Result<(), TrainError> {
    buckler_onnx::write_atomic(path, text.as_bytes()).map_err(TrainError::file(path))
}

fn report(run: &Run) -> Result<String, TrainError> {
    let recipe = run.recipe();
    let attack = recipe.adversary.as_ref().map(|adversary| {
        format!(
            "PGD-{} {} {}",
            recipe.validation.steps, adversary.norm, adversary.eps
        )
    });
    let best = run.best().map(|best| best.epoch);
    let mut text = format!("# {}\n\n{}\n\n", recipe.name, recipe.description);
    let mut line = |name: &str, value: &str| {
        // Writing to a string does not fail.
        let _ = writeln!(text, "* {name}: {value}");
    };
    line("device", run.device());
    line("revision", run.revision().unwrap_or("unknown"));
    line("seed", &recipe.seed.to_string());
    line("validation images", &recipe.validation.images.to_string());
    if let Some(init) = run.init() {
        line("initial weights", init);
    }
    if let Some(reason) = run.stopped() {
        line("ended early", reason);
    }
    for change in run.changes() {
        let value = format!(
            "{} from {} to {} after epoch {}",
            change.key, change.from, change.to, change.after_epoch
        );
        line("changed", &value);
    }
    for record in run.epochs() {
        if let Some(warning) = &record.warning {
            line(&format!("warning, epoch {}", record.epoch), warning);
        }
    }
    text.push_str("\n![accuracy and loss over the epochs](curves.svg)\n\n");
    let robust = attack.as_deref().unwrap_or("under attack");
    let _ = writeln!(
        text,
        "| epoch | loss | clean | {robust} | seconds |\n|--:|--:|--:|--:|--:|"
    );
    for record in run.epochs() {
        let mark = if Some(record.epoch) == best {
            " (best)"
        } else {
            ""
        };
        let robust = record
            .robust_accuracy
            .map_or(String::new(), |share| format!("{:.2} %", 100.0 * share));
        let _ = writeln!(
            text,
            "| {}{mark} | {:.4} | {:.2} % | {robust} | {:.1} |",
            record.epoch,
            record.loss,
            100.0 * record.clean_accuracy,
            record.seconds
        );
    }
    let _ = write!(text, "\n```toml\n{}```\n", recipe.to_toml()?);
    Ok(text)
}

fn curves(run: &Run) -> Result<String, TrainError> {
    let mut svg = String::new();
    draw(run, &mut svg).map_err(|error| {
        TrainError::Run(format!("{}: curves.svg: {error}", run.dir().display()))
    })?;
    Ok(svg)
}

/// Accuracies above, the loss below.
fn draw(run: &Run, svg: &mut String) -> Result<(), Box<dyn std::error::Error>> {
    type Value = fn(&EpochRecord) -> Option<f64>;
    let accuracies: [(&str, RGBColor, Value); 2] = [
        ("clean", BLUE, |record| Some(record.clean_accuracy)),
        ("under attack", RED, |record| record.robust_accuracy),
    ];
    let loss: [(&str, RGBColor, Value); 1] = [("training loss", BLACK, |record| Some(record.loss))];
    let highest = run.epochs().iter().map(|record| record.loss);
    let highest = highest.filter(|loss| loss.is_finite()).fold(0.1, f64::max);
    let epochs = run.epochs().len().max(2);

    let root = SVGBackend::with_string(svg, (800, 600)).into_drawing_area();
    root.fill(&WHITE)?;
    let (upper, lower) = root.split_vertically(360);
    for (area, lines, top, name) in [
        (upper, &accuracies[..], 1.0, "validation accuracy"),
        (lower, &loss[..], 1.05 * highest, "training loss"),
    ] {
        let mut chart = ChartBuilder::on(&area)
            .margin(12)
            .x_label_area_size(32)
            .y_label_area_size(56)
            .build_cartesian_2d(1.0..epochs as f64, 0.0..top)?;
        chart
            .configure_mesh()
            .x_desc("epoch")
            .y_desc(name)
            .light_line_style(TRANSPARENT)
            .draw()?;
        for (label, colour, value) in lines {
            let points: Vec<(f64, f64)> = run
                .epochs()
                .iter()
                .filter_map(|record| Some((record.epoch as f64, value(record)?)))
                .collect();
            if points.is_empty() {
                continue;
            }
            let colour = *colour;
            chart
                .draw_series(LineSeries::new(points, colour.stroke_width(2)).point_size(3))?
                .label(*label)
                .legend(move |(x, y)| PathElement::new(vec![(x, y), (x + 16, y)], colour));
        }
        chart
            .configure_series_labels()
            .position(SeriesLabelPosition::LowerRight)
            .background_style(WHITE.mix(0.8))
            .border_style(BLACK)
            .draw()?;
    }
    root.present()?;
    Ok(())
}
