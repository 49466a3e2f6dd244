//! The image that goes in: which input, of what size, and where its channels are.
use std::collections::HashSet;

use super::{Wanted, beginning, is_float, kind};
use crate::{
    Error,
    proto::{GraphProto, NodeProto},
    shape::{self, Dim},
};

/// How an image `[channels, height, width]` lies in a row of a model's input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// In this order, as four axes `[batch, channels, height, width]` or with some of them taken as one: `[batch, 784]`,
    /// `[batch, 784, 1]`, `[batch, 28, 28]`.
    ChannelsFirst,
    /// `[batch, height, width, channels]`.
    ChannelsLast,
}

/// Sides below which rows of values, which say nothing about height and width, are not taken for images.
const MIN_SQUARE: usize = 8;

/// Nodes that are followed from the image.
const MAX_STEPS: usize = 16;

/// Operators on single values, such as a normalisation is made of.
const ELEMENTWISE: &[&str] = &["Add", "Cast", "Clip", "Div", "Identity", "Mul", "Sub"];

/// Values of one image.
const MAX_VALUES: usize = 1 << 25;

/// Values of a batch that a file fixes.
const MAX_BATCH_VALUES: usize = 1 << 27;

/// Images in one batch that a file fixes.
const MAX_FIXED_BATCH: u64 = 4096;

/// The images that a model takes, and how they lie in its input.
#[derive(Clone, Debug, PartialEq)]
pub struct ImageInput {
    /// Where the channels are.
    pub layout: Layout,
    /// 1 for grey, 3 for colour.
    pub channels: usize,
    /// Pixels.
    pub height: usize,
    /// Pixels.
    pub width: usize,
    /// The sizes of the input's axes after the batch.
    pub row: Vec<usize>,
    /// What was assumed, one sentence each.
    pub assumptions: Vec<String>,
    /// Whether the graph leaves sizes open, which were fixed.
    pub open: bool,
    /// What the graph first does to pixels, such as `divides them by 255`, where that is made for numbers of 0 to 255.
    pub made_for_bytes: Option<String>,
    /// What the graph first takes off pixels, one for each channel or one for all; empty where it takes off nothing.
    pub taken_off: Vec<f64>,
}

/// The layout of four axes, with channels, height and width, of which some may be open.
fn layout(
    graph: &GraphProto,
    name: &str,
    axes: [Option<usize>; 3],
) -> (Layout, [Option<usize>; 3]) {
    let [first, second, third] = axes;
    let is_channels = |size: Option<usize>| matches!(size, Some(1 | 3 | 4));
    let last = match (is_channels(first), is_channels(third)) {
        (false, true) => true,
        (true, false) => false,
        _ => is_transposed_first(graph, name),
    };
    match last {
        true => (Layout::ChannelsLast, [third, first, second]),
        false => (Layout::ChannelsFirst, axes),
    }
}

/// Whether all that reads the image brings its channels to the front, behind borders and operators on single values.
pub(super) fn is_transposed_first(graph: &GraphProto, name: &str) -> bool {
    let to_front = |node: &&NodeProto| {
        let perm = node.attribute.iter().find(|found| found.name == "perm");
        node.op_type == "Transpose" && perm.is_some_and(|perm| perm.ints == [0, 3, 1, 2])
    };
    let mut tensor = name;
    for _ in 0..MAX_STEPS {
        let readers = graph.node.iter();
        let readers = readers.filter(|node| node.input.iter().any(|input| input == tensor));
        let readers: Vec<&NodeProto> = readers.collect();
        match readers.as_slice() {
            [] => return false,
            [one] if one.op_type == "Pad" || ELEMENTWISE.contains(&one.op_type.as_str()) => {
                match one.output.first() {
                    Some(output) => tensor = output,
                    None => return false,
                }
            }
            all => return all.iter().all(to_front),
        }
    }
    false
}

/// The channels that the first convolution after the image takes, with only elementwise operators before it.
fn convolved_channels(graph: &GraphProto, name: &str) -> Option<usize> {
    let mut reached = HashSet::from([name]);
    for node in &graph.node {
        let [first, ..] = node.input.as_slice() else {
            continue;
        };
        if !node
            .input
            .iter()
            .any(|input| reached.contains(input.as_str()))
        {
            continue;
        }
        match node.op_type.as_str() {
            "Conv" if reached.contains(first.as_str()) => {
                let weight = node.input.get(1)?;
                let weight = graph
                    .initializer
                    .iter()
                    .find(|stored| stored.name == *weight)?;
                let group = node.attribute.iter().find(|found| found.name == "group");
                let group = group.and_then(|group| group.i).unwrap_or(1);
                let channels = weight.dims.get(1)?.checked_mul(group)?;
                return usize::try_from(channels)
                    .ok()
                    .filter(|&channels| channels > 0);
            }
            operator
                if ["Pad", "Transpose"].contains(&operator) || ELEMENTWISE.contains(&operator) =>
            {
                reached.extend(node.output.iter().map(String::as_str));
            }
            _ => return None,
        }
    }
    None
}

