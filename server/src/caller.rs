use std::sync::Arc;

use axum::{extract::FromRequestParts, http::request::Parts};

use crate::{app::App, auth::Tenant, deadline::Deadline, error::ApiError};

/// Who asks, and until when.
#[derive(Clone, Debug)]
pub(crate) struct Caller {
    pub tenant: Tenant,
    pub deadline: Deadline,
}

impl FromRequestParts<Arc<App>> for Caller {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, ApiError> {
        let tenant = parts.extensions.get::<Tenant>();
        let unchecked = || ApiError::Internal("nobody has looked at the request's key".to_owned());
        let deadline = parts.extensions.get::<Deadline>().copied();
        Ok(Self {
            tenant: tenant.cloned().ok_or_else(unchecked)?,
            deadline: deadline.unwrap_or_else(|| Deadline::after(app.config.request_timeout)),
        })
    }
}
