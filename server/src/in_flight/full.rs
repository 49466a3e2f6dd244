use std::{sync::Arc, time::Duration};

/// Why a request is not taken, or not read on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Full {
    #[error(
        "{0} requests are under way, as many as are allowed at a time (`max_requests`): try again in 1 s"
    )]
    Requests(usize),
    #[error(
        "the requests under way hold {0} bytes, as many as are allowed at a time (`max_bytes_in_flight`): try again in 1 s"
    )]
    Bytes(usize),
    #[error(
        "key `{key}` has {limit} requests under way, as many as it may have at a time: wait for their answers"
    )]
    KeyRequests { key: Arc<str>, limit: usize },
    #[error(
        "the requests of key `{key}` hold {limit} bytes, as many as they may at a time: wait for their answers"
    )]
    KeyBytes { key: Arc<str>, limit: usize },
    #[error(
        "the requests of this connection hold {0} bytes, as many as they may at a time: wait for their answers, or open another one"
    )]
    ConnectionBytes(usize),
    #[error(
        "the rest of the body did not come in time: send at least {rate} bytes per second, and pause for no more than {} s \
         (`min_rate`, `stall_timeout`)",
        .stall.as_secs_f64()
    )]
    Stalled { stall: Duration, rate: u32 },
    #[error(
        "others needed the place of this request, whose body did not come: send it without a pause"
    )]
    GivenUp,
}
