//! A look at what a freshly opened graph returns for a few images, which tells what its file does not.
use buckler_onnx::{Interface, Model, Reading, proto::*};
use ndarray::{Array2, ArrayD, ArrayView1, Axis, concatenate};

use super::{adapt, form::Form, probe};
use crate::{
    RuntimeError,
    batch::{self, Column},
    session::{self, Graph, Placement},
};

/// How far the probabilities of an image may be from 1 in sum.
const SUM_TOLERANCE: f32 = 1e-3;

/// Sums further off than this are told.
const SUM_TOLD: f32 = 1e-5;

/// Sums of probabilities, and of percentages.
const SUMS: [f32; 2] = [1.0, 100.0];

/// What was seen.
pub(super) struct Seen {
    /// `[images, classes]`.
    rows: Array2<f32>,
    /// Whether they are logarithms of probabilities.
    logs: bool,
    /// How much two runs on the same images differ, where they do.
    pub random: Option<f32>,
    /// The largest difference of an image's answers in two batches, where there are any.
    pub batch: Option<f32>,
    depends_on_batch: bool,
}

/// Runs the graph on a few images: twice together, at most `max_rows` of them unless the batch is fixed, and each alone.
pub(super) fn at(
    graph: &mut Graph,
    form: &Form,
    fixed: Option<usize>,
    reading: Reading,
    max_rows: usize,
) -> Result<Seen, RuntimeError> {
    let size = fixed.unwrap_or(probe::VARIED.min(max_rows).max(1));
    // Some of the images, again and again until they fill a batch.
    let mut run = |rows: &[usize], size: usize| -> Result<ArrayD<f32>, RuntimeError> {
        let rows = rows.iter().copied().cycle().take(size);
        let rows: Vec<usize> = rows.collect();
        let chosen = probe::varied(&rows, form.spec);
        let answer = graph.run_batch(&[form.column(chosen)])?;
        answer
            .into_iter()
            .next()
            .ok_or_else(|| answerless("nothing"))
    };
    let all: Vec<usize> = (0..probe::VARIED).collect();
    let mut batches = Vec::new();
    for rows in all.chunks(size) {
        let answer = run(rows, size)?;
        batches.push(batch::slice(&answer, 0..rows.len()).to_owned());
    }
    let views: Vec<_> = batches.iter().map(|answer| answer.view()).collect();
    let together =
        concatenate(Axis(0), &views).map_err(|_| answerless("rows of several shapes"))?;
    let again = run(all.get(..size.min(all.len())).unwrap_or(&all), size)?;
    let first = batch::slice(&together, 0..size.min(all.len())).to_owned();
    let again = batch::slice(&again, 0..size.min(all.len())).to_owned();
    let random = adapt::difference(&first, &again).filter(|_| !adapt::agrees(&first, &again));
    let (mut difference, mut depends_on_batch) = (None, false);
    let mut apart = Vec::new();
    if random.is_none() && size > 1 {
        for row in &all {
            let alone = run(&[*row], fixed.unwrap_or(1))?;
            let alone = batch::slice(&alone, 0..1).to_owned();
            let among = batch::slice(&together, *row..row + 1).to_owned();
            let found = adapt::difference(&alone, &among);
            difference = difference.into_iter().chain(found).reduce(f32::max);
            depends_on_batch |= !adapt::agrees(&alone, &among);
            apart.push(alone);
        }
    }
    // What is answered is what is looked at.
    let answered = match depends_on_batch {
        true => {
            let views: Vec<_> = apart.iter().map(|answer| answer.view()).collect();
            concatenate(Axis(0), &views).map_err(|_| answerless("rows of several shapes"))?
        }
        false => together,
    };
    let shape = format!("shape {:?}", answered.shape());
    let rows: Array2<f32> = batch::with_axes(answered).ok_or_else(|| answerless(&shape))?;
    Ok(Seen {
        rows,
        logs: reading == Reading::LogOfProbabilities,
        random,
        batch: difference,
        depends_on_batch,
    })
}

fn answerless(got: &str) -> RuntimeError {
    RuntimeError::Unsupported {
        what: "output",
        expected: "[batch, classes]".to_owned(),
        got: got.to_owned(),
    }
}

impl Seen {
    /// Whether an image's answer depends on the others of its batch.
    pub fn depends_on_batch(&self) -> bool {
        self.depends_on_batch
    }

    /// Whether all rows are probabilities, or percentages, or several probabilities together: nowhere negative, and different with
    /// the same sum.
    pub fn probabilities(&self) -> bool {
        let first = self.rows.row(0);
        let differ = self.rows.outer_iter().any(|row| row != first);
        let other = Some(first.sum());
        let other = other
            .filter(|sum| differ && *sum > 1e-3 && !self.whole_numbers() && self.sums_are_steady());
        SUMS.into_iter().chain(other).any(|sum| {
            self.rows.outer_iter().all(|row| {
                let inside = |value: &f32| (-1e-6 * sum..=sum * (1.0 + 1e-6)).contains(value);
                row.iter().all(inside) && (row.sum() - sum).abs() <= SUM_TOLERANCE * sum
            })
        })
    }

