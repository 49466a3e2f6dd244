//! PyTorch checkpoints as they were released; pytorch/write.py writes the one here, pytorch/torch_file.rs variants of it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "pytorch/torch_file.rs"]
mod torch_file;
#[path = "pytorch/values.rs"]
mod values;

use std::path::{Path, PathBuf};

use buckler_train::{
    Checkpoint, ComputeDevice, Imported, PytorchFile, Recipe, TrainError, export, logits,
};
use torch_file::{Stored, Tensor};

fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/pytorch")
        .join(name)
}

fn recipe(more: &str, depth: usize) -> Recipe {
    let text = format!(
        "base = \"cifar10-trades-he\"\nnetwork = {{ kind = \"wide-resnet\", depth = {depth}, width = 1 }}\n{more}"
    );
    Recipe::parse(&text, "test").unwrap()
}

fn import(path: &Path, recipe: &Recipe, weights: Option<&str>) -> Result<Imported, TrainError> {
    let file = PytorchFile {
        path,
        weights,
        image: [3, 32, 32],
        classes: (0..10).map(|class| class.to_string()).collect(),
    };
    Checkpoint::from_pytorch(file, recipe, &ComputeDevice::Cpu.open().unwrap())
}

fn load(path: &Path, depth: usize) -> Result<Imported, TrainError> {
    import(path, &recipe("", depth), None)
}

fn pixels() -> Vec<f32> {
    (0..2 * 3 * 32 * 32)
        .map(|i| (i * 37 % 256) as f32 / 255.0)
        .collect()
}

/// PyTorch's logits of the fixture at [`pixels`].
fn expected() -> Vec<f32> {
    let text = std::fs::read_to_string(file("logits.json")).unwrap();
    let rows: Vec<Vec<f32>> = serde_json::from_str(&text).unwrap();
    rows.concat()
}

/// The fixture's tensors, without the prefix of `DataParallel`.
fn tensors() -> Vec<Tensor> {
    let mut tensors = torch_file::read(&file("wrn-10-1-he.pt"), "state_dict");
    for tensor in &mut tensors {
        tensor.name = tensor.name.trim_start_matches("module.").to_owned();
    }
    tensors
}

fn named<'a>(tensors: &'a mut [Tensor], name: &str) -> &'a mut Tensor {
    tensors
        .iter_mut()
        .find(|tensor| tensor.name == name)
        .unwrap()
}

/// Why a state dict is refused.
fn refusal(tensors: &[Tensor], recipe: &Recipe) -> String {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("variant.pt");
    torch_file::write(&path, &[(None, tensors)], Stored::Float);
    import(&path, recipe, None).unwrap_err().to_string()
}

#[test]
fn a_released_hypersphere_checkpoint_gives_the_logits_that_it_gives_in_pytorch() {
    let imported = load(&file("wrn-10-1-he.pt"), 10).unwrap();
    let notes = imported.notes.join("\n");
    assert!(
        notes.contains("num_batches_tracked") && notes.contains("sub_block1"),
        "{notes}"
    );
    let checkpoint = imported.checkpoint;
    let got = logits(&checkpoint, &pixels()).unwrap();
    for (got, expected) in got.iter().zip(expected()) {
        assert!((got - expected).abs() < 1e-4, "{got} {expected}");
    }
    let card = export(&checkpoint, "released")
        .unwrap()
        .card()
        .unwrap()
        .unwrap();
    assert_eq!(card.training, None, "nobody knows how it was trained");
    // Unit rows again, which the file does not have.
    let weight = checkpoint.network.head.weight.val();
    let lengths: Vec<f32> = (weight.clone() * weight)
        .sum_dim(0)
        .into_data()
        .try_to_vec()
        .unwrap();
    for length in lengths {
        assert!((length - 1.0).abs() < 1e-5, "{length}");
    }
}

#[test]
fn other_names_and_places_of_the_same_weights_give_the_same_logits() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("variant.pt");
    for (key, prefix) in [
        (None, ""),
        (None, "module."),
        (Some("state_dict"), "module._orig_mod."),
        (Some("model_state_dict"), ""),
        (Some("net"), "module."),
        (None, "model."),
    ] {
        let mut tensors = tensors();
        for tensor in &mut tensors {
            tensor.name = format!("{prefix}{}", tensor.name);
        }
        torch_file::write(&path, &[(key, &tensors)], Stored::Float);
        let checkpoint = load(&path, 10).unwrap().checkpoint;
        let got = logits(&checkpoint, &pixels()).unwrap();
        for (got, expected) in got.iter().zip(expected()) {
            assert!(
                (got - expected).abs() < 1e-4,
                "{key:?} {prefix}: {got} {expected}"
            );
        }
    }
}

