//! What is nearly full.

use crate::doctor::Observation;
use crate::doctor::exposition::{Metrics, Sample};
use crate::doctor::report::Finding;

/// From here on there is little time to do something.
const NEARLY_FULL: f64 = 0.8;
/// The same of the memory of the whole process, whose limit the kernel enforces by killing it.
const NEARLY_KILLED: f64 = 0.9;

/// Queues, in the unit that they are configured in, and in memory, that were nearly full at both looks:
/// what is on its way counts, so a small queue is full now and then.
pub(super) fn queues(seen: &Observation) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (size, capacity, what) in [
        (
            "otelcol_exporter_queue_size",
            "otelcol_exporter_queue_capacity",
            "queue",
        ),
        (
            "spanmesh_exporter_queue_memory_bytes",
            "spanmesh_exporter_queue_memory_capacity_bytes",
            "memory of the queue",
        ),
    ] {
        let before: Vec<_> = nearly_full(&seen.before, size, capacity).collect();
        let still = |sample: &Sample| {
            let id = sample.label("exporter");
            before.iter().any(|(was, _)| was.label("exporter") == id)
        };
        let full = nearly_full(&seen.now, size, capacity).filter(|(sample, _)| still(sample));
        findings.extend(full.map(|(sample, percent)| {
            Finding::problem(
                format!("the {what} of exporter {:?} is {percent:.0} % full", sample.label("exporter")),
                "When it is full, clients are refused. See to the destination if it fails; if it is too slow, \
                 raise sending_queue.num_consumers or add replicas; or make the queue larger",
            )
        }));
    }
    findings
}

/// Queues on disk.
pub(super) fn storages(metrics: &Metrics) -> impl Iterator<Item = Finding> {
    let (size, capacity) = (
        "spanmesh_storage_size_bytes",
        "spanmesh_storage_capacity_bytes",
    );
    nearly_full(metrics, size, capacity).map(|(sample, percent)| {
        let (id, signal) = (sample.label("exporter"), sample.label("signal"));
        Finding::problem(
            format!("the queue on disk of exporter {id:?} for {signal} is {percent:.0} % full"),
            "When it is full, clients are refused. See to the destination, or raise max_size of file_storage \
             if the volume has room",
        )
    })
}

/// The budget for payloads, and what the whole process takes up.
pub(super) fn memory(metrics: &Metrics) -> Vec<Finding> {
    let mut findings = Vec::new();
    let part = |used: &str, limit: &str| {
        let limit = metrics.sum(limit, &[]).filter(|limit| *limit > 0.0)?;
        Some(metrics.sum(used, &[])? / limit)
    };
    let budget = part(
        "spanmesh_memory_budget_used_bytes",
        "spanmesh_memory_budget_bytes",
    );
    if let Some(part) = budget.filter(|part| *part >= NEARLY_FULL) {
        findings.push(Finding::problem(
            format!("{:.0} % of the memory for payloads is used", part * 100.0),
            "When all of it is, clients are refused. See to destinations that do not keep up; or give it more \
             memory (memory_limiter, the container's limit) or more replicas",
        ));
    }
    let process = part(
        "otelcol_process_memory_rss",
        "spanmesh_process_memory_limit_bytes",
    );
    if let Some(part) = process.filter(|part| *part >= NEARLY_KILLED) {
        findings.push(Finding::problem(
            format!("the process takes up {:.0} % of the memory that it may have", part * 100.0),
            "Beyond that the kernel kills it. Raise the container's limit, or lower memory_limiter; the pprof \
             extension says what holds the memory",
        ));
    }
    findings
}

/// What is nearly full, and how full in percent.
fn nearly_full<'a>(
    metrics: &'a Metrics,
    size: &'a str,
    capacity: &'a str,
) -> impl Iterator<Item = (&'a Sample, f64)> {
    metrics.of(size).filter_map(move |sample| {
        let (id, signal) = (sample.label("exporter"), sample.label("signal"));
        let capacity = metrics.sum(capacity, &[("exporter", id), ("signal", signal)])?;
        let part = sample.value / capacity;
        (capacity > 0.0 && part >= NEARLY_FULL).then_some((sample, part * 100.0))
    })
}
