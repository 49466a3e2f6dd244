use super::{is_float, kind};
use crate::{
    Error,
    proto::{
        GraphProto,
        tensor_shape_proto::{Dimension, dimension},
        type_proto,
    },
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

impl Layout {
    /// The layout of an input of this shape with its batch axis, and channels, height and width; 0 for sizes that the shape
    /// leaves open. `None` where no image has this shape.
    ///
    /// Four axes are channels first, unless only the last one can be channels (1, 3 or 4). Rows of `n * n` values are grey
    /// squares, of `3 * n * n` colour ones.
    pub fn of(shape: &[Option<u64>]) -> Option<(Self, [usize; 3])> {
        let size = |dim: &Option<u64>| dim.map_or(Some(0), |size| usize::try_from(size).ok());
        let sizes: Vec<usize> = shape.iter().skip(1).map(size).collect::<Option<_>>()?;
        let channels = |size: &usize| matches!(size, 1 | 3 | 4);
        match sizes.as_slice() {
            [height, width, last] if channels(last) && !channels(height) => {
                Some((Self::ChannelsLast, [*last, *height, *width]))
            }
            [first, height, width] => Some((Self::ChannelsFirst, [*first, *height, *width])),
            [values, 1] | [1, values] | [values] => Some((Self::ChannelsFirst, square(*values)?)),
            [height, width] => Some((Self::ChannelsFirst, [1, *height, *width])),
            _ => None,
        }
    }
}

/// The square image with so many values.
fn square(values: usize) -> Option<[usize; 3]> {
    [1, 3].into_iter().find_map(|channels| {
        let side = (values / channels).isqrt();
        let fits = side > 0 && side.checked_mul(side)?.checked_mul(channels)? == values;
        fits.then_some([channels, side, side])
    })
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

/// Gives the first axis of the inputs a name where it has neither name nor size.
pub(crate) fn name_batch(graph: &mut GraphProto) {
    let is_batch = |dim: &Dimension| dim.value == Some(dimension::Value::DimParam("batch".into()));
    for input in &mut graph.input {
        let Some(type_proto::Value::TensorType(tensor)) =
            input.r#type.as_mut().and_then(|kind| kind.value.as_mut())
        else {
            continue;
        };
        let Some(shape) = &mut tensor.shape else {
            continue;
        };
        let taken = shape.dim.iter().any(is_batch);
        if let Some(first) = shape.dim.first_mut().filter(|_| !taken) {
            let open = match &first.value {
                None => true,
                Some(dimension::Value::DimParam(name)) => name.is_empty() || name.starts_with('?'),
                Some(dimension::Value::DimValue(size)) => *size < 0,
            };
            if open {
                first.value = Some(dimension::Value::DimParam("batch".into()));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layout(shape: &[i64]) -> Option<(Layout, [usize; 3])> {
        let shape: Vec<_> = shape.iter().map(|&size| u64::try_from(size).ok()).collect();
        Layout::of(&shape)
    }

    #[test]
    fn four_axes_are_channels_first_unless_only_the_last_can_be_channels() {
        let first = |sizes| Some((Layout::ChannelsFirst, sizes));
        let last = |sizes| Some((Layout::ChannelsLast, sizes));
        assert_eq!(layout(&[-1, 3, 32, 24]), first([3, 32, 24]));
        assert_eq!(layout(&[-1, 32, 24, 3]), last([3, 32, 24]));
        assert_eq!(layout(&[1, 28, 28, 1]), last([1, 28, 28]));
        assert_eq!(layout(&[1, 1, 28, 1]), first([1, 28, 1]));
        assert_eq!(layout(&[1, 3, 3, 3]), first([3, 3, 3]));
        assert_eq!(layout(&[-1, -1, -1, 3]), last([3, 0, 0]));
        assert_eq!(layout(&[-1, 3, -1, -1]), first([3, 0, 0]));
    }

    #[test]
    fn fewer_axes_are_rows_of_squares_or_grey_images() {
        for shape in [&[1, 784][..], &[-1, 784, 1], &[-1, 1, 784], &[-1, 28, 28]] {
            assert_eq!(
                layout(shape),
                Some((Layout::ChannelsFirst, [1, 28, 28])),
                "{shape:?}"
            );
        }
        assert_eq!(
            layout(&[-1, 3072]),
            Some((Layout::ChannelsFirst, [3, 32, 32]))
        );
    }

    #[test]
    fn other_shapes_are_none_of_an_image() {
        for shape in [
            &[][..],
            &[4],
            &[-1, 10],
            &[-1, -1],
            &[1, 0],
            &[1, 2, 3, 4, 5],
            &[1, i64::MAX],
        ] {
            assert_eq!(layout(shape), None, "{shape:?}");
        }
    }
}
