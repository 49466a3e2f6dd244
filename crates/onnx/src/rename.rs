use std::collections::HashMap;

use crate::proto::GraphProto;

/// Renames tensors wherever they occur, in subgraphs too. The new names must not be taken.
pub(crate) fn tensors(graph: &mut GraphProto, names: &HashMap<String, String>) {
    let rename = |name: &mut String| {
        if let Some(new) = names.get(name) {
            name.clone_from(new);
        }
    };
    for node in &mut graph.node {
        node.input
            .iter_mut()
            .chain(&mut node.output)
            .for_each(rename);
        for attribute in &mut node.attribute {
            for subgraph in attribute.g.iter_mut().chain(&mut attribute.graphs) {
                tensors(subgraph, names);
            }
        }
    }
    graph
        .initializer
        .iter_mut()
        .for_each(|tensor| rename(&mut tensor.name));
    let sparse = graph
        .sparse_initializer
        .iter_mut()
        .filter_map(|tensor| tensor.values.as_mut());
    sparse.for_each(|values| rename(&mut values.name));
    let infos = graph
        .input
        .iter_mut()
        .chain(&mut graph.output)
        .chain(&mut graph.value_info);
    infos.for_each(|info| rename(&mut info.name));
    for annotation in &mut graph.quantization_annotation {
        rename(&mut annotation.tensor_name);
        let parameters = annotation.quant_parameter_tensor_names.iter_mut();
        parameters.for_each(|parameter| rename(&mut parameter.value));
    }
}
