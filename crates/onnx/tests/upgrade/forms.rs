//! Operators in the form of operator set 18 that older nodes are rewritten to, written from their specification; of each what
//! the tests need.

use std::collections::HashMap;

use buckler_onnx::proto::{AttributeProto, GraphProto, NodeProto};

use crate::reference::{
    self,
    tensor::{Tensor, indices},
};

pub const OPERATORS: [&str; 7] = [
    "Hardmax",
    "Pad",
    "Resize",
    "ScatterElements",
    "Slice",
    "Split",
    "TopK",
];

/// Runs a node all of whose inputs are stored.
pub fn run(node: &NodeProto, stored: &HashMap<String, Tensor>) -> Vec<Tensor> {
    let inputs = node.input.iter();
    let call = Call {
        node,
        inputs: inputs
            .map(|name| (!name.is_empty()).then(|| &stored[name]))
            .collect(),
    };
    match node.op_type.as_str() {
        "Hardmax" => vec![call.hardmax()],
        "Pad" => vec![call.pad()],
        "Resize" => vec![call.by_the_reference()],
        "ScatterElements" => vec![call.scatter()],
        "Slice" => vec![call.slice()],
        "Split" => call.split(),
        "TopK" => call.top_k(),
        other => panic!("no form of {other}"),
    }
}

struct Call<'a> {
    node: &'a NodeProto,
    inputs: Vec<Option<&'a Tensor>>,
}

impl Call<'_> {
    fn x(&self) -> &Tensor {
        self.inputs[0].unwrap()
    }

    fn ints(&self, input: usize) -> Option<Vec<i64>> {
        Some((*self.inputs.get(input)?)?.ints())
    }

    fn attribute(&self, name: &str) -> Option<&AttributeProto> {
        let mut attributes = self.node.attribute.iter();
        attributes.find(|attribute| attribute.name == name)
    }

    fn int(&self, name: &str, default: i64) -> i64 {
        self.attribute(name).map_or(default, |own| own.i.unwrap())
    }

    fn string(&self, name: &str, default: &str) -> String {
        self.attribute(name).map_or(default.into(), |own| {
            String::from_utf8(own.s.as_ref().unwrap().to_vec()).unwrap()
        })
    }

    fn axis(&self, default: i64) -> usize {
        self.int("axis", default)
            .rem_euclid(self.x().dims.len() as i64) as usize
    }

    fn by_the_reference(&self) -> Tensor {
        let inputs = self.node.input.iter().zip(&self.inputs);
        let inputs = inputs.filter_map(|(name, input)| Some((name.as_str(), (*input)?.clone())));
        let graph = GraphProto {
            node: vec![self.node.clone()],
            ..GraphProto::default()
        };
        let tensors = reference::run(&graph, &inputs.collect::<Vec<_>>());
        tensors[&self.node.output[0]].clone()
    }

    /// Along the last axis alone.
    fn hardmax(&self) -> Tensor {
        let x = self.x();
        assert_eq!(self.axis(-1), x.dims.len() - 1);
        let rows = x.data.chunks(*x.dims.last().unwrap());
        let data = rows.flat_map(|row| {
            let peak = row.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            let first = row.iter().position(|v| *v == peak).unwrap();
            (0..row.len()).map(move |i| f64::from(u8::from(i == first)))
        });
        Tensor::new(&x.dims, data.collect())
    }

    fn pad(&self) -> Tensor {
        let (x, pads) = (self.x(), self.ints(1).unwrap());
        let value = self.inputs.get(2).map_or(0.0, |own| own.unwrap().data[0]);
        assert_eq!(self.inputs.len().max(3), 3);
        let rank = x.dims.len();
        let sizes = (0..rank).map(|i| (x.dims[i] as i64 + pads[i] + pads[rank + i]) as usize);
        let mode = self.string("mode", "constant");
        Tensor::build(&sizes.collect::<Vec<_>>(), |index| {
            let from: Option<Vec<usize>> = (0..rank)
                .map(|i| {
                    let (place, size) = (index[i] as i64 - pads[i], x.dims[i] as i64);
                    let place = match mode.as_str() {
                        "edge" => place.clamp(0, size - 1),
                        "reflect" if place < 0 => -place,
                        "reflect" if place >= size => 2 * size - 2 - place,
                        _ => place,
                    };
                    (0..size).contains(&place).then_some(place as usize)
                })
                .collect();
            from.map_or(value, |from| x.at(&from))
        })
    }

    fn slice(&self) -> Tensor {
        let x = self.x();
        let (starts, ends) = (self.ints(1).unwrap(), self.ints(2).unwrap());
        let axes = self.ints(3).unwrap_or((0..starts.len() as i64).collect());
        assert!(self.ints(4).is_none());
        let mut ranges: Vec<(usize, usize)> = x.dims.iter().map(|&size| (0, size)).collect();
        for (i, &axis) in axes.iter().enumerate() {
            let size = x.dims[axis as usize] as i64;
            let place = |at: i64| (if at < 0 { at + size } else { at }).clamp(0, size) as usize;
            ranges[axis as usize] = (place(starts[i]), place(ends[i]));
        }
        let dims: Vec<usize> = ranges.iter().map(|(start, end)| end - start).collect();
        Tensor::build(&dims, |index| {
            let from: Vec<_> = index.iter().zip(&ranges).map(|(i, r)| i + r.0).collect();
            x.at(&from)
        })
    }

    fn split(&self) -> Vec<Tensor> {
        let (x, axis) = (self.x(), self.axis(0));
        let parts = self.node.output.len();
        let sizes = match self.ints(1) {
            Some(sizes) => {
                assert!(self.attribute("num_outputs").is_none(), "one or the other");
                sizes
            }
            None => {
                assert_eq!(self.int("num_outputs", 0), parts as i64);
                vec![(x.dims[axis] / parts) as i64; parts]
            }
        };
        let mut start = 0;
        let parts = sizes.iter().map(|&size| {
            let mut dims = x.dims.clone();
            dims[axis] = size as usize;
            let part = Tensor::build(&dims, |index| {
                let mut from = index.to_vec();
                from[axis] += start;
                x.at(&from)
            });
            start += size as usize;
            part
        });
        parts.collect()
    }

    /// Values along the last axis.
    fn top_k(&self) -> Vec<Tensor> {
        let (x, count) = (self.x(), self.ints(1).unwrap()[0] as usize);
        assert_eq!(self.axis(-1), x.dims.len() - 1);
        let mut dims = x.dims.clone();
        let rows = x.data.chunks(dims.pop().unwrap());
        dims.push(count);
        let sorted: Vec<Vec<(usize, f64)>> = rows
            .map(|row| {
                let mut row: Vec<_> = row.iter().copied().enumerate().collect();
                row.sort_by(|a, b| b.1.total_cmp(&a.1));
                row.truncate(count);
                row
            })
            .collect();
        let picked = |part: fn(&(usize, f64)) -> f64| {
            Tensor::new(&dims, sorted.iter().flatten().map(part).collect())
        };
        vec![picked(|own| own.1), picked(|own| own.0 as f64)]
    }

    /// With coordinates that are not centred.
    fn scatter(&self) -> Tensor {
        assert!(self.attribute("reduction").is_none());
        let (places, updates) = (self.inputs[1].unwrap(), self.inputs[2].unwrap());
        let mut result = self.x().clone();
        for index in indices(&updates.dims) {
            let mut to = index.clone();
            to[self.axis(0)] = places.at(&index) as usize;
            *result.at_mut(&to) = updates.at(&index);
        }
        result
    }
}
