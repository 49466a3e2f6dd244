//! Panics while a model is loaded, as errors of that model.
use std::{
    fmt::Display,
    panic::{AssertUnwindSafe, catch_unwind},
};

/// Runs what may panic; `what` says in the error what was done, such as `loading it`.
pub(crate) fn caught<T, E: Display>(
    what: &str,
    run: impl FnOnce() -> Result<T, E>,
) -> Result<T, String> {
    match catch_unwind(AssertUnwindSafe(run)) {
        Ok(result) => result.map_err(|error| error.to_string()),
        Err(panic) => {
            let text = panic.downcast_ref::<String>().map(String::as_str);
            let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
            let text = text.unwrap_or("without a message");
            Err(format!(
                "{what} failed in a way that it should not ({text}): please report this model"
            ))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::RuntimeError;

    #[test]
    fn a_panic_while_a_model_is_loaded_is_an_error_of_that_model() {
        let panicking = |payload: Box<dyn std::any::Any + Send>| {
            let load = || -> Result<(), RuntimeError> { std::panic::resume_unwind(payload) };
            caught("loading it", load).unwrap_err()
        };
        let reason = panicking(Box::new("out of bounds"));
        assert!(reason.contains("(out of bounds)"), "{reason}");
        let reason = panicking(Box::new("out of memory".to_owned()));
        assert!(
            reason.starts_with("loading it") && reason.contains("(out of memory)"),
            "{reason}"
        );
    }
}
