//! How an error is told: each cause once, and the options that help.
use anyhow::Error;
use buckler_onnx::{Error as OnnxError, printable_lines};

/// The error with its causes, and the options of this program that help against it.
pub fn describe(error: &Error) -> String {
    let mut told = String::new();
    for cause in error.chain() {
        let cause = cause.to_string();
        // Some errors of libraries state their cause themselves.
        if !told.is_empty() && told.ends_with(&cause) {
            continue;
        }
        // And some begin with what the context above them ends with.
        let rest = match cause.split_once(": ") {
            Some((first, rest)) if told.ends_with(first) => rest,
            _ => cause.as_str(),
        };
        if !told.is_empty() {
            told.push_str(": ");
        }
        told.push_str(rest);
    }
    if let Some(remedy) = error.chain().find_map(remedy) {
        told.push_str("; ");
        told.push_str(remedy);
    }
    printable_lines(&told).into_owned()
}

/// What helps against an error of a library, which does not know of options.
fn remedy(cause: &(dyn std::error::Error + 'static)) -> Option<&'static str> {
    // Through errors that only pass theirs on.
    let onnx = cause.downcast_ref::<OnnxError>().or_else(|| match cause
        .downcast_ref::<buckler_runtime::RuntimeError>(
    ) {
        Some(buckler_runtime::RuntimeError::Onnx(error)) => Some(error),
        _ => None,
    })?;
    match onnx {
        OnnxError::ImageSize(_) => Some(
            "--size states it, such as `--size 224` or `--size 224x224` (height x width), and so does `input` in a card.json beside the model",
        ),
        OnnxError::AmbiguousOutput(_) => {
            Some("--output NAME chooses one, and so does `output` in a card.json beside the model")
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use anyhow::{Context, anyhow};

    use super::*;

    #[test]
    fn every_cause_is_told_once() {
        let missing = std::fs::read("no-such.onnx").unwrap_err().to_string();
        let error = buckler_onnx::Model::read("no-such.onnx").unwrap_err();
        let expected = format!("no-such.onnx: {missing}");
        assert_eq!(describe(&error.into()), expected);
        let error = buckler_onnx::Model::read("no-such.onnx").unwrap_err();
        let error = Error::from(error).context("cannot load no-such.onnx");
        assert_eq!(describe(&error), format!("cannot load {expected}"));
        let twice: Result<(), Error> = Err(anyhow!("no-such.onnx: gone"));
        let error = twice.context("no-such.onnx").unwrap_err();
        assert_eq!(describe(&error), "no-such.onnx: gone");
        let plain = anyhow!("b").context("a");
        assert_eq!(describe(&plain), "a: b");
    }

    #[test]
    fn nothing_in_an_error_is_obeyed_by_a_terminal() {
        assert_eq!(
            describe(&anyhow!("file `\u{1b}[2J\u{9b}`\nnext")),
            "file `\\u{1b}[2J\\u{9b}`\nnext"
        );
    }

    #[test]
    fn an_unknown_size_names_the_option() {
        let error = Error::from(OnnxError::ImageSize("it is open".into()));
        let told = describe(&error.context("cannot load x"));
        assert!(told.contains("--size 224"), "{told}");
        let error = buckler_runtime::RuntimeError::from(OnnxError::AmbiguousOutput("`a`".into()));
        assert!(describe(&error.into()).contains("--output NAME"));
    }
}
