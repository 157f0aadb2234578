//! `memory_limiter`: how much memory payloads may take up before requests are refused.
//!
//! In the OpenTelemetry Collector this processor looks at the heap of the whole process now and then.
//! Here it sets the limits of an account that every request is in from its first byte on: nothing
//! has to be noticed, and nothing collected.
//!
//! Left out: the heap. The options for its garbage collection are accepted and change nothing.

use std::time::Duration;

use serde::Deserialize;
use spanmesh_otlp::Signal;
use tracing::warn;

use crate::config::{Problems, Section, Span};
use crate::pipeline::{
    BuildContext, MemoryLimits, ProcessorConfig, ProcessorFactory, Stage, total,
};

/// Makes `memory_limiter` processors.
#[derive(Debug)]
pub struct Factory;

#[derive(Debug, Deserialize)]
#[serde(default)]
struct Options {
    /// For how long a refusal at the hard limit counts as pressure.
    check_interval: Span,
    /// The hard limit in MiB; if it is 0, the percentage counts.
    limit_mib: u64,
    /// How far below the hard limit the soft one is, in MiB; 0 for a fifth of the hard one.
    spike_limit_mib: u64,
    /// The hard limit in percent of all memory.
    limit_percentage: u64,
    /// How far below the hard limit the soft one is, in percent of all memory.
    spike_limit_percentage: u64,
    /// Whether the collector is not ready while the pressure is hard.
    fail_readiness_when_hard_limited: bool,
    #[serde(rename = "min_gc_interval_when_soft_limited")]
    _min_gc_interval_when_soft_limited: Span,
    #[serde(rename = "min_gc_interval_when_hard_limited")]
    _min_gc_interval_when_hard_limited: Span,
    #[serde(rename = "max_gc_interval_when_soft_limited")]
    _max_gc_interval_when_soft_limited: Span,
    #[serde(rename = "max_gc_interval_when_hard_limited")]
    _max_gc_interval_when_hard_limited: Span,
}

#[derive(Debug, PartialEq)]
struct Config {
    limits: MemoryLimits,
    /// All memory, if it is known.
    total: Option<u64>,
}

const MIB: u64 = 1 << 20;

// === impl Factory ===

impl ProcessorFactory for Factory {
    fn kind(&self) -> &'static str {
        "memory_limiter"
    }

    fn configure(&self, section: &Section<'_>) -> Result<Box<dyn ProcessorConfig>, Problems> {
        let options: Options = section.read()?;
        match options.resolve(total()) {
            Ok(config) => Ok(Box::new(config)),
            Err(message) => Err(section.problem(message).into()),
        }
    }
}

// === impl Options ===

impl Options {
    /// `total` is all memory that there is.
    fn resolve(&self, total: Option<u64>) -> Result<Config, String> {
        let check_interval: Duration = self.check_interval.0;
        if check_interval.is_zero() {
            return Err("expected \"check_interval\" to be more than 0".to_owned());
        }
        for (key, percentage) in [
            ("limit_percentage", self.limit_percentage),
            ("spike_limit_percentage", self.spike_limit_percentage),
        ] {
            if percentage > 100 {
                return Err(format!(
                    "expected \"{key}\" to be at most 100, but found {percentage}"
                ));
            }
        }
        let (keys, hard, spike) = if self.limit_mib > 0 {
            let keys = ["limit_mib", "spike_limit_mib"];
            let spike = self.spike_limit_mib.saturating_mul(MIB);
            (keys, self.limit_mib.saturating_mul(MIB), spike)
        } else if self.limit_percentage > 0 {
            let Some(total) = total else {
                return Err(
                    "expected \"limit_mib\", because neither the limit of a cgroup nor the memory \
                     of the host can be read, but found \"limit_percentage\""
                        .to_owned(),
                );
            };
            let part = |percentage: u64| total / 100 * percentage;
            let keys = ["limit_percentage", "spike_limit_percentage"];
            let spike = part(self.spike_limit_percentage);
            (keys, part(self.limit_percentage), spike)
        } else {
            return Err(
                "expected \"limit_mib\" or \"limit_percentage\" to be more than 0, but found \
                 neither"
                    .to_owned(),
            );
        };
        let spike = if spike == 0 { hard / 5 } else { spike };
        if spike >= hard {
            let [limit, spike] = keys;
            return Err(format!(
                "expected \"{spike}\" to be less than \"{limit}\", but found the same or more"
            ));
        }
        let limits = MemoryLimits {
            soft: hard - spike,
            hard,
            check_interval,
            fails_readiness: self.fail_readiness_when_hard_limited,
        };
        Ok(Config { limits, total })
    }
}

