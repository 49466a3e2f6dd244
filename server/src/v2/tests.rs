//! Bodies as they are read and written: round trips, and the words for what is wrong.
use std::borrow::Cow;

use half::{bf16, f16};
use proptest::prelude::*;

use super::{
    datatype::Datatype,
    error::ProtocolError,
    request::{InferRequest, Inputs},
    round_trip::{LIMIT, written},
    tensor::Tensor,
};

fn element(datatype: Datatype) -> BoxedStrategy<Vec<u8>> {
    use prop::num;
    macro_rules! le {
        ($strategy:expr) => {
            $strategy
                .prop_map(|value| value.to_le_bytes().to_vec())
                .boxed()
        };
    }
    match datatype {
        Datatype::Bool => le!(0u8..2),
        Datatype::Uint8 => le!(any::<u8>()),
        Datatype::Uint16 => le!(any::<u16>()),
        Datatype::Uint32 => le!(any::<u32>()),
        Datatype::Uint64 => le!(any::<u64>()),
        Datatype::Int8 => le!(any::<i8>()),
        Datatype::Int16 => le!(any::<i16>()),
        Datatype::Int32 => le!(any::<i32>()),
        Datatype::Int64 => le!(any::<i64>()),
        Datatype::Fp16 => le!(any::<u16>().prop_map(f16::from_bits)),
        Datatype::Bf16 => le!(any::<u16>().prop_map(bf16::from_bits)),
        Datatype::Fp32 => le!(num::f32::NORMAL | num::f32::SUBNORMAL | num::f32::ZERO),
        Datatype::Fp64 => le!(num::f64::NORMAL | num::f64::SUBNORMAL | num::f64::ZERO),
        Datatype::Bytes => any::<String>()
            .prop_map(|text| {
                let length = u32::try_from(text.len()).unwrap();
                [&length.to_le_bytes(), text.as_bytes()].concat()
            })
            .boxed(),
    }
}

fn tensor(datatype: Datatype) -> impl Strategy<Value = Tensor<'static>> {
    let shape = prop::collection::vec(0usize..4, 0..4);
    (any::<String>(), shape).prop_flat_map(move |(name, shape)| {
        let count: usize = shape.iter().product();
        prop::collection::vec(element(datatype), count).prop_map(move |elements| Tensor {
            name: Cow::Owned(name.clone()),
            datatype,
            shape: shape.clone(),
            data: elements.concat().into(),
        })
    })
}

fn tensors() -> impl Strategy<Value = Vec<Tensor<'static>>> {
    let one = prop::sample::select(&Datatype::ALL[..]).prop_flat_map(tensor);
    prop::collection::vec(one, 0..4)
}

/// The list of a tensor's elements, nested as its shape.
fn nested(flat: &[serde_json::Value], shape: &[usize]) -> serde_json::Value {
    match shape {
        [] | [_] => flat.into(),
        [count, rest @ ..] => {
            let size: usize = rest.iter().product();
            let part = |index: usize| nested(&flat[index * size..(index + 1) * size], rest);
            (0..*count).map(part).collect()
        }
    }
}

proptest! {
    #[test]
    fn json_and_binary_say_the_same_of_all_datatypes(tensors in tensors()) {
        for binary in [true, false] {
            let with_json = tensors.iter().all(|tensor| tensor.datatype.has_json());
            match written(&tensors, binary) {
                Ok((json_length, body)) => {
                    prop_assert!(binary || with_json);
                    let request = InferRequest::decode(json_length, &body, LIMIT).unwrap();
                    prop_assert_eq!(request.inputs, Inputs::Named(tensors.clone()));
                }
                Err(error) => {
                    prop_assert!(!binary && !with_json);
                    prop_assert!(matches!(error, ProtocolError::NotJson(_)));
                }
            }
        }
    }

    #[test]
    fn nested_lists_say_the_same_as_flat_ones(
        tensor in prop::sample::select(vec![Datatype::Fp32, Datatype::Int64, Datatype::Bytes]).prop_flat_map(tensor),
    ) {
        let (_, body) = written(std::slice::from_ref(&tensor), false).unwrap();
        let mut request: serde_json::Value = serde_json::from_slice(&body).unwrap();
        let data = &mut request["inputs"][0]["data"];
        *data = nested(data.as_array().unwrap(), &tensor.shape);
        let body = request.to_string();
        let again = InferRequest::decode(None, body.as_bytes(), LIMIT).unwrap();
        prop_assert_eq!(again.inputs, Inputs::Named(vec![tensor]));
    }

    #[test]
    fn a_request_that_is_cut_or_altered_is_an_error_or_another_request(
        tensors in tensors(),
        binary in any::<bool>(),
        cut in any::<prop::sample::Index>(),
        place in any::<prop::sample::Index>(),
        byte in any::<u8>(),
    ) {
        if let Ok((json_length, mut body)) = written(&tensors, binary) {
            let shorter = &body[..cut.index(body.len())];
            prop_assert!(InferRequest::decode(json_length, shorter, LIMIT).is_err());
            let place = place.index(body.len());
            body[place] = byte;
            super::round_trip(json_length, &body);
        }
    }
}

#[test]
fn what_json_cannot_say_is_refused_with_the_element() {
    let tensor = |datatype, data: Vec<u8>| Tensor {
        name: "x".into(),
        datatype,
        shape: vec![2],
        data: data.into(),
    };
    let floats = [1.0f32, f32::NAN].map(f32::to_le_bytes).concat();
    let doubles = [1.0, f64::NEG_INFINITY].map(f64::to_le_bytes).concat();
    for (tensor, part) in [
        (tensor(Datatype::Fp32, floats), "element 1 is NaN"),
        (tensor(Datatype::Fp64, doubles), "element 1 is -inf"),
        (tensor(Datatype::Fp16, vec![0; 4]), "FP16"),
        (
            tensor(Datatype::Bytes, b"\0\0\0\0\x01\0\0\0\xff".to_vec()),
            "element 1 is no UTF-8",
        ),
    ] {
        let error = written(&[tensor], false).unwrap_err().to_string();
        assert!(error.contains(part), "{error}");
    }
}

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
    let request = InferRequest::decode(None, body, LIMIT).unwrap();
    assert_eq!(request.id.as_deref(), Some("7"));
    assert_eq!((request.timeout, request.binary), (Some(5), true));
    let outputs: Vec<_> = request
        .outputs
        .iter()
        .map(|output| (&*output.name, output.binary, output.classes))
        .collect();
    assert_eq!(outputs, [("y", Some(false), Some(3)), ("z", None, None)]);
}
