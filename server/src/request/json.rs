use axum::body::Bytes;
use base64::{
    Engine, alphabet,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use serde_json::{Map, Value};

use super::Parameters;
use crate::error::ApiError;

/// The standard alphabet, padded or not.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// The images of `{"image": ..., "images": [...], parameters...}`; the parameters are added to those there are.
pub(super) fn read(body: &[u8], parameters: &mut Parameters) -> Result<Vec<Bytes>, ApiError> {
    if body.is_empty() {
        return Ok(Vec::new());
    }
    let members: Map<String, Value> =
        serde_json::from_slice(body).map_err(|error| ApiError::Json(error.to_string()))?;
    let mut images = Vec::new();
    for (name, value) in members {
        match (name.as_str(), value) {
            ("image", value) => images.push(image("image", &value)?),
            ("images", Value::Array(values)) => {
                for (index, value) in values.iter().enumerate() {
                    images.push(image(&format!("images[{index}]"), value)?);
                }
            }
            ("images", value) => {
                return Err(ApiError::Value {
                    field: name,
                    message: format!("`images` is {value}: send a list of base64 strings"),
                });
            }
            (_, value) => parameters.add(&name, value)?,
        }
    }
    Ok(images)
}

fn image(field: &str, value: &Value) -> Result<Bytes, ApiError> {
    let Value::String(text) = value else {
        return Err(ApiError::Base64 {
            field: field.to_owned(),
            reason: "it is not a string".to_owned(),
        });
    };
    let encoded = match text
        .strip_prefix("data:")
        .and_then(|uri| uri.split_once(','))
    {
        Some((_, encoded)) => encoded,
        None => text,
    };
    let compact: Vec<u8> = encoded
        .bytes()
        .filter(|byte| !byte.is_ascii_whitespace())
        .collect();
    BASE64
        .decode(compact)
        .map(Bytes::from)
        .map_err(|error| ApiError::Base64 {
            field: field.to_owned(),
            reason: error.to_string(),
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn images(json: &str) -> Result<Vec<Bytes>, ApiError> {
        read(json.as_bytes(), &mut Parameters::new(&["seed"]))
    }

    #[test]
    fn images_are_plain_base64_or_data_uris_padded_or_not() {
        for json in [
            r#"{"image": "aGVsbG8="}"#,
            r#"{"image": "aGVsbG8"}"#,
            r#"{"image": "data:image/png;base64,aGVs\nbG8="}"#,
            r#"{"images": ["aGVsbG8="], "seed": 3}"#,
        ] {
            assert_eq!(images(json).unwrap(), ["hello"], "{json}");
        }
        assert_eq!(
            images(r#"{"image": "YQ", "images": ["Yg", "Yw"]}"#).unwrap(),
            ["a", "b", "c"]
        );
        assert!(images("{}").unwrap().is_empty());
    }

    #[test]
    fn what_is_no_base64_is_named() {
        for (json, field) in [
            (r#"{"image": "*"}"#, "image"),
            (r#"{"image": 3}"#, "image"),
            (r#"{"images": ["YQ", "?"]}"#, "images[1]"),
        ] {
            let error = images(json).unwrap_err().to_string();
            assert!(error.contains(&format!("`{field}`")), "{error}");
        }
        assert!(matches!(
            images(r#"{"images": "YQ"}"#),
            Err(ApiError::Value { .. })
        ));
        assert!(matches!(images("[1]"), Err(ApiError::Json(_))));
    }
}
