use std::collections::HashSet;

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
    let assumption = map.assumption.unwrap();
    assert!(
        assumption.ends_with("taken for indices from 0"),
        "{assumption}"
    );
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
    assert_eq!(map.unused, ["elsewhere"]);
    let again = ClassMap::new(&data, model, &map.to_given()).unwrap();
    assert_eq!((again.classes, again.by), (map.classes, map.by));
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
fn a_name_of_several_classes_is_matched_with_none_unless_its_number_is_given() {
    let model = names(&["crane", "ship", "crane"]);
    let model = ModelClasses {
        count: 3,
        names: &model,
    };
    let data = names(&["Crane", "ship"]);
    assert_eq!(
        ClassMap::new(&data[1..], model, &GivenClasses::new())
            .unwrap()
            .labels(&data),
        [1]
    );
    let error = ClassMap::new(&data, model, &GivenClasses::new()).unwrap_err();
    assert!(
        error
            .to_string()
            .contains("class `Crane` could be class 0, `crane`, or 2, `crane`"),
        "{error}"
    );
    let by = |class| GivenClasses::from([("Crane".to_owned(), class)]);
    let name = by(GivenClass::Name("crane".to_owned()));
    assert!(ClassMap::new(&data, model, &name).is_err());
    let map = ClassMap::new(&data, model, &by(GivenClass::Number(2))).unwrap();
    assert_eq!(map.labels(&data), [2, 1]);
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

#[test]
fn numbers_of_a_model_without_names_are_indices_and_what_speaks_against_it_is_said() {
    let assumption = |data: &[&str], count| unnamed(data, count).unwrap().assumption.unwrap();
    let digits: Vec<String> = (0..10).map(|digit| digit.to_string()).collect();
    let digits: Vec<&str> = digits.iter().map(String::as_str).collect();
    let plain = "the model names no classes: the data set's are numbers, which are taken for indices from 0";
    assert_eq!(assumption(&digits, 10), plain);
    assert_eq!(assumption(&["00", "01", "10"], 11), plain);
    let from_one = assumption(&digits[1..], 10);
    assert!(
        from_one
            .contains("no class is 0: if they were counted from 1, every label is wrong by one"),
        "{from_one}"
    );
    let many = assumption(&["0", "1", "2", "10"], 11);
    assert!(
        many.contains("in the order of text (0, 1, 10, 2)"),
        "{many}"
    );
    let background = assumption(&digits, 11);
    assert!(
        background.contains("the model has one class more: if it is one of background"),
        "{background}"
    );
    // A card that numbers its classes says what they are.
    let map = matched(&digits[1..], &digits).unwrap();
    assert_eq!(map.assumption, None);
    let named = matched(&digits[1..], &CIFAR).unwrap().assumption.unwrap();
    assert!(named.contains("no class is 0"), "{named}");
}

#[test]
fn numbers_are_never_indices_of_a_model_whose_classes_are_other_numbers() {
    let half: Vec<String> = (5..15).map(|number| number.to_string()).collect();
    let half: Vec<&str> = half.iter().map(String::as_str).collect();
    let error = matched(&["0", "1", "2", "3", "4"], &half).unwrap_err();
    let error = error.to_string();
    assert!(
        error.contains("`0`, `1`, `2`, `3`, `4`") && error.contains("`5`, `6`"),
        "{error}"
    );
    let data = ["5", "6", "14"];
    assert_eq!(
        matched(&data, &half).unwrap().labels(&names(&data)),
        [0, 1, 9]
    );
    // By their value, whatever stands in front.
    let map = matched(&["007", "8"], &half).unwrap();
    assert_eq!(map.labels(&names(&["007", "8"])), [2, 3]);
    assert_eq!((map.by, map.assumption), (MatchedBy::Name, None));
    let signs = ["00000", "00001", "00007"];
    let map = matched(&["7", "1"], &signs).unwrap();
    assert_eq!(map.labels(&names(&["7", "1"])), [2, 1]);
    assert!(matched(&["7"], &["07", "007"]).is_err());
    assert!(matched(&["7", "07"], &["6", "7"]).is_err());
    // Digits and letters: 10 is not the eleventh of them.
    let characters = ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9", "a", "b"];
    assert!(matched(&["10", "11"], &characters).is_err());
    assert!(matched(&["0", "10"], &characters).is_err());
    for (data, model) in [("1-2", "12"), ("-1", "1"), ("1_0", "10")] {
        assert!(matched(&[data], &[model, "2"]).is_err(), "{data} {model}");
    }
}

#[test]
fn a_number_that_is_given_is_not_index_of_one_class_and_name_of_another() {
    let half: Vec<String> = (5..15).map(|number| number.to_string()).collect();
    let model = ModelClasses {
        count: 10,
        names: &half,
    };
    let give = |class| {
        let given = GivenClasses::from([("kat".to_owned(), class)]);
        ClassMap::new(&names(&["kat"]), model, &given).map(|map| map.labels(&names(&["kat"])))
    };
    let error = give(GivenClass::Number(7)).unwrap_err().to_string();
    assert!(
        error.contains("the index of the model's class `12` and the name of its class 2"),
        "{error}"
    );
    assert_eq!(give(GivenClass::Name("7".to_owned())).unwrap(), [2]);
    assert_eq!(give(GivenClass::Name("07".to_owned())).unwrap(), [2]);
    assert_eq!(give(GivenClass::Number(12)).unwrap(), [7]);
    assert_eq!(give(GivenClass::Index(7)).unwrap(), [7]);
    assert!(give(GivenClass::Number(15)).is_err());
}

#[test]
fn an_order_by_numbers_and_another_as_text_cannot_be_told_apart() {
    let data: Vec<String> = (1..=10).map(|number| format!("class{number}")).collect();
    let data: Vec<&str> = data.iter().map(String::as_str).collect();
    let error = unnamed(&data, 10).unwrap_err().to_string();
    for part in [
        "(`class1`, `class2`, `class3`",
        "(`class1`, `class10`, `class2`",
        "on its card",
    ] {
        assert!(error.contains(part), "{part}: {error}");
    }
    assert!(unnamed(&["0", "90", "180", "270"], 4).is_err());
    assert_eq!(unnamed(&data[..9], 9).unwrap().by, MatchedBy::Order);
    assert_eq!(matched(&data, &data).unwrap().by, MatchedBy::Name);
}

#[test]
fn both_unicode_forms_of_a_name_are_the_same_name() {
    let (composed, decomposed) = ("caf\u{e9}", "cafe\u{301}");
    for (data, model) in [
        (composed, decomposed),
        (decomposed, composed),
        ("CAFE\u{301}", composed),
        ("Cafe\u{301}_1", "caf\u{c9} 1"),
    ] {
        let map = matched(&[data], &["tea", model]).unwrap();
        assert_eq!(map.labels(&names(&[data])), [1], "{data:?} {model:?}");
    }
    // The same but for the form goes before the same but for case.
    let map = matched(&[decomposed], &["Caf\u{e9}", composed]).unwrap();
    assert_eq!(map.labels(&names(&[decomposed])), [1]);
    let model = names(&["tea", decomposed]);
    let model = ModelClasses {
        count: 2,
        names: &model,
    };
    let name = |name: &str| GivenClass::Name(name.to_owned());
    let given = GivenClasses::from([(composed.to_owned(), name(composed))]);
    let map = ClassMap::new(&names(&[decomposed]), model, &given).unwrap();
    assert_eq!(map.labels(&names(&[decomposed])), [1]);
    let given = GivenClasses::from([
        (composed.to_owned(), name("tea")),
        (decomposed.to_owned(), name(composed)),
    ]);
    let error = ClassMap::new(&names(&[decomposed]), model, &given).unwrap_err();
    assert!(error.to_string().contains("given twice"), "{error}");
}

#[test]
fn given_classes_that_the_data_set_does_not_have_are_refused_or_told() {
    let model = names(&CIFAR);
    let model = ModelClasses {
        count: 10,
        names: &model,
    };
    let data = names(&["dog", "tabby"]);
    let give = |pairs: &[(&str, &str)]| {
        let pairs = pairs.iter();
        let given = pairs.map(|(class, name)| {
            let class = (*class).to_owned();
            (class, GivenClass::Name((*name).to_owned()))
        });
        ClassMap::new(&data, model, &given.collect())
    };
    // Another case of a class that nothing else is given for.
    let error = give(&[("Dog", "cat"), ("tabby", "cat")]).unwrap_err();
    let error = error.to_string();
    assert!(
        error.contains("`Dog`") && error.contains("did you mean `dog`?"),
        "{error}"
    );
    // Nothing of what was given is used.
    let error = give(&[("hund", "dog"), ("tabbby", "cat")]).unwrap_err();
    let error = error.to_string();
    assert!(
        error.contains("`hund`, `tabbby`") && error.contains("`dog`, `tabby`"),
        "{error}"
    );
    // A map for more classes than this data set has.
    let map = give(&[("tabby", "cat"), ("siamese", "cat"), ("tabbi", "cat")]).unwrap();
    let told = map.unused().unwrap();
    assert!(
        told.contains("2 of the given classes") && told.contains("`siamese`, `tabbi`"),
        "{told}"
    );
    let map = give(&[("tabby", "cat"), ("Dog", "cat"), ("dog", "dog")]).unwrap();
    assert_eq!(map.labels(&data), [5, 3]);
    assert!(map.unused().unwrap().contains("did you mean `dog`?"));
    assert_eq!(give(&[("tabby", "cat")]).unwrap().unused(), None);
    // What is given for them has to be a class of the model all the same.
    let error = give(&[("tabby", "cat"), ("siamese", "catt")]).unwrap_err();
    let error = error.to_string();
    assert!(
        error.contains("`catt`, which is not a class of the model (did you mean `cat`?)"),
        "{error}"
    );
}

#[test]
fn imagenets_words_and_ids_are_matched_right_or_not_at_all() {
    let map = matched(&["n02113186"], &["cardigan", "tench"]);
    assert!(map.is_err(), "a dog is not a garment: {map:?}");
    let map = matched(&["n02012849"], &["crane", "tench"]);
    assert!(map.is_err(), "{map:?}");
    // The model has the bird alone, and the data set may mean the machine.
    assert!(matched(&["crane"], &["n02012849", "n01440764"]).is_err());
    // Ids and words side by side; of what is left over only that is listed.
    let mixed = ["n01440764", "lorry", "n02012849"];
    let error = matched(&mixed, &["tench", "Lorry", "crane"]).unwrap_err();
    let error = error.to_string();
    assert!(
        error.starts_with("1 of the data set's 3 classes are not among the model's 3: `n02012849`"),
        "{error}"
    );
    let map = matched(&mixed[..2], &["tench", "Lorry", "crane"]).unwrap();
    assert_eq!(map.labels(&names(&mixed[..2])), [0, 1]);
    let words = ["tench", "goldfish"];
    let map = unnamed(&words, 1000).unwrap();
    assert_eq!(map.labels(&names(&words)), [0, 1]);
    assert_eq!(map.by, MatchedBy::Wordnet);
    assert!(unnamed(&["tench", "goldfish", "crane"], 1000).is_err());
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
