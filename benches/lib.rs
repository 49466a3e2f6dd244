//! Holds the benches; run them with `cargo bench -p buckler-benches`.