/// Channels, height and width, from the shape of the input and from what else is known.
pub(super) fn decide(
    graph: &GraphProto,
    name: &str,
    shape: &[Dim],
    wanted: &Wanted,
) -> Result<ImageInput, Error> {
    if let Some(Dim::Known(batch)) = shape.first()
        && !(1..=MAX_FIXED_BATCH).contains(batch)
    {
        return Err(Error::Interface(format!(
            "input `{name}` has a fixed batch of {batch} images; at most {MAX_FIXED_BATCH} are run at once: export the model with an open \
             or smaller batch"
        )));
    }
    let mut axes = Vec::new();
    for dim in shape.iter().skip(1) {
        axes.push(match dim {
            Dim::Known(size) => Some(usize::try_from(*size).unwrap_or(usize::MAX)),
            Dim::Symbol(_) => None,
        });
    }
    let open = axes.contains(&None);
    let input = Input {
        graph,
        name,
        shape,
        wanted,
    };
    let mut decided = match axes.as_slice() {
        &[first, second, third] => input.of_four_axes([first, second, third])?,
        [Some(values), Some(1)] | [Some(1), Some(values)] | [Some(values)] => {
            input.of_values(*values, &axes)?
        }
        [height, width] => input.grey(*height, *width)?,
        _ => return Err(input.not_an_image()),
    };
    decided.open = open;
    decided.made_for_bytes = beginning::made_for_bytes(graph, name);
    decided.taken_off = beginning::taken_off(graph, name);
    let product = |batch: usize| {
        let sizes = [decided.channels, decided.height, decided.width];
        sizes
            .into_iter()
            .try_fold(batch, |product, size| product.checked_mul(size))
    };
    if !matches!(product(1), Some(1..=MAX_VALUES)) {
        return Err(Error::ImageSize(format!(
            "images of {} are too large or empty: at most {MAX_VALUES} values are taken",
            decided.size()
        )));
    }
    let batch = shape.first().and_then(Dim::known).unwrap_or(1);
    let batch = usize::try_from(batch).unwrap_or(usize::MAX);
    match product(batch) {
        Some(..=MAX_BATCH_VALUES) => Ok(decided),
        _ => Err(Error::ImageSize(format!(
            "a fixed batch of {batch} images of {} is too large: at most {MAX_BATCH_VALUES} values are taken at once; export the model with an \
             open or smaller batch",
            decided.size()
        ))),
    }
}

struct Input<'a> {
    graph: &'a GraphProto,
    name: &'a str,
    shape: &'a [Dim],
    wanted: &'a Wanted,
}

