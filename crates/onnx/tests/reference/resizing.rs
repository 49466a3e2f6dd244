use super::{
    Call,
    tensor::{Tensor, indices},
};

pub fn run(call: &Call<'_>, operator: &str) -> Option<Vec<Tensor>> {
    (operator == "Resize").then(|| vec![resize(call)])
}

/// One axis of the result.
struct Axis {
    size: usize,
    resized: usize,
    scale: f64,
}

/// Modes `nearest` and `linear`, whose places beyond the edge are those at it.
fn resize(call: &Call<'_>) -> Tensor {
    let x = call.x();
    let rank = x.dims.len();
    let places = call.ints("axes").unwrap_or((0..rank as i64).collect());
    let unchanged = x.dims.iter().map(|&size| Axis {
        size,
        resized: size,
        scale: 1.0,
    });
    let mut axes: Vec<Axis> = unchanged.collect();
    let (scales, sizes) = (call.optional(2), call.optional(3));
    assert!(scales.is_none() != sizes.is_none(), "one or the other");
    for (i, place) in places.into_iter().enumerate() {
        let axis = &mut axes[place.rem_euclid(rank as i64) as usize];
        if let Some(scales) = scales {
            axis.scale = scales.data[i];
            axis.resized = (axis.size as f64 * axis.scale).floor() as usize;
        } else if let Some(sizes) = sizes {
            axis.resized = sizes.data[i] as usize;
            axis.scale = axis.resized as f64 / axis.size as f64;
        }
    }
    let mode = call.string("mode").unwrap_or("nearest".into());
    let coordinates = call.string("coordinate_transformation_mode");
    let rounding = call.string("nearest_mode");
    let dims: Vec<usize> = axes.iter().map(|axis| axis.resized).collect();
    Tensor::build(&dims, |index| {
        // Each axis takes from one or two places.
        let places = index.iter().zip(&axes);
        let places: Vec<[(usize, f64); 2]> = places
            .map(|(&i, axis)| {
                let i = i as f64;
                let at = match coordinates.as_deref().unwrap_or("half_pixel") {
                    "half_pixel" => (i + 0.5) / axis.scale - 0.5,
                    "asymmetric" => i / axis.scale,
                    "align_corners" if axis.resized == 1 => 0.0,
                    "align_corners" => i * (axis.size - 1) as f64 / (axis.resized - 1) as f64,
                    other => panic!("no form of {other}"),
                };
                let inside = |place: f64| place.clamp(0.0, axis.size as f64 - 1.0) as usize;
                match (
                    mode.as_str(),
                    rounding.as_deref().unwrap_or("round_prefer_floor"),
                ) {
                    ("linear", _) => {
                        let (low, part) = (at.floor(), at - at.floor());
                        [(inside(low), 1.0 - part), (inside(low + 1.0), part)]
                    }
                    ("nearest", "floor") => [(inside(at.floor()), 1.0), (0, 0.0)],
                    ("nearest", "ceil") => [(inside(at.ceil()), 1.0), (0, 0.0)],
                    ("nearest", "round_prefer_floor") => {
                        [(inside((at - 0.5).ceil()), 1.0), (0, 0.0)]
                    }
                    ("nearest", "round_prefer_ceil") => {
                        [(inside((at + 0.5).floor()), 1.0), (0, 0.0)]
                    }
                    other => panic!("no form of {other:?}"),
                }
            })
            .collect();
        let corners = indices(&vec![2; places.len()]);
        let corners = corners.iter().map(|corner| {
            let picked = corner.iter().zip(&places).map(|(&c, axis)| axis[c]);
            let (index, weights): (Vec<usize>, Vec<f64>) = picked.unzip();
            x.at(&index) * weights.iter().product::<f64>()
        });
        corners.sum()
    })
}
