//! Where an exporter sends to.

use std::fmt;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use http::Uri;

/// Scheme, host and port; or a socket on this machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    uri: Uri,
    unix: Option<PathBuf>,
}

// === impl Target ===

impl Target {
    /// Reads `host:port` (with TLS, if `tls`) or a URL whose scheme decides about TLS.
    ///
    /// # Errors
    /// A sentence that says what is wrong.
    pub fn parse(endpoint: &str, tls: bool) -> Result<Self, String> {
        // What stands before an @ may be a password and is not repeated.
        let shown = match endpoint.rsplit_once('@') {
            Some((_, rest)) => format!("…@{rest}"),
            None => endpoint.to_owned(),
        };
        let fail =
            || format!("expected an endpoint as in \"host:4317\" or a URL, but found {shown:?}");
        let url = if endpoint.contains("://") {
            endpoint.to_owned()
        } else {
            let scheme = if tls { "https" } else { "http" };
            format!("{scheme}://{endpoint}")
        };
        let uri: Uri = url.parse().map_err(|_| fail())?;
        let known = matches!(uri.scheme_str(), Some("http" | "https"));
        let (Some(authority), None) = (uri.authority(), uri.query()) else {
            return Err(fail());
        };
        if authority.as_str().contains('@') {
            return Err(format!(
                "expected no user name or password in {shown:?}; \"headers\" may hold an \
                 \"authorization\""
            ));
        }
        let host = authority.host();
        // A port that is not a number is no port to the parser of URIs.
        let rest = authority.as_str().strip_prefix(host);
        let has_port = authority.port_u16().is_some();
        if !known || host.is_empty() || rest.is_none_or(|rest| has_port == rest.is_empty()) {
            return Err(fail());
        }
        Ok(Self { uri, unix: None })
    }

    /// As [`Self::parse`], and also reads `unix:path` and `unix:///path`, as gRPC names sockets.
    ///
    /// # Errors
    /// A sentence that says what is wrong.
    pub fn parse_grpc(endpoint: &str, tls: bool) -> Result<Self, String> {
        let Some(path) = endpoint.strip_prefix("unix:") else {
            return Self::parse(endpoint, tls);
        };
        let path = match path.strip_prefix("//") {
            Some(absolute) if !absolute.starts_with('/') => {
                return Err(format!(
                    "expected a socket as in \"unix:///run/otlp.sock\", but found {endpoint:?}"
                ));
            }
            Some(absolute) => absolute,
            None => path,
        };
        if path.is_empty() {
            return Err(format!("expected a path behind \"unix:\" in {endpoint:?}"));
        }
        // Requests have to name some host.
        let mut target = Self::parse("localhost", tls)?;
        target.unix = Some(path.into());
        Ok(target)
    }

    /// Whether connections use TLS.
    pub fn is_tls(&self) -> bool {
        self.uri.scheme_str() == Some("https")
    }

    /// As a URI.
    pub fn uri(&self) -> &Uri {
        &self.uri
    }

    /// The socket on this machine, if it is one.
    pub fn unix_path(&self) -> Option<&Path> {
        self.unix.as_deref()
    }

    /// The host and the port to look up; `None` if there is nothing to look up, since it is an address
    /// or a socket.
    pub fn name(&self) -> Option<(String, u16)> {
        let host = self.uri.host()?;
        if self.unix.is_some() || host.starts_with('[') || host.parse::<IpAddr>().is_ok() {
            return None;
        }
        let default = if self.is_tls() { 443 } else { 80 };
        Some((host.to_owned(), self.uri.port_u16().unwrap_or(default)))
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.unix {
            Some(path) => write!(f, "unix:{}", path.display()),
            None => self.uri.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints_are_hosts_or_urls() {
        let p = |endpoint, tls| Target::parse(endpoint, tls).map(|target| target.to_string());
        assert_eq!(p("host:4317", true).unwrap(), "https://host:4317/");
        assert_eq!(p("host:4317", false).unwrap(), "http://host:4317/");
        assert_eq!(p("http://host:4318/x", true).unwrap(), "http://host:4318/x");
        for bad in ["", "ftp://host", "host:port", "http://", "http://a b"] {
            assert!(p(bad, false).is_err(), "{bad}");
        }
        for secret in [
            "https://user:xyzzy@host:4317",
            "user:xyzzy@host:4317",
            "https://user:xyz zy@host",
            "https:/user:xyzzy@host",
        ] {
            let message = p(secret, true).unwrap_err();
            assert!(!message.contains("xyz"), "{message}");
        }
        let message = p("https://user:x@host:4317", true).unwrap_err();
        assert!(
            message.starts_with("expected no user name or password"),
            "{message}"
        );
    }
    #[test]
    fn grpc_has_sockets_too() {
        let p = |endpoint| {
            let target = Target::parse_grpc(endpoint, false)?;
            Ok::<_, String>(target.unix_path().map(Path::to_owned))
        };
        assert_eq!(p("unix:///run/a.sock"), Ok(Some("/run/a.sock".into())));
        assert_eq!(p("unix:/run/a.sock"), Ok(Some("/run/a.sock".into())));
        assert_eq!(p("unix:a.sock"), Ok(Some("a.sock".into())));
        assert_eq!(p("host:4317"), Ok(None));
        for bad in ["unix:", "unix://a.sock", "unix://"] {
            assert!(p(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn only_names_are_looked_up() {
        let p = |endpoint| Target::parse_grpc(endpoint, true).unwrap().name();
        assert_eq!(p("host:4317"), Some(("host".to_owned(), 4317)));
        assert_eq!(p("https://host"), Some(("host".to_owned(), 443)));
        for address in ["127.0.0.1:4317", "[::1]:4317", "unix:a.sock"] {
            assert_eq!(p(address), None, "{address}");
        }
    }
}
