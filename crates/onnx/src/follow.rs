//! Follows the elements of small integer tensors, which hold shapes, through the operators of a graph.

use crate::{
    extent::Extent,
    node::Node,
    shape::{self, Dim, Fact},
};

/// The elements of a tensor of shape `to`, each of which is one of a tensor of shape `from`: `source` tells its index.
pub(crate) fn rearrange(
    value: &[Extent],
    from: &[Dim],
    to: &[Dim],
    source: impl Fn(&[usize]) -> Option<Vec<usize>>,
) -> Option<Vec<Extent>> {
    let sizes = |dims: &[Dim]| -> Option<Vec<usize>> {
        dims.iter()
            .map(|dim| usize::try_from(dim.known()?).ok())
            .collect()
    };
    let (from, to) = (sizes(from)?, sizes(to)?);
    let count = to
        .iter()
        .try_fold(1usize, |count, size| count.checked_mul(*size));
    if count? > shape::LONGEST_VALUE {
        return None;
    }
    (0..count?)
        .map(|position| {
            let mut rest = position;
            let mut index = vec![0; to.len()];
            for (slot, size) in index.iter_mut().zip(&to).rev() {
                *slot = rest % size;
                rest /= size;
            }
            let source = source(&index)?;
            let offset = source
                .iter()
                .zip(&from)
                .try_fold(0usize, |offset, (i, size)| {
                    offset
                        .checked_mul(*size)?
                        .checked_add(*i)
                        .filter(|_| i < size)
                });
            value.get(offset?).cloned()
        })
        .collect()
}

/// The elements of a tensor of shape `from`, broadcast to shape `to`.
pub(crate) fn stretch(value: &[Extent], from: &[Dim], to: &[Dim]) -> Option<Vec<Extent>> {
    rearrange(value, from, to, |index| {
        let own = index.get(index.len().checked_sub(from.len())?..)?;
        let places = own.iter().zip(from);
        Some(
            places
                .map(|(place, dim)| if *dim == Dim::Known(1) { 0 } else { *place })
                .collect(),
        )
    })
}

/// What is known about a result that is computed element by element, with broadcasting, and whose elements, where it is a shape or
/// a part of one, follow from those of the inputs.
pub(crate) fn elementwise(node: &Node<'_>, combine: impl Fn(&[&Extent]) -> Extent) -> Option<Fact> {
    let inputs = 0..node.proto.input.len();
    let shapes: Vec<_> = inputs
        .clone()
        .map(|input| node.shape(input))
        .collect::<Option<_>>()?;
    let shape = shape::broadcast(node.output(), &shapes)?;
    let value = || {
        let values = inputs.map(|input| stretch(node.value(input)?, node.shape(input)?, &shape));
        let values: Vec<Vec<Extent>> = values.collect::<Option<_>>()?;
        let count = values.first().map_or(0, Vec::len);
        (0..count)
            .map(|position| {
                let elements: Option<Vec<&Extent>> =
                    values.iter().map(|value| value.get(position)).collect();
                Some(combine(&elements?))
            })
            .collect()
    };
    let value = value();
    Some(Fact { shape, value })
}

/// The shape rule of an operator on two tensors.
pub(crate) fn binary(
    node: &Node<'_>,
    combine: impl Fn(&Extent, &Extent) -> Extent,
) -> Option<Fact> {
    elementwise(node, |elements| match elements {
        [a, b] => combine(a, b),
        _ => Extent::Unknown,
    })
}

/// The shape rule of `Where`.
pub(crate) fn select(node: &Node<'_>) -> Option<Fact> {
    elementwise(node, |elements| match elements {
        [condition, yes, no] => Extent::select(condition, yes, no),
        _ => Extent::Unknown,
    })
}

#[cfg(test)]
mod tests {
    use crate::{
        proto::{AttributeProto, AttributeType, TensorProto},
        reference::net::Net,
        shape::{self, Facts},
    };

    /// A small network that computes with sizes as PyTorch's exporters do when the batch is dynamic.
    struct Sizes(Net);

    impl Sizes {
        fn int(&mut self, value: i64) -> String {
            self.0.store(TensorProto::int64s("", &[], &[value]))
        }

        fn size(&mut self, tensor: &str, axis: i64) -> String {
            let shape = self.0.op("Shape", &[tensor], []);
            let axis = self.int(axis);
            self.0.op("Gather", &[&shape, &axis], [])
        }

        /// Scalars as a list.
        fn list(&mut self, sizes: &[&str]) -> String {
            let first = self.0.ints(&[0]);
            let parts: Vec<String> = sizes
                .iter()
                .map(|size| self.0.op("Unsqueeze", &[size, &first], []))
                .collect();
            let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
            self.0
                .op("Concat", &parts, [AttributeProto::int("axis", 0)])
        }

