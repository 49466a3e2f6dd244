//! Graphs of certified bounds against the models themselves.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod closed_forms;
mod masked;
mod normalised;
mod obstacles;
mod operators;
#[path = "../reference/mod.rs"]
mod reference;

use buckler_onnx::{Bounding, Model, bound};
use reference::{
    net::{Net, Random},
    run,
    tensor::Tensor,
};

const METHODS: [Bounding; 3] = [Bounding::Ibp, Bounding::CrownIbp, Bounding::Crown];

/// Boxes of images, one for each row, with labels.
struct Boxes {
    lower: Tensor,
    upper: Tensor,
    labels: Vec<usize>,
}

impl Boxes {
    /// Around images in [0.2, 1.2], with a radius of its own for each pixel.
    fn random(dims: [usize; 4], radius: f64, classes: usize, random: &mut Random) -> Self {
        let centre = random.tensor(&dims, 0.2, 1.2);
        let radius = random.tensor(&dims, 0.0, radius);
        let end = |sign: f64| {
            let ends = centre.data.iter().zip(&radius.data);
            Tensor::new(&dims, ends.map(|(c, r)| c + sign * r).collect())
        };
        Self {
            lower: end(-1.0),
            upper: end(1.0),
            labels: (0..dims[0])
                .map(|_| (random.next() * classes as f64) as usize)
                .collect(),
        }
    }

    fn rows(&self) -> usize {
        self.labels.len()
    }

    /// For each pixel of each box, the place that `choose` returns: 0 at the lower end, 1 at the upper one.
    fn at(&self, mut choose: impl FnMut(usize) -> f64) -> Tensor {
        let ends = self.lower.data.iter().zip(&self.upper.data).enumerate();
        let data = ends.map(|(at, (lower, upper))| lower + (upper - lower) * choose(at));
        Tensor::new(&self.lower.dims, data.collect())
    }

    fn margins(&self, bounds: &Model) -> Tensor {
        let labels = self.labels.iter().map(|&label| label as f64).collect();
        let inputs = [
            ("lower", self.lower.clone()),
            ("upper", self.upper.clone()),
            ("label", Tensor::list(labels)),
        ];
        run(bounds.graph(), &inputs)["margin"].clone()
    }

    /// The margins of the model at one image of each box.
    fn margins_at(&self, model: &Model, images: &Tensor) -> Tensor {
        let input = &model.graph().input[0].name;
        let tensors = run(model.graph(), &[(input, images.clone())]);
        let logits = &tensors[&model.graph().output[0].name];
        Tensor::build(&logits.dims, |index| {
            logits.at(&[index[0], self.labels[index[0]]]) - logits.at(index)
        })
    }

    /// Images of the boxes: inside, in corners, and in the corners to which the slopes of the margins point.
    fn samples(&self, model: &Model, random: &mut Random) -> Vec<Tensor> {
        let mut samples: Vec<Tensor> = (0..12)
            .map(|_| self.at(|_| random.next()))
            .chain([self.at(|_| 0.0), self.at(|_| 1.0)])
            .collect();
        samples.extend((0..12).map(|_| self.at(|_| f64::from(u8::from(random.next() > 0.5)))));
        let centre = self.at(|_| 0.5);
        let here = self.margins_at(model, &centre);
        let pixels = centre.data.len() / self.rows();
        let moved: Vec<Tensor> = (0..pixels)
            .map(|pixel| {
                let moved = self.at(|at| if at % pixels == pixel { 1.0 } else { 0.5 });
                self.margins_at(model, &moved)
            })
            .collect();
        for class in 0..here.dims[1] {
            samples.push(self.at(|at| {
                let index = [at / pixels, class];
                f64::from(u8::from(moved[at % pixels].at(&index) < here.at(&index)))
            }));
        }
        samples
    }
}

/// No image of any box has a margin below the bounds, by none of the methods, and none is looser than intervals.
fn check(model: &Model, dims: [usize; 4], radius: f64, seed: u64) -> [Tensor; 3] {
    let mut random = Random::new(seed ^ 5);
    let images = random.tensor(&dims, 0.2, 1.2);
    let input = &model.graph().input[0].name;
    let tensors = run(model.graph(), &[(input, images)]);
    let classes = tensors[&model.graph().output[0].name].dims[1];
    let boxes = Boxes::random(dims, radius, classes, &mut random);
    let bounds = METHODS.map(|method| {
        let graph = bound(model, method).unwrap_or_else(|error| panic!("{error}"));
        boxes.margins(&graph)
    });
    let samples = boxes.samples(model, &mut random);
    for bound in &bounds {
        assert_eq!(bound.dims, [dims[0], classes]);
        for sample in &samples {
            let margins = boxes.margins_at(model, sample);
            for (bound, margin) in bound.data.iter().zip(&margins.data) {
                assert!(
                    *bound <= margin + 1e-9,
                    "a margin of {margin} is below the bound {bound}"
                );
            }
        }
        for (row, label) in boxes.labels.iter().enumerate() {
            assert_eq!(bound.at(&[row, *label]), 0.0);
        }
    }
    for tighter in &bounds[1..] {
        for (looser, tighter) in bounds[0].data.iter().zip(&tighter.data) {
            assert!(
                *tighter >= looser - 1e-4 * looser.abs().max(1.0),
                "{looser} {tighter}"
            );
        }
    }
    bounds
}

fn linear(net: &mut Net, input: &str, sizes: [usize; 2]) -> String {
    let (weight, bias) = (net.weights(&sizes), net.weights(&sizes[1..]));
    let product = net.op("MatMul", &[input, &weight], []);
    net.op("Add", &[&product, &bias], [])
}
