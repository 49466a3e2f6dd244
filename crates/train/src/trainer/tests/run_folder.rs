//! What lies in a run's folder: what is not the run's stays, and what was changed is noticed.

use std::fs;

use super::*;

fn trained(out: &Path, changes: &[(&str, &str)]) -> Run {
    let options = TrainOptions::default();
    run(&recipe(changes), bright(32), &bright(16), out, options).unwrap()
}

/// Why the run cannot go on, or that it can.
fn resumed(out: &Path, changes: &[(&str, &str)]) -> Result<Run, String> {
    let asked = TrainOptions {
        changed: changes.iter().map(|(key, _)| (*key).to_owned()).collect(),
        ..resume()
    };
    run(&recipe(changes), bright(32), &bright(16), out, asked).map_err(|error| error.to_string())
}

fn loaded(path: &Path) -> Result<Checkpoint, String> {
    Checkpoint::load(path, &Device::flex()).map_err(|error| error.to_string())
}

fn edit(path: &Path, from: &str, to: &str) {
    let text = fs::read_to_string(path).unwrap();
    assert!(text.contains(from), "{text}");
    fs::write(path, text.replacen(from, to, 1)).unwrap();
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        fs::copy(&path, to.join(path.file_name().unwrap())).unwrap();
    }
}

const LONGER: [(&str, &str); 1] = [("training.epochs", "2")];

#[test]
fn a_run_is_not_started_where_it_would_replace_what_is_not_its_own() {
    for (place, content) in [
        ("checkpoints/mine/weights", "mine"),
        ("checkpoints/epoch-001/notes", "mine"),
        ("checkpoints/notes", "mine"),
        ("metrics.jsonl", "mine"),
        ("recipe.toml", "mine"),
        ("report.md", "mine"),
        ("state.json", "mine"),
    ] {
        let (_dir, out) = out();
        let path = out.join(place);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, content).unwrap();
        for options in [TrainOptions::default(), resume()] {
            let started = run(&recipe(&[]), bright(32), &bright(16), &out, options);
            let error = started.unwrap_err().to_string();
            let named = place.split('/').next().unwrap();
            assert!(
                error.contains(named) && error.contains("use another folder"),
                "{error}"
            );
        }
        assert_eq!(fs::read_to_string(&path).unwrap(), content);
        assert_eq!(fs::read_dir(&out).unwrap().count(), 1, "{place}");
    }
    // An empty folder of checkpoints is nobody's.
    let (_dir, out) = out();
    fs::create_dir_all(out.join("checkpoints")).unwrap();
    trained(&out, &[]);
}

#[test]
fn what_lies_beside_the_checkpoints_of_a_run_stays() {
    let (_dir, out) = out();
    trained(&out, &[]);
    let checkpoints = out.join("checkpoints");
    fs::create_dir_all(checkpoints.join("mine")).unwrap();
    fs::write(checkpoints.join("epoch-9"), "mine").unwrap();
    fs::create_dir_all(checkpoints.join("epoch-000.tmp")).unwrap();
    resumed(&out, &LONGER).unwrap();
    assert!(checkpoints.join("mine").is_dir() && checkpoints.join("epoch-9").is_file());
    assert!(!checkpoints.join("epoch-000.tmp").exists());
}

#[test]
fn a_run_that_lost_its_index_is_not_started_over() {
    let (_dir, out) = out();
    trained(&out, &[]);
    fs::remove_file(out.join("run.json")).unwrap();
    let error = resumed(&out, &[]).unwrap_err();
    assert!(
        error.contains("put back its run.json") && error.contains("epoch-001"),
        "{error}"
    );
    // What the error names works.
    loaded(&out.join("checkpoints/epoch-001")).unwrap();
}

