//! What is asked of a gradient graph, and the answer straight from the definitions.

use buckler_onnx::{GradientInfo, Model};

use super::{net::Random, run, tensor::Tensor};

/// One row per image.
#[derive(Clone, Debug, PartialEq)]
pub struct Query {
    /// The columns of `weights`.
    pub objectives: Vec<String>,
    pub weights: Tensor,
    pub labels: Vec<f64>,
    pub targets: Vec<f64>,
    pub cotangent: Tensor,
    pub probabilities: Tensor,
    /// Empty where the model has no features.
    pub source_features: Tensor,
}

/// A gradient graph's answer.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    pub logits: Tensor,
    pub loss: Tensor,
    pub gradient: Tensor,
}

impl Query {
    /// All weights zero.
    pub fn idle(gradient: &Model, rows: usize) -> Self {
        let info = GradientInfo::of(gradient).unwrap().unwrap();
        let features = gradient
            .graph()
            .input
            .iter()
            .find(|input| input.name == "source_features")
            .map_or(0, |input| known_size(input, 1));
        Self {
            weights: Tensor::filled(&[rows, info.objectives.len()], 0.0),
            objectives: info.objectives,
            labels: vec![0.0; rows],
            targets: vec![1.0; rows],
            cotangent: Tensor::filled(&[rows, info.classes], 0.0),
            probabilities: Tensor::filled(&[rows, info.classes], 0.0),
            source_features: Tensor::filled(&[rows, features], 0.0),
        }
    }

    /// Every row another objective, positive or negative, and some of them all at once.
    pub fn random(gradient: &Model, rows: usize, random: &mut Random) -> Self {
        let mut query = Self::idle(gradient, rows);
        let (kinds, classes) = (query.objectives.len(), query.cotangent.dims[1]);
        let start = (random.next() * 8.0) as usize;
        for row in 0..rows {
            let label = (random.next() * classes as f64).floor();
            query.labels[row] = label;
            query.targets[row] =
                (label + 1.0 + (random.next() * (classes - 1) as f64).floor()) % classes as f64;
            let kind = (start + row) % (kinds + 2);
            let weights = &mut query.weights.data[kinds * row..kinds * (row + 1)];
            weights.fill_with(|| {
                if kind > kinds {
                    random.next() - 0.5
                } else {
                    0.0
                }
            });
            if kind < kinds {
                weights[kind] = random.next() - 0.5;
            }
            if kind >= kinds {
                let cotangent = &mut query.cotangent.data[classes * row..classes * (row + 1)];
                cotangent.fill_with(|| random.next() - 0.5);
            }
            let probabilities = &mut query.probabilities.data[classes * row..classes * (row + 1)];
            probabilities.fill_with(|| random.next());
            probabilities[label as usize] = 0.0;
            let sum: f64 = probabilities.iter().sum();
            probabilities.iter_mut().for_each(|p| *p /= sum);
        }
        let features = query.source_features.dims[1];
        query.source_features = random.tensor(&[rows, features], -1.0, 1.0);
        query
    }

    /// With the weight of one objective in every row.
    pub fn weigh(mut self, objective: &str, weight: f64) -> Self {
        let column = self.column(objective);
        let kinds = self.objectives.len();
        for row in self.weights.data.chunks_mut(kinds) {
            row[column] = weight;
        }
        self
    }

    /// Without the terms that have a kink or a pole near a row's logits and features: margin and ratios where the logits are
    /// nearly equal, the distance of features near zero.
    pub fn smooth_at(mut self, logits: &Tensor, features: Option<&Tensor>) -> Self {
        let kinds = self.objectives.len();
        let rows = logits.data.chunks(logits.dims[1]).enumerate();
        for ((row, z), weights) in rows.zip(self.weights.data.chunks_mut(kinds)) {
            let largest = z.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            let equal = z.iter().filter(|z| largest - **z < 1e-2).count() > 2;
            let small = features.is_some_and(|features| {
                let width = features.dims[1];
                let own = &features.data[width * row..width * (row + 1)];
                own.iter().map(|f| f * f).sum::<f64>() < 1e-4
            });
            for (name, weight) in self.objectives.iter().zip(weights) {
                let of_ranks = name == "margin" || name.ends_with("dlr");
                if equal && of_ranks || small && name == "feature_distance" {
                    *weight = 0.0;
                }
            }
        }
        self
    }

    pub fn column(&self, objective: &str) -> usize {
        let mut names = self.objectives.iter();
        names.position(|name| name == objective).unwrap()
    }

