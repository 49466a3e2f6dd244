//! Three linear classes, and images of noise.

use std::sync::atomic::{AtomicI64, Ordering};

use buckler_attack::{Gradient, InputSpec, Objective, Samples, Victim, VictimError};
use ndarray::{Array1, Array2, Array4, Axis};

pub const INPUT: InputSpec = InputSpec {
    channels: 3,
    height: 4,
    width: 4,
};

const CLASSES: usize = 3;

/// Fails after a number of gradient queries, as a machine that is switched off does.
pub struct Linear {
    weights: Vec<Vec<f32>>,
    pub queries_left: AtomicI64,
    /// Whether its gradients are NaN in the first pixel.
    steep: bool,
    /// A class that is never chosen.
    masked: Option<usize>,
    /// Passes so far, of a victim that answers each a little differently.
    passes: Option<AtomicI64>,
}

impl Linear {
    pub fn new() -> Self {
        let mut noise = Noise(7);
        let weights = (0..CLASSES)
            .map(|_| (0..INPUT.values()).map(|_| noise.next() - 0.5).collect())
            .collect();
        Self {
            weights,
            queries_left: AtomicI64::new(i64::MAX),
            steep: false,
            masked: None,
            passes: None,
        }
    }

    /// Answers every pass a little differently.
    pub fn random() -> Self {
        Self {
            passes: Some(AtomicI64::new(0)),
            ..Self::new()
        }
    }

    /// Never chooses its last class.
    pub fn masked() -> Self {
        Self {
            masked: Some(CLASSES - 1),
            ..Self::new()
        }
    }

    /// Has no slope in the first pixel, as a square root at 0.
    pub fn steep() -> Self {
        Self {
            steep: true,
            ..Self::new()
        }
    }

    pub fn failing_after(queries: i64) -> Self {
        Self {
            queries_left: AtomicI64::new(queries),
            ..Self::new()
        }
    }

    fn forward(&self, image: &[f32]) -> Vec<f32> {
        let logit = |weights: &Vec<f32>| -> f32 {
            let terms = weights.iter().zip(image);
            terms.map(|(w, x)| w * (x - 0.5)).sum()
        };
        let mut logits: Vec<f32> = self.weights.iter().map(logit).collect();
        if let Some(masked) = self.masked {
            logits[masked] = f32::NEG_INFINITY;
        }
        logits
    }
}

impl Victim for Linear {
    fn input(&self) -> InputSpec {
        INPUT
    }

    fn classes(&self) -> usize {
        CLASSES
    }

    async fn logits(&self, images: Array4<f32>) -> Result<Array2<f32>, VictimError> {
        let rows = images.len_of(Axis(0));
        let pass = self.passes.as_ref();
        let pass = pass.map_or(0, |passes| passes.fetch_add(1, Ordering::SeqCst));
        let values: Vec<f32> = images
            .outer_iter()
            .flat_map(|image| self.forward(&image.iter().copied().collect::<Vec<_>>()))
            .map(|logit| logit + 1e-6 * (pass % 7) as f32)
            .collect();
        Ok(Array2::from_shape_vec((rows, CLASSES), values).unwrap())
    }

    async fn gradient(
        &self,
        images: Array4<f32>,
        objectives: Vec<Objective>,
    ) -> Result<Gradient, VictimError> {
        if self.queries_left.fetch_sub(1, Ordering::SeqCst) <= 0 {
            return Err(VictimError::Closed);
        }
        let logits = self.logits(images.clone()).await?;
        let mut input = Array4::zeros(images.raw_dim());
        for (row, objective) in objectives.iter().enumerate() {
            let logits: Vec<f32> = logits.row(row).to_vec();
            let cotangent = cotangent(objective, &logits);
            let mut gradient = input.index_axis_mut(Axis(0), row);
            for (pixel, slot) in gradient.iter_mut().enumerate() {
                let terms = cotangent.iter().zip(&self.weights);
                *slot = terms.map(|(c, w)| c * w[pixel]).sum();
            }
            if self.steep {
                gradient[[0, 0, 0]] = f32::NAN;
            }
        }
        let loss = Array1::zeros(objectives.len());
        Ok(Gradient {
            logits,
            loss,
            input,
        })
    }
}

fn cotangent(objective: &Objective, logits: &[f32]) -> Vec<f32> {
    match objective {
        Objective::Cotangent(cotangent) => cotangent.clone(),
        Objective::CrossEntropy { label } => {
            let exponentials: Vec<f32> = logits.iter().map(|z| z.exp()).collect();
            let sum: f32 = exponentials.iter().sum();
            let mut softmax: Vec<f32> = exponentials.iter().map(|e| e / sum).collect();
            softmax[*label] -= 1.0;
            softmax
        }
        other => panic!("no attack here asks for {other:?}"),
    }
}

/// Numbers in `[0, 1)` (SplitMix64, Steele et al. 2014).
struct Noise(u64);

impl Noise {
    fn next(&mut self) -> f32 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((z ^ (z >> 31)) >> 40) as f32 / (1u64 << 24) as f32
    }
}

/// Noise around grey with the classes the victim gives it, every tenth label wrong.
pub fn samples(count: usize) -> Samples {
    let mut noise = Noise(3);
    let shape = (count, INPUT.channels, INPUT.height, INPUT.width);
    let images = Array4::from_shape_simple_fn(shape, || 0.3 + 0.4 * noise.next());
    let victim = Linear::new();
    let labels = images.outer_iter().enumerate().map(|(row, image)| {
        let logits = victim.forward(&image.iter().copied().collect::<Vec<_>>());
        let best = (0..CLASSES).max_by(|&a, &b| logits[a].total_cmp(&logits[b]));
        (best.unwrap() + usize::from(row % 10 == 9)) % CLASSES
    });
    let labels = labels.collect();
    Samples::new(images, labels)
}
