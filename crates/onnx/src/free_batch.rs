use std::collections::HashSet;

use crate::{
    Model, edit,
    proto::{GraphProto, ValueInfoProto, tensor_shape_proto::dimension, type_proto},
    reshape,
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

/// The model with a batch of that size, where its file leaves the size open: what some files say of their batch is true of one size
/// alone. `None` where the size is fixed.
pub fn fix_batch(model: &Model, size: u32) -> Option<Model> {
    let mut graph = model.graph().clone();
    edit::drop_stored_inputs(&mut graph);
    let [input] = graph.input.as_slice() else {
        return None;
    };
    let open = shape::declared(input)?.into_iter().next()?;
    if open.known().is_some() {
        return None;
    }
    let is_open = |info: &ValueInfoProto| {
        let first = shape::declared(info).and_then(|shape| shape.into_iter().next());
        first.as_ref() == Some(&open)
    };
    let outputs = graph.output.iter_mut().filter(|output| is_open(output));
    for info in graph.input.iter_mut().chain(outputs) {
        set_first_dim(info, size);
    }
    graph.value_info.clear();
    let mut proto = model.to_proto();
    proto.graph = Some(graph);
    Model::from_proto(proto).ok()
}

fn set_first_dim(info: &mut ValueInfoProto, size: u32) {
    let tensor = info.r#type.as_mut().and_then(|kind| kind.value.as_mut());
    if let Some(type_proto::Value::TensorType(tensor)) = tensor
        && let Some(first) = tensor
            .shape
            .as_mut()
            .and_then(|shape| shape.dim.first_mut())
    {
        first.value = Some(dimension::Value::DimValue(i64::from(size)));
    }
}

fn free_reshapes(graph: &mut GraphProto, batch: u64) {
    let targets = {
        let facts = Facts::of(graph);
        let nodes = graph.node.iter();
        nodes
            .map(|node| {
                let (data, target) = reshape::inputs(node)?;
                let target = facts.stored(target)?.to_i64s()?;
                freed(
                    facts.shape(data)?,
                    target,
                    batch,
                    reshape::keeps_zeros(node),
                )
            })
            .collect()
    };
    reshape::retarget(graph, targets);
}

/// The target of a `Reshape` without the batch that it repeats, alone or as a factor of its first size. With `zeros` the target's
/// own zeros are sizes, beside which none can stand for the batch.
fn freed(data: &[Dim], mut target: Vec<i64>, batch: u64, zeros: bool) -> Option<Vec<i64>> {
    let open = target.contains(&-1);
    let keeps = data.first()? == &Dim::Known(batch);
    let first = target.first_mut()?;
    let size = u64::try_from(*first).ok().filter(|size| *size > 0)?;
    let factor = match (size == batch, keeps) {
        (true, true) => 0,
        (true, false) => -1,
        // Heads or windows that are taken into the batch.
        (false, true) if size.checked_rem(batch) == Some(0) => -1,
        (false, _) => return None,
    };
    if factor == -1 && open {
        return None;
    }
    *first = factor;
    let own_zeros = target.iter().skip(1).any(|size| *size == 0);
    (!(zeros && own_zeros)).then_some(target)
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
