//! How images become a model's input, and the gradient at its input one with respect to the images.
use buckler_attack::InputSpec;
use buckler_onnx::{ChannelOrder, ImageInput, Layout, Normalization};
use ndarray::{Array4, ArrayD, Axis, CowArray};

use crate::{RuntimeError, batch::Column};

/// The form of a model's input.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Form {
    /// The images.
    pub spec: InputSpec,
    layout: Layout,
    /// The model's axes after the batch.
    row: Vec<usize>,
    /// `(x - mean) / std`, a pair for each channel in the order of the image, RGB.
    normalization: Option<Vec<(f32, f32)>>,
    /// Whether the graph takes blue first.
    reversed: bool,
}

impl Form {
    /// For a decided input. Pixels are normalised in the order of the image, RGB, and then brought to the graph's.
    pub fn new(
        image: &ImageInput,
        normalization: Option<&Normalization>,
        order: ChannelOrder,
    ) -> Result<Self, RuntimeError> {
        let reversed = order == ChannelOrder::Bgr;
        if reversed && image.channels != 3 {
            return Err(RuntimeError::Unsupported {
                what: "channel order",
                expected: "`bgr` for 3 channels alone".to_owned(),
                got: format!("`bgr` for images of {}", image.size()),
            });
        }
        Ok(Self {
            spec: InputSpec {
                channels: image.channels,
                height: image.height,
                width: image.width,
            },
            layout: image.layout,
            row: image.row.clone(),
            normalization: normalization
                .map(|normalization| normalization.per_channel(image.channels))
                .transpose()?,
            reversed,
        })
    }

    /// The axes of one row of the model's input.
    pub fn row(&self) -> &[usize] {
        &self.row
    }

    /// Which axis counts the channels, where rows have one.
    pub fn layout(&self) -> Option<Layout> {
        (self.row.len() == 3).then_some(self.layout)
    }

    /// The model's input for images `[batch, channels, height, width]` in `[0, 1]`.
    pub fn column(&self, mut images: Array4<f32>) -> Column {
        for (channel, &(mean, std)) in self.normalization.iter().flatten().enumerate() {
            images
                .index_axis_mut(Axis(1), channel)
                .mapv_inplace(|value| (value - mean) / std);
        }
        if self.reversed {
            images.invert_axis(Axis(1));
        }
        let images = match self.layout {
            Layout::ChannelsFirst => images,
            Layout::ChannelsLast => images.permuted_axes([0, 2, 3, 1]),
        };
        let images = images.into_dyn();
        if self.row.len() == images.ndim() - 1 {
            return Column::Float(images);
        }
        let shape = [&[images.len_of(Axis(0))], self.row.as_slice()].concat();
        let rows = images.to_shape(shape).map(CowArray::into_owned);
        // Cannot fail: the row has as many values as the image.
        Column::Float(rows.unwrap_or(images))
    }

    /// The model's input for one end of boxes of images, moved outwards by more than normalisation rounds: a difference and a
    /// quotient are each off by half a unit in the last place at most.
    pub fn end(&self, images: Array4<f32>, outwards: impl Fn(f32) -> f32) -> Column {
        let mut column = self.column(images);
        if let (Column::Float(array), Some(_)) = (&mut column, &self.normalization) {
            array.mapv_inplace(|value| outwards(outwards(outwards(value))));
        }
        column
    }

