use super::*;

#[test]
fn every_built_in_recipe_is_valid_and_named_as_it_is_found() {
    for name in Recipe::built_in() {
        assert_eq!(Recipe::find(name).unwrap().name, name);
    }
}

#[test]
fn every_recipe_file_is_built_in() {
    let dir = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("recipes");
    let files = std::fs::read_dir(dir).unwrap().count();
    assert_eq!(files, Recipe::built_in().count());
}

#[test]
fn an_unknown_key_is_named() {
    let text = include_str!("../../recipes/digits-he.toml").replace("batch_size", "batchsize");
    let error = Recipe::parse(&text, "mine").unwrap_err().to_string();
    assert!(
        error.contains("batchsize") && error.contains("batch_size"),
        "{error}"
    );
}

#[test]
fn values_out_of_range_are_named_with_their_limit() {
    for (from, to, expected) in [
        ("epochs = ", "epochs = 0 # ", "training.epochs is 0"),
        ("margin = ", "margin = 7.0 # ", "head.margin is 7"),
        (
            "\neps = ",
            "\neps = 3.0 # ",
            "adversary.eps is 3, at most 1",
        ),
        ("norm = ", "norm = \"l1\" # ", "adversary.norm is l1"),
    ] {
        let text = include_str!("../../recipes/digits-he.toml").replace(from, to);
        let error = Recipe::parse(&text, "mine").unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
}

#[test]
fn an_adversarial_framework_without_adversary_is_refused() {
    let text = include_str!("../../recipes/digits-plain.toml").replace("\"plain\"", "\"pgd-at\"");
    let error = Recipe::parse(&text, "mine").unwrap_err().to_string();
    assert!(error.contains("[adversary]"), "{error}");
}