impl Input<'_> {
    fn of_four_axes(&self, axes: [Option<usize>; 3]) -> Result<ImageInput, Error> {
        let (layout, [channels, height, width]) = layout(self.graph, self.name, axes);
        let wanted = self.wanted.size.unzip();
        let height = self.agreed("height", height, wanted.0)?;
        let width = self.agreed("width", width, wanted.1)?;
        let mut assumptions = Vec::new();
        let channels = match (channels, self.wanted.channels) {
            (None, None) => {
                let convolved = convolved_channels(self.graph, self.name);
                if convolved.is_none() {
                    assumptions.push(format!(
                        "input `{}` leaves the number of channels open: 3 are assumed",
                        self.name
                    ));
                }
                Some(convolved.unwrap_or(3))
            }
            (graph, wanted) => self.agreed("channels", graph, wanted)?,
        };
        let (Some(channels), Some(height), Some(width)) = (channels, height, width) else {
            return Err(Error::ImageSize(format!(
                "input `{}` has shape {}, which leaves the size of images open: state it",
                self.name,
                shape::display(self.shape)
            )));
        };
        if self.wanted.size.is_none() && (height == 1 || width == 1) {
            return Err(self.not_an_image());
        }
        let row = match layout {
            Layout::ChannelsFirst => vec![channels, height, width],
            Layout::ChannelsLast => vec![height, width, channels],
        };
        Ok(ImageInput {
            layout,
            channels,
            height,
            width,
            row,
            assumptions,
            open: false,
            made_for_bytes: None,
            taken_off: Vec::new(),
        })
    }

    /// All values of an image in a row.
    fn of_values(&self, values: usize, axes: &[Option<usize>]) -> Result<ImageInput, Error> {
        let row = axes.iter().map(|size| size.unwrap_or(1)).collect();
        let told = beginning::of_rows(self.graph, self.name)
            .filter(|(_, sizes)| sizes.iter().product::<usize>() == values);
        let layout = told.map_or(Layout::ChannelsFirst, |(layout, _)| layout);
        let image = |[channels, height, width]: [usize; 3], assumptions| ImageInput {
            layout,
            channels,
            height,
            width,
            row,
            assumptions,
            open: false,
            made_for_bytes: None,
            taken_off: Vec::new(),
        };
        if let Some((height, width)) = self.wanted.size {
            let pixels = height.checked_mul(width).filter(|&pixels| pixels > 0);
            let channels = self.wanted.channels;
            let channels = channels.or_else(|| pixels.map(|pixels| values / pixels));
            let product = pixels.zip(channels).and_then(|(a, b)| a.checked_mul(b));
            return match channels {
                Some(channels) if product == Some(values) && channels > 0 => {
                    Ok(image([channels, height, width], vec![]))
                }
                _ => Err(Error::ImageSize(format!(
                    "input `{}` takes {values} values, which images of {} do not have",
                    self.name,
                    stated(self.wanted)
                ))),
            };
        }
        if let Some((_, [channels, height, width])) = told {
            self.agreed("channels", Some(channels), self.wanted.channels)?;
            let order = match layout {
                Layout::ChannelsFirst => "channel by channel",
                Layout::ChannelsLast => "pixel by pixel",
            };
            let assumption = format!(
                "the {values} values of input `{}` are those of {channels}x{height}x{width} images, {order}, as the graph first arranges them",
                self.name
            );
            return Ok(image([channels, height, width], vec![assumption]));
        }
        let square = [1, 3].into_iter().find_map(|channels| {
            let side = (values / channels).isqrt();
            let fits =
                side >= MIN_SQUARE && side.checked_mul(side)?.checked_mul(channels)? == values;
            fits.then_some([channels, side, side])
        });
        let square = square.filter(|[channels, ..]| {
            let wanted = self.wanted.channels;
            wanted.is_none_or(|wanted| wanted == *channels)
        });
        let [channels, side, _] = square.ok_or_else(|| self.not_an_image())?;
        let colour = match channels {
            1 => "a grey",
            _ => "a colour",
        };
        let assumption = format!(
            "the {values} values of input `{}` are taken as {colour} image of {side}x{side}, channel by channel",
            self.name
        );
        Ok(image([channels, side, side], vec![assumption]))
    }

    /// Rows of a grey image.
    fn grey(&self, height: Option<usize>, width: Option<usize>) -> Result<ImageInput, Error> {
        let wanted = self.wanted.size.unzip();
        let sizes = self
            .agreed("height", height, wanted.0)?
            .zip(self.agreed("width", width, wanted.1)?);
        self.agreed("channels", Some(1), self.wanted.channels)?;
        let (height, width) = sizes.ok_or_else(|| self.not_an_image())?;
        let mut assumptions = Vec::new();
        if self.wanted.size.is_none() {
            if height.min(width) < MIN_SQUARE {
                return Err(self.not_an_image());
            }
            assumptions.push(format!(
                "input `{}` {} is taken as a grey image of {height}x{width}",
                self.name,
                shape::display(self.shape)
            ));
        }
        Ok(ImageInput {
            layout: Layout::ChannelsFirst,
            channels: 1,
            height,
            width,
            row: vec![height, width],
            assumptions,
            open: false,
            made_for_bytes: None,
            taken_off: Vec::new(),
        })
    }

    /// A size that the graph and others state, or one of them.
    fn agreed(
        &self,
        what: &str,
        graph: Option<usize>,
        wanted: Option<usize>,
    ) -> Result<Option<usize>, Error> {
        match (graph, wanted) {
            (Some(graph), Some(wanted)) if graph != wanted => Err(Error::ImageSize(format!(
                "the {what} of images is {graph} in the graph, whose input `{}` has shape {}, and {wanted} as stated: state {graph}, or \
                 nothing",
                self.name,
                shape::display(self.shape)
            ))),
            (graph, wanted) => Ok(graph.or(wanted)),
        }
    }

    fn not_an_image(&self) -> Error {
        Error::ImageSize(format!(
            "input `{}` has shape {}, which is not an image: state the size of the images if it is one",
            self.name,
            shape::display(self.shape)
        ))
    }
}

impl ImageInput {
    /// `3x224x224`: channels, height and width.
    pub fn size(&self) -> String {
        format!("{}x{}x{}", self.channels, self.height, self.width)
    }
}

fn stated(wanted: &Wanted) -> String {
    let channels = wanted.channels.map(|channels| format!("{channels}x"));
    let (height, width) = wanted.size.unwrap_or_default();
    format!("{}{height}x{width}", channels.unwrap_or_default())
}

/// The only input, with its shape.
pub(super) fn find(graph: &GraphProto) -> Result<(&str, Vec<Dim>), Error> {
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
    if !(2..=4).contains(&shape.len()) {
        return Err(Error::Interface(format!(
            "input `{name}` has shape {}; images have 2 to 4 axes: [batch, channels, height, width], \
             [batch, height, width, channels], or all values of an image in a row",
            shape::display(&shape)
        )));
    }
    Ok((name, shape))
}

#[cfg(test)]
mod tests;