#[test]
fn checkpoints_that_changed_places_are_noticed() {
    let (_dir, out) = out();
    // The first of two equal epochs is the best, and both checkpoints are kept.
    let still = ("optimizer.learning_rate", "1e-30");
    trained(&out, &[LONGER[0], still]);
    let checkpoints = out.join("checkpoints");
    let (one, two) = (checkpoints.join("epoch-001"), checkpoints.join("epoch-002"));
    let other = checkpoints.join("other");
    fs::rename(&one, &other).unwrap();
    fs::rename(&two, &one).unwrap();
    fs::rename(&other, &two).unwrap();
    for error in [loaded(&out).unwrap_err(), loaded(&one).unwrap_err()] {
        assert!(error.contains("written after 2 epochs"), "{error}");
    }
    let error = resumed(&out, &[("training.epochs", "3"), still]).unwrap_err();
    assert!(error.contains("written after 1 epochs"), "{error}");
}

#[test]
fn a_checkpoint_of_another_run_is_noticed() {
    let (_first, first) = out();
    let (_second, second) = out();
    trained(&first, &[]);
    // The same recipe: only the run is another.
    trained(&second, &[]);
    let place = first.join("checkpoints/epoch-001");
    fs::remove_dir_all(&place).unwrap();
    let error = loaded(&first).unwrap_err();
    assert!(error.contains("it is missing"), "{error}");
    copy(&second.join("checkpoints/epoch-001"), &place);
    for error in [
        loaded(&first).unwrap_err(),
        resumed(&first, &LONGER).unwrap_err(),
    ] {
        assert!(error.contains("of another run"), "{error}");
    }
}

#[test]
fn a_missing_empty_or_rewritten_list_of_checksums_is_noticed() {
    let (_dir, out) = out();
    trained(&out, &[]);
    let dir = out.join("checkpoints/epoch-001");
    let list = dir.join("SHA256SUMS");
    let text = fs::read_to_string(&list).unwrap();
    for (content, expected) in [
        (None, "SHA256SUMS is missing"),
        (Some(String::new()), "SHA256SUMS is empty"),
        (Some("\n".to_owned()), "SHA256SUMS is"),
    ] {
        match content {
            Some(content) => fs::write(&list, content).unwrap(),
            None => fs::remove_file(&list).unwrap(),
        }
        for error in [
            loaded(&out).unwrap_err(),
            loaded(&dir).unwrap_err(),
            resumed(&out, &LONGER).unwrap_err(),
        ] {
            assert!(error.contains(expected), "{error}");
        }
    }
    // Another list that fits its files is not the one of the run.
    fs::write(&list, format!("{text}{}  notes\n", "0".repeat(64))).unwrap();
    let error = loaded(&out).unwrap_err();
    assert!(error.contains("than run.json states"), "{error}");
    // A file that is listed belongs to the checkpoint.
    fs::write(&list, &text).unwrap();
    fs::remove_file(dir.join("optimizer.bpk")).unwrap();
    let error = resumed(&out, &LONGER).unwrap_err();
    assert!(error.contains("optimizer.bpk is missing"), "{error}");
}

#[test]
fn a_changed_digit_in_the_index_of_a_run_is_noticed() {
    let (_dir, out) = out();
    trained(&out, &LONGER);
    let index = out.join("run.json");
    let text = fs::read_to_string(&index).unwrap();
    serde_json::from_str::<serde_json::Value>(&text).unwrap();
    for (from, to) in [
        ("\"clean_accuracy\": ", "\"clean_accuracy\": 0.0"),
        ("\"epoch\": 2", "\"epoch\": 3"),
        ("\"learning_rate\": 0.", "\"learning_rate\": 1."),
        ("\"id\": \"", "\"ie\": \""),
        ("\n  \"sha256\": \"", "\n  \"sha257\": \""),
        ("\n  \"sha256\": \"", "\n  \"sha256\": \"0"),
    ] {
        edit(&index, from, to);
        for error in [
            loaded(&out).unwrap_err(),
            resumed(&out, &LONGER).unwrap_err(),
        ] {
            assert!(
                error.contains("run.json") && error.contains("put back a copy of run.json"),
                "{from}: {error}"
            );
        }
        fs::write(&index, &text).unwrap();
    }
    loaded(&out).unwrap();
}

