//! How the collector itself is.

use std::time::UNIX_EPOCH;

use http::StatusCode;
use serde_json::Value;

use super::duration;
use crate::doctor::exposition::Metrics;
use crate::doctor::report::Finding;
use crate::doctor::{Health, Observation};

/// `health_check`, if it has something to say.
pub(super) fn health(seen: &Observation) -> Option<Finding> {
    match &seen.health {
        Ok(health) => not_ready(health),
        Err(error) => Some(Finding::note(
            format!("its health_check cannot be read: {error}"),
            "Name the extension in service.extensions, and say where it is with --health-port and --health-path",
        )),
    }
}

/// An answer of `health_check` other than that all is well.
pub(super) fn not_ready(health: &Health) -> Option<Finding> {
    if health.code == StatusCode::OK {
        return None;
    }
    let body: Value = serde_json::from_str(&health.body).unwrap_or_default();
    let status = body["status"].as_str().unwrap_or("no reason given");
    let (what, advice) = match health.code {
        StatusCode::SERVICE_UNAVAILABLE => (
            "it is not ready",
            "It starts, it stops, or fail_readiness_when_hard_limited has it so while its memory is full; \
             its log says which",
        ),
        StatusCode::NOT_FOUND => (
            "its health_check has another path",
            "Say which with --health-path",
        ),
        _ => (
            "it is not healthy by its own account",
            "Ask its health_check with ?verbose for the component",
        ),
    };
    Some(Finding::problem(
        format!("{what}: it answers {}, {status}", health.code.as_u16()),
        advice,
    ))
}

/// Certificates that are at their end.
pub(super) fn certificates(seen: &Observation) -> impl Iterator<Item = Finding> {
    let now = seen
        .at
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
        .as_secs_f64();
    let warning = seen.certificate_warning.as_secs_f64();
    let certificates = seen
        .now
        .of("spanmesh_tls_certificate_expiry_timestamp_seconds");
    certificates.filter_map(move |sample| {
        let left = sample.value - now;
        if left >= warning {
            return None;
        }
        let when = match left > 0.0 {
            true => format!("expires in {}", duration(left)),
            false => format!("expired {} ago", duration(-left)),
        };
        let (role, file) = (sample.label("role"), sample.label("file"));
        let (component, transport) = (sample.label("component"), sample.label("transport"));
        Some(Finding::problem(
            format!("the {role} in {file} of {component} ({transport}) {when}"),
            "Renew it. With tls.reload_interval the new file is read without a restart; without it, send \
             SIGHUP to read a receiver's, and restart for an exporter's",
        ))
    })
}

/// A configuration that was refused.
pub(super) fn configuration(metrics: &Metrics) -> Option<Finding> {
    let is_refused = metrics.sum("spanmesh_config_last_reload_successful", &[]) == Some(0.0);
    is_refused.then(|| {
        Finding::problem(
            "the configuration was refused when it was last read, and a former one runs on"
                .to_owned(),
            "`spanmesh-collector validate --config FILE` says what is wrong with it",
        )
    })
}