    /// Whether sums differ by much less than the values do, and not only by much less than they are: logits that all lie far from 0
    /// have about the same sum too.
    fn sums_are_steady(&self) -> bool {
        let range = |values: ArrayView1<'_, f32>| {
            let least = values.fold(f32::INFINITY, |a, b| a.min(*b));
            values.fold(f32::NEG_INFINITY, |a, b| a.max(*b)) - least
        };
        let columns = self.rows.columns().into_iter().map(range);
        let values = columns.fold(0.0, f32::max);
        let sums = self.rows.sum_axis(Axis(1));
        let rounding =
            f32::EPSILON * self.rows.ncols() as f32 * sums.fold(0.0f32, |a, b| a.max(*b));
        range(sums.view()) <= (0.1 * values).max(rounding.min(values))
    }

    /// Whether all rows are probabilities that were rounded to multiples of one step, as quantised networks return them: their sums are
    /// as far from 1 as all values may be off together.
    pub fn quantized(&self) -> bool {
        let positive = self.rows.iter().copied().filter(|value| *value > 0.0);
        let Some(step) = positive
            .reduce(f32::min)
            .filter(|step| (1e-6..=0.02).contains(step))
        else {
            return false;
        };
        let multiple = |value: &f32| {
            let times = value / step;
            (0.0..=1.0 + step).contains(value) && (times - times.round()).abs() <= 1e-2
        };
        let off = 0.5 * step * self.rows.ncols() as f32 + SUM_TOLERANCE;
        let first = self.rows.row(0);
        self.rows.iter().all(multiple)
            && self.rows.outer_iter().any(|row| row != first)
            && self
                .rows
                .outer_iter()
                .all(|row| (row.sum() - 1.0).abs() <= off.min(0.5))
    }

    /// Whether all rows are in `[0, 1]`.
    pub fn scores(&self) -> bool {
        self.rows.iter().all(|value| (0.0..=1.0).contains(value))
    }

    /// Whether there are whole numbers alone, as ranks and counts are, whose sums are the same too.
    pub fn whole_numbers(&self) -> bool {
        self.rows.iter().all(|value| value.fract() == 0.0)
    }

    /// Whether rows of probabilities are the softmax of other rows.
    pub fn is_softmax_of(&self, logits: &Seen) -> bool {
        let close = |(probabilities, logits): (ArrayView1<'_, f32>, ArrayView1<'_, f32>)| {
            let largest = logits.fold(f32::NEG_INFINITY, |a, b| a.max(*b));
            let exponentials = logits.mapv(|logit| (logit - largest).exp());
            let (sum, whole) = (exponentials.sum(), probabilities.sum());
            let pairs = probabilities.iter().zip(&exponentials);
            pairs
                .into_iter()
                .all(|(p, e)| (p / whole - e / sum).abs() <= SUM_TOLERANCE)
        };
        let (own, other) = (self.rows.outer_iter(), logits.rows.outer_iter());
        self.rows.dim() == logits.rows.dim() && own.zip(other).all(close)
    }

    /// Whether all images have the same answer.
    pub fn constant(&self) -> bool {
        let first = self.rows.row(0);
        self.rows.outer_iter().all(|row| row == first)
    }

    /// Whether all rows have length 1 and values below 0 too, as embeddings have.
    pub fn of_unit_length(&self) -> bool {
        let length = |row: ArrayView1<'_, f32>| row.dot(&row).sqrt();
        let mut rows = self.rows.outer_iter();
        rows.all(|row| (length(row) - 1.0).abs() <= SUM_TOLERANCE)
            && self.rows.iter().any(|value| *value < 0.0)
    }

    /// The sum of a row of probabilities that is neither 1 nor 100.
    pub fn other_sum(&self) -> Option<f32> {
        let mut sums = self.rows.outer_iter().map(|row| match self.logs {
            true => row.mapv(f32::exp).sum(),
            false => row.sum(),
        });
        sums.find(|total| {
            let off = |sum: f32| (total - sum).abs() > SUM_TOLD * sum;
            total.is_finite() && SUMS.into_iter().all(off)
        })
    }

    /// Classes whose logit is minus infinity for every image.
    pub fn masked(&self) -> Vec<usize> {
        let columns = self.rows.columns().into_iter().enumerate();
        let masked = columns.filter(|(_, column)| column.iter().all(is_masked));
        masked.map(|(class, _)| class).collect()
    }

    /// Whether other classes have such a logit for some images.
    pub fn masks_some(&self) -> bool {
        let columns = self.rows.columns().into_iter();
        let mut counts =
            columns.map(|column| column.iter().filter(|value| is_masked(value)).count());
        counts.any(|count| 0 < count && count < self.rows.nrows())
    }
}

fn is_masked(value: &f32) -> bool {
    *value == f32::NEG_INFINITY
}

