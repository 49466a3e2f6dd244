use std::{convert::Infallible, sync::Arc, time::Instant};

use axum::{extract::FromRequestParts, http::request::Parts};

use crate::{app::App, deadline::Deadline};

/// Who asks, and until when.
#[derive(Clone, Debug)]
pub(crate) struct Caller {
    pub tenant: Arc<str>,
    /// When the answer is due.
    pub deadline: Instant,
}

impl FromRequestParts<Arc<App>> for Caller {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, Infallible> {
        let deadline = parts.extensions.get::<Deadline>();
        Ok(Self {
            tenant: "anonymous".into(),
            deadline: match deadline {
                Some(Deadline(deadline)) => *deadline,
                None => Instant::now() + app.config.request_timeout,
            },
        })
    }
}
