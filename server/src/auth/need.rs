use super::Scope;

/// What a route needs of whoever asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Need {
    Nothing,
    /// A key, whatever its scopes.
    AnyKey,
    Scope(Scope),
}

impl Need {
    /// For a route's pattern. What is not listed is for administrators, so that a new route is never open by oversight.
    pub fn of(route: &str, metrics_need_key: bool) -> Self {
        match route {
            "/metrics" if metrics_need_key => Self::AnyKey,
            "/" | "/attacks" | "/health" | "/metrics" | "/openapi.json" | "/docs" => Self::Nothing,
            "/predict" | "/models" | "/v2" => Self::Scope(Scope::Predict),
            "/attack" | "/certify" => Self::Scope(Scope::Attack),
            _ => Self::below(route),
        }
    }

    fn below(route: &str) -> Self {
        let starts = |prefix: &str| route.starts_with(prefix);
        let changes = route.ends_with("/load") || route.ends_with("/unload");
        if starts("/assets/") || starts("/docs/") || starts("/v2/health/") {
            Self::Nothing
        } else if starts("/v2/") && !(starts("/v2/repository/models/") && changes) {
            Self::Scope(Scope::Predict)
        } else {
            Self::Scope(Scope::Admin)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_route_needs_its_scope_and_an_unknown_one_the_highest() {
        for (route, need) in [
            ("/", Need::Nothing),
            ("/assets/{*path}", Need::Nothing),
            ("/docs/{*path}", Need::Nothing),
            ("/v2/health/ready", Need::Nothing),
            ("/models", Need::Scope(Scope::Predict)),
            ("/v2", Need::Scope(Scope::Predict)),
            ("/v2/", Need::Scope(Scope::Predict)),
            ("/v2/models/{model}/infer", Need::Scope(Scope::Predict)),
            ("/v2/repository/index", Need::Scope(Scope::Predict)),
            ("/certify", Need::Scope(Scope::Attack)),
            (
                "/v2/repository/models/{model}/load",
                Need::Scope(Scope::Admin),
            ),
            (
                "/v2/repository/models/{model}/unload",
                Need::Scope(Scope::Admin),
            ),
            ("/healthy", Need::Scope(Scope::Admin)),
            ("/v3/models", Need::Scope(Scope::Admin)),
        ] {
            assert_eq!(Need::of(route, false), need, "{route}");
        }
        assert_eq!(Need::of("/metrics", false), Need::Nothing);
        assert_eq!(Need::of("/metrics", true), Need::AnyKey);
    }
}
