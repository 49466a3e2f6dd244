//! How images become a model's input, and the gradient at its input one with respect to the images.
use buckler_attack::InputSpec;
use buckler_onnx::{Input, Layout, Normalization};
use ndarray::{Array4, ArrayD, Axis, CowArray};

use crate::{RuntimeError, batch::Column};

/// The form of a model's input.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Form {
    /// The images.
    pub spec: InputSpec,
    layout: Layout,
    /// The model's axes behind the batch.
    row: Vec<usize>,
    /// `(x - mean) / std`, a pair for each channel.
    normalization: Option<Vec<(f32, f32)>>,
}

impl Form {
    /// From the shape of a model's input, where -1 stands for a size left open; what that does not say, from the card.
    pub fn of(
        shape: &[i64],
        card: Option<&Input>,
        normalization: Option<&Normalization>,
    ) -> Result<Self, RuntimeError> {
        let stated = card.map_or([0; 3], |input| [input.channels, input.height, input.width]);
        let known: Vec<Option<u64>> = shape.iter().map(|&size| u64::try_from(size).ok()).collect();
        let values = known
            .iter()
            .skip(1)
            .try_fold(1u64, |product, size| product.checked_mul((*size)?));
        let fits = |sizes: [usize; 3]| {
            let product = sizes.iter().try_fold(1u64, |a, &b| a.checked_mul(b as u64));
            product.is_some() && product == values
        };
        let (layout, graph) = match Layout::of(&known) {
            // Rows say nothing about height and width.
            Some((layout, _)) if shape.len() < 4 && fits(stated) => (layout, stated),
            Some(found) => found,
            None if fits(stated) => (Layout::ChannelsFirst, stated),
            None => {
                return Err(RuntimeError::Unsupported {
                    what: "image size",
                    expected: "told by the graph, or stated in the card (`input`: channels, height, width)"
                        .to_owned(),
                    got: format!("{shape:?}"),
                });
            }
        };
        let mut sizes = [0; 3];
        for ((size, stated), graph) in sizes.iter_mut().zip(stated).zip(graph) {
            *size = match (graph, stated) {
                (0, 0) => {
                    return Err(RuntimeError::Unsupported {
                        what: "image size",
                        expected: "fixed in the graph, or stated in the card (`input`)".to_owned(),
                        got: format!("{shape:?}, where -1 is open, without such a card"),
                    });
                }
                (0, stated) => stated,
                (graph, 0) => graph,
                (graph, stated) if graph == stated => graph,
                _ => {
                    return Err(RuntimeError::Unsupported {
                        what: "card's `input`",
                        expected: format!("{graph:?} (channels, height, width) as in the graph"),
                        got: format!("{stated:?}", stated = card),
                    });
                }
            };
        }
        let [channels, height, width] = sizes;
        let row = match (shape.len(), layout) {
            (4, Layout::ChannelsFirst) => vec![channels, height, width],
            (4, Layout::ChannelsLast) => vec![height, width, channels],
            _ => known
                .iter()
                .skip(1)
                .map(|size| {
                    size.and_then(|size| usize::try_from(size).ok())
                        .unwrap_or(1)
                })
                .collect(),
        };
        Ok(Self {
            spec: InputSpec {
                channels,
                height,
                width,
            },
            layout,
            row,
            normalization: normalization
                .or(card.and_then(|card| card.normalization.as_ref()))
                .map(|normalization| normalization.per_channel(channels))
                .transpose()?,
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

    fn card(channels: usize, height: usize, width: usize) -> Input {
        Input {
            channels,
            height,
            width,
            ..Input::default()
        }
    }

    fn spec(shape: &[i64], card: Option<&Input>) -> Result<InputSpec, RuntimeError> {
        Form::of(shape, card, None).map(|form| form.spec)
    }

    #[test]
    fn sizes_come_from_the_graph_and_where_it_is_open_from_the_card() {
        let expected = InputSpec {
            channels: 3,
            height: 32,
            width: 24,
        };
        for (shape, card) in [
            (&[-1, 3, 32, 24][..], None),
            (&[1, 3, 32, 24], Some(card(0, 0, 0))),
            (&[-1, 3, -1, -1], Some(card(3, 32, 24))),
            (&[-1, 32, 24, 3], None),
            (&[-1, 3 * 32 * 24], Some(card(3, 32, 24))),
            (&[-1, 3 * 32 * 24, 1], Some(card(3, 32, 24))),
        ] {
            assert_eq!(spec(shape, card.as_ref()).unwrap(), expected, "{shape:?}");
        }
    }

    #[test]
    fn open_sizes_without_a_card_and_contradictions_are_errors() {
        for shape in [&[-1, 3, -1, -1][..], &[-1, 700]] {
            let message = spec(shape, None).map(|_| ()).unwrap_err().to_string();
            assert!(
                message.contains("-1") && message.contains("card"),
                "{message}"
            );
        }
        let message = spec(&[-1, 3, 32, 32], Some(&card(3, 28, 28)))
            .unwrap_err()
            .to_string();
        assert!(
            message.contains("28") && message.contains("32"),
            "{message}"
        );
    }

    #[test]
    fn what_goes_in_comes_back() {
        let images = Array4::from_shape_fn((2, 3, 6, 5), |(n, c, y, x)| {
            (100 * n + 30 * c + 5 * y + x) as f32
        });
        for (shape, card) in [
            (&[-1, 3, 6, 5][..], None),
            (&[-1, 6, 5, 3], None),
            (&[-1, 90], Some(card(3, 6, 5))),
        ] {
            let form = Form::of(shape, card.as_ref(), None).unwrap();
            let Column::Float(column) = form.column(images.clone()) else {
                panic!("images are floats")
            };
            assert_eq!(form.gradient(column).unwrap(), images);
        }
        let form = Form::of(&[-1, 6, 5, 3], None, None).unwrap();
        let Column::Float(column) = form.column(images.clone()) else {
            panic!("images are floats")
        };
        assert_eq!(column[[1, 2, 3, 0]], images[[1, 0, 2, 3]]);
    }

    #[test]
    fn normalisation_shifts_the_image_and_scales_the_gradient() {
        let normalization = Normalization {
            mean: vec![0.5, 0.25, 0.0],
            std: vec![0.5],
        };
        let form = Form::of(&[-1, 3, 1, 1], None, Some(&normalization)).unwrap();
        let Column::Float(column) = form.column(Array4::from_elem((1, 3, 1, 1), 1.0)) else {
            panic!("images are floats")
        };
        assert_eq!(column.iter().copied().collect::<Vec<_>>(), [1.0, 1.5, 2.0]);
        assert_eq!(form.gradient(column).unwrap()[[0, 2, 0, 0]], 4.0);
        for (mean, std) in [
            (vec![0.0; 2], vec![1.0]),
            (vec![0.0], vec![0.0]),
            (vec![f32::NAN], vec![1.0]),
        ] {
            let wrong = Normalization { mean, std };
            assert!(Form::of(&[-1, 3, 1, 1], None, Some(&wrong)).is_err());
        }
    }
}
