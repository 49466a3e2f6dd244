use std::collections::HashSet;

use crate::{
    Model, edit,
    proto::{GraphProto, TensorProto, ValueInfoProto, tensor_shape_proto::dimension, type_proto},
    shape::{self, Dim, Facts},
};

/// The model with the size of the batch left open, and the size at which its input fixes it; `None` where nothing is fixed.
///
/// The input's first axis becomes a symbol, and so do the constants in `Reshape` that repeat its size. That is a guess which other
/// constants can contradict: whoever uses the result has to see first that rows run together give what they give alone.
pub fn free_batch(model: &Model) -> Option<(Model, usize)> {
    let mut graph = model.graph().clone();
    edit::drop_stored_inputs(&mut graph);
    edit::store_constants(&mut graph);
    let [input] = graph.input.as_slice() else {
        return None;
    };
    let size = shape::declared(input)?.first()?.known()?;
    free_reshapes(&mut graph, size);

    let symbol = edit::fresh(&mut symbols(&graph), "batch");
    let infos = graph.input.iter_mut().chain(&mut graph.output);
    for first in infos.filter_map(first_dim) {
        if *first == dimension::Value::DimValue(size as i64) {
            *first = dimension::Value::DimParam(symbol.clone());
        }
    }
    graph.value_info.clear();
    let mut proto = model.to_proto();
    proto.graph = Some(graph);
    Some((Model::from_proto(proto).ok()?, usize::try_from(size).ok()?))
}

fn free_reshapes(graph: &mut GraphProto, batch: u64) {
    let targets: Vec<Option<Vec<i64>>> = {
        let facts = Facts::of(graph);
        let nodes = graph.node.iter();
        nodes
            .map(|node| match node.input.as_slice() {
                [data, target] if node.op_type == "Reshape" => {
                    let target = facts.stored(target)?.to_i64s()?;
                    freed(facts.shape(data)?, target, batch)
                }
                _ => None,
            })
            .collect()
    };
    let mut taken = edit::names(graph);
    for (node, target) in graph.node.iter_mut().zip(targets) {
        let (Some(target), [_, shape]) = (target, node.input.as_mut_slice()) else {
            continue;
        };
        *shape = edit::fresh(&mut taken, "shape");
        let tensor = TensorProto::int64s(shape, &[target.len() as i64], &target);
        graph.initializer.push(tensor);
    }
}

/// The target of a `Reshape` without the batch that it repeats.
fn freed(data: &[Dim], mut target: Vec<i64>, batch: u64) -> Option<Vec<i64>> {
    let open = target.contains(&-1);
    let first = target.first_mut()?;
    if u64::try_from(*first) != Ok(batch) {
        return None;
    }
    *first = match data.first()? {
        Dim::Known(size) if *size == batch => 0,
        _ if open => return None,
        _ => -1,
    };
    Some(target)
}

fn symbols(graph: &GraphProto) -> HashSet<String> {
    let infos = graph.input.iter().chain(&graph.output);
    let shapes = infos.filter_map(shape::declared);
    shapes
        .flatten()
        .filter_map(|dim| match dim {
            Dim::Symbol(name) => Some(name),
            Dim::Known(_) => None,
        })
        .collect()
}

fn first_dim(info: &mut ValueInfoProto) -> Option<&mut dimension::Value> {
    match info.r#type.as_mut()?.value.as_mut()? {
        type_proto::Value::TensorType(tensor) => {
            tensor.shape.as_mut()?.dim.first_mut()?.value.as_mut()
        }
        _ => None,
    }
}