impl Default for Options {
    fn default() -> Self {
        Self {
            check_interval: Span::millis(1000),
            limit_mib: 0,
            spike_limit_mib: 0,
            limit_percentage: 0,
            spike_limit_percentage: 0,
            fail_readiness_when_hard_limited: false,
            _min_gc_interval_when_soft_limited: Span::millis(10_000),
            _min_gc_interval_when_hard_limited: Span::millis(0),
            _max_gc_interval_when_soft_limited: Span::millis(30_000),
            _max_gc_interval_when_hard_limited: Span::millis(30_000),
        }
    }
}

// === impl Config ===

impl ProcessorConfig for Config {
    fn build(&self, context: &BuildContext, _signal: Signal) -> Stage {
        if let Some(total) = self.total.filter(|total| *total < self.limits.hard) {
            let processor = context.id.as_str();
            let limit = self.limits.hard;
            warn!(
                processor,
                "the limit is {limit} bytes, but there is only memory for {total}"
            );
        }
        Stage::Limit(self.limits)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::parse_for_tests;

    /// The soft and the hard limit in MiB, where there are 1000 of them.
    fn limits(yaml: &str) -> Result<(u64, u64), String> {
        limits_of(yaml, Some(1000 * MIB))
    }

    fn limits_of(yaml: &str, total: Option<u64>) -> Result<(u64, u64), String> {
        let node = parse_for_tests(yaml);
        let options: Result<Options, Problems> = Section::new(&node, "m").read();
        let options = options.map_err(|problems| problems.to_string())?;
        let Config { limits, .. } = options.resolve(total)?;
        Ok((limits.soft / MIB, limits.hard / MIB))
    }

    #[test]
    fn limits_are_given_in_mebibytes_or_percent() {
        assert_eq!(limits("{limit_mib: 400}"), Ok((320, 400)));
        assert_eq!(
            limits("{limit_mib: 400, spike_limit_mib: 100}"),
            Ok((300, 400))
        );
        assert_eq!(limits("{limit_percentage: 50}"), Ok((400, 500)));
        let both = "{limit_percentage: 80, spike_limit_percentage: 30}";
        assert_eq!(limits(both), Ok((500, 800)));
        assert_eq!(
            limits("{limit_mib: 400, limit_percentage: 80}"),
            Ok((320, 400))
        );
        let gc = "{limit_mib: 10, check_interval: 5s, min_gc_interval_when_soft_limited: 1s, \
                  min_gc_interval_when_hard_limited: 0, max_gc_interval_when_soft_limited: 1m, \
                  max_gc_interval_when_hard_limited: 1m, fail_readiness_when_hard_limited: true}";
        assert_eq!(limits(gc), Ok((8, 10)));
    }

    #[test]
    fn impossible_limits_are_refused() {
        let p = |yaml| limits(yaml).unwrap_err();
        assert!(p("{}").starts_with("expected \"limit_mib\" or \"limit_percentage\" to be more"));
        assert!(p("{limit_mib: 1, check_interval: 0s}").contains("\"check_interval\""));
        assert!(p("{limit_percentage: 101}").ends_with("to be at most 100, but found 101"));
        assert!(p("{limit_mib: 5, spike_limit_mib: 5}").contains("to be less than \"limit_mib\""));
        let equal = "{limit_percentage: 5, spike_limit_percentage: 5}";
        assert!(p(equal).contains("to be less than \"limit_percentage\""));
        assert!(p("{limit_mb: 5}").contains("unknown key \"limit_mb\""));
        let unknown = limits_of("{limit_percentage: 5}", None).unwrap_err();
        assert!(unknown.starts_with("expected \"limit_mib\", because neither"));
        assert_eq!(limits_of("{limit_mib: 10}", None), Ok((8, 10)));
    }
}
