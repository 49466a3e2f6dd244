#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| buckler_server::fuzzing::infer_body(bytes));
