//! Tensors with values that a network cannot have, or that change nothing, and weights that lie deeper in the file.

use super::*;

#[test]
fn a_normalization_that_changes_no_pixel_is_none() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("identity.pt");
    let with = |std: f32| {
        let mut tensors = tensors();
        for (name, value) in [("normalize.mean", 0.0), ("normalize.std", std)] {
            tensors.push(Tensor {
                name: name.to_owned(),
                shape: vec![1, 3, 1, 1],
                values: vec![value; 3],
            });
        }
        tensors
    };
    let plain = recipe("normalization = false", 10);
    torch_file::write(&path, &[(None, &tensors())], Stored::Float);
    let without = logits(&import(&path, &plain, None).unwrap().checkpoint, &pixels()).unwrap();
    torch_file::write(&path, &[(None, &with(1.0))], Stored::Float);
    let imported = import(&path, &plain, None).unwrap();
    let notes = imported.notes.join("\n");
    assert!(
        notes.contains("`normalize.mean`, `normalize.std`") && notes.contains("left out"),
        "{notes}"
    );
    assert_eq!(logits(&imported.checkpoint, &pixels()).unwrap(), without);
    let error = refusal(&with(1.0), &recipe("", 10));
    assert!(
        error.contains("mean [0.0, 0.0, 0.0] and std [1.0, 1.0, 1.0]"),
        "{error}"
    );
    let error = refusal(&with(0.999), &plain);
    assert!(error.contains("does not normalise"), "{error}");
}

#[test]
fn a_negative_variance_is_refused_by_the_name_of_its_tensor() {
    let mut broken = tensors();
    named(&mut broken, "bn1.running_var").values[2] = -0.5;
    let error = refusal(&broken, &recipe("", 10));
    assert!(
        error.contains("`bn1.running_var` holds -0.5, a variance is at least 0"),
        "{error}"
    );
    named(&mut broken, "bn1.running_var").values[2] = 0.0;
    named(&mut broken, "bn1.running_mean").values[2] = -0.5;
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("zero.pt");
    torch_file::write(&path, &[(None, &broken)], Stored::Float);
    load(&path, 10).unwrap();
}

#[test]
fn a_state_dict_two_entries_deep_is_refused_without_talk_of_modules() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("nested.pt");
    torch_file::write_nested(&path, ["model", "state_dict"], &tensors());
    let error = load(&path, 10).unwrap_err().to_string();
    assert!(
        error.contains("`state_dict` in `model`")
            && error.contains("save that state dict alone")
            && !error.contains("module"),
        "{error}"
    );
}
