//! What the normalizations by statistics of the tensor itself share: x^ = (x - mean) r with r = 1 / sqrt(variance + epsilon),
//! the mean and the variance over some axes.

use crate::{emitter::Emitter, proto::AttributeProto};

/// Where a tensor is standardized.
pub(super) struct Standard<'a> {
    /// A constant list of axes.
    pub axes: &'a str,
    /// Whether the mean is subtracted; else the mean square takes the place of the variance.
    pub centred: bool,
}

/// A standardized tensor.
pub(super) struct Standardized {
    /// x^, of the shape of x.
    pub values: String,
    /// r, with the axes as ones.
    pub factor: String,
}

impl Standard<'_> {
    /// Standardizes a tensor.
    pub(super) fn of(&self, emit: &mut Emitter, x: &str, epsilon: f32) -> Standardized {
        let offset = if self.centred {
            let mean = self.mean(emit, x);
            emit.node("Sub", &[x, &mean], [])
        } else {
            x.into()
        };
        let square = emit.node("Mul", &[&offset, &offset], []);
        let variance = self.mean(emit, &square);
        let epsilon = emit.float(epsilon);
        let shifted = emit.node("Add", &[&variance, &epsilon], []);
        let deviation = emit.node("Sqrt", &[&shifted], []);
        let factor = emit.node("Reciprocal", &[&deviation], []);
        Standardized {
            values: emit.node("Mul", &[&offset, &factor], []),
            factor,
        }
    }

    /// dx = r (g - mean(g) - x^ mean(g x^)) for the gradient g with respect to x^; without the mean of g where that of x stayed.
    pub(super) fn gradient(&self, emit: &mut Emitter, g: &str, x: &Standardized) -> String {
        let product = emit.node("Mul", &[g, &x.values], []);
        let along = self.mean(emit, &product);
        let along = emit.node("Mul", &[&x.values, &along], []);
        let rest = emit.node("Sub", &[g, &along], []);
        let rest = if self.centred {
            let mean = self.mean(emit, g);
            emit.node("Sub", &[&rest, &mean], [])
        } else {
            rest
        };
        emit.node("Mul", &[&rest, &x.factor], [])
    }

    fn mean(&self, emit: &mut Emitter, tensor: &str) -> String {
        let keep = AttributeProto::int("keepdims", 1);
        emit.node("ReduceMean", &[tensor, self.axes], [keep])
    }
}
