use std::{sync::Arc, time::Instant};

use axum::{extract::FromRequestParts, http::request::Parts};

use crate::{app::App, auth::Tenant, error::ApiError};

/// Who asks, and until when.
#[derive(Clone, Debug)]
pub(crate) struct Caller {
    pub tenant: Tenant,
    /// When the answer is due.
    pub deadline: Instant,
}

impl FromRequestParts<Arc<App>> for Caller {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, ApiError> {
        let tenant = parts.extensions.get::<Tenant>();
        let unchecked = || ApiError::Internal("nobody has looked at the request's key".to_owned());
        Ok(Self {
            tenant: tenant.cloned().ok_or_else(unchecked)?,
            deadline: Instant::now() + app.config.request_timeout,
        })
    }
}
