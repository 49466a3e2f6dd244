use buckler_onnx::proto::{DataType, TensorProto};

/// Numbers of any kind: integers and truth values are exact in a double up to 2^53, beyond what a test needs.
#[derive(Clone, Debug, PartialEq)]
pub struct Tensor {
    pub dims: Vec<usize>,
    pub data: Vec<f64>,
}

impl Tensor {
    pub fn new(dims: &[usize], data: Vec<f64>) -> Self {
        assert_eq!(dims.iter().product::<usize>(), data.len(), "{dims:?}");
        Self {
            dims: dims.to_vec(),
            data,
        }
    }

    pub fn list(data: Vec<f64>) -> Self {
        Self::new(&[data.len()], data)
    }

    pub fn filled(dims: &[usize], value: f64) -> Self {
        Self::new(dims, vec![value; dims.iter().product()])
    }

    /// From a function of the index.
    pub fn build(dims: &[usize], mut value: impl FnMut(&[usize]) -> f64) -> Self {
        let mut index = vec![0; dims.len()];
        let data = (0..dims.iter().product())
            .map(|_| {
                let element = value(&index);
                for (i, &dim) in index.iter_mut().zip(dims).rev() {
                    *i += 1;
                    if *i < dim {
                        break;
                    }
                    *i = 0;
                }
                element
            })
            .collect();
        Self::new(dims, data)
    }

    pub fn stored(tensor: &TensorProto) -> Self {
        let dims: Vec<usize> = tensor.dims.iter().map(|&dim| dim as usize).collect();
        let raw = tensor.raw_data.as_deref().unwrap_or_default();
        let data = match DataType::try_from(tensor.data_type).unwrap() {
            DataType::Float if raw.is_empty() => {
                tensor.float_data.iter().map(|&v| v.into()).collect()
            }
            DataType::Float => raw
                .chunks(4)
                .map(|b| f32::from_le_bytes(b.try_into().unwrap()).into())
                .collect(),
            DataType::Int64 if raw.is_empty() => {
                tensor.int64_data.iter().map(|&v| v as f64).collect()
            }
            DataType::Int64 => raw
                .chunks(8)
                .map(|b| i64::from_le_bytes(b.try_into().unwrap()) as f64)
                .collect(),
            DataType::Bool => tensor.int32_data.iter().map(|&v| v.into()).collect(),
            other => panic!("the reference stores no {other:?}"),
        };
        Self::new(&dims, data)
    }

    pub fn at(&self, index: &[usize]) -> f64 {
        self.data[self.offset(index)]
    }

    pub fn at_mut(&mut self, index: &[usize]) -> &mut f64 {
        let offset = self.offset(index);
        &mut self.data[offset]
    }

    /// The element at an index that comes in two parts.
    pub fn at_parts(&self, front: &[usize], back: &[usize]) -> f64 {
        let (dims, rest) = self.dims.split_at(front.len());
        assert_eq!(back.len(), rest.len());
        let index = front.iter().chain(back).zip(dims.iter().chain(rest));
        self.data[index.fold(0, |offset, (i, dim)| {
            assert!(i < dim);
            offset * dim + i
        })]
    }

    fn offset(&self, index: &[usize]) -> usize {
        assert_eq!(index.len(), self.dims.len());
        index.iter().zip(&self.dims).fold(0, |offset, (i, dim)| {
            assert!(i < dim);
            offset * dim + i
        })
    }

    /// The element that broadcasting puts at an index of a larger shape.
    pub fn stretched(&self, index: &[usize]) -> f64 {
        let skip = index.len() - self.dims.len();
        let own: Vec<usize> = index[skip..]
            .iter()
            .zip(&self.dims)
            .map(|(&i, &dim)| if dim == 1 { 0 } else { i })
            .collect();
        self.at(&own)
    }

    pub fn map(&self, f: impl Fn(f64) -> f64) -> Self {
        Self::new(&self.dims, self.data.iter().map(|&v| f(v)).collect())
    }

    pub fn ints(&self) -> Vec<i64> {
        self.data.iter().map(|&v| v as i64).collect()
    }
}

/// All indices into a shape, rows first.
pub fn indices(dims: &[usize]) -> Vec<Vec<usize>> {
    let mut all = vec![vec![]];
    for &dim in dims {
        all = all
            .iter()
            .flat_map(|index| (0..dim).map(move |i| [index.as_slice(), &[i]].concat()))
            .collect();
    }
    all
}

pub fn broadcast_dims(tensors: &[&Tensor]) -> Vec<usize> {
    let rank = tensors
        .iter()
        .map(|tensor| tensor.dims.len())
        .max()
        .unwrap();
    let mut dims = vec![1; rank];
    for tensor in tensors {
        for (dim, &own) in dims[rank - tensor.dims.len()..]
            .iter_mut()
            .zip(&tensor.dims)
        {
            assert!(
                *dim == own || *dim == 1 || own == 1,
                "shapes do not broadcast"
            );
            if own != 1 {
                *dim = own;
            }
        }
    }
    dims
}