#[test]
fn weights_in_other_precisions_are_converted_and_reported() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("variant.pt");
    for (stored, name, tolerance) in [
        (Stored::Double, "float64", 1e-4),
        (Stored::Half, "float16", 0.05),
        (Stored::BFloat16, "bfloat16", 0.4),
    ] {
        torch_file::write(&path, &[(None, &tensors())], stored);
        let imported = load(&path, 10).unwrap();
        let notes = imported.notes.join("\n");
        assert!(
            notes.contains(&format!("converted from {name} to float32")),
            "{notes}"
        );
        let got = logits(&imported.checkpoint, &pixels()).unwrap();
        for (got, expected) in got.iter().zip(expected()) {
            assert!(
                (got - expected).abs() < tolerance,
                "{name}: {got} {expected}"
            );
        }
    }
    torch_file::write(&path, &[(None, &tensors())], Stored::Long);
    let error = load(&path, 10).unwrap_err().to_string();
    assert!(
        error.contains("I64") && error.contains("bn1.bias"),
        "{error}"
    );
    let mut broken = tensors();
    named(&mut broken, "block2.layer.0.conv1.weight").values[3] = f32::NAN;
    let error = refusal(&broken, &recipe("", 10));
    assert!(
        error.contains("`block2.layer.0.conv1.weight` holds NaN"),
        "{error}"
    );
}

#[test]
fn a_deeper_network_is_refused_with_what_is_left_over() {
    let mut deeper = tensors();
    for name in ["bn1.weight", "conv1.weight"] {
        let mut tensor = named(&mut deeper, &format!("block1.layer.0.{name}")).clone();
        tensor.name = format!("block1.layer.1.{name}");
        deeper.push(tensor);
    }
    let error = refusal(&deeper, &recipe("", 10));
    assert!(
        error.contains("left over: `block1.layer.1.bn1.weight`, `block1.layer.1.conv1.weight`")
            && error.contains("depth 16"),
        "{error}"
    );
}

#[test]
fn a_shallower_network_is_refused_with_the_names_that_the_file_would_have() {
    let error = load(&file("wrn-10-1-he.pt"), 16).unwrap_err().to_string();
    assert!(
        error.contains("another network")
            && error.contains("missing: `state_dict.module.block1.layer.1"),
        "{error}"
    );
}

#[test]
fn extra_layers_and_second_copies_are_refused_by_name() {
    for name in [
        "fc2.weight",
        "linear.weight",
        "module.fc.weight",
        "projection.0.weight",
    ] {
        let mut extra = tensors();
        let mut tensor = named(&mut extra, "fc.weight").clone();
        tensor.name = name.to_owned();
        extra.push(tensor);
        let error = refusal(&extra, &recipe("", 10));
        assert!(error.contains(&format!("`{name}`")), "{error}");
    }
}

#[test]
fn tensors_of_another_shape_are_named_with_both_shapes() {
    let mut wider = tensors();
    let tensor = named(&mut wider, "conv1.weight");
    tensor.shape = vec![32, 3, 3, 3];
    tensor.values.resize(32 * 27, 0.1);
    let tensor = named(&mut wider, "fc.weight");
    tensor.shape = vec![100, 64];
    tensor.values.resize(6400, 0.1);
    let error = refusal(&wider, &recipe("", 10));
    assert!(
        error.contains("`conv1.weight` is [32, 3, 3, 3], the recipe's network has [16, 3, 3, 3]")
            && error.contains("`fc.weight` is [100, 64], the recipe's network has [10, 64]"),
        "{error}"
    );
}

#[test]
fn a_linear_head_is_not_taken_for_a_hypersphere_nor_the_other_way_round() {
    let mut linear = tensors();
    linear.push(Tensor {
        name: "fc.bias".to_owned(),
        shape: vec![10],
        values: vec![0.5; 10],
    });
    let error = refusal(&linear, &recipe("", 10));
    assert!(
        error.contains("`fc.bias`") && error.contains("use a recipe with a linear head"),
        "{error}"
    );
    let head = recipe("head = { kind = \"linear\" }", 10);
    let error = refusal(&tensors(), &head);
    assert!(
        error.contains("missing: `fc.bias`") && error.contains("hypersphere head"),
        "{error}"
    );
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("linear.pt");
    torch_file::write(&path, &[(None, &linear)], Stored::Float);
    let checkpoint = import(&path, &head, None).unwrap().checkpoint;
    let bias: Vec<f32> = checkpoint
        .network
        .head
        .bias
        .unwrap()
        .val()
        .into_data()
        .try_to_vec()
        .unwrap();
    assert_eq!(bias, [0.5; 10]);
}

