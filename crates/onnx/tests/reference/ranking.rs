use super::{Call, tensor::Tensor};

pub fn run(call: &Call<'_>, operator: &str) -> Option<Vec<Tensor>> {
    (operator == "TopK").then(|| top_k(call))
}

/// The largest along the last axis, in descending order; of equals the first.
fn top_k(call: &Call<'_>) -> Vec<Tensor> {
    let (x, count) = (call.x(), call.input(1).data[0] as usize);
    let axis = call.axis("axis", -1);
    assert_eq!((axis, call.int("largest", 1)), (x.dims.len() - 1, 1));
    let mut dims = x.dims.clone();
    dims[axis] = count;
    let (mut values, mut indices) = (vec![], vec![]);
    for row in x.data.chunks(x.dims[axis]) {
        let mut order: Vec<usize> = (0..row.len()).collect();
        order.sort_by(|&a, &b| row[b].total_cmp(&row[a]).then(a.cmp(&b)));
        values.extend(order[..count].iter().map(|&index| row[index]));
        indices.extend(order[..count].iter().map(|&index| index as f64));
    }
    vec![Tensor::new(&dims, values), Tensor::new(&dims, indices)]
}
