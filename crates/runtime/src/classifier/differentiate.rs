//! A gradient graph, made and verified.
use std::path::Path;

use buckler_attack::Objective;
use buckler_onnx::{Card, Error, GradientInfo, Model};
use ndarray::{Array4, ArrayD, Axis};
use serde::Serialize;

use super::{
    LoadOptions, adapt,
    form::Form,
    forward, gradient, load,
    opened::{self, Opened},
    probe,
};
use crate::{RuntimeError, engine::Lane, session::Graph};

/// Images at which a gradient graph is verified.
const IMAGES: usize = 2;

/// Random directions at each of them.
const DIRECTIONS: u64 = 6;

/// Rows run at once meanwhile: whoever loads the model tries larger batches out.
const MAX_BATCH: usize = 2;

/// Steps of the difference quotients, in the range of a pixel: rounding spoils small ones, kinks and curvature large ones.
const STEPS: [f32; 4] = [3e-3, 3e-4, 1e-4, 3e-5];

/// Logits of both graphs differ by the order in which fused kernels sum.
const LOGITS_TOLERANCE: f64 = 1e-3;

/// A wrong rule is off by far more; right ones were seen up to 0.05, for networks with many kinks.
const SLOPE_TOLERANCE: f64 = 0.1;

/// A gradient graph with what was seen of it.
#[derive(Clone, Debug)]
pub struct Differentiated {
    /// The graph.
    pub gradient: Model,
    /// What was decided and assumed about the model, as [`Classifier::assumptions`](crate::Classifier::assumptions).
    pub assumptions: Vec<String>,
    /// How it was verified.
    pub verification: Verification,
}

/// How far a gradient graph is from the model it was made from.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Verification {
    /// Largest difference of a logit, relative to the largest logit.
    pub logits: f64,
    /// Median error of derivatives along random directions against central differences of the model's logits in single
    /// precision, at the best of several steps, relative to the root mean square of the derivatives.
    pub slopes: f64,
}

/// Makes the gradient graph of a model and verifies it in the runtime, against the model's own logits and against difference
/// quotients at images of noise.
///
/// The graph is made for the output and the image size that [`Classifier::load`](crate::Classifier::load) chooses with the same card
/// and options.
///
/// # Errors
/// When the model is not an image classifier, when operators have no gradient rule (all are named), when the graph does not run, and
/// when it contradicts the model.
pub fn differentiate(model: &Model, options: &LoadOptions) -> Result<Differentiated, RuntimeError> {
    differentiate_with(model, None, options)
}

/// As [`differentiate`], with the card beside the model, which yields to the one inside it.
///
/// # Errors
/// As [`differentiate`].
pub fn differentiate_with(
    model: &Model,
    card: Option<Card>,
    options: &LoadOptions,
) -> Result<Differentiated, RuntimeError> {
    let options = &LoadOptions {
        max_batch: MAX_BATCH.min(options.max_batch),
        ..options.clone()
    };
    let opened = opened::open(model, card, options)?;
    let gradient = load::make_gradient(&opened.runs, &opened.origin)?;
    let mut forward = forward::open(&opened, &opened.runs.to_bytes(), options, Lane::Predict)?;
    let info = GradientInfo::of(&gradient)?;
    let info =
        info.ok_or_else(|| Error::Interface("the gradient graph lost its metadata".into()))?;
    let mut backward = gradient::open(&gradient.to_bytes(), &info, &opened, options)?;
    let verification = verify(&opened, &mut forward, &mut backward)?;
    Ok(Differentiated {
        gradient,
        assumptions: opened.assumptions,
        verification,
    })
}

/// Makes the gradient graph of a model without running it, for callers that compare its gradient with one of their own.
///
/// # Errors
/// When the model is not an image classifier, and when operators have no gradient rule (all are named).
pub fn differentiate_unverified(
    model: &Model,
    options: &LoadOptions,
) -> Result<Model, RuntimeError> {
    let opened = opened::open(model, None, options)?;
    Ok(load::make_gradient(&opened.runs, &opened.origin)?)
}

/// As [`differentiate`], for a file with the `card.json` beside it.
///
/// # Errors
/// As [`differentiate`], and when a file cannot be read.
pub fn differentiate_file(
    model: &Path,
    options: &LoadOptions,
) -> Result<Differentiated, RuntimeError> {
    let card = Card::beside(model)?;
    differentiate_with(&Model::read(model)?, card, options)
}

fn verify(
    opened: &Opened,
    forward: &mut Graph,
    backward: &mut gradient::Gradient,
) -> Result<Verification, RuntimeError> {
    let form = &opened.form;
    let images = probe::images(IMAGES, form.spec);
    let cotangents = signs(&[IMAGES, opened.classes()], 1);
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
    let directions: Vec<_> = (0..DIRECTIONS).map(|k| signs(&shape, 2 + k)).collect();
    let expected: Vec<f64> = directions
        .iter()
        .flat_map(|direction| row_products(&gradient, direction))
        .collect();
    let squares: f64 = expected.iter().map(|slope| slope * slope).sum();
    let scale = (squares / expected.len() as f64).sqrt();
    let mut slopes = f64::INFINITY;
    for step in STEPS {
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
