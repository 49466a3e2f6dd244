//! Whether a gradient graph is that of its model.
use buckler_attack::Objective;
use ndarray::{Array4, ArrayD, Axis};
use serde::Serialize;

use super::{adapt, decisions::Decisions, form::Form, gradient::Gradient, probe};
use crate::{RuntimeError, session::Graph};

/// Images at which a gradient graph is verified.
const IMAGES: usize = 2;

/// How much is put to the model.
pub(super) struct Effort {
    /// Random directions at each image.
    directions: u64,
    /// Steps of the difference quotients, in the range of a pixel: rounding spoils small ones, kinks and curvature large ones.
    steps: &'static [f32],
}

/// Of a graph that was just made: a rule may be wrong.
pub(super) const THOROUGH: Effort = Effort {
    directions: 6,
    steps: &[3e-3, 3e-4, 1e-4, 3e-5],
};

/// Of a graph from a file, which may be another's: whoever loads a model waits for it.
pub(super) const QUICK: Effort = Effort {
    directions: 3,
    steps: &[1e-3, 1e-4],
};

/// Logits of both graphs differ by the order in which fused kernels sum.
const LOGITS_TOLERANCE: f64 = 1e-3;

/// A wrong rule is off by far more; right ones were seen up to 0.05, for networks with many kinks.
const SLOPE_TOLERANCE: f64 = 0.1;

/// How far a gradient graph is from the model it was made from.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Verification {
    /// Largest difference of a logit, relative to the largest logit.
    pub logits: f64,
    /// Median error of derivatives along random directions against central differences of the model's logits in single
    /// precision, at the best of several steps, relative to the root mean square of the derivatives.
    pub slopes: f64,
}

/// Holds a gradient graph against its model: against its logits, and against difference quotients at images of noise.
///
/// # Errors
/// When it contradicts the model, and when one of the two does not run.
pub(super) fn verify(
    decisions: &Decisions,
    forward: &mut Graph,
    backward: &mut Gradient,
    effort: Effort,
) -> Result<Verification, RuntimeError> {
    let form = &decisions.form;
    let images = probe::images(IMAGES, form.spec);
    let cotangents = signs(&[IMAGES, decisions.classes], 1);
    let objectives: Vec<Objective> = cotangents
        .axis_iter(Axis(0))
        .map(|row| Objective::Cotangent(row.iter().copied().collect()))
        .collect();
    let answer = backward.ask(form.column(images.clone()), &objectives)?;
    let mut answer = answer.into_iter();
    let (logits, _, gradient) = (answer.next(), answer.next(), answer.next());
    let gradient = gradient.and_then(|gradient| form.gradient(gradient));
    let (Some(logits), Some(gradient)) = (logits, gradient) else {
        return Err(contradiction(
            "to answer with logits and a gradient",
            "another answer",
        ));
    };

    let own = run(forward, form, images.clone())?;
    let largest = own
        .iter()
        .filter(|value| value.is_finite())
        .fold(0.0f64, |most, value| most.max(f64::from(value.abs())));
    let difference = adapt::difference(&own, &logits).unwrap_or(f32::NAN);
    let logits = f64::from(difference) / largest.max(f64::MIN_POSITIVE);
    if logits.is_nan() || logits > LOGITS_TOLERANCE {
        return Err(contradiction(
            &format!("the model's logits, to {LOGITS_TOLERANCE:e} of the largest"),
            &format!("{logits:e}"),
        ));
    }

    let shape = [
        IMAGES,
        form.spec.channels,
        form.spec.height,
        form.spec.width,
    ];
    let gradient = gradient.into_dyn();
    let directions: Vec<_> = (0..effort.directions)
        .map(|k| signs(&shape, 2 + k))
        .collect();
    let expected: Vec<f64> = directions
        .iter()
        .flat_map(|direction| row_products(&gradient, direction))
        .collect();
    let squares: f64 = expected.iter().map(|slope| slope * slope).sum();
    let scale = (squares / expected.len() as f64).sqrt();
    let mut slopes = f64::INFINITY;
    for &step in effort.steps {
        let mut quotients = Vec::new();
        for direction in &directions {
            let mut moved = |step: f32| {
                let moved = images.clone().into_dyn() + direction * step;
                let moved = moved.into_dimensionality();
                let logits = run(forward, form, moved.unwrap_or_else(|_| images.clone()))?;
                Ok::<_, RuntimeError>(row_products(&logits, &cotangents))
            };
            let (ahead, behind) = (moved(step)?, moved(-step)?);
            let differences = ahead
                .iter()
                .zip(&behind)
                .map(|(ahead, behind)| ahead - behind);
            quotients.extend(differences.map(|difference| difference / (2.0 * f64::from(step))));
        }
        let pairs = quotients.iter().zip(&expected);
        let error = median(
            pairs
                .map(|(quotient, slope)| (quotient - slope).abs())
                .collect(),
        );
        // Where nothing changes, nothing was expected to.
        slopes = slopes.min(if error == 0.0 { 0.0 } else { error / scale });
    }
    if slopes.is_nan() || slopes > SLOPE_TOLERANCE {
        return Err(contradiction(
            &format!("the model's difference quotients, to {SLOPE_TOLERANCE} of their size"),
            &format!("{slopes:.3}"),
        ));
    }
    Ok(Verification { logits, slopes })
}

fn run(graph: &mut Graph, form: &Form, images: Array4<f32>) -> Result<ArrayD<f32>, RuntimeError> {
    let answer = graph.run(&[form.column(images)])?;
    let logits = answer.into_iter().next();
    logits.ok_or_else(|| contradiction("to answer with logits", "no answer"))
}

/// One or minus one, without a pattern.
fn signs(shape: &[usize], seed: u64) -> ArrayD<f32> {
    let mut state = seed;
    ArrayD::from_shape_simple_fn(shape, || {
        // SplitMix64 (Steele et al. 2014).
        state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = state;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        if (z ^ (z >> 31)) & 1 == 0 { 1.0 } else { -1.0 }
    })
}

/// The inner product of each row of one array with that of the other, in double precision.
fn row_products(a: &ArrayD<f32>, b: &ArrayD<f32>) -> Vec<f64> {
    let rows = a.axis_iter(Axis(0)).zip(b.axis_iter(Axis(0)));
    rows.map(|(a, b)| {
        let products = a.iter().zip(&b).map(|(&a, &b)| f64::from(a) * f64::from(b));
        products.sum()
    })
    .collect()
}

/// A kink on the way spoils some of the quotients, a wrong rule most of them.
fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

fn contradiction(expected: &str, got: &str) -> RuntimeError {
    RuntimeError::Unsupported {
        what: "gradient graph",
        expected: expected.to_owned(),
        got: got.to_owned(),
    }
}
