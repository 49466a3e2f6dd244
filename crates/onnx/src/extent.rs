//! Elements of small integer tensors that hold shapes: numbers, sizes of axes, and products of both.

use crate::shape::Dim;

/// Longer products are taken for unknown.
const LONGEST_PRODUCT: usize = 128;

/// An element of an integer tensor that holds a shape or a part of one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Extent {
    /// A number; 0 and -1 have their meanings in `Reshape`. Truth values are 0 and 1.
    Integer(i64),
    /// The size of an axis, or the number of elements of several, by name.
    Symbol(String),
    /// Any number.
    Unknown,
}

impl From<&Dim> for Extent {
    fn from(dim: &Dim) -> Self {
        match dim {
            // A size beyond i64 cannot be in a file.
            Dim::Known(size) => Self::Integer(i64::try_from(*size).unwrap_or(i64::MAX)),
            Dim::Symbol(name) => Self::Symbol(name.clone()),
        }
    }
}

impl Extent {
    /// The size that it is, if it can be one; where nothing is known, a size that is `axis` of `tensor` alone.
    pub(crate) fn dim(&self, tensor: &str, axis: usize) -> Option<Dim> {
        match self {
            Self::Integer(size) => u64::try_from(*size).ok().map(Dim::Known),
            Self::Symbol(name) => Some(Dim::Symbol(name.clone())),
            Self::Unknown => Some(Dim::unknown(tensor, axis)),
        }
    }

    pub(crate) fn integer(&self) -> Option<i64> {
        match self {
            Self::Integer(value) => Some(*value),
            Self::Symbol(_) | Self::Unknown => None,
        }
    }

    pub(crate) fn plus(&self, other: &Self) -> Self {
        match (self, other) {
            (Self::Integer(a), Self::Integer(b)) => a.checked_add(*b).into(),
            (x, Self::Integer(0)) | (Self::Integer(0), x) => x.clone(),
            _ => Self::Unknown,
        }
    }

    pub(crate) fn minus(&self, other: &Self) -> Self {
        match (self, other) {
            (Self::Integer(a), Self::Integer(b)) => a.checked_sub(*b).into(),
            (x, Self::Integer(0)) => x.clone(),
            (Self::Symbol(a), Self::Symbol(b)) if a == b => Self::Integer(0),
            _ => Self::Unknown,
        }
    }

    pub(crate) fn times(&self, other: &Self) -> Self {
        if let (Self::Integer(a), Self::Integer(b)) = (self, other) {
            return a.checked_mul(*b).into();
        }
        let product = || {
            let sizes = [self.size()?, other.size()?];
            Product::of(&sizes)?.dim()
        };
        product().as_ref().map_or(Self::Unknown, Self::from)
    }

    /// Integers are divided towards zero.
    pub(crate) fn over(&self, other: &Self) -> Self {
        if let (Self::Integer(a), Self::Integer(b)) = (self, other) {
            return a.checked_div(*b).into();
        }
        let quotient = || {
            let sizes = [self.size()?, other.size()?];
            let (dividend, divisor) = sizes.split_at(1);
            Product::of(dividend)?.over(&Product::of(divisor)?)?.dim()
        };
        quotient().as_ref().map_or(Self::Unknown, Self::from)
    }

    /// The remainder that has the sign of the divisor.
    pub(crate) fn modulo(&self, other: &Self) -> Self {
        match (self, other) {
            (Self::Integer(a), Self::Integer(b)) => {
                let remainder = a.checked_rem(*b);
                remainder
                    .map(|rest| {
                        if rest != 0 && (rest < 0) != (*b < 0) {
                            rest + b
                        } else {
                            rest
                        }
                    })
                    .into()
            }
            _ => Self::Unknown,
        }
    }

    /// Whether both are the same number: 0 or 1.
    pub(crate) fn equals(&self, other: &Self) -> Self {
        match (self, other) {
            (Self::Integer(a), Self::Integer(b)) => Self::Integer((a == b).into()),
            (Self::Symbol(a), Self::Symbol(b)) if a == b => Self::Integer(1),
            // Sizes are not negative.
            (Self::Symbol(_), Self::Integer(..0)) | (Self::Integer(..0), Self::Symbol(_)) => {
                Self::Integer(0)
            }
            _ => Self::Unknown,
        }
    }

    /// One of two, by a truth value.
    pub(crate) fn select(condition: &Self, yes: &Self, no: &Self) -> Self {
        match condition {
            Self::Integer(0) => no.clone(),
            Self::Integer(_) => yes.clone(),
            _ if yes == no => yes.clone(),
            _ => Self::Unknown,
        }
    }

    /// As a size that is not negative, if anything is known.
    fn size(&self) -> Option<Dim> {
        self.dim("", 0).filter(|_| *self != Self::Unknown)
    }
}

impl From<Option<i64>> for Extent {
    fn from(value: Option<i64>) -> Self {
        value.map_or(Self::Unknown, Self::Integer)
    }
}

/// A number times sizes that are known by name. As a symbol it is written `64*height*n`, sorted, so that equal products have
/// equal names; names in files hold no `*` (see [`Dim`]).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Product<'a> {
    factor: u64,
    symbols: Vec<&'a str>,
}

