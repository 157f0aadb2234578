//! What is looked for. Every check is about one thing, and knows what to do about it.

mod delivery;
mod intake;
mod room;
mod state;

use super::exposition::{Metrics, Sample};
use super::report::Finding;
use super::{Health, Observation};

/// The worst first: what is lost, then what is about to be.
pub(super) fn all(seen: &Observation) -> Vec<Finding> {
    let mut findings = Vec::new();
    findings.extend(state::health(seen));
    findings.extend(delivery::failing(seen));
    findings.extend(delivery::dropped(seen));
    findings.extend(delivery::unbalanced(&seen.now));
    findings.extend(intake::refused(seen));
    findings.extend(intake::rejected(seen));
    findings.extend(room::queues(seen));
    findings.extend(room::storages(&seen.now));
    findings.extend(room::memory(&seen.now));
    findings.extend(state::certificates(seen));
    findings.extend(state::configuration(&seen.now));
    findings
}

/// What `health_check` says, if it is not that all is well.
pub(super) fn health(health: &Health) -> Option<Finding> {
    state::not_ready(health)
}

/// What it is, for how long, and where everything went.
pub(super) fn summary(metrics: &Metrics) -> String {
    let sum = |name: &str| metrics.sum(name, &[]).unwrap_or_default();
    let version = metrics.of("spanmesh_build_info").next();
    let version = version.map_or("", |build| build.label("version"));
    let of = |what: &str| sum(&format!("spanmesh_account_{what}_items"));
    format!(
        "version {version}, up {}; accepted {}, sent {}, sampled out {}, dropped {}, waiting {}",
        duration(sum("otelcol_process_uptime")),
        of("accepted") + of("recovered"),
        of("sent"),
        of("sampled_out"),
        of("dropped"),
        of("queued"),
    )
}

/// How much a counter grew while it was watched.
fn growth(seen: &Observation, sample: &Sample) -> f64 {
    (sample.value - seen.before.same(sample)).max(0.0)
}

/// A time in words, in the largest unit that it has two of.
fn duration(seconds: f64) -> String {
    const UNITS: [(f64, &str); 3] = [(86_400.0, "days"), (3600.0, "hours"), (60.0, "minutes")];
    let unit = UNITS.iter().find(|(size, _)| seconds >= 2.0 * size);
    let (size, name) = unit.unwrap_or(&(1.0, "seconds"));
    format!("{:.0} {name}", (seconds / size).floor())
}

#[cfg(test)]
mod tests;