#[test]
fn a_normalization_in_the_file_must_be_the_recipes() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("normalised.pt");
    let layer = |name: &str, values: [f32; 3]| Tensor {
        name: name.to_owned(),
        shape: vec![1, 3, 1, 1],
        values: values.to_vec(),
    };
    let (mean, std) = ([0.4914, 0.4822, 0.4465], [0.2471, 0.2435, 0.2616]);
    let mut sequential = tensors();
    for tensor in &mut sequential {
        tensor.name = format!("1.{}", tensor.name);
    }
    sequential.extend([layer("0.mean", mean), layer("0.std", std)]);
    let mut buffers = tensors();
    buffers.extend([layer("mu", mean), layer("sigma", std)]);
    for (tensors, name) in [(&sequential, "`0.mean`"), (&buffers, "`mu`")] {
        torch_file::write(&path, &[(None, tensors)], Stored::Float);
        let imported = load(&path, 10).unwrap();
        assert!(
            imported.notes.join("\n").contains(name),
            "{:?}",
            imported.notes
        );
        let got = logits(&imported.checkpoint, &pixels()).unwrap();
        assert!((got[0] - expected()[0]).abs() < 1e-4);
        let plain = recipe("normalization = false", 10);
        let error = import(&path, &plain, None).unwrap_err().to_string();
        assert!(
            error.contains("does not normalise") && error.contains(name),
            "{error}"
        );
    }
    buffers.truncate(buffers.len() - 2);
    buffers.extend([layer("mu", [0.5; 3]), layer("sigma", [0.5; 3])]);
    let error = refusal(&buffers, &recipe("", 10));
    assert!(error.contains("[0.5, 0.5, 0.5]"), "{error}");
}

#[test]
fn of_several_state_dicts_one_has_to_be_chosen() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("several.pt");
    let weights = tensors();
    let mut average = tensors();
    named(&mut average, "bn1.bias").values.fill(0.7);
    let dicts: [(Option<&str>, &[Tensor]); 3] = [
        (Some("state_dict"), &weights),
        (Some("ema"), &average),
        (Some("optimizer"), &average),
    ];
    torch_file::write(&path, &dicts, Stored::Float);
    let error = load(&path, 10).unwrap_err().to_string();
    assert!(
        error.contains("`state_dict`") && error.contains("`ema`"),
        "{error}"
    );
    let chosen = |key| import(&path, &recipe("", 10), Some(key));
    let of = |imported: Imported| logits(&imported.checkpoint, &pixels()).unwrap();
    let (plain, ema) = (
        of(chosen("state_dict").unwrap()),
        of(chosen("ema").unwrap()),
    );
    assert!((plain[0] - expected()[0]).abs() < 1e-4);
    assert!(plain != ema);
    let error = chosen("teacher").unwrap_err().to_string();
    assert!(
        error.contains("`teacher`") && error.contains("`ema`"),
        "{error}"
    );
    torch_file::write(&path, &[dicts[0], dicts[2]], Stored::Float);
    let notes = load(&path, 10).unwrap().notes.join("\n");
    assert!(
        notes.contains("passed over beside the weights: `optimizer`"),
        "{notes}"
    );
}

#[test]
fn an_average_kept_beside_the_weights_is_not_taken_for_them() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("copies.pt");
    for key in ["ema", "model_ema", "weights"] {
        let mut both = tensors();
        let mut average = tensors();
        for tensor in &mut average {
            tensor.name = format!("{key}.{}", tensor.name);
            tensor.values.iter_mut().for_each(|value| *value *= 2.0);
        }
        both.extend(average);
        torch_file::write(&path, &[(None, &both)], Stored::Float);
        let error = load(&path, 10).unwrap_err().to_string();
        assert!(error.contains("twice") && error.contains(key), "{error}");
        let of = |weights| {
            let imported = import(&path, &recipe("", 10), Some(weights)).unwrap();
            (
                logits(&imported.checkpoint, &pixels()).unwrap(),
                imported.notes.join("\n"),
            )
        };
        let (own, notes) = of(".");
        assert!((own[0] - expected()[0]).abs() < 1e-4);
        assert!(
            notes.contains(&format!("passed over beside the weights: `{key}`")),
            "{notes}"
        );
        assert!(of(key).0 != own);
    }
}

#[test]
fn the_digits_of_a_normalization_in_the_file_go_before_the_recipes() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("digits.pt");
    let mut tensors = tensors();
    for (name, values) in [
        ("mu", [0.4915, 0.4823, 0.4468]),
        ("sigma", [0.247, 0.2435, 0.2616]),
    ] {
        tensors.push(Tensor {
            name: name.to_owned(),
            shape: vec![1, 3, 1, 1],
            values: values.to_vec(),
        });
    }
    torch_file::write(&path, &[(None, &tensors)], Stored::Float);
    let imported = load(&path, 10).unwrap();
    let notes = imported.notes.join("\n");
    assert!(
        notes.contains("0.4915") && notes.contains("`mu`, `sigma` of the file"),
        "{notes}"
    );
    let recipe = &imported.checkpoint.state.recipe;
    let normalization = recipe.normalization.clone().unwrap();
    assert_eq!(normalization.mean, [0.4915, 0.4823, 0.4468]);
    assert_eq!(normalization.std, [0.247, 0.2435, 0.2616]);
    let pixels: Vec<f32> = pixels();
    let got = logits(&imported.checkpoint, &pixels).unwrap();
    assert!(
        (got[0] - expected()[0]).abs() > 1e-5,
        "it goes into the network"
    );
}

