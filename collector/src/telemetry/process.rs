//! Metrics of the process: uptime, CPU time, memory, and what its log leaves out. Linux only; elsewhere just the uptime.

use std::time::Instant;

use super::Registry;
use super::logs::suppressed;

/// How many clock ticks `/proc` counts per second. A constant of the kernel's interface on every
/// architecture that we build for.
const TICKS_PER_SECOND: f64 = 100.0;

/// Registers the metrics of the process.
pub fn register(registry: &Registry) {
    let started = Instant::now();
    registry.counter_from(
        "otelcol_process_uptime",
        "Seconds since the process started.",
        &[],
        move || started.elapsed().as_secs_f64(),
    );
    registry.counter_from(
        "otelcol_process_cpu_seconds",
        "CPU time of the process, user and system, in seconds.",
        &[],
        || cpu_seconds().unwrap_or_default(),
    );
    registry.gauge(
        "otelcol_process_memory_rss",
        "Resident memory of the process in bytes.",
        &[],
        || resident_bytes().unwrap_or_default(),
    );
    registry.counter_from(
        "spanmesh_log_lines_suppressed",
        "Lines of the log that were not written, since there were many of the same.",
        &[],
        || suppressed() as f64,
    );
}

fn cpu_seconds() -> Option<f64> {
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    // The second field is the name in parentheses, which may hold blanks.
    let (_, fields) = stat.rsplit_once(") ")?;
    let mut fields = fields.split(' ').skip(11);
    let user: f64 = fields.next()?.parse().ok()?;
    let system: f64 = fields.next()?.parse().ok()?;
    Some((user + system) / TICKS_PER_SECOND)
}

fn resident_bytes() -> Option<f64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmRSS:"))?;
    let kilobytes: f64 = line.split_whitespace().nth(1)?.parse().ok()?;
    Some(kilobytes * 1024.0)
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn the_process_uses_memory() {
        assert!(resident_bytes().unwrap() > 100_000.0);
        assert!(cpu_seconds().unwrap() >= 0.0);
    }
}
