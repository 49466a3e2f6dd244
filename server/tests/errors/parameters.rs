use serde_json::json;

use crate::check;
use crate::support::{Server, base64, left};

#[tokio::test]
async fn an_image_under_another_name_or_a_file_name_in_its_place_is_told_where_images_go() {
    let server = Server::start().await;
    let multipart = |disposition: &str, content: &str| {
        server
            .post("/predict?model=halves")
            .header("content-type", "multipart/form-data; boundary=x")
            .body(format!(
                "--x\r\ncontent-disposition: form-data; {disposition}\r\n\r\n{content}\r\n--x--\r\n"
            ))
    };
    let member = |name: &str| {
        server
            .post("/predict?model=halves")
            .json(&json!({ name: base64(&left(40)) }))
    };
    let text = |body: &'static str| server.post("/predict?model=halves").body(body);
    check(
        &server,
        vec![
            (
                multipart("name=\"file\"; filename=\"seven.png\"", "\u{89}PNG"),
                422,
                "unknown_field",
                Some("file"),
                vec!["`file`", "`image`", "-F image=@"],
            ),
            (
                multipart("name=\"model\"; filename=\"seven.png\"", "\u{89}PNG"),
                422,
                "unknown_field",
                Some("model"),
                vec!["`model`", "`image`"],
            ),
            (
                multipart("name=\"images\"", "seven.png"),
                422,
                "unknown_field",
                Some("images"),
                vec!["`images`", "`image`"],
            ),
            (
                member("img"),
                422,
                "unknown_field",
                Some("img"),
                vec!["`img`", "`image`"],
            ),
            (
                multipart("name=\"image\"", "a folder/seven.png"),
                400,
                "not_an_image",
                Some("image"),
                vec!["`a folder/seven.png`", "`@`"],
            ),
            (
                text("seven.png"),
                400,
                "not_an_image",
                Some("image"),
                vec!["`seven.png`", "--data-binary @"],
            ),
        ],
    )
    .await;
}

#[tokio::test]
async fn bad_parameters() {
    let server = Server::start().await;
    let attack = |query: &str| {
        server
            .post(&format!("/attack?model=halves&{query}"))
            .body(left(40))
    };
    check(
        &server,
        vec![
            (
                attack("eps=-0.1"),
                422,
                "invalid_value",
                Some("eps"),
                vec!["-0.1", "number"],
            ),
            (
                attack("eps=NaN"),
                422,
                "invalid_value",
                Some("eps"),
                vec!["NaN", "number"],
            ),
            (
                attack("eps=300/255"),
                422,
                "invalid_value",
                Some("eps"),
                vec!["300/255", "limit of 1"],
            ),
            (
                attack("steps=0"),
                422,
                "invalid_value",
                Some("steps"),
                vec!["0", "1000"],
            ),
            (
                attack("steps=1000000000"),
                422,
                "invalid_value",
                Some("steps"),
                vec!["1000000000", "1000"],
            ),
            (
                attack("steps=99999999999999999999999"),
                422,
                "invalid_value",
                Some("steps"),
                vec![],
            ),
            (
                attack("restarts=51"),
                422,
                "invalid_value",
                Some("restarts"),
                vec!["51", "50"],
            ),
            (
                attack("steps=1000&restarts=50"),
                422,
                "too_expensive",
                None,
                vec!["50050", "20000"],
            ),
            (
                attack("step_size=0"),
                422,
                "invalid_value",
                Some("step_size"),
                vec!["0"],
            ),
            (
                attack("attack=magic"),
                422,
                "invalid_value",
                Some("attack"),
                vec!["magic", "pgd"],
            ),
            (
                attack("attack=fgsm&steps=9"),
                422,
                "invalid_value",
                Some("steps"),
                vec!["9", "fgsm"],
            ),
            (
                attack("norm=l7"),
                422,
                "invalid_value",
                Some("norm"),
                vec!["l7", "linf"],
            ),
            (
                attack("objective=luck"),
                422,
                "invalid_value",
                Some("objective"),
                vec!["luck", "margin"],
            ),
            (
                attack("target=3"),
                422,
                "invalid_value",
                Some("target"),
                vec!["3", "0 to 2"],
            ),
            (
                attack("target=up"),
                422,
                "invalid_value",
                Some("target"),
                vec!["up", "left"],
            ),
            (
                attack("target=left&label=left"),
                422,
                "invalid_value",
                None,
                vec!["target 0", "another class"],
            ),
            (
                attack("label=-1"),
                422,
                "invalid_value",
                Some("label"),
                vec!["-1", "0 to 2"],
            ),
            (
                attack("seed=x"),
                422,
                "invalid_value",
                Some("seed"),
                vec!["x"],
            ),
            (
                attack("return=video"),
                422,
                "invalid_value",
                Some("return"),
                vec!["video", "image"],
            ),
            (
                attack("epsilon=0.1"),
                422,
                "unknown_field",
                Some("epsilon"),
                vec!["`eps`", "`step_size`"],
            ),
            (
                attack("steps=3&steps=4"),
                422,
                "conflicting_field",
                Some("steps"),
                vec!["3", "4"],
            ),
            (
                server
                    .post("/attack?steps=3")
                    .json(&json!({ "image": base64(&left(1)), "steps": 4 })),
                422,
                "conflicting_field",
                Some("steps"),
                vec!["3", "4"],
            ),
            (
                server.post("/predict?steps=3").body(left(1)),
                422,
                "unknown_field",
                Some("steps"),
                vec!["`model`"],
            ),
        ],
    )
    .await;
    server.stop().await;
}
