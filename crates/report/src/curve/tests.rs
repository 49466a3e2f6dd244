use buckler_attack::{Epsilon, Norm, WorstPoint, WorstRecord};

use super::*;

/// The worst case over images with these distances, evaluated at some radii.
fn worst(distances: &[Option<f32>], radii: &[&str]) -> WorstCase {
    let samples = distances.iter().zip(0..);
    let samples = samples.map(|(&smallest, id)| WorstRecord {
        id,
        label: 0,
        smallest,
        broken_by: None,
    });
    let mut worst = WorstCase {
        norm: Norm::Linf,
        images: distances.len(),
        clean_accuracy: 1.0,
        curve: Vec::new(),
        samples: samples.collect(),
    };
    let radii = radii
        .iter()
        .map(|radius| radius.parse::<Epsilon>().unwrap());
    worst.curve = radii
        .map(|eps| WorstPoint {
            eps,
            eps_value: eps.value(),
            accuracy: worst.accuracy_at(eps.value()),
        })
        .collect();
    worst
}

/// The height of a drawn line just right of `x`.
fn height(corners: &[(f64, f64)], x: f64) -> f64 {
    let before = corners.iter().rev().find(|corner| corner.0 <= x);
    before.unwrap().1
}

#[test]
fn the_line_has_level_and_upright_parts_alone_and_goes_through_what_was_measured() {
    let worst = worst(
        &[Some(0.0), None, Some(0.1), Some(0.1), Some(0.25), Some(0.9)],
        &["0.1", "0.2", "0.3"],
    );
    let corners = steps(&worst, 0.3);
    for pair in corners.windows(2) {
        assert!(pair[0].0 == pair[1].0 || pair[0].1 == pair[1].1, "{pair:?}");
        assert!(pair[0].0 <= pair[1].0 && pair[0].1 >= pair[1].1, "{pair:?}");
    }
    assert_eq!(corners.last(), Some(&(0.3, height(&corners, 0.3))));
    for (radius, accuracy) in measured(&worst) {
        // Distances are in single precision.
        assert!(
            (height(&corners, radius + 1e-7) - accuracy).abs() < 1e-12,
            "{radius}"
        );
    }
    for radius in [0.0, 0.05, 0.24, 0.26, 0.299] {
        let expected = worst.accuracy_at(radius as f32);
        assert!(
            (height(&corners, radius) - expected).abs() < 1e-12,
            "{radius}"
        );
    }
}
