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
fn keys_that_the_chosen_kind_does_not_have_are_refused() {
    for (recipe, key, value) in [
        ("cifar10-pgd-at", "framework.beta", "3"),
        ("digits-plain", "framework.replays", "4"),
        ("cifar10-fast-at", "framework.beta", "3"),
        ("cifar10-fast-at", "head.scale", "10"),
        ("cifar10-fast-at", "network.width", "10"),
        ("cifar10-fast-at", "schedule.milestones", "[3]"),
    ] {
        let recipe = Recipe::find(recipe).unwrap();
        let error = recipe.with(key, value).unwrap_err().to_string();
        let name = key.split('.').next_back().unwrap();
        assert!(error.contains(name), "{error}");
    }
    for kind in ["constant", "cosine"] {
        let text = include_str!("../../recipes/digits-plain.toml");
        let (text, _) = text.split_once("[schedule]").unwrap();
        let text = format!("{text}[schedule]\nkind = \"{kind}\"\nfactor = 0.1\n");
        let error = Recipe::parse(&text, "mine").unwrap_err().to_string();
        assert!(error.contains("factor"), "{error}");
    }
}

#[test]
fn a_description_that_no_card_may_hold_is_refused_before_training() {
    let error = refusal("description", "\"a\\u001bb\"");
    assert!(
        error.contains("`description`") && error.contains("U+001B"),
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

/// The error of the demonstration's recipe with one value changed.
fn refusal(key: &str, value: &str) -> String {
    let recipe = Recipe::find("digits-he").unwrap();
    match recipe.with(key, value) {
        Ok(_) => panic!("{key} = {value} was accepted"),
        Err(error) => error.to_string(),
    }
}

#[test]
fn every_value_out_of_range_is_refused_with_its_key() {
    let cases: &[(&str, &[&str])] = &[
        ("training.epochs", &["0", "-1", "2000000"]),
        ("training.batch_size", &["0"]),
        ("training.micro_batch", &["0", "65"]),
        ("training.images", &["0"]),
        ("training.label_smoothing", &["-0.1", "0.3", "nan"]),
        ("training.ema_decay", &["1.0", "-0.5", "nan"]),
        ("training.stop_on_drop", &["0.0", "1.5", "nan"]),
        ("optimizer.learning_rate", &["0.0", "-0.1", "nan", "inf"]),
        ("optimizer.momentum", &["1.0", "-0.1", "nan"]),
        ("optimizer.weight_decay", &["-1e-4", "1.0", "nan", "inf"]),
        ("optimizer.clip_norm", &["0.0", "nan"]),
        ("head.scale", &["0.0", "-1.0", "inf"]),
        ("head.margin", &["-0.1", "1.5"]),
        ("adversary.eps", &["0.0", "1.5", "-0.1", "nan", "300/255"]),
        ("adversary.step_size", &["0.0", "3.0", "0.5"]),
        ("adversary.steps", &["0"]),
        ("adversary.warmup_epochs", &["-1.0", "nan", "inf"]),
        ("validation.images", &["0"]),
        ("validation.steps", &["0"]),
        ("network.width", &["0.0", "-1.0", "1000.0", "nan"]),
        ("network.dropout", &["1.0", "-0.1"]),
        ("image_size", &["0", "2000", "[0, 3]", "[3, 3, 3]"]),
    ];
    for (key, values) in cases {
        for value in *values {
            let error = refusal(key, value);
            assert!(error.contains(key.rsplit('.').next().unwrap()), "{error}");
        }
    }
}

#[test]
fn schedules_that_make_no_sense_are_refused() {
    for (schedule, expected) in [
        (
            "{ kind = \"step\", milestones = [5.0, 2.0], factor = 0.1 }",
            "[5.0, 2.0]",
        ),
        (
            "{ kind = \"step\", milestones = [2.0, 2.0], factor = 0.1 }",
            "milestones",
        ),
        (
            "{ kind = \"step\", milestones = [-1.0], factor = 0.1 }",
            "milestones",
        ),
        (
            "{ kind = \"step\", milestones = [2.0], factor = 3.0 }",
            "factor",
        ),
        (
            "{ kind = \"step\", milestones = [2.0], factor = 0.0 }",
            "factor",
        ),
        ("{ kind = \"triangular\", peak = 0.0 }", "peak"),
        ("{ kind = \"piecewise\", points = [] }", "points"),
        (
            "{ kind = \"piecewise\", points = [[0.0, -1.0], [2.0, 1.0]] }",
            "points",
        ),
        (
            "{ kind = \"piecewise\", points = [[2.0, 1.0], [1.0, 1.0]] }",
            "points",
        ),
    ] {
        let error = refusal("schedule", schedule);
        assert!(error.contains(expected), "{error}");
    }
    let recipe = Recipe::find("digits-he").unwrap();
    let late = recipe.with(
        "schedule",
        "{ kind = \"step\", milestones = [50.0], factor = 0.1 }",
    );
    assert!(late.unwrap().warnings()[0].contains("50"));
    let slow = recipe.with("adversary.warmup_epochs", "9.0").unwrap();
    assert!(slow.warnings()[0].contains("eps never reaches"));
}

#[test]
fn normalization_in_units_of_255_is_refused_with_the_values_over_255() {
    let error = refusal("normalization", "{ mean = [33.3], std = [78.6] }");
    assert!(
        error.contains("units of 0..255") && error.contains("[0.1306]"),
        "{error}"
    );
    for value in [
        "{ mean = [0.13], std = [78.6] }",
        "{ mean = [-0.1], std = [0.3] }",
        "{ mean = [0.1], std = [0.0] }",
        "{ mean = [0.1], std = [nan] }",
        "{ mean = [nan], std = [0.3] }",
        "{ mean = [], std = [] }",
        "{ mean = [0.1, 0.2], std = [0.3, 0.3] }",
        "{ mean = [0.1, 0.2, 0.3], std = [0.3] }",
        "{ mean = [0.1], std = [0.3], eps = 1.0 }",
        "true",
        "7",
    ] {
        refusal("normalization", value);
    }
}

#[test]
fn a_derived_recipe_can_take_the_normalization_of_its_base_away() {
    let text = "base = \"cifar10-pgd-at\"\nname = \"mine\"\nnormalization = false";
    let recipe = Recipe::parse(text, "mine").unwrap();
    assert_eq!(recipe.normalization, None);
    // Written and read again it stays away, as TOML and in run.json.
    let again = Recipe::parse(&recipe.to_toml().unwrap(), "mine").unwrap();
    assert_eq!(again, recipe);
    let json = serde_json::to_string(&recipe).unwrap();
    assert_eq!(serde_json::from_str::<Recipe>(&json).unwrap(), recipe);
}

#[test]
fn recipes_normalise_as_the_code_that_they_are_taken_from() {
    let normalises = |name: &str| Recipe::find(name).unwrap().normalization.is_some();
    for name in ["cifar10-trades", "cifar10-mart"] {
        assert!(!normalises(name), "{name}");
    }
    for name in [
        "cifar10-pgd-at-he",
        "cifar10-trades-he",
        "cifar10-fast-at",
        "imagenet-free-at-he",
    ] {
        assert!(normalises(name), "{name}");
    }
    let mart = Recipe::find("cifar10-mart").unwrap();
    assert_eq!(mart.framework, Framework::Mart { beta: 6.0 });
    assert_eq!(mart.optimizer.weight_decay, 7e-4);
    assert_eq!(
        Recipe::find("cifar10-trades")
            .unwrap()
            .optimizer
            .weight_decay,
        2e-4
    );
}

#[test]
fn names_that_lead_out_of_a_folder_are_refused() {
    for name in [
        "../../evil",
        "a/b",
        "a\\b",
        ".hidden",
        "",
        "-x",
        "name with blanks",
        "a\0b",
    ] {
        let recipe = Recipe::find("digits-he").unwrap();
        let recipe = Recipe {
            name: name.to_owned(),
            ..recipe
        };
        let error = recipe.check().unwrap_err();
        assert!(error.contains("name is `"), "{error}");
    }
    refusal("name", &"x".repeat(65));
    assert!(
        Recipe::find("digits-he")
            .unwrap()
            .with("name", "My_run-1.2")
            .is_ok()
    );
}

#[test]
fn an_image_size_is_a_side_or_two() {
    let recipe = Recipe::find("imagenet-free-at-he").unwrap();
    let sides = |value| {
        recipe
            .with("image_size", value)
            .unwrap()
            .image_size
            .unwrap()
            .sides()
    };
    assert_eq!(sides("64"), [64, 64]);
    assert_eq!(sides("[48, 96]"), [48, 96]);
    assert_eq!(sides("48x96"), [48, 96]);
    assert_eq!(sides("\"64\""), [64, 64]);
    for value in ["48x", "big", "-32", "[48]", "1.5"] {
        let error = recipe.with("image_size", value).unwrap_err().to_string();
        assert!(
            error.contains("a side in pixels such as 32, or [height, width]")
                && !error.contains("untagged"),
            "{error}"
        );
    }
}

#[test]
fn recipes_of_released_code_stop_early_only_where_that_code_does() {
    for name in [
        "cifar10-fast-at",
        "cifar10-fast-at-he",
        "cifar10-free-at",
        "cifar10-free-at-he",
        "imagenet-free-at-he",
    ] {
        let recipe = Recipe::find(name).unwrap();
        assert_eq!(recipe.training.stop_on_drop, None, "{name}");
    }
}
