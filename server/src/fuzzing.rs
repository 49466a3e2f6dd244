//! The doors of `server/fuzz`.

/// Reads the body of an inference request, whose first `json_length` bytes are the JSON. Panics if what was understood is not
/// the same when it is written and read again.
pub fn infer_body(json_length: Option<usize>, body: &[u8]) {
    crate::v2::round_trip(json_length, body);
}
