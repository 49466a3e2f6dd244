//! Examples of answers, as a server gave them; a test asks again whether it still does.
use utoipa::openapi::{
    OpenApi, RefOr,
    example::{Example, ExampleBuilder},
};

/// Route, method, status, name, and the answer.
type Given = (
    &'static str,
    &'static str,
    &'static str,
    &'static str,
    &'static str,
);

macro_rules! given {
    ($($route:literal $method:literal $status:literal $name:literal;)*) => {
        [$(($route, $method, $status, $name, include_str!(concat!("examples/", $name, ".json")))),*]
    };
}

const EXAMPLES: [Given; 22] = given! {
    "/predict" "post" "200" "predict";
    "/predict" "post" "404" "predict-unknown-model";
    "/predict" "post" "422" "predict-unknown-field";
    "/attack" "post" "200" "attack-found";
    "/attack" "post" "200" "attack-not-found";
    "/attack" "post" "200" "attack-radii";
    "/attack" "post" "200" "attack-smallest";
    "/attack" "post" "400" "attack-no-image";
    "/attack" "post" "406" "attack-no-picture";
    "/attack" "post" "422" "attack-invalid-value";
    "/certify" "post" "200" "certify";
    "/models" "get" "200" "models";
    "/attacks" "get" "200" "attacks";
    "/health" "get" "200" "health";
    "/v2" "get" "200" "v2-server";
    "/v2/models/{model}" "get" "200" "v2-model";
    "/v2/models/{model}/config" "get" "200" "v2-config";
    "/v2/models/{model}/versions/{version}/ready" "get" "404" "v2-unknown-version";
    "/v2/models/{model}/infer" "post" "200" "v2-infer";
    "/v2/models/{model}/infer" "post" "200" "v2-infer-classes";
    "/v2/models/{model}/infer" "post" "400" "v2-infer-wrong-shape";
    "/v2/repository/models/{model}/load" "post" "200" "v2-load";
};

pub(super) fn add(document: &mut OpenApi) {
    for (route, method, status, name, text) in EXAMPLES {
        let item = document.paths.paths.get_mut(route);
        let operation = item.and_then(|item| match method {
            "get" => item.get.as_mut(),
            _ => item.post.as_mut(),
        });
        let response =
            operation.and_then(|operation| operation.responses.responses.get_mut(status));
        let Some(RefOr::T(response)) = response else {
            continue;
        };
        if let Some(RefOr::T(content)) = response.content.get_mut("application/json") {
            content.examples.insert(name.to_owned(), example(text));
        }
    }
}

fn example(text: &str) -> RefOr<Example> {
    let value = serde_json::from_str(text).unwrap_or_default();
    ExampleBuilder::new().value(Some(value)).build().into()
}
