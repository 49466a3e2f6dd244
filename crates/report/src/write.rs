use buckler_attack::SampleSource;
use buckler_onnx::write_atomic;

use crate::{
    Folder, Report, ReportError, curve,
    folder::{HTML, MARKDOWN},
    gallery::Gallery,
    html, markdown,
    report::curve_file,
};

/// Writes a finished run's report into its folder, and takes the run's state away. `class_names` are those of the model.
///
/// # Errors
/// When an image cannot be read, a picture cannot be drawn or a file cannot be written.
pub fn write<S: SampleSource>(
    folder: &Folder,
    report: &Report,
    samples: &S,
    class_names: &[String],
) -> Result<(), ReportError> {
    let mut curves = Vec::new();
    for worst in &report.worst_cases {
        let name = curve_file(worst.norm);
        let svg = curve::svg(report, worst)?;
        save(folder, &name, &svg)?;
        curves.push((name, svg));
    }
    let galleries = report
        .worst_cases
        .iter()
        .map(|worst| Gallery::new(folder, report, worst, samples))
        .collect::<Result<Vec<_>, _>>()?;
    let names: Vec<&str> = curves.iter().map(|(name, _)| name.as_str()).collect();
    save(folder, MARKDOWN, &markdown::page(report, &names))?;
    let drawings: Vec<&str> = curves.iter().map(|(_, svg)| svg.as_str()).collect();
    let page = html::page(report, &drawings, &galleries, class_names);
    save(folder, HTML, &page)?;
    folder.finish(report)
}

fn save(folder: &Folder, name: &str, text: &str) -> Result<(), ReportError> {
    let path = folder.file(name);
    write_atomic(&path, text.as_bytes()).map_err(ReportError::file(path))
}
