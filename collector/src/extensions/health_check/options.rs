//! The options of `health_check`.

use std::time::Duration;

use serde::Deserialize;

use crate::config::Span;
use crate::transport::listen_endpoint;

/// The options as they are written: those of the first version, and those of the second, which apply
/// if `use_v2` is set.
#[derive(Debug, Deserialize)]
#[serde(default)]
struct Raw {
    #[serde(deserialize_with = "listen_endpoint")]
    endpoint: String,
    path: String,
    response_body: ResponseBody,
    use_v2: bool,
    http: Http,
    component_health: RawComponentHealth,
}

/// What is answered instead of the status.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub(super) struct ResponseBody {
    /// With 200.
    pub(super) healthy: Option<String>,
    /// With 503.
    pub(super) unhealthy: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(default)]
struct Http {
    #[serde(deserialize_with = "listen_endpoint")]
    endpoint: String,
    status: StatusPath,
}

#[derive(Debug, Deserialize)]
#[serde(default)]
struct StatusPath {
    enabled: bool,
    path: String,
}

#[derive(Debug, Deserialize)]
#[serde(default)]
struct RawComponentHealth {
    include_permanent_errors: bool,
    include_recoverable_errors: bool,
    recovery_duration: Span,
}

/// What is served.
#[derive(Debug, Deserialize)]
#[serde(try_from = "Raw")]
pub(super) struct Options {
    /// Where to listen.
    pub(super) endpoint: String,
    /// The path that is answered; others are not found.
    pub(super) path: String,
    /// What it answers.
    pub(super) version: Version,
}

/// What the path answers.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Version {
    /// Whether the collector receives.
    First(ResponseBody),
    /// How its components are.
    Second(ComponentHealth),
}

/// Which conditions of components make the whole unhealthy.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct ComponentHealth {
    /// A destination that refuses what it gets.
    pub(super) permanent: bool,
    /// A destination that has failed for so long.
    pub(super) recoverable: Option<Duration>,
}

const ENDPOINT: &str = "localhost:13133";

// === impl Options ===

impl TryFrom<Raw> for Options {
    type Error = String;

    fn try_from(raw: Raw) -> Result<Self, String> {
        let path = if raw.use_v2 {
            &raw.http.status.path
        } else {
            &raw.path
        };
        if !path.starts_with('/') {
            return Err(format!(
                "expected a path as in \"/status\", but found {path:?}"
            ));
        }
        if !raw.use_v2 {
            return Ok(Self {
                endpoint: raw.endpoint,
                path: raw.path,
                version: Version::First(raw.response_body),
            });
        }
        if !raw.http.status.enabled {
            return Err(
                "expected \"http::status::enabled\" to be true, since nothing else is served"
                    .to_owned(),
            );
        }
        let health = raw.component_health;
        let recovery = health.recovery_duration.0;
        Ok(Self {
            endpoint: raw.http.endpoint,
            path: raw.http.status.path,
            version: Version::Second(ComponentHealth {
                permanent: health.include_permanent_errors,
                recoverable: health.include_recoverable_errors.then_some(recovery),
            }),
        })
    }
}

// === impl Raw ===

impl Default for Raw {
    fn default() -> Self {
        Self {
            endpoint: ENDPOINT.to_owned(),
            path: "/".to_owned(),
            response_body: ResponseBody::default(),
            use_v2: false,
            http: Http::default(),
            component_health: RawComponentHealth::default(),
        }
    }
}

impl Default for Http {
    fn default() -> Self {
        Self {
            endpoint: ENDPOINT.to_owned(),
            status: StatusPath::default(),
        }
    }
}

impl Default for StatusPath {
    fn default() -> Self {
        Self {
            enabled: true,
            path: "/status".to_owned(),
        }
    }
}

impl Default for RawComponentHealth {
    fn default() -> Self {
        Self {
            include_permanent_errors: false,
            include_recoverable_errors: false,
            recovery_duration: Span::seconds(60),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str) -> Result<Options, String> {
        serde_json::from_str(json).map_err(|error| error.to_string())
    }

    #[test]
    fn the_second_version_has_options_of_its_own() {
        let first = read("{}").unwrap();
        assert_eq!((&*first.endpoint, &*first.path), ("localhost:13133", "/"));
        assert_eq!(first.version, Version::First(ResponseBody::default()));
        let second = read(
            r#"{"use_v2": true, "endpoint": "localhost:1", "http": {"endpoint": "localhost:2"},
                "component_health": {"include_recoverable_errors": true}}"#,
        );
        let second = second.unwrap();
        assert_eq!(
            (&*second.endpoint, &*second.path),
            ("localhost:2", "/status")
        );
        let health = ComponentHealth {
            permanent: false,
            recoverable: Some(Duration::from_secs(60)),
        };
        assert_eq!(second.version, Version::Second(health));
        assert!(
            read(r#"{"path": "x"}"#)
                .unwrap_err()
                .starts_with("expected a path")
        );
        let disabled = r#"{"use_v2": true, "http": {"status": {"enabled": false}}}"#;
        assert!(
            read(disabled)
                .unwrap_err()
                .contains("http::status::enabled")
        );
    }
}
