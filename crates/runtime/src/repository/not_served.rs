//! Why a model is not there for a request.

/// Why a model is not there for a request.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotServed {
    /// There is no such directory.
    #[error("model `{name}` does not exist: use one of {known}")]
    Unknown {
        /// What was asked for.
        name: String,
        /// What there is.
        known: String,
    },
    /// Another version is served.
    #[error(
        "version `{version}` of model `{name}` is not served, version {served} is: ask for that, or for none"
    )]
    Version {
        /// The model.
        name: String,
        /// What was asked for.
        version: String,
        /// What there is.
        served: String,
    },
    /// It could not be loaded, or was unloaded.
    #[error("model `{name}` is not ready ({reason}): repair it and load it, or use another one")]
    NotReady {
        /// The model.
        name: String,
        /// Why.
        reason: String,
    },
}
