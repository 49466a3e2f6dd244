use std::{convert::Infallible, sync::Arc};

use axum::{extract::FromRequestParts, http::request::Parts};

use crate::{app::App, deadline::Deadline};

/// Who asks, and until when.
#[derive(Clone, Debug)]
pub(crate) struct Caller {
    pub tenant: Arc<str>,
    pub deadline: Deadline,
}

impl FromRequestParts<Arc<App>> for Caller {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, Infallible> {
        let deadline = parts.extensions.get::<Deadline>().copied();
        Ok(Self {
            tenant: "anonymous".into(),
            deadline: deadline.unwrap_or_else(|| Deadline::after(app.config.request_timeout)),
        })
    }
}