impl<'a> Product<'a> {
    /// `None` where it exceeds 64 bits.
    pub(crate) fn of(dims: impl IntoIterator<Item = &'a Dim>) -> Option<Self> {
        let mut product = Self {
            factor: 1,
            symbols: vec![],
        };
        for dim in dims {
            let (factor, names) = match dim {
                Dim::Known(size) => (*size, None),
                Dim::Symbol(name) => match name.split_once('*') {
                    Some((first, rest)) => match first.parse() {
                        Ok(factor) => (factor, Some(rest)),
                        Err(_) => (1, Some(name.as_str())),
                    },
                    None => (1, Some(name.as_str())),
                },
            };
            product.factor = product.factor.checked_mul(factor)?;
            product
                .symbols
                .extend(names.into_iter().flat_map(|names| names.split('*')));
        }
        product.symbols.sort_unstable();
        Some(product)
    }

    /// `None` where it cannot be told to be an integer.
    pub(crate) fn over(mut self, other: &Self) -> Option<Self> {
        if self.factor.checked_rem(other.factor)? != 0 {
            return None;
        }
        self.factor /= other.factor;
        for symbol in &other.symbols {
            let position = self.symbols.iter().position(|own| own == symbol)?;
            self.symbols.remove(position);
        }
        Some(self)
    }

    /// The size of an axis that holds as many elements.
    pub(crate) fn dim(&self) -> Option<Dim> {
        if self.factor == 0 || self.symbols.is_empty() {
            return Some(Dim::Known(self.factor));
        }
        if let (1, [one]) = (self.factor, self.symbols.as_slice()) {
            return Some(Dim::Symbol(one.to_string()));
        }
        let mut name = self.symbols.join("*");
        if self.factor != 1 {
            name = format!("{}*{name}", self.factor);
        }
        (name.len() <= LONGEST_PRODUCT).then_some(Dim::Symbol(name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn symbol(name: &str) -> Extent {
        Extent::Symbol(name.into())
    }

    /// An extent over the sizes `n` and `m`, and its value once they are known.
    fn extents() -> impl Strategy<Value = Extent> {
        prop_oneof![
            (-70i64..70).prop_map(Extent::Integer),
            prop::sample::select(vec!["n", "m", "n*m", "6*n", "4*m*n", "12*m"]).prop_map(canonical),
            Just(Extent::Unknown),
        ]
    }

    fn canonical(name: &str) -> Extent {
        name.split('*').fold(Extent::Integer(1), |product, part| {
            product.times(&part.parse().map_or_else(|_| symbol(part), Extent::Integer))
        })
    }

    fn evaluate(extent: &Extent, n: i64, m: i64) -> Option<i64> {
        match extent {
            Extent::Integer(value) => Some(*value),
            Extent::Unknown => None,
            Extent::Symbol(name) => Some(
                name.split('*')
                    .map(|part| match part {
                        "n" => n,
                        "m" => m,
                        number => number.parse().unwrap(),
                    })
                    .product(),
            ),
        }
    }

    proptest! {
        #[test]
        fn what_is_known_of_a_result_is_right_for_all_sizes(a in extents(), b in extents(), n in 1i64..9, m in 1i64..9) {
            let value = |extent: &Extent| evaluate(extent, n, m);
            let (Some(x), Some(y)) = (value(&a), value(&b)) else { return Ok(()) };
            let right = |found: Extent, expected: i64| {
                assert!(value(&found).is_none_or(|found| found == expected), "{found:?} for {expected}");
            };
            right(a.plus(&b), x + y);
            right(a.minus(&b), x - y);
            right(a.times(&b), x * y);
            right(a.equals(&b), (x == y).into());
            if y != 0 {
                right(a.over(&b), x / y);
                right(a.modulo(&b), x - y * (x as f64 / y as f64).floor() as i64);
            }
        }
    }

    #[test]
    fn products_have_one_name_and_can_be_divided_again() {
        let n = symbol("n");
        let many = n.times(&Extent::Integer(64));
        assert_eq!(many, symbol("64*n"));
        assert_eq!(Extent::Integer(64).times(&n), many);
        assert_eq!(many.over(&Extent::Integer(64)), n);
        assert_eq!(many.over(&n), Extent::Integer(64));
        assert_eq!(many.over(&Extent::Integer(48)), Extent::Unknown);
        assert_eq!(many.times(&symbol("m")), symbol("64*m*n"));
        assert_eq!(many.times(&symbol("m")).over(&many), symbol("m"));
    }

    #[test]
    fn a_size_is_never_minus_one() {
        assert_eq!(symbol("n").equals(&Extent::Integer(-1)), Extent::Integer(0));
        assert_eq!(symbol("n").equals(&Extent::Integer(3)), Extent::Unknown);
    }

    #[test]
    fn absurd_products_are_unknown() {
        let large = Extent::Integer(i64::MAX);
        assert_eq!(large.times(&large), Extent::Unknown);
        let name = symbol(&"x".repeat(100));
        assert_eq!(name.times(&name), Extent::Unknown);
        assert_eq!(large.times(&symbol("n")).times(&large), Extent::Unknown);
    }
}
