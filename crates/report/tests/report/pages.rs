//! What people look at.

use std::fs;

use crate::finished;

#[tokio::test]
async fn the_html_page_needs_nothing_else_and_takes_no_name_for_markup() {
    let dir = tempfile::tempdir().unwrap();
    let (_, _, report) = finished(dir.path()).await;
    let page = fs::read_to_string(dir.path().join("report.html")).unwrap();
    assert!(page.contains("models/&lt;linear&gt;.onnx") && page.contains("&lt;one&gt;"));
    assert!(!page.contains("<linear>") && !page.contains("<one>"));
    for outside in ["src=\"http", "href=", "<script", "url("] {
        assert!(!page.contains(outside), "{outside}");
    }
    assert_eq!(page.matches("<svg").count(), 2);
    // Six at either end in both norms, three pictures each.
    assert_eq!(
        page.matches("data:image/png;base64,").count(),
        2 * 2 * 6 * 3
    );
    for measured in &report.evaluations {
        assert!(page.contains(&measured.evaluation.parameters.to_string()));
    }
}

#[tokio::test]
async fn the_markdown_page_has_the_figures() {
    let dir = tempfile::tempdir().unwrap();
    let (_, _, report) = finished(dir.path()).await;
    let page = fs::read_to_string(dir.path().join("report.md")).unwrap();
    assert!(page.contains("* clean accuracy: 90.00 %"), "{page}");
    for measured in &report.evaluations {
        let evaluation = &measured.evaluation;
        let row = format!(
            "| {} | {:.2} % |",
            evaluation.parameters,
            100.0 * evaluation.accuracy_under_attack
        );
        assert!(page.contains(&row), "{row}");
    }
    assert!(page.contains("\n| linf 0.02 | "), "{page}");
    assert!(page.contains("![accuracy over eps](curve-linf.svg)"));
    assert!(dir.path().join("curve-linf.svg").exists());
    assert!(dir.path().join("curve-l2.svg").exists());
}
