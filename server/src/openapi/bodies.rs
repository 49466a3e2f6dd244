//! The bodies of the routes that take images: they are read in one place, so their documents are made in one.
use utoipa::openapi::{
    Array, Content, ContentBuilder, ObjectBuilder, OpenApi, RefOr, Required, Schema,
    path::{Operation, Parameter},
    request_body::{RequestBody, RequestBodyBuilder},
    schema::{AnyOfBuilder, ArrayBuilder, Type},
};

/// Gives every `POST` that takes an image its body, whose members are the parameters of its query and the images.
pub(super) fn add(document: &mut OpenApi, routes: &[&str]) {
    for route in routes {
        let item = document.paths.paths.get_mut(*route);
        if let Some(operation) = item.and_then(|item| item.post.as_mut()) {
            operation.request_body = Some(body(operation).into());
        }
    }
}

fn body(operation: &Operation) -> RequestBody {
    let binary = || text().content_media_type("application/octet-stream");
    let form = members(operation)
        .property("image", Array::new(binary()))
        .required("image");
    let base64 = || {
        text()
            .content_encoding("base64")
            .description(Some("An image file, or a data URI of one."))
    };
    let one = members(operation)
        .property("image", base64())
        .required("image");
    let several = members(operation)
        .property(
            "images",
            ArrayBuilder::new().items(base64()).min_items(Some(1)),
        )
        .required("images");
    let json = Schema::AnyOf(AnyOfBuilder::new().item(one).item(several).build());
    RequestBodyBuilder::new()
        .description(Some(
            "PNG, JPEG, WebP, BMP or GIF, told by content: one as the body itself, or several as multipart fields `image` or in JSON.",
        ))
        .content("image/*", content(binary()))
        .content("multipart/form-data", content(form))
        .content("application/json", content(json))
        .required(Some(Required::True))
        .build()
}

fn text() -> ObjectBuilder {
    ObjectBuilder::new().schema_type(Type::String)
}

fn content(schema: impl Into<RefOr<Schema>>) -> Content {
    ContentBuilder::new().schema(Some(schema)).build()
}

/// The parameters as members of an object.
fn members(operation: &Operation) -> ObjectBuilder {
    let parameters = operation.parameters.iter().flatten();
    parameters.fold(ObjectBuilder::new(), |object, parameter| match parameter {
        RefOr::T(Parameter {
            name,
            schema: Some(schema),
            ..
        }) => object.property(name, schema.clone()),
        _ => object,
    })
}
