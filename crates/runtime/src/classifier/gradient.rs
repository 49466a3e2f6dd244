//! The gradient graph: its inputs beside the image, and the objectives in their terms.
use buckler_attack::{InputSpec, Objective, VictimError};
use buckler_onnx::GradientInfo;
use ndarray::{Array1, Array2};

use super::{LoadOptions, forward::fixed_batch, probe};
use crate::{
    RuntimeError,
    batch::Column,
    session::{self, Graph},
};

/// Opens a gradient graph and tries it out.
pub(super) fn open(
    model: &[u8],
    info: &GradientInfo,
    input: InputSpec,
    classes: usize,
    options: &LoadOptions,
) -> Result<Graph, RuntimeError> {
    if info.classes != classes {
        return Err(RuntimeError::Unsupported {
            what: "gradient graph",
            expected: format!("made for {classes} classes"),
            got: format!("for {}", info.classes),
        });
    }
    let session = session::open(model, options.threads)?;
    let fixed = session
        .inputs()
        .iter()
        .find(|input| input.name() == info.image)
        .and_then(session::float_shape)
        .and_then(|shape| fixed_batch(&shape));
    let inputs = [info.image.as_str(), "label", "objective", "cotangent"];
    let outputs = [info.logits.as_str(), "loss", "gradient"];
    let sample = |rows| {
        let mut columns = vec![Column::Float(probe::images(rows, input).into_dyn())];
        // The probe's objectives fit the classes by construction.
        columns.extend(
            aims(&probe::objectives(rows, classes), classes)
                .into_iter()
                .flatten(),
        );
        columns
    };
    let mut graph = Graph::new(
        session,
        inputs.map(str::to_owned).to_vec(),
        outputs.map(str::to_owned).to_vec(),
        sample,
        fixed,
        options.max_batch,
    )?;
    let answer = graph.run(&sample(1))?;
    let shapes: Vec<&[usize]> = answer.iter().map(|array| array.shape()).collect();
    let image = [1, input.channels, input.height, input.width];
    if shapes == [&[1, classes][..], &[1], &image] {
        return Ok(graph);
    }
    Err(RuntimeError::Unsupported {
        what: "gradient graph",
        expected: format!("to answer one image with shapes [1, {classes}], [1] and {image:?}"),
        got: format!("answering with {shapes:?}"),
    })
}

/// The graph's inputs `label`, `objective` and `cotangent`.
///
/// The graph climbs `o_0 CE(z, label) + o_1 margin(z, label) + <cotangent, z>`; targeted forms are the same with the
/// target as the label and a weight of -1.
pub(super) fn aims(objectives: &[Objective], classes: usize) -> Result<[Column; 3], VictimError> {
    let rows = objectives.len();
    let mut labels = Array1::<i64>::zeros(rows);
    let mut weights = Array2::<f32>::zeros((rows, 2));
    let mut cotangents = Array2::<f32>::zeros((rows, classes));
    let every_row = labels
        .iter_mut()
        .zip(weights.outer_iter_mut())
        .zip(cotangents.outer_iter_mut());
    for (objective, ((label, mut weights), mut cotangent)) in objectives.iter().zip(every_row) {
        let (class, pair) = match objective {
            Objective::CrossEntropy { label } => (*label, [1.0, 0.0]),
            Objective::TargetedCrossEntropy { target } => (*target, [-1.0, 0.0]),
            Objective::Margin { label } => (*label, [0.0, 1.0]),
            Objective::TargetedMargin { target } => (*target, [0.0, -1.0]),
            Objective::Cotangent(values) => {
                if values.len() != classes {
                    return Err(VictimError::Query {
                        what: "cotangent",
                        expected: format!("one value for each of {classes} classes"),
                        got: format!("{} values", values.len()),
                    });
                }
                cotangent
                    .iter_mut()
                    .zip(values)
                    .for_each(|(to, from)| *to = *from);
                (0, [0.0, 0.0])
            }
        };
        if class >= classes {
            return Err(VictimError::Query {
                what: "class of an objective",
                expected: format!("below {classes}"),
                got: class.to_string(),
            });
        }
        *label = i64::try_from(class).unwrap_or(i64::MAX);
        weights
            .iter_mut()
            .zip(pair)
            .for_each(|(to, from)| *to = from);
    }
    Ok([
        Column::Int(labels.into_dyn()),
        Column::Float(weights.into_dyn()),
        Column::Float(cotangents.into_dyn()),
    ])
}
