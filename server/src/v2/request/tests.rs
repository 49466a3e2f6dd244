//! The words for requests that are refused.
use super::*;

/// The words for a body that is refused.
fn refusal(json_length: Option<usize>, body: &[u8]) -> String {
    InferRequest::decode(json_length, body, 1000)
        .unwrap_err()
        .to_string()
}

#[test]
fn every_malformed_request_is_told_what_is_wrong_with_it() {
    let input = |rest: &str| format!(r#"{{"inputs":[{{"name":"x",{rest}}}]}}"#);
    let request = |shape: &str, datatype: &str, data: &str| {
        input(&format!(
            r#""shape":{shape},"datatype":"{datatype}","data":{data}"#
        ))
    };
    for (body, words) in [
        (
            request("[2]", "FP32", "[1]"),
            "tensor `x`: `data` has 1 elements, but the shape [2] has 2",
        ),
        (
            request("[2]", "FP32", "[1,2,3,4]"),
            "tensor `x`: `data` has more than the 2 elements of the shape [2]",
        ),
        (
            request("[1,2]", "FP32", "[[1],[2]]"),
            "tensor `x`: `data` is nested otherwise than the shape [1, 2]: send it flat, or nested as the shape says",
        ),
        (
            request("[2]", "FP32", "[1,\"a\"]"),
            "tensor `x`: element 1 is \"a\", which is no FP32",
        ),
        (
            request("[1]", "FP32", "3"),
            "tensor `x`: `data` is no list: send [...]",
        ),
        (
            request("[1]", "FP16", "[1]"),
            "tensor `x`: FP16 has no form in JSON: send binary data",
        ),
        (
            request("[1]", "FLOAT", "[1]"),
            "tensor `x`: datatype `FLOAT` is not known: use BOOL, UINT8 to UINT64, INT8 to INT64, FP16, BF16, FP32, FP64 or BYTES",
        ),
        (
            request("[-1,2]", "FP32", "[1,2]"),
            "tensor `x`: shape [-1, 2] has a negative size: send the true one",
        ),
        (
            request("[4294967296,4294967296,4294967296]", "FP32", "[]"),
            "tensor `x`: shape [4294967296, 4294967296, 4294967296] of FP32 is more than the 1000 bytes allowed: send fewer rows",
        ),
        (
            request("[9223372036854775807,0]", "FP32", "[]"),
            "tensor `x`: shape [9223372036854775807, 0] of FP32 is more than the 1000 bytes allowed: send fewer rows",
        ),
        (
            request("[251]", "FP32", "[]"),
            "tensor `x`: shape [251] of FP32 is more than the 1000 bytes allowed: send fewer rows",
        ),
        (
            input(r#""shape":[1],"datatype":"FP32""#),
            "tensor `x`: it has no data: send `data`, or binary data and `binary_data_size`",
        ),
        (
            input(
                r#""shape":[1],"datatype":"FP32","data":[1],"parameters":{"binary_data_size":4}"#,
            ),
            "tensor `x`: it has both `data` and `binary_data_size`: send one of them",
        ),
        (
            input(r#""shape":[1],"datatype":"FP32","parameters":{"binary_data_size":4}"#),
            "tensor `x`: `binary_data_size` is 4, but only 0 bytes are left in the body: send the tensor behind the JSON, and the \
             JSON's length as `Inference-Header-Content-Length`",
        ),
        (
            input(r#""shape":[1],"datatype":"FP32","parameters":{"shared_memory_region":"r"}"#),
            "`x` is to be in shared memory, which is not supported: send and take binary data",
        ),
        (
            r#"{"inputs":[],"outputs":[{"name":"y","parameters":{"shared_memory_region":"r"}}]}"#
                .to_owned(),
            "`y` is to be in shared memory, which is not supported: send and take binary data",
        ),
        (
            format!("{}{}", "[".repeat(65), "]".repeat(65)),
            "the JSON is nested deeper than 64 levels: send tensors flat",
        ),
    ] {
        assert_eq!(refusal(None, body.as_bytes()), words, "{body}");
    }
}

#[test]
fn json_that_is_no_request_is_told_with_its_place() {
    let tensor = r#"{"name":"x","shape":[],"datatype":"BOOL","data":[true]},"#;
    let many = format!(
        r#"{{"inputs":[{}]}}"#,
        tensor.repeat(65).trim_end_matches(',')
    );
    let axes = format!(
        r#"{{"inputs":[{{"name":"x","shape":[{}1]}}]}}"#,
        "1,".repeat(32)
    );
    for (body, words) in [
        ("", "EOF while parsing a value at line 1 column 0"),
        ("{", "EOF while parsing an object at line 1 column 1"),
        (
            "[]",
            "invalid type: sequence, expected an object at line 1 column 0",
        ),
        (
            "3",
            "invalid type: integer `3`, expected an object at line 1 column 1",
        ),
        ("{}", "missing field `inputs` at line 1 column 2"),
        (
            r#"{"inputs":[{"name":"x","datatype":"FP32","data":[1]}]}"#,
            "missing field `shape` at line 1 column 52",
        ),
        (
            r#"{"inputs":[{"name":"x","shape":[1.5]}]}"#,
            "invalid type: floating point `1.5`, expected i64 at line 1 column 35",
        ),
        (
            r#"{"inputs":[{"name":"x","shape":[1],"datatype":"FP32","data":[NaN]}]}"#,
            "expected value at line 1 column 62",
        ),
        (
            r#"{"id":7,"inputs":[]}"#,
            "invalid type: integer `7`, expected a string at line 1 column 7",
        ),
        (
            r#"{"inputs":[],"inputs":[]}"#,
            "duplicate field `inputs` at line 1 column 21",
        ),
        (
            r#"{"inputs":[],"parameters":{"timeout":-1}}"#,
            "invalid value: integer `-1`, expected u64 at line 1 column 39",
        ),
        (
            r#"{"inputs":[]} x"#,
            "trailing characters at line 1 column 15",
        ),
        (
            &many,
            "invalid length 65, expected a list of at most 64 elements at line 1 column 3651",
        ),
        (
            &axes,
            "invalid length 33, expected a list of at most 32 elements at line 1 column 98",
        ),
    ] {
        let expected = ProtocolError::Json(words.to_owned()).to_string();
        assert_eq!(refusal(None, body.as_bytes()), expected, "{body}");
    }
}

#[test]
fn binary_data_of_another_size_is_told_with_both() {
    let request = |shape: &str, datatype: &str, size: usize| {
        format!(
            r#"{{"inputs":[{{"name":"x","shape":{shape},"datatype":"{datatype}","parameters":{{"binary_data_size":{size}}}}}]}}"#
        )
    };
    for (json, binary, words) in [
        (
            request("[2]", "FP32", 7),
            &[0; 7][..],
            "tensor `x`: `binary_data_size` is 7, but FP32 of shape [2] has 8 bytes",
        ),
        (
            request("[2]", "FP32", 8),
            &[0; 7],
            "tensor `x`: `binary_data_size` is 8, but only 7 bytes are left in the body: send the tensor behind the JSON, and the \
             JSON's length as `Inference-Header-Content-Length`",
        ),
        (
            request("[2]", "FP32", 8),
            &[0; 9],
            "1 bytes follow the last tensor: let `binary_data_size` be the size of each tensor",
        ),
        (
            request("[2]", "BOOL", 2),
            &[1, 2],
            "tensor `x`: element 1 of BOOL is the byte 2: send 0 or 1",
        ),
        (
            request("[2]", "BYTES", 6),
            b"\x02\0\0\0ab",
            "tensor `x`: its bytes are no 2 elements, each a 32-bit little-endian length and the bytes: element 1 is not",
        ),
        (
            request("[1]", "BYTES", 7),
            b"\x04\0\0\0abc",
            "tensor `x`: its bytes are no 1 elements, each a 32-bit little-endian length and the bytes: element 0 is not",
        ),
        (
            request("[1]", "BYTES", 5),
            b"\0\0\0\0\0",
            "tensor `x`: its bytes are no 1 elements, each a 32-bit little-endian length and the bytes: element 1 is not",
        ),
    ] {
        let body = [json.as_bytes(), binary].concat();
        assert_eq!(refusal(Some(json.len()), &body), words, "{json}");
    }
    assert_eq!(
        refusal(Some(9), b"{}"),
        "`Inference-Header-Content-Length` is 9, but the body has only 2 bytes: send the length of the JSON before compression"
    );
}

#[test]
fn parameters_and_members_that_mean_nothing_here_are_passed_over() {
    let body = br#"{"id":"7","model_name":"m","parameters":{"priority":3,"sequence_id":"a","timeout":5,"binary_data_output":true,"x":{}},
        "inputs":[],"outputs":[{"name":"y","parameters":{"binary_data":false,"classification":3,"y":[]}},{"name":"z"}]}"#;
    let request = InferRequest::decode(None, body, 1000).unwrap();
    assert_eq!(request.id.as_deref(), Some("7"));
    assert_eq!((request.timeout, request.binary), (Some(5), true));
    let outputs: Vec<_> = request
        .outputs
        .iter()
        .map(|output| (&*output.name, output.binary, output.classes))
        .collect();
    assert_eq!(outputs, [("y", Some(false), Some(3)), ("z", None, None)]);
}
