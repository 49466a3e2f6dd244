//! `models/mnist-he/1`, as burn-onnx (the successor of burn-import) brings it back into Burn.

include!(concat!(env!("OUT_DIR"), "/model/model.rs"));