/// As before checkpoints said which run they are of, and before there were checksums.
pub(super) fn aged(out: &Path) {
    let path = out.join("run.json");
    let mut index: serde_json::Value =
        serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
    for key in ["id", "sha256", "checkpoints"] {
        index.as_object_mut().unwrap().remove(key).unwrap();
    }
    fs::write(&path, serde_json::to_string_pretty(&index).unwrap()).unwrap();
    for entry in fs::read_dir(out.join("checkpoints")).unwrap() {
        let dir = entry.unwrap().path();
        fs::remove_file(dir.join("SHA256SUMS")).unwrap();
        let state = dir.join("state.json");
        let mut value: serde_json::Value =
            serde_json::from_str(&fs::read_to_string(&state).unwrap()).unwrap();
        value.as_object_mut().unwrap().remove("run").unwrap();
        fs::write(&state, value.to_string()).unwrap();
    }
}

#[test]
fn a_run_from_before_there_were_checksums_is_read_and_goes_on() {
    let (_dir, out) = out();
    trained(&out, &[]);
    aged(&out);
    loaded(&out).unwrap();
    resumed(&out, &LONGER).unwrap();
    loaded(&out).unwrap();
    let longer = resumed(&out, &[("training.epochs", "3")]).unwrap();
    assert_eq!(longer.epochs().len(), 3);
    // What was written since is checked, and the order of its epochs in any case.
    edit(&out.join("run.json"), "\"epoch\": 2", "\"epoch\": 1");
    loaded(&out).unwrap_err();
    let (_dir, out) = self::out();
    trained(&out, &[]);
    aged(&out);
    edit(
        &out.join("run.json"),
        "\"clean_accuracy\": ",
        "\"clean_accuracy\": 7",
    );
    let error = loaded(&out).unwrap_err();
    assert!(error.contains("epochs[0].clean_accuracy is 7"), "{error}");
}

#[test]
fn an_empty_or_cut_index_names_a_way_on_that_works() {
    let (_dir, out) = out();
    fs::create_dir_all(&out).unwrap();
    let index = out.join("run.json");
    // Cut before there was a checkpoint.
    fs::write(&index, "{\"recipe\": ").unwrap();
    fs::write(out.join("recipe.toml"), "").unwrap();
    let error = resumed(&out, &[]).unwrap_err();
    assert!(error.contains("delete run.json, recipe.toml"), "{error}");
    fs::write(&index, "").unwrap();
    trained(&out, &[]);

    fs::write(&index, "").unwrap();
    for error in [loaded(&out).unwrap_err(), resumed(&out, &[]).unwrap_err()] {
        assert!(
            error.contains("put back a copy of run.json") && error.contains("epoch-001"),
            "{error}"
        );
    }
    loaded(&out.join("checkpoints/epoch-001")).unwrap();
}

#[test]
fn a_damaged_log_of_steps_does_not_keep_a_run_from_going_on() {
    let (_dir, out) = out();
    trained(&out, &[]);
    let log = out.join("metrics.jsonl");
    let mut bytes = fs::read(&log).unwrap();
    let end = bytes.len() - 10;
    bytes[end] = 0xff;
    fs::write(&log, bytes).unwrap();
    resumed(&out, &LONGER).unwrap();
    assert_eq!(fs::read_to_string(&log).unwrap().lines().count(), 3 + 4);
}

#[test]
fn classes_that_no_card_can_name_are_refused_before_the_training() {
    for name in ["c\u{1b}[31mat".to_owned(), "long".repeat(60)] {
        let (_dir, out) = out();
        let named = |count: usize| {
            let pixels = bright(count);
            let pixels: Vec<u8> = (0..count)
                .flat_map(|index| pixels.image(index).unwrap().into_owned())
                .collect();
            let labels = bright(count).labels().to_vec();
            let classes = vec!["dog".to_owned(), name.clone()];
            Dataset::new("toy", Split::Train, classes, [1, 16, 16], pixels, labels).unwrap()
        };
        let options = TrainOptions::default();
        let error = run(&recipe(&[]), named(32), &named(16), &out, options).unwrap_err();
        let error = error.to_string();
        assert!(error.contains("classes[1]"), "{error}");
        assert!(!out.exists());
    }
}
