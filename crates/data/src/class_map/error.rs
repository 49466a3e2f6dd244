//! Why the classes of a data set cannot be matched with those of a model.

/// Names shown of a list at most.
const SHOWN: usize = 12;

/// Why the classes of a data set cannot be matched with those of a model.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ClassMapError {
    /// Some classes of the data set are not classes of the model.
    #[error(
        "{count} of the data set's {data_count} classes are not among the model's {model_count}: {unmatched}{suggestion}; the data set has {data}, the model {model}: rename the data set's classes, or name the model's classes on its card",
        count = .unmatched.len(), data_count = .data.len(), unmatched = list(.unmatched), suggestion = suggested(.suggestion),
        data = list(.data), model = list(.model)
    )]
    Unmatched {
        /// Classes of the data set without a match.
        unmatched: Vec<String>,
        /// Classes of the data set.
        data: Vec<String>,
        /// Classes of the model.
        model: Vec<String>,
        /// How many these are.
        model_count: usize,
        /// The model's class that the first one without a match was probably meant to be.
        suggestion: Option<String>,
    },
    /// The model names no classes, and has another number of them.
    #[error(
        "the data set has {count} classes ({data}) and the model {model_count}, which it does not name: name the model's classes on its card",
        count = .data.len(), data = list(.data)
    )]
    Unnamed {
        /// Classes of the data set.
        data: Vec<String>,
        /// How many classes the model has.
        model_count: usize,
    },
    /// The model names no classes, and the data set's have several orders.
    #[error(
        "the model names no classes, and the data set's {count} come in one order by the numbers in their names ({by_number}) and in another as text ({as_text}), in which torchvision and Keras sort them: name the model's classes on its card, in the order in which it was trained",
        count = .by_number.len(), by_number = list(.by_number), as_text = list(.as_text)
    )]
    Unordered {
        /// The classes in one order.
        by_number: Vec<String>,
        /// The classes in the other.
        as_text: Vec<String>,
    },
    /// A class of the data set could be several of the model's, or several of the data set's one of the model's.
    #[error("{what}: rename one of them")]
    Ambiguous {
        /// Which.
        what: String,
    },
    /// A class of the model that does not exist was given.
    #[error(
        "class `{data}` is given as `{given}`, which is not a class of the model{suggestion}: use {names}",
        data = .data.escape_debug(), given = .given.escape_debug(), suggestion = suggested(.suggestion), names = usable(.names, *.count)
    )]
    NoSuchClass {
        /// The class of the data set.
        data: String,
        /// What was given.
        given: String,
        /// Names of the model's classes.
        names: Vec<String>,
        /// Their number.
        count: usize,
        /// The model's class that was probably meant.
        suggestion: Option<String>,
    },
    /// A number was given that is the index of one class of the model and the name of another.
    #[error(
        "class `{data}` is given as {number}, which is the index of the model's class `{indexed}` and the name of its class {named}: write the name of the class that is meant in quotes",
        data = .data.escape_debug(), indexed = .indexed.escape_debug()
    )]
    IndexOrName {
        /// The class of the data set.
        data: String,
        /// What was given.
        number: usize,
        /// Name of the class with that index.
        indexed: String,
        /// Index of the class with that name.
        named: usize,
    },
    /// A class was given twice.
    #[error("class `{}` is given twice, in two Unicode forms: leave one out", .data.escape_debug())]
    GivenTwice {
        /// The class of the data set.
        data: String,
    },
    /// Classes were given that the data set does not have.
    #[error(
        "the given classes {given} are not classes of the data set{suggestion}, which has {data}: correct their names",
        given = list(.given), suggestion = suggested(.suggestion), data = list(.data)
    )]
    NotInData {
        /// Classes that were given.
        given: Vec<String>,
        /// Classes of the data set.
        data: Vec<String>,
        /// The data set's class that the first was probably meant to be.
        suggestion: Option<String>,
    },
}

/// Why no class of a model is meant by what somebody wrote.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ClassNameError {
    /// No class is called so.
    #[error(
        "`{name}` is no class of the model: use {usable}",
        name = .name.escape_debug(), usable = name_or_number(.example.as_deref(), *.last)
    )]
    Unknown {
        /// What was written.
        name: String,
        /// Name of one of the classes; `None` where they have none.
        example: Option<String>,
        /// Index of the last class, where classes can be meant by their numbers.
        last: Option<usize>,
    },
    /// Several classes are called so.
    #[error(
        "`{name}` is the name of class {first} and of class {second}: {remedy}",
        name = .name.escape_debug(), remedy = number_or_rename(*.last)
    )]
    Shared {
        /// The name.
        name: String,
        /// Index of a class that has it.
        first: usize,
        /// Index of another one.
        second: usize,
        /// Index of the last class, where classes can be meant by their numbers.
        last: Option<usize>,
    },
}

fn name_or_number(example: Option<&str>, last: Option<usize>) -> String {
    let example = example.map(|name| format!("a name such as `{}`", name.escape_debug()));
    let number = last.map(|last| format!("a number from 0 to {last}"));
    match (example, number) {
        // Numbers that are names do not count classes.
        (Some(example), None) => format!("{example}, not its place in the list"),
        (example, number) => {
            let usable: Vec<String> = example.into_iter().chain(number).collect();
            usable.join(" or ")
        }
    }
}

fn number_or_rename(last: Option<usize>) -> &'static str {
    match last {
        Some(_) => "give the number",
        None => "give them different names on the model's card",
    }
}

fn suggested(suggestion: &Option<String>) -> String {
    suggestion
        .as_ref()
        .map(|name| format!(" (did you mean `{}`?)", name.escape_debug()))
        .unwrap_or_default()
}

fn usable(names: &[String], count: usize) -> String {
    let last = count.saturating_sub(1);
    match names {
        [] => format!("0 to {last}"),
        names => format!("0 to {last}, or one of {}", list(names)),
    }
}

/// The first names of a list, and how many there are.
pub(super) fn list(names: &[String]) -> String {
    let shown = names.iter().take(SHOWN);
    let shown: Vec<String> = shown
        .map(|name| format!("`{}`", name.escape_debug()))
        .collect();
    let more = names.len().saturating_sub(SHOWN);
    match (shown.as_slice(), more) {
        ([], _) => "none".to_owned(),
        (shown, 0) => shown.join(", "),
        (shown, more) => format!("{} and {more} more", shown.join(", ")),
    }
}
