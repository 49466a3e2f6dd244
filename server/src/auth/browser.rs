//! Pages in browsers: a page of another origin, or a name that leads to this machine, may use the server only where it is listed.

use std::net::IpAddr;

use axum::{
    extract::Request,
    http::{
        HeaderMap, Method,
        header::{HOST, ORIGIN},
    },
};

use super::Denied;
use crate::Config;

/// Who may ask from a browser.
pub(super) struct Browsers {
    /// Origins that are listed.
    origins: Vec<String>,
    /// Whether the server is asked for under any name. One on a loopback address without keys is not: a page could lead its own name
    /// to this machine (DNS rebinding), and would be of the same origin then.
    any_host: bool,
}

impl Browsers {
    pub fn of(config: &Config) -> Self {
        Self {
            origins: config.cors_origins.clone(),
            any_host: config.exposed || !config.keys.is_empty(),
        }
    }

    /// Refuses a request that a page sent which is not the server's own and not listed.
    pub fn check(&self, request: &Request) -> Result<(), Denied> {
        let headers = request.headers();
        let host = match request.uri().authority() {
            Some(authority) => Some(authority.as_str()),
            None => text(headers, HOST.as_str()),
        };
        if let Some(host) = host.filter(|host| !self.any_host && !is_loopback(host)) {
            return Err(Denied::ForeignHost(shortened(host)));
        }
        let origins: Vec<_> = headers.get_all(ORIGIN).iter().collect();
        let fetch = |name| text(headers, name).unwrap_or_default();
        match origins.as_slice() {
            [] => {
                let visits =
                    request.method() == Method::GET && fetch("sec-fetch-mode") == "navigate";
                match fetch("sec-fetch-site") == "cross-site" && !visits {
                    true => Err(Denied::CrossSite),
                    false => Ok(()),
                }
            }
            [origin] => {
                let origin = origin.to_str().unwrap_or("of another encoding");
                let listed = self.origins.iter().any(|listed| listed == origin);
                let place = origin
                    .strip_prefix("http://")
                    .or(origin.strip_prefix("https://"));
                let own = place
                    .zip(host)
                    .is_some_and(|(place, host)| place.eq_ignore_ascii_case(host));
                match listed || own {
                    true => Ok(()),
                    false => Err(Denied::ForeignOrigin(shortened(origin))),
                }
            }
            _ => Err(Denied::ForeignOrigin("several".to_owned())),
        }
    }
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

/// Whether a host, perhaps with a port, is this machine by its name or address.
fn is_loopback(host: &str) -> bool {
    let name = match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => host.split(':').next().unwrap_or_default(),
    };
    let name = name.trim_end_matches('.').to_ascii_lowercase();
    match name.parse::<IpAddr>() {
        Ok(address) => address.is_loopback(),
        Err(_) => name == "localhost" || name.ends_with(".localhost"),
    }
}

/// What a client wrote, as far as it is shown.
fn shortened(text: &str) -> String {
    text.chars()
        .take(100)
        .flat_map(char::escape_debug)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_machine_is_known_by_its_loopback_names_alone() {
        for host in [
            "localhost",
            "LOCALHOST:8080",
            "localhost.",
            "a.localhost:1",
            "127.0.0.1",
            "127.9.9.9:80",
            "[::1]:8080",
            "[::1]",
        ] {
            assert!(is_loopback(host), "{host}");
        }
        for host in [
            "",
            "evil.example",
            "localhost.evil.example",
            "127.0.0.1.evil.example:80",
            "notlocalhost",
            "192.168.0.1",
            "[::2]",
            "0.0.0.0",
        ] {
            assert!(!is_loopback(host), "{host}");
        }
    }
}