        fn transpose(&mut self, tensor: &str, perm: &[i64]) -> String {
            let perm = AttributeProto::ints("perm", perm);
            self.0.op("Transpose", &[tensor], [perm])
        }

        /// The shape as it is followed.
        fn shape(&self, tensor: &str) -> String {
            let model = self.0.finish(tensor, None);
            let facts = Facts::of(model.graph());
            facts.shape(tensor).map_or("unknown".into(), shape::display)
        }
    }

    fn filled_with(value: i64) -> AttributeProto {
        AttributeProto {
            name: "value".into(),
            r#type: AttributeType::Tensor.into(),
            t: Some(TensorProto::int64s("", &[1], &[value])),
            ..AttributeProto::default()
        }
    }

    #[test]
    fn a_class_token_is_repeated_for_every_image() {
        let mut net = Sizes(Net::new([3, 2, 2, 2], 1));
        let batch = net.size("image", 0);
        let keep = net.int(-1);
        let target = net.list(&[&batch, &keep, &keep]);
        let flat = net.0.ints(&[-1]);
        let target = net.0.op("Reshape", &[&target, &flat], []);
        // As many ones as axes, times -1: what says "keep".
        let rank = net.0.op("Shape", &[&target], []);
        let ones = net.0.op("ConstantOfShape", &[&rank], [filled_with(1)]);
        let minus = net.0.op("Mul", &[&ones, &keep], []);
        let kept = net.0.op("Equal", &[&target, &minus], []);
        let target = net.0.op("Where", &[&kept, &ones, &target], []);
        let token = net.0.weights(&[1, 1, 4]);
        let tokens = net.0.op("Expand", &[&token, &target], []);
        assert_eq!(net.shape(&tokens), "[n, 1, 4]");

        let places = net.0.ints(&[0, 2, -1]);
        let patches = net.0.op("Reshape", &["image", &places], []);
        let along = AttributeProto::int("axis", 1);
        let x = net.0.op("Concat", &[&tokens, &patches], [along]);
        assert_eq!(net.shape(&x), "[n, 3, 4]");
        let positions = net.0.weights(&[1, 3, 4]);
        let x = net.0.op("Add", &[&x, &positions], []);
        let x = net.0.op("Mul", &[&x, &x], []);
        net.0.check(&x, 1);
    }

    #[test]
    fn images_are_cut_into_windows_and_put_together_again() {
        let mut net = Sizes(Net::new([3, 4, 6, 2], 2));
        let [batch, height, width] = [0, 1, 2].map(|axis| net.size("image", axis));
        let window = net.int(2);
        let [rows, columns] = [&height, &width].map(|size| net.0.op("Div", &[size, &window], []));
        let split = net.list(&[&batch, &rows, &window, &columns, &window, &window]);
        let x = net.0.op("Reshape", &["image", &split], []);
        let x = net.transpose(&x, &[0, 1, 3, 2, 4, 5]);
        let windows = net.0.op("Mul", &[&rows, &columns], []);
        let all = net.0.op("Mul", &[&batch, &windows], []);
        let area = net.0.op("Mul", &[&window, &window], []);
        let target = net.list(&[&all, &area, &window]);
        let x = net.0.op("Reshape", &[&x, &target], []);
        assert_eq!(net.shape(&x), "[6*n, 4, 2]");

        // The windows of an image get a mask of their own.
        let many = net.size(&x, 0);
        let images = net.0.op("Div", &[&many, &windows], []);
        let target = net.list(&[&images, &windows, &area, &window]);
        let x = net.0.op("Reshape", &[&x, &target], []);
        assert_eq!(net.shape(&x), "[n, 6, 4, 2]");
        let mask = net.0.weights(&[1, 6, 4, 1]);
        let x = net.0.op("Mul", &[&x, &mask], []);
        let open = net.0.ints(&[-1, 4, 2]);
        let x = net.0.op("Reshape", &[&x, &open], []);
        assert_eq!(net.shape(&x), "[6*n, 4, 2]");
        let x = net.0.op("Softmax", &[&x], []);

        let split = net.list(&[&batch, &rows, &columns, &window, &window, &window]);
        let x = net.0.op("Reshape", &[&x, &split], []);
        let x = net.transpose(&x, &[0, 1, 3, 2, 4, 5]);
        let whole = net.list(&[&batch, &height, &width, &window]);
        let x = net.0.op("Reshape", &[&x, &whole], []);
        assert_eq!(net.shape(&x), "[n, 4, 6, 2]");
        let sum = net.0.op("Add", &[&x, "image"], []);
        net.0.check(&sum, 2);
    }

