use crate::{
    Error,
    proto::{DataType, GraphProto, ValueInfoProto},
    shape::{self, Dim, Facts},
};

/// More classes than this are no classifier's.
const MOST_CLASSES: u64 = 1 << 20;

/// Where the image goes in and the logits come out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Interface {
    pub image: String,
    /// `[batch, channels, height, width]`.
    pub shape: Vec<Dim>,
    pub logits: String,
    pub classes: u64,
}

impl Interface {
    /// Finds both in a graph whose stored tensors are not listed as inputs.
    ///
    /// The image is the only input. The logits are the output `logits`, or else the first float matrix that comes out.
    pub(crate) fn of(graph: &GraphProto, facts: &Facts<'_>) -> Result<Self, Error> {
        let (image, shape) = image(graph)?;
        let (logits, logits_shape) = logits(graph, facts)?;
        let [rows, classes] = logits_shape else {
            return Err(Error::Interface(format!(
                "output `{logits}` should be logits [batch, classes], and has shape {}",
                shape::display(logits_shape)
            )));
        };
        let classes = classes.known().ok_or_else(|| {
            Error::Interface(format!(
                "the number of classes, axis 1 of output `{logits}`, is not a number: `{classes}`"
            ))
        })?;
        if !(2..=MOST_CLASSES).contains(&classes) {
            return Err(Error::Interface(format!(
                "output `{logits}` has {classes} classes; cross-entropy and margin need 2 to {MOST_CLASSES}"
            )));
        }
        if let (Some(Dim::Known(images)), Dim::Known(rows)) = (shape.first(), rows)
            && images != rows
        {
            return Err(Error::Interface(format!(
                "output `{logits}` has {rows} rows for {images} images"
            )));
        }
        Ok(Self {
            image: image.into(),
            shape,
            logits: logits.into(),
            classes,
        })
    }

    /// The axis along which images are stacked.
    pub(crate) fn batch(&self) -> Dim {
        self.shape.first().cloned().unwrap_or(Dim::Known(1))
    }
}

fn image(graph: &GraphProto) -> Result<(&str, Vec<Dim>), Error> {
    let [input] = graph.input.as_slice() else {
        let names: Vec<_> = graph
            .input
            .iter()
            .map(|input| format!("`{}`", input.name))
            .collect();
        return Err(Error::Interface(format!(
            "the model should have one input, the image, and has {}: {}",
            names.len(),
            names.join(", ")
        )));
    };
    let name = &input.name;
    if !is_float(input) {
        return Err(Error::Interface(format!(
            "input `{name}` should be a float32 image, and is {}",
            kind(input).name()
        )));
    }
    let shape = shape::declared(input).ok_or_else(|| {
        Error::Interface(format!(
            "input `{name}` has no shape; export the model with one"
        ))
    })?;
    if shape.len() != 4 {
        return Err(Error::Interface(format!(
            "input `{name}` has shape {}; images of rank 4, [batch, channels, height, width], are supported so far",
            shape::display(&shape)
        )));
    }
    Ok((name, shape))
}

fn logits<'a>(graph: &'a GraphProto, facts: &'a Facts<'_>) -> Result<(&'a str, &'a [Dim]), Error> {
    let named = graph.output.iter().find(|output| output.name == "logits");
    let matrix = || {
        let mut outputs = graph.output.iter();
        outputs.find(|output| {
            is_float(output)
                && facts
                    .shape(&output.name)
                    .is_some_and(|shape| shape.len() == 2)
        })
    };
    let Some(output) = named.or_else(matrix) else {
        return Err(Error::Interface(
            "the model has no output `logits`, and no other float32 output of shape [batch, classes]".into(),
        ));
    };
    if !is_float(output) {
        return Err(Error::Interface(format!(
            "output `{}` should be float32, and is {}",
            output.name,
            kind(output).name()
        )));
    }
    let shape = facts.shape(&output.name);
    let shape = shape.ok_or_else(|| {
        Error::Interface(format!(
            "the shape of output `{}` is not known",
            output.name
        ))
    })?;
    Ok((&output.name, shape))
}

fn is_float(info: &ValueInfoProto) -> bool {
    kind(info) == DataType::Float
}

/// The declared element type.
pub(crate) fn kind(info: &ValueInfoProto) -> DataType {
    let kind =
        shape::tensor_type(info).and_then(|tensor| DataType::try_from(tensor.elem_type).ok());
    kind.unwrap_or(DataType::Undefined)
}
