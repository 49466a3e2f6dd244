//! What an input gradient costs beside a forward pass, on the model that is served by default.
//!
//! `cargo bench -p buckler-benches --bench gradient`; the ratio `gradient / forward` at one batch size is the figure to
//! watch: the arithmetic of one forward and one backward pass to the input is about twice that of a forward pass.
#![allow(missing_docs, clippy::unwrap_used)]

use std::path::Path;

use buckler_attack::{Objective, Victim};
use buckler_runtime::{Classifier, LoadOptions};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use ndarray::Array4;
use tokio::runtime::Runtime;

fn gradient(criterion: &mut Criterion) {
    let model = Path::new(env!("CARGO_MANIFEST_DIR")).join("../models/mnist-he/1/model.onnx");
    let classifier = Classifier::load(&model, &LoadOptions::default()).unwrap();
    let runtime = Runtime::new().unwrap();
    let mut group = criterion.benchmark_group("mnist-he");
    for batch in [1, 4, 16] {
        let images = Array4::from_shape_fn((batch, 1, 28, 28), |(n, _, y, x)| {
            ((n * 31 + y * 7 + x * 3) % 17) as f32 / 16.0
        });
        let objectives = vec![Objective::CrossEntropy { label: 0 }; batch];
        group.throughput(Throughput::Elements(batch as u64));
        group.bench_with_input(
            BenchmarkId::new("forward", batch),
            &images,
            |bencher, images| {
                bencher.iter(|| runtime.block_on(classifier.logits(images.clone())).unwrap());
            },
        );
        group.bench_with_input(
            BenchmarkId::new("gradient", batch),
            &images,
            |bencher, images| {
                bencher.iter(|| {
                    let query = classifier.gradient(images.clone(), objectives.clone());
                    runtime.block_on(query).unwrap()
                });
            },
        );
    }
    group.finish();
}

criterion_group!(benches, gradient);
criterion_main!(benches);
