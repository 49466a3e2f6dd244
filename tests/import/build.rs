//! Burn's own importer turns the exported model into Rust code with its weights.

use burn_onnx::{LoadStrategy, ModelGen};

fn main() {
    ModelGen::new()
        .input("../../models/mnist-he/1/model.onnx")
        .out_dir("model")
        .load_strategy(LoadStrategy::Embedded)
        .run_from_script();
}
