use std::path::PathBuf;

/// Why nothing was measured.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// A setting that makes no sense.
    #[error("{0}")]
    Plan(String),
    /// A target that is no address.
    #[error("`{given}` is no target ({reason}): write it as [NAME=]http://HOST:PORT[/PATH]")]
    Url {
        /// What was given.
        given: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A file cannot be read.
    #[error("{}: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The image cannot be made into a tensor.
    #[error("the image cannot be made into a tensor: {0}")]
    Tensor(String),
    /// No answer before the load began.
    #[error("{url} does not answer ({reason}): is the server running?")]
    Unreachable {
        /// What was asked.
        url: String,
        /// What happened.
        reason: String,
    },
    /// The first request was refused: a load of refusals measures nothing.
    #[error("{url} answers with {status}, so there is nothing to measure: {body}")]
    Refused {
        /// What was asked.
        url: String,
        /// The answer's status.
        status: u16,
        /// The beginning of the answer's body.
        body: String,
    },
    /// The process whose memory is to be watched cannot be looked at.
    #[error(
        "process {pid} cannot be looked at ({source}): give the number of a running process, on Linux"
    )]
    Process {
        /// The process.
        pid: u32,
        /// Why.
        source: std::io::Error,
    },
    /// The HTTP client cannot be set up.
    #[error("the HTTP client: {0}")]
    Client(#[from] reqwest::Error),
    /// The histogram of latencies cannot be made.
    #[error("the histogram of latencies: {0}")]
    Histogram(#[from] hdrhistogram::CreationError),
    /// A task of the load generator panicked.
    #[error("the load generator failed: {0}")]
    Worker(#[from] tokio::task::JoinError),
}
