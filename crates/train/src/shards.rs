//! One batch on several devices: every device takes a part of its rows with a copy of the network, the gradients add up on
//! the first one. Batch norm sees the parts; the running statistics are those of the first device, as in PyTorch's
//! `DataParallel`.

use std::ops::Range;

use burn::module::Module;
use burn::tensor::{Device, Int, Tensor};

use crate::network::Network;

/// What one device works on.
pub(crate) struct Shard<R> {
    pub network: Network,
    /// Without autodiff.
    pub clean: Tensor<4>,
    /// The same rows as they are trained on.
    pub trained: Tensor<4>,
    pub labels: Tensor<1, Int>,
    /// Rows over those of the whole batch.
    pub share: f64,
    /// What else the work on this shard needs.
    pub rest: R,
}

/// The rows that each of `devices` takes of `count`, none empty.
pub(crate) fn rows(count: usize, devices: usize) -> Vec<Range<usize>> {
    let size = count.div_ceil(devices.max(1)).max(1);
    (0..count)
        .step_by(size)
        .map(|start| start..count.min(start + size))
        .collect()
}

/// Cuts a batch up. `rest` is called for one shard after the other.
pub(crate) fn cut<R>(
    devices: &[Device],
    network: &Network,
    clean: &Tensor<4>,
    trained: &Tensor<4>,
    labels: &Tensor<1, Int>,
    mut rest: impl FnMut(usize) -> R,
) -> Vec<Shard<R>> {
    let count = labels.dims()[0];
    rows(count, devices.len())
        .into_iter()
        .zip(devices)
        .enumerate()
        .map(|(i, (rows, device))| Shard {
            // The first one is the network itself, whose running statistics move; `valid` makes new ones for the others.
            network: match i {
                0 => network.clone(),
                _ => network.valid().train().fork(device),
            },
            clean: clean.clone().slice([rows.clone()]).to_device(device),
            trained: trained.clone().slice([rows.clone()]).to_device(device),
            labels: labels.clone().slice([rows.clone()]).to_device(device),
            share: rows.len() as f64 / count as f64,
            rest: rest(i),
        })
        .collect()
}

/// Runs `work` on all shards, each on a thread of its own, and returns the results in their order.
pub(crate) fn each<R: Send, T: Send>(
    mut shards: Vec<Shard<R>>,
    work: impl Fn(Shard<R>) -> T + Sync,
) -> Vec<T> {
    if shards.len() == 1 {
        return shards.drain(..).map(work).collect();
    }
    let work = &work;
    std::thread::scope(|scope| {
        let threads: Vec<_> = shards
            .into_iter()
            .map(|shard| scope.spawn(move || work(shard)))
            .collect();
        threads
            .into_iter()
            .map(|thread| match thread.join() {
                Ok(result) => result,
                Err(panic) => std::panic::resume_unwind(panic),
            })
            .collect()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_is_in_one_part_and_no_part_is_empty() {
        for count in 0..20 {
            for devices in 1..6 {
                let parts = rows(count, devices);
                assert!(parts.len() <= devices && parts.iter().all(|part| !part.is_empty()));
                assert!(parts.into_iter().flatten().eq(0..count));
            }
        }
    }
}
