//! Encoded models that are damaged.

use proptest::prelude::*;

use crate::{reference::cases, seeds, survive::survive};

/// A network with most of what files hold, to be damaged.
fn real() -> Vec<u8> {
    seeds::whole().to_bytes()
}

proptest! {
    #![proptest_config(cases(3000))]

    #[test]
    fn flipped_bits_are_an_error_or_a_model(flips in prop::collection::vec((any::<prop::sample::Index>(), 0..8u8), 1..9)) {
        let mut bytes = real();
        for (place, bit) in flips {
            let place = place.index(bytes.len());
            bytes[place] ^= 1 << bit;
        }
        survive(&bytes);
    }

    #[test]
    fn parts_cut_out_doubled_or_moved_are_an_error_or_a_model(
        from in any::<prop::sample::Index>(), length in 1..200usize, to in any::<prop::sample::Index>(), keep: bool,
    ) {
        let mut bytes = real();
        let from = from.index(bytes.len());
        let part = bytes[from..(from + length).min(bytes.len())].to_vec();
        if !keep {
            bytes.drain(from..from + part.len());
        }
        let to = to.index(bytes.len());
        bytes.splice(to..to, part);
        survive(&bytes);
    }

    #[test]
    fn any_bytes_are_an_error_or_a_model(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        survive(&bytes);
    }
}

#[test]
fn the_seeds_of_the_fuzzer_are_errors_or_models() {
    let directory = seeds::directory();
    let mut total = 0;
    for entry in std::fs::read_dir(&directory).unwrap() {
        let bytes = std::fs::read(entry.unwrap().path()).unwrap();
        total += bytes.len();
        survive(&bytes);
    }
    assert!(
        (1..300_000).contains(&total),
        "{total} bytes in {}",
        directory.display()
    );
}

/// `cargo test -p buckler-onnx --test hostile -- --ignored`
#[test]
#[ignore = "writes the seeds of the fuzzer"]
fn write_the_seeds_of_the_fuzzer() {
    for (name, bytes) in seeds::all() {
        std::fs::write(seeds::directory().join(name), bytes).unwrap();
    }
}