/// Refuses logits that are NaN or infinite, or all minus infinity: no class could be chosen.
pub(super) fn check_finite(seen: &Seen, interface: &Interface) -> Result<(), RuntimeError> {
    let bad = seen.rows.outer_iter().find_map(|row| {
        let bad = row
            .iter()
            .find(|value| value.is_nan() || **value == f32::INFINITY);
        match row.iter().any(|value| value.is_finite()) {
            true => bad.map(f32::to_string),
            false => Some(bad.map_or("minus infinity in every class".to_owned(), f32::to_string)),
        }
    });
    match bad {
        None => Ok(()),
        Some(got) => Err(RuntimeError::NotFinite {
            output: interface.output.clone(),
            got,
        }),
    }
}

/// Refuses what has its smallest value where the class is, as far as the values tell: logarithms of probabilities without their
/// sign, probabilities with another sign or taken from 1.
pub(super) fn check_sign(seen: &Seen, interface: &Interface) -> Result<(), RuntimeError> {
    if interface.reading != Reading::Logits || seen.random.is_some() || seen.constant() {
        return Ok(());
    }
    let near = |sum: f32, expected: f32| (sum - expected).abs() <= SUM_TOLERANCE;
    let rows = |test: &dyn Fn(ArrayView1<'_, f32>) -> bool| seen.rows.outer_iter().all(test);
    let first = seen.rows.row(0).sum();
    let (others, most) = (seen.rows.ncols() as f32 - 1.0, 1.0 + 1e-6);
    let got = if rows(&|row| {
        row.iter().all(|v| *v >= -1e-6) && near(row.mapv(|v| (-v).exp()).sum(), 1.0)
    }) {
        "logarithms of probabilities without their sign"
    } else if first < -1e-3
        && rows(&|row| row.iter().all(|v| *v <= 1e-6) && near(row.sum() / first, 1.0))
    {
        "probabilities with the sign turned round"
    } else if others > 1.0
        && rows(&|row| row.iter().all(|v| (-1e-6..=most).contains(v)) && near(row.sum(), others))
    {
        "probabilities taken from 1"
    } else {
        return Ok(());
    };
    Err(RuntimeError::Unsupported {
        what: "output",
        expected: "one whose largest value is the class".to_owned(),
        got: format!(
            "`{}`, which holds {got}: export it without the negation",
            interface.output.escape_debug()
        ),
    })
}

/// The model with the shapes of its float outputs declared as the runtime derives them, or as a run has them; `None` where all are
/// known already.
pub(super) fn with_output_shapes(model: &Model) -> Option<Model> {
    let mut proto = model.to_proto();
    let graph = proto.graph.as_mut()?;
    let session = session::open(&model.to_bytes(), Placement::on_cpu(1)).ok()?;
    let input = session.inputs().first()?;
    let row = session::float_shape(input)?;
    let row: Vec<usize> = row
        .get(1..)?
        .iter()
        .map(|&size| usize::try_from(size).ok())
        .collect::<Option<_>>()?;
    let values = row
        .iter()
        .try_fold(1usize, |all, &size| all.checked_mul(size))?;
    if values > 1 << 25 {
        return None;
    }
    let names: Vec<String> = session
        .outputs()
        .iter()
        .filter(|output| session::float_shape(output).is_some())
        .map(|output| output.name().to_owned())
        .collect();
    let batch = graph.input.iter().find_map(first_dim);
    let mut declared = false;
    let mut session = Some(session);
    for name in names {
        let mut graph_of_one = Graph::bare(session.take()?, &name).ok()?;
        let shape = [&[1], row.as_slice()].concat();
        let answer = graph_of_one.run_batch(&[Column::Float(probe::values(&shape))]);
        session = Some(graph_of_one.into_session());
        if matches!(answer, Err(RuntimeError::Slow { .. })) {
            return None;
        }
        let Some(answer) = answer.ok().and_then(|answer| answer.into_iter().next()) else {
            continue;
        };
        let info = graph.output.iter_mut().find(|output| output.name == name)?;
        let first = batch.clone().unwrap_or_default();
        let rest = answer
            .shape()
            .iter()
            .skip(1)
            .map(|&size| tensor_shape_proto::Dimension {
                value: Some(tensor_shape_proto::dimension::Value::DimValue(size as i64)),
                ..Default::default()
            });
        let shape = TensorShapeProto {
            dim: [first].into_iter().chain(rest).collect(),
        };
        if let Some(type_proto::Value::TensorType(tensor)) =
            info.r#type.as_mut().and_then(|kind| kind.value.as_mut())
        {
            declared |= tensor.shape.as_ref() != Some(&shape);
            tensor.shape = Some(shape);
        }
    }
    declared.then(|| Model::from_proto(proto).ok()).flatten()
}

fn first_dim(info: &ValueInfoProto) -> Option<tensor_shape_proto::Dimension> {
    match info.r#type.as_ref()?.value.as_ref()? {
        type_proto::Value::TensorType(tensor) => tensor.shape.as_ref()?.dim.first().cloned(),
        _ => None,
    }
}