    /// The gradient with respect to such images; `None` where it has not the shape of the model's input.
    pub fn gradient(&self, gradient: ArrayD<f32>) -> Option<Array4<f32>> {
        let rows = gradient.shape().first().copied()?;
        if gradient.shape().get(1..) != Some(self.row.as_slice()) {
            return None;
        }
        let InputSpec {
            channels,
            height,
            width,
        } = self.spec;
        let shape = match self.layout {
            Layout::ChannelsFirst => [rows, channels, height, width],
            Layout::ChannelsLast => [rows, height, width, channels],
        };
        let gradient: Array4<f32> = if gradient.shape() == shape {
            gradient.into_dimensionality().ok()?
        } else {
            gradient.into_shape_with_order(shape).ok()?
        };
        let mut gradient = match self.layout {
            Layout::ChannelsFirst => gradient,
            Layout::ChannelsLast => {
                let first = gradient.permuted_axes([0, 3, 1, 2]);
                first.as_standard_layout().into_owned()
            }
        };
        if self.reversed {
            gradient.invert_axis(Axis(1));
            gradient = gradient.as_standard_layout().into_owned();
        }
        for (channel, &(_, std)) in self.normalization.iter().flatten().enumerate() {
            gradient
                .index_axis_mut(Axis(1), channel)
                .mapv_inplace(|value| value / std);
        }
        Some(gradient)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn image(layout: Layout, [channels, height, width]: [usize; 3], row: &[usize]) -> ImageInput {
        ImageInput {
            layout,
            channels,
            height,
            width,
            row: row.to_vec(),
            assumptions: vec![],
            open: false,
            made_for_bytes: None,
            taken_off: Vec::new(),
        }
    }

    fn form(image: &ImageInput) -> Form {
        Form::new(image, None, ChannelOrder::Rgb).unwrap()
    }

    fn floats(column: Column) -> ArrayD<f32> {
        match column {
            Column::Float(array) => array,
            Column::Int(_) => panic!("images are floats"),
        }
    }

    #[test]
    fn what_goes_in_comes_back() {
        let images = Array4::from_shape_fn((2, 3, 6, 5), |(n, c, y, x)| {
            (100 * n + 30 * c + 5 * y + x) as f32
        });
        let last = image(Layout::ChannelsLast, [3, 6, 5], &[6, 5, 3]);
        for image in [
            image(Layout::ChannelsFirst, [3, 6, 5], &[3, 6, 5]),
            last.clone(),
            image(Layout::ChannelsFirst, [3, 6, 5], &[90]),
        ] {
            for order in [ChannelOrder::Rgb, ChannelOrder::Bgr] {
                let form = Form::new(&image, None, order).unwrap();
                let column = floats(form.column(images.clone()));
                assert_eq!(form.gradient(column).unwrap(), images);
            }
        }
        let column = floats(form(&last).column(images.clone()));
        assert_eq!(column[[1, 2, 3, 0]], images[[1, 0, 2, 3]]);
    }

    #[test]
    fn normalisation_shifts_the_image_and_scales_the_gradient() {
        let normalization = Normalization {
            mean: vec![0.5, 0.25, 0.0],
            std: vec![0.5],
        };
        let pixel = image(Layout::ChannelsFirst, [3, 1, 1], &[3, 1, 1]);
        let form = Form::new(&pixel, Some(&normalization), ChannelOrder::Rgb).unwrap();
        let column = floats(form.column(Array4::from_elem((1, 3, 1, 1), 1.0)));
        assert_eq!(column.iter().copied().collect::<Vec<_>>(), [1.0, 1.5, 2.0]);
        assert_eq!(form.gradient(column).unwrap()[[0, 2, 0, 0]], 4.0);
        for (mean, std) in [
            (vec![0.0; 2], vec![1.0]),
            (vec![0.0], vec![0.0]),
            (vec![f32::NAN], vec![1.0]),
        ] {
            let wrong = Normalization { mean, std };
            assert!(Form::new(&pixel, Some(&wrong), ChannelOrder::Rgb).is_err());
        }
    }

    #[test]
    fn blue_comes_first_after_normalisation_and_its_gradient_comes_back_last() {
        let normalization = Normalization {
            mean: vec![0.5, 0.25, 0.0],
            std: vec![0.5, 1.0, 0.25],
        };
        let pixel = image(Layout::ChannelsFirst, [3, 1, 1], &[3, 1, 1]);
        let form = Form::new(&pixel, Some(&normalization), ChannelOrder::Bgr).unwrap();
        let column = floats(form.column(Array4::from_elem((1, 3, 1, 1), 1.0)));
        assert_eq!(column.iter().copied().collect::<Vec<_>>(), [4.0, 0.75, 1.0]);
        let slopes = ArrayD::from_shape_vec(vec![1, 3, 1, 1], vec![6.0, 5.0, 4.0]).unwrap();
        let gradient = form.gradient(slopes).unwrap();
        assert_eq!(
            gradient.iter().copied().collect::<Vec<_>>(),
            [8.0, 5.0, 24.0]
        );
        let grey = image(Layout::ChannelsFirst, [1, 1, 1], &[1, 1, 1]);
        assert!(Form::new(&grey, None, ChannelOrder::Bgr).is_err());
    }
}