    #[test]
    fn heads_and_images_become_one_axis_and_are_told_apart_again() {
        let mut net = Sizes(Net::new([3, 1, 5, 6], 3));
        let first = net.0.ints(&[1]);
        let x = net.0.op("Squeeze", &["image", &first], []);
        let x = net.transpose(&x, &[1, 0, 2]);
        assert_eq!(net.shape(&x), "[5, n, 6]");
        // The size of a head, once by number and once from the end of a shape.
        let [length, batch] = [0, 1].map(|axis| net.size(&x, axis));
        let shape = net.0.op("Shape", &[&x], []);
        let (last, end, zero) = (net.0.ints(&[-1]), net.0.ints(&[i64::MAX]), net.0.ints(&[0]));
        let width = net.0.op("Slice", &[&shape, &last, &end, &zero], []);
        let width = net.0.op("Squeeze", &[&width, &zero], []);
        let heads = net.int(3);
        let own = net.0.op("Div", &[&width, &heads], []);
        let many = net.0.op("Mul", &[&batch, &heads], []);
        let target = net.list(&[&length, &many, &own]);
        let x = net.0.op("Reshape", &[&x, &target], []);
        let x = net.transpose(&x, &[1, 0, 2]);
        assert_eq!(net.shape(&x), "[3*n, 5, 2]");
        let turned = net.transpose(&x, &[0, 2, 1]);
        let products = net.0.op("MatMul", &[&x, &turned], []);
        let weights = net.0.op("Softmax", &[&products], []);
        let x = net.0.op("MatMul", &[&weights, &x], []);
        let target = net.list(&[&batch, &heads, &length, &own]);
        let x = net.0.op("Reshape", &[&x, &target], []);
        assert_eq!(net.shape(&x), "[n, 3, 5, 2]");
        net.0.check(&x, 3);
    }

    #[test]
    fn a_mask_that_is_filled_part_by_part_has_the_shape_it_was_made_with() {
        let mut net = Sizes(Net::new([3, 2, 4, 4], 4));
        let [height, width] = [2, 3].map(|axis| net.size("image", axis));
        let target = net.list(&[&height, &width]);
        let mask = net.0.op("ConstantOfShape", &[&target], []);
        let (zero, one) = (net.int(0), net.int(1));
        let rows = net.0.op("Range", &[&zero, &height, &one], []);
        let (first, two) = (net.0.ints(&[0]), net.0.ints(&[2]));
        let rows = net.0.op("Slice", &[&rows, &first, &two], []);
        assert_eq!(net.shape(&rows), "[2]");
        let column = net.0.ints(&[-1, 1]);
        let rows = net.0.op("Reshape", &[&rows, &column], []);
        let values = net.0.weights(&[2, 4]);
        let mask = net.0.op("ScatterND", &[&mask, &rows, &values], []);
        assert_eq!(net.shape(&mask), "[4, 4]");
    }

    #[test]
    fn lists_of_one_are_stretched_and_ranges_counted() {
        let mut net = Sizes(Net::new([3, 2, 2, 7], 6));
        let (rest, two) = (net.0.ints(&[3, 5]), net.0.ints(&[2]));
        let doubled = net.0.op("Mul", &[&rest, &two], []);
        let many = net.0.op("Expand", &[&doubled, &two], []);
        let ones = net.0.op("ConstantOfShape", &[&many], []);
        assert_eq!(net.shape(&ones), "[6, 10]");
        let [batch, width] = [0, 3].map(|axis| net.size("image", axis));
        let [zero, one, three, back] = [0, 1, 3, -3].map(|value| net.int(value));
        for (start, limit, step, shape) in [
            (&zero, &width, &three, "[3]"),
            (&width, &zero, &back, "[3]"),
            (&width, &zero, &three, "[0]"),
            (&zero, &batch, &one, "[n]"),
            (&one, &batch, &one, "[?]"),
        ] {
            let range = net.0.op("Range", &[start, limit, step], []);
            assert_eq!(net.shape(&range), shape);
        }
    }

    #[test]
    fn absurd_lists_are_not_followed() {
        let mut net = Sizes(Net::new([3, 2, 2, 2], 5));
        let huge = net.0.ints(&[i64::MAX, 2]);
        let ones = net.0.op("ConstantOfShape", &[&huge], [filled_with(1)]);
        let sum = net.0.op("Add", &[&ones, &ones], []);
        let more = net
            .0
            .op("Concat", &[&sum, &sum], [AttributeProto::int("axis", 0)]);
        assert_eq!(net.shape(&more), "[18446744073709551614, 2]");
        let most = net
            .0
            .op("Concat", &[&more, &more], [AttributeProto::int("axis", 0)]);
        assert_eq!(net.shape(&most), "[?, 2]");
    }
}