#[test]
fn a_whole_module_is_refused_since_its_code_is_not_read() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("module.pt");
    torch_file::write_module(&path, &tensors());
    let error = load(&path, 10).unwrap_err().to_string();
    assert!(
        error.contains("whole module") && error.contains("model.state_dict()"),
        "{error}"
    );
}

#[test]
fn what_a_file_of_weights_does_not_say_is_said() {
    let notes = load(&file("wrn-10-1-he.pt"), 10).unwrap().notes.join("\n");
    assert!(
        notes.contains("assumed") && notes.contains("epsilon 0.00001"),
        "{notes}"
    );
}

#[test]
fn a_classifier_of_one_class_is_refused() {
    let file = PytorchFile {
        path: &file("wrn-10-1-he.pt"),
        weights: None,
        image: [3, 32, 32],
        classes: vec!["all".to_owned()],
    };
    let device = ComputeDevice::Cpu.open().unwrap();
    let error = Checkpoint::from_pytorch(file, &recipe("", 10), &device).unwrap_err();
    assert!(error.to_string().contains("1 class(es) (`all`)"), "{error}");
}

#[test]
fn a_file_that_is_not_a_checkpoint_is_refused_by_name() {
    for name in ["write.py", "missing.pt"] {
        let error = load(&file(name), 10).unwrap_err().to_string();
        assert!(error.contains(name), "{error}");
    }
}

#[test]
fn a_truncated_checkpoint_is_an_error_and_not_a_panic() {
    let bytes = std::fs::read(file("wrn-10-1-he.pt")).unwrap();
    let dir = tempfile::tempdir().unwrap();
    for share in [0, 1, 5, 9] {
        let path = dir.path().join("cut.pt");
        std::fs::write(&path, &bytes[..bytes.len() * share / 10]).unwrap();
        assert!(load(&path, 10).is_err(), "{share}");
    }
}

#[test]
fn networks_under_other_keys_are_several_state_dicts_too() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("several.pt");
    let (weights, mut average) = (tensors(), tensors());
    named(&mut average, "bn1.bias").values.fill(0.7);
    for (first, second) in [("params", "params_ema"), ("model", "teacher")] {
        let dicts: [(Option<&str>, &[Tensor]); 2] =
            [(Some(first), &weights), (Some(second), &average)];
        torch_file::write(&path, &dicts, Stored::Float);
        let error = load(&path, 10).unwrap_err();
        assert!(
            matches!(error, TrainError::SeveralStateDicts { .. }),
            "{error}"
        );
        let error = error.to_string();
        assert!(error.contains(&format!("`{first}`, `{second}`")), "{error}");
        let chosen = import(&path, &recipe("", 10), Some(first)).unwrap();
        let got = logits(&chosen.checkpoint, &pixels()).unwrap();
        assert!((got[0] - expected()[0]).abs() < 1e-4);
    }
}

#[test]
fn values_that_weights_cannot_have_do_not_make_another_network() {
    let mut broken = tensors();
    named(&mut broken, "bn1.bias").values[3] = f32::NAN;
    let error = refusal(&broken, &recipe("", 10));
    assert!(
        error.contains("`bn1.bias` holds NaN") && !error.contains("another network"),
        "{error}"
    );
}

#[test]
fn archives_are_read_whatever_the_length_of_their_name() {
    let dir = tempfile::tempdir().unwrap();
    let weights = tensors();
    for length in [1, 20, 21, 22, 60] {
        let path = dir.path().join(format!("{}.pt", "q".repeat(length)));
        torch_file::write(&path, &[(None, &weights)], Stored::Float);
        torch_file::add_zip64_record(&path);
        let imported = load(&path, 10).unwrap_or_else(|error| panic!("{length}: {error}"));
        let got = logits(&imported.checkpoint, &pixels()).unwrap();
        assert!((got[0] - expected()[0]).abs() < 1e-4, "{length}");
    }
}

#[test]
fn a_view_that_negates_its_values_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("negated.pt");
    torch_file::write(&path, &[(None, &tensors())], Stored::Float);
    torch_file::negate(&path, "fc.weight");
    let refused = load(&path, 10).err().unwrap().to_string();
    assert!(refused.contains("resolve_neg()"), "{refused}");
}
