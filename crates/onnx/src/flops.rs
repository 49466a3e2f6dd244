use crate::{
    Model, edit,
    interface::name_batch,
    node::Node,
    proto::GraphProto,
    shape::{self, Dim, Facts},
    upgrade,
};

/// Floating-point operations of one forward pass for one image, two for each product of a convolution or matrix product; the rest
/// is small beside these. `None` where a shape is not known.
pub(crate) fn of(model: &Model) -> Option<u64> {
    let mut graph = model.graph().clone();
    edit::drop_stored_inputs(&mut graph);
    edit::store_constants(&mut graph);
    upgrade::upgrade(&mut graph, model.opset());
    name_batch(&mut graph);
    let batch = shape::declared(graph.input.first()?)?.first()?.clone();
    let rows = batch.known().unwrap_or(1).max(1);
    let products = products(&graph, &batch)?;
    Some(products.checked_mul(2)? / rows)
}

fn products(graph: &GraphProto, batch: &Dim) -> Option<u64> {
    let facts = Facts::of(graph);
    let size = |dim: &Dim| match dim {
        Dim::Known(size) => Some(*size),
        symbol => (symbol == batch).then_some(1),
    };
    let count = |shape: &[Dim]| {
        let mut sizes = shape.iter().map(size);
        sizes.try_fold(1u64, |product, size| product.checked_mul(size?))
    };
    graph.node.iter().try_fold(0u64, |sum, proto| {
        let node = Node::new(proto, &facts);
        let output = || count(facts.shape(node.output())?);
        // Of `[out, in / group, kernel...]` the products for one output; of `[in, out / group, kernel...]` those for one input.
        let kernel = || count(node.shape(1)?.get(1..)?);
        let products = match proto.op_type.as_str() {
            "Conv" => output()?.checked_mul(kernel()?)?,
            "ConvTranspose" => count(node.shape(0)?)?.checked_mul(kernel()?)?,
            "MatMul" => output()?.checked_mul(size(node.shape(0)?.last()?)?)?,
            "Gemm" => {
                let inner = usize::from(!node.flag("transA"));
                output()?.checked_mul(size(node.shape(0)?.get(inner)?)?)?
            }
            _ => 0,
        };
        sum.checked_add(products)
    })
}