    /// One of the rows.
    pub fn row(&self, row: usize) -> Self {
        let cut = |tensor: &Tensor| {
            let width = tensor.dims[1];
            Tensor::new(
                &[1, width],
                tensor.data[width * row..width * (row + 1)].to_vec(),
            )
        };
        Self {
            objectives: self.objectives.clone(),
            weights: cut(&self.weights),
            labels: vec![self.labels[row]],
            targets: vec![self.targets[row]],
            cotangent: cut(&self.cotangent),
            probabilities: cut(&self.probabilities),
            source_features: cut(&self.source_features),
        }
    }

    /// What the gradient graph says.
    pub fn ask(&self, gradient: &Model, image: &Tensor) -> Answer {
        let info = GradientInfo::of(gradient).unwrap().unwrap();
        let inputs = [
            (info.image.as_str(), image.clone()),
            ("label", Tensor::list(self.labels.clone())),
            ("target", Tensor::list(self.targets.clone())),
            ("objective", self.weights.clone()),
            ("cotangent", self.cotangent.clone()),
            ("probabilities", self.probabilities.clone()),
            ("source_features", self.source_features.clone()),
        ];
        let mut tensors = run(gradient.graph(), &inputs);
        let mut take = |name: &str| tensors.remove(name).unwrap();
        Answer {
            logits: take(&info.logits),
            loss: take("loss"),
            gradient: take("gradient"),
        }
    }

    /// The loss of each row, straight from its definition.
    pub fn losses(&self, logits: &Tensor, features: Option<&Tensor>) -> Vec<f64> {
        let classes = logits.dims[1];
        let rows = logits.data.chunks(classes).enumerate();
        rows.map(|(row, z)| {
            let features = features.map(|features| {
                let width = features.dims[1];
                &features.data[width * row..width * (row + 1)]
            });
            let linear = z
                .iter()
                .zip(self.cotangent.data.chunks(classes).nth(row).unwrap());
            let linear: f64 = linear.map(|(z, c)| z * c).sum();
            let kinds = self.objectives.len();
            let terms = self.objectives.iter().enumerate();
            terms
                .map(|(column, objective)| {
                    let weight = self.weights.data[kinds * row + column];
                    if weight == 0.0 {
                        return 0.0;
                    }
                    weight * self.row(row).value(objective, z, features)
                })
                .sum::<f64>()
                + linear
        })
        .collect()
    }

    /// An objective of the first row.
    fn value(&self, objective: &str, z: &[f64], features: Option<&[f64]>) -> f64 {
        let (y, t) = (self.labels[0] as usize, self.targets[0] as usize);
        let log_sum = |z: &[f64]| {
            // Shifted, or large logits overflow.
            let peak = z.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            z.iter().map(|z| (z - peak).exp()).sum::<f64>().ln() + peak
        };
        let mut sorted = z.to_vec();
        sorted.sort_by(|a, b| b.total_cmp(a));
        let others = z.iter().enumerate().filter(|(i, _)| *i != y);
        let margin = others.map(|(_, z)| *z).fold(f64::NEG_INFINITY, f64::max) - z[y];
        match objective {
            "cross_entropy" => log_sum(z) - z[y],
            "margin" => margin,
            "dlr" => margin / (sorted[0] - sorted[2] + 1e-12),
            "targeted_dlr" => (z[t] - z[y]) / (sorted[0] - (sorted[2] + sorted[3]) / 2.0 + 1e-12),
            "kl" => {
                let p = self
                    .probabilities
                    .data
                    .iter()
                    .zip(z)
                    .filter(|(p, _)| **p > 0.0);
                p.map(|(p, z_i)| p * (p.ln() - z_i + log_sum(z))).sum()
            }
            "feature_distance" => {
                let (f, s) = (features.unwrap(), &self.source_features.data);
                let product: f64 = f.iter().zip(s).map(|(f, s)| f * s).sum();
                let norm = |v: &[f64]| v.iter().map(|v| v * v).sum::<f64>().sqrt();
                let norms = norm(f) * norm(s);
                1.0 - if norms == 0.0 { 0.0 } else { product / norms }
            }
            other => panic!("objective {other}"),
        }
    }
}

fn known_size(info: &buckler_onnx::proto::ValueInfoProto, axis: usize) -> usize {
    use buckler_onnx::proto::{tensor_shape_proto::dimension::Value, type_proto};
    let type_proto::Value::TensorType(tensor) =
        info.r#type.as_ref().unwrap().value.as_ref().unwrap()
    else {
        panic!("no tensor")
    };
    match tensor.shape.as_ref().unwrap().dim[axis].value {
        Some(Value::DimValue(size)) => size as usize,
        _ => panic!("no known size"),
    }
}
