//! A first line with the value of `Inference-Header-Content-Length` (none if it is no number), then the body of a request.
#![no_main]

use buckler_server::fuzzing::infer_body;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let end = bytes.iter().position(|&byte| byte == b'\n');
    let (line, body) = bytes.split_at(end.unwrap_or(0));
    let length = std::str::from_utf8(line).ok().and_then(|line| line.parse().ok());
    infer_body(length, body.get(1..).unwrap_or_default());
});
