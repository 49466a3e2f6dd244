use proptest::prelude::*;

use super::*;

fn names(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

fn matched(data: &[&str], model: &[&str]) -> Result<ClassMap, ClassMapError> {
    let model = names(model);
    let model = ModelClasses {
        count: model.len(),
        names: &model,
    };
    ClassMap::new(&names(data), model, &GivenClasses::new())
}

fn unnamed(data: &[&str], count: usize) -> Result<ClassMap, ClassMapError> {
    let model = ModelClasses { count, names: &[] };
    ClassMap::new(&names(data), model, &GivenClasses::new())
}

const CIFAR: [&str; 10] = [
    "airplane",
    "automobile",
    "bird",
    "cat",
    "deer",
    "dog",
    "frog",
    "horse",
    "ship",
    "truck",
];

#[test]
fn a_subset_of_the_models_classes_keeps_their_indices() {
    let map = matched(&["cat", "dog", "ship"], &CIFAR).unwrap();
    assert_eq!(map.by, MatchedBy::Name);
    assert_eq!(map.labels(&names(&["cat", "dog", "ship"])), [3, 5, 8]);
    assert_eq!(map.assumption, None);
}

#[test]
fn case_spaces_underscores_and_hyphens_do_not_matter_where_nothing_else_fits() {
    let model = ["T-shirt/top", "fire truck", "IPod", "ipod"];
    let map = matched(&["t_shirt_top", "Fire-Truck", "ipod"], &model).unwrap();
    assert_eq!(
        map.labels(&names(&["t_shirt_top", "Fire-Truck", "ipod"])),
        [0, 1, 3]
    );
    let error = matched(&["IPOD"], &model).unwrap_err().to_string();
    assert!(error.contains("2, `IPod`, or 3, `ipod`"), "{error}");
    let error = matched(&["Fire Truck", "fire_truck"], &model).unwrap_err();
    assert!(
        error.to_string().contains("are both the model's class 1"),
        "{error}"
    );
}

#[test]
fn a_class_that_the_model_does_not_have_is_refused_with_both_lists() {
    let error = matched(&["cat", "dgo"], &CIFAR).unwrap_err().to_string();
    assert!(error.starts_with("1 of the data set's 2 classes are not among the model's 10: `dgo`"));
    assert!(error.contains("did you mean `dog`?"), "{error}");
    assert!(error.contains("`cat`, `dgo`") && error.contains("`airplane`, `automobile`"));
    // As many classes as the model, and other ones.
    assert!(matched(&["a", "b"], &["cat", "dog"]).is_err());
}

#[test]
fn numbers_are_indices_with_zeros_in_front_or_not() {
    let map = unnamed(&["0", "1", "10", "11", "2"], 12).unwrap();
    assert_eq!(map.by, MatchedBy::Number);
    assert_eq!(
        map.labels(&names(&["0", "1", "10", "11", "2"])),
        [0, 1, 10, 11, 2]
    );
    let map = unnamed(&["000", "001", "010"], 1000).unwrap();
    assert_eq!(map.labels(&names(&["000", "001", "010"])), [0, 1, 10]);
    assert_eq!(map.assumption, None);
    let map = matched(&["0", "10", "2"], &[CIFAR.as_slice(), &["boat"]].concat()).unwrap();
    assert_eq!(map.labels(&names(&["0", "10", "2"])), [0, 10, 2]);
    assert!(map.assumption.unwrap().contains("numbers"));
    // A card that numbers its classes names none.
    let map = matched(&["00", "01"], &["0", "1"]).unwrap();
    assert_eq!(map.labels(&names(&["00", "01"])), [0, 1]);
}

#[test]
fn numbers_that_are_no_indices_are_not_taken_for_some() {
    // From 1 to the number of classes: in their order, and said.
    let map = unnamed(&["1", "2", "3"], 3).unwrap();
    assert_eq!(
        (map.by, map.labels(&names(&["1", "2", "3"]))),
        (MatchedBy::Order, vec![0, 1, 2])
    );
    assert!(map.assumption.unwrap().contains("`1` for 0 to `3` for 2"));
    for data in [&["1", "2", "10"][..], &["+1", "2", "3"], &["1", "01"]] {
        assert!(matched(data, &CIFAR).is_err(), "{data:?}");
        assert!(unnamed(data, 10).is_err() || data.len() == 10, "{data:?}");
    }
}

#[test]
fn order_counts_for_models_without_names_alone_and_is_an_assumption() {
    let map = unnamed(&["cat", "dog"], 2).unwrap();
    assert_eq!(map.by, MatchedBy::Order);
    assert!(
        map.assumption
            .unwrap()
            .contains("`cat` for 0 to `dog` for 1")
    );
    let error = unnamed(&["cat", "dog"], 10).unwrap_err().to_string();
    assert!(
        error.contains("2 classes (`cat`, `dog`) and the model 10"),
        "{error}"
    );
    let error = unnamed(&["a", "b", "c"], 2).unwrap_err().to_string();
    assert!(error.contains("card"), "{error}");
}

#[test]
fn synsets_are_matched_with_ids_words_and_imagenets_order() {
    let ids = ["n01440764", "n02012849"];
    let map = matched(&ids, &["n02012849", "n01440764"]).unwrap();
    assert_eq!(
        (map.by, map.labels(&names(&ids))),
        (MatchedBy::Name, vec![1, 0])
    );
    let map = matched(&["n01440764", "n02102040"], &["English springer", "Tench"]).unwrap();
    assert_eq!(
        (map.by, map.labels(&names(&["n01440764", "n02102040"]))),
        (MatchedBy::Wordnet, vec![1, 0])
    );
    let map = matched(&["tench"], &["n02102040", "n01440764"]).unwrap();
    assert_eq!(map.labels(&names(&["tench"])), [1]);
    let map = unnamed(&ids, 1000).unwrap();
    assert_eq!(map.labels(&names(&ids)), [0, 134]);
    assert!(map.assumption.unwrap().contains("WordNet"));
    assert!(unnamed(&ids, 1001).is_err());
    // `crane` is a bird and a machine: without all of ImageNet's classes, nothing says which.
    assert!(matched(&["n02012849"], &["crane", "crane"]).is_err());
    assert!(matched(&["crane"], &["n02012849", "n03126707"]).is_err());
}

#[test]
fn what_is_given_goes_first_and_the_rest_is_matched_by_name() {
    let model = names(&CIFAR);
    let model = ModelClasses {
        count: 10,
        names: &model,
    };
    let given = GivenClasses::from([
        ("boat".to_owned(), GivenClass::Name("Ship".to_owned())),
        ("tabby".to_owned(), GivenClass::Index(3)),
        ("siamese".to_owned(), GivenClass::Name("3".to_owned())),
        ("elsewhere".to_owned(), GivenClass::Index(0)),
    ]);
    let data = names(&["boat", "tabby", "siamese", "dog"]);
    let map = ClassMap::new(&data, model, &given).unwrap();
    assert_eq!(
        (map.by, map.labels(&data)),
        (MatchedBy::Given, vec![8, 3, 3, 5])
    );
    assert_eq!(ClassMap::new(&data, model, &map.to_given()).unwrap(), map);
    for wrong in [GivenClass::Index(10), GivenClass::Name("yacht".to_owned())] {
        let given = GivenClasses::from([("boat".to_owned(), wrong)]);
        let error = ClassMap::new(&names(&["boat"]), model, &given).unwrap_err();
        assert!(
            error
                .to_string()
                .contains("use 0 to 9, or one of `airplane`"),
            "{error}"
        );
    }
    let unnamed = ModelClasses {
        count: 3,
        names: &[],
    };
    let given = GivenClasses::from([("a".to_owned(), GivenClass::Index(2))]);
    assert!(ClassMap::new(&names(&["a", "b", "c"]), unnamed, &given).is_err());
    assert!(ClassMap::new(&names(&["a"]), unnamed, &given).is_ok());
}

#[test]
fn long_lists_are_shortened_and_names_are_escaped() {
    let many: Vec<String> = (0..50).map(|n| format!("x{n}")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    let error = matched(&many, &["cat", "a\u{1b}[31m"])
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("and 38 more") && error.len() < 1000,
        "{error}"
    );
    assert!(!error.contains('\u{1b}'), "{error}");
}

proptest! {
    #[test]
    fn a_model_matches_its_own_classes_in_any_order(
        classes in prop::collection::hash_set("[a-z]{1,8}", 1..20),
        order in any::<u64>(),
    ) {
        let model: Vec<String> = classes.into_iter().collect();
        let mut data = model.clone();
        data.rotate_left((order % model.len() as u64) as usize);
        data.truncate(1 + (order % model.len() as u64) as usize);
        let classes = ModelClasses { count: model.len(), names: &model };
        let map = ClassMap::new(&data, classes, &GivenClasses::new()).unwrap();
        for (class, index) in data.iter().zip(map.labels(&data)) {
            prop_assert_eq!(class, &model[index]);
        }
    }

    #[test]
    fn no_label_is_outside_the_model_and_no_two_classes_share_one(
        data in prop::collection::hash_set("[a-c0-3_]{1,3}", 1..6),
        model in prop::collection::vec("[a-c0-3_]{1,3}", 2..6),
        named in any::<bool>(),
    ) {
        let data: Vec<String> = data.into_iter().collect();
        let classes = ModelClasses {
            count: model.len(),
            names: if named { &model } else { &[] },
        };
        if let Ok(map) = ClassMap::new(&data, classes, &GivenClasses::new()) {
            let labels = map.labels(&data);
            prop_assert_eq!(labels.len(), data.len());
            prop_assert!(labels.iter().all(|&label| label < model.len()));
            let different: HashSet<usize> = labels.iter().copied().collect();
            prop_assert_eq!(different.len(), labels.len());
        }
    }
}
