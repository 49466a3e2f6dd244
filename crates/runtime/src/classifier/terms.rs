//! Objectives in terms of a gradient graph's inputs.
use buckler_attack::{Objective, VictimError};
use ndarray::{Array1, Array2};

use super::probe;
use crate::batch::Column;

/// What the objectives of a gradient graph are made of.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Terms {
    /// The columns of the input `objective`.
    pub objectives: Vec<String>,
    /// Number of classes.
    pub classes: usize,
    /// Number of features; 0 where there are none.
    pub features: usize,
    /// The inputs that say what is asked, in the order of [`GradientInfo::INPUTS`](buckler_onnx::GradientInfo::INPUTS).
    pub inputs: Vec<&'static str>,
}

/// One row of the inputs.
#[derive(Default)]
struct Row<'a> {
    /// The objective's column and its weight.
    term: Option<(&'static str, f32)>,
    label: usize,
    target: usize,
    cotangent: &'a [f32],
    probabilities: &'a [f32],
    source_features: &'a [f32],
}

impl<'a> Row<'a> {
    fn of(objective: &'a Objective) -> Self {
        let of_label = |name, weight, label| Row {
            term: Some((name, weight)),
            label,
            ..Row::default()
        };
        match objective {
            Objective::CrossEntropy { label } => of_label("cross_entropy", 1.0, *label),
            Objective::TargetedCrossEntropy { target } => of_label("cross_entropy", -1.0, *target),
            Objective::Margin { label } => of_label("margin", 1.0, *label),
            Objective::TargetedMargin { target } => of_label("margin", -1.0, *target),
            Objective::Dlr { label } => of_label("dlr", 1.0, *label),
            Objective::TargetedDlr { label, target } => Row {
                target: *target,
                ..of_label("targeted_dlr", 1.0, *label)
            },
            Objective::KullbackLeibler(probabilities) => Row {
                term: Some(("kl", 1.0)),
                probabilities,
                ..Row::default()
            },
            Objective::FeatureDistance(source_features) => Row {
                term: Some(("feature_distance", 1.0)),
                source_features,
                ..Row::default()
            },
            Objective::Cotangent(cotangent) => Row {
                cotangent,
                ..Row::default()
            },
        }
    }
}

impl Terms {
    /// Rows with which a graph is tried out: each asks for all objectives at once, so that none is left untried.
    pub fn probe(&self, rows: usize) -> Vec<Column> {
        let classes = |offset: usize| {
            let class = |row| ((row + offset) % self.classes.max(1)) as i64;
            Column::Int(Array1::from_shape_fn(rows, class).into_dyn())
        };
        let floats = |width: usize| Column::Float(probe::values(&[rows, width]));
        let columns = self.inputs.iter().map(|&name| match name {
            "label" => classes(0),
            "target" => classes(1),
            "objective" => floats(self.objectives.len()),
            "source_features" => floats(self.features),
            _ => floats(self.classes),
        });
        columns.collect()
    }

    fn position(&self, name: &str) -> Option<usize> {
        self.objectives.iter().position(|known| known == name)
    }

    /// The graph's inputs beside the images.
    pub fn columns(&self, objectives: &[Objective]) -> Result<Vec<Column>, VictimError> {
        let rows = objectives.len();
        let mut labels = Array1::<i64>::zeros(rows);
        let mut targets = Array1::<i64>::zeros(rows);
        let mut weights = Array2::<f32>::zeros((rows, self.objectives.len()));
        let mut cotangents = Array2::<f32>::zeros((rows, self.classes));
        let mut probabilities = Array2::<f32>::zeros((rows, self.classes));
        let mut sources = Array2::<f32>::zeros((rows, self.features));
        for (index, objective) in objectives.iter().enumerate() {
            let row = Row::of(objective);
            if let Some((name, weight)) = row.term {
                let column = self.position(name).ok_or_else(|| self.missing(name))?;
                if let Some(to) = weights.get_mut((index, column)) {
                    *to = weight;
                }
            }
            for (to, class) in [(&mut labels, row.label), (&mut targets, row.target)] {
                if class >= self.classes {
                    return Err(VictimError::Query {
                        what: "class of an objective",
                        expected: format!("below {}", self.classes),
                        got: class.to_string(),
                    });
                }
                if let Some(to) = to.get_mut(index) {
                    *to = i64::try_from(class).unwrap_or(i64::MAX);
                }
            }
            fill(&mut cotangents, index, row.cotangent, "cotangent", "class")?;
            fill(
                &mut probabilities,
                index,
                row.probabilities,
                "probabilities",
                "class",
            )?;
            fill(
                &mut sources,
                index,
                row.source_features,
                "features of the source",
                "feature",
            )?;
        }
        // In the order of `GradientInfo::INPUTS`.
        let columns = [
            ("label", Column::Int(labels.into_dyn())),
            ("objective", Column::Float(weights.into_dyn())),
            ("cotangent", Column::Float(cotangents.into_dyn())),
            ("target", Column::Int(targets.into_dyn())),
            ("probabilities", Column::Float(probabilities.into_dyn())),
            ("source_features", Column::Float(sources.into_dyn())),
        ];
        let columns = columns.into_iter();
        let asked = columns.filter(|(name, _)| self.inputs.contains(name));
        Ok(asked.map(|(_, column)| column).collect())
    }

    fn missing(&self, name: &str) -> VictimError {
        VictimError::Query {
            what: "objective",
            expected: format!(
                "one that a model with {} classes and {} features has: {}",
                self.classes,
                self.features,
                self.objectives.join(", ")
            ),
            got: name.to_owned(),
        }
    }
}

/// Copies values into a row; an empty list leaves zeros.
fn fill(
    to: &mut Array2<f32>,
    row: usize,
    values: &[f32],
    what: &'static str,
    each: &str,
) -> Result<(), VictimError> {
    if values.is_empty() {
        return Ok(());
    }
    if values.len() != to.ncols() {
        return Err(VictimError::Query {
            what,
            expected: format!("one value for each {each}, {}", to.ncols()),
            got: format!("{} values", values.len()),
        });
    }
    let row = to.row_mut(row);
    row.into_iter()
        .zip(values)
        .for_each(|(to, from)| *to = *from);
    Ok(())
}
