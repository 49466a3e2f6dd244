use std::borrow::Cow;

use half::{bf16, f16};
use proptest::prelude::*;

use super::*;
use crate::v2::datatype::Datatype;

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
            round_trip(json_length, &body);
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
