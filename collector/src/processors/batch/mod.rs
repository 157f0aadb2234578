//! `batch`: destinations send batches instead of single requests.
//!
//! In the OpenTelemetry Collector this processor takes payloads out of the client's sight: it
//! answers before the exporters have them, and drops what they refuse. Here it holds nothing. It
//! tells the queues of its pipeline's destinations how large their batches shall be, and those form
//! by appending when they are taken out.
//!
//! With `metadata_keys` they form apart for each combination of values that wait there, of which
//! there may be so many at the same time; in the OpenTelemetry Collector it is so many over the life
//! of the process, and what is beyond is refused for good.

use std::time::Duration;

use http::HeaderName;
use serde::Deserialize;
use spanmesh_otlp::Signal;

use crate::config::{Problems, Section, Span};
use crate::pipeline::{Batching, BuildContext, Grouping, ProcessorConfig, ProcessorFactory, Stage};

/// Makes `batch` processors.
#[derive(Debug)]
pub struct Factory;

#[derive(Debug, PartialEq, Deserialize)]
#[serde(try_from = "RawOptions")]
struct Options {
    batching: Batching,
    grouping: Option<Grouping>,
}

#[derive(Debug, Deserialize)]
#[serde(default)]
struct RawOptions {
    /// How many items make a batch; 0 for batches of whatever waits, at once.
    send_batch_size: u64,
    /// How long the first item of a batch waits for others.
    timeout: Span,
    /// How many items a batch has at most; 0 for no limit.
    send_batch_max_size: u64,
    /// Names of headers whose values batches have in common.
    metadata_keys: Vec<String>,
    /// For how many combinations of them something may wait at the same time; 0 for no limit.
    metadata_cardinality_limit: usize,
}

// === impl Factory ===

impl ProcessorFactory for Factory {
    fn kind(&self) -> &'static str {
        "batch"
    }

    fn configure(&self, section: &Section<'_>) -> Result<Box<dyn ProcessorConfig>, Problems> {
        let options: Options = section.read()?;
        Ok(Box::new(options))
    }
}

// === impl Options ===

impl ProcessorConfig for Options {
    fn build(&self, _context: &BuildContext, _signal: Signal) -> Stage {
        Stage::Batch(self.batching, self.grouping.clone())
    }
}

impl TryFrom<RawOptions> for Options {
    type Error = String;

    fn try_from(raw: RawOptions) -> Result<Self, String> {
        let (size, max) = (raw.send_batch_size, raw.send_batch_max_size);
        if max > 0 && max < size {
            return Err(format!(
                "expected \"send_batch_max_size\" to be 0 or at least \"send_batch_size\" \
                 ({size}), but found {max}"
            ));
        }
        let timeout: Duration = raw.timeout.0;
        let batching = Batching {
            min_items: size,
            max_items: max,
            min_bytes: None,
            max_bytes: None,
            timeout,
        };
        let keys = header_names(&raw.metadata_keys)?;
        let grouping = Grouping {
            keys: keys.into(),
            limit: match raw.metadata_cardinality_limit {
                0 => usize::MAX,
                limit => limit,
            },
        };
        Ok(Self {
            batching,
            grouping: (!grouping.keys.is_empty()).then_some(grouping),
        })
    }
}

// === impl RawOptions ===

impl Default for RawOptions {
    fn default() -> Self {
        Self {
            send_batch_size: 8192,
            timeout: Span::millis(200),
            send_batch_max_size: 0,
            metadata_keys: Vec::new(),
            metadata_cardinality_limit: 1000,
        }
    }
}

/// Names of headers, each of them once, in whatever case.
fn header_names(keys: &[String]) -> Result<Vec<HeaderName>, String> {
    let mut names: Vec<HeaderName> = Vec::new();
    for key in keys {
        let name: HeaderName = key.parse().map_err(|_| {
            format!("expected names of headers in \"metadata_keys\", but found {key:?}")
        })?;
        if names.contains(&name) {
            return Err(format!(
                "expected each of \"metadata_keys\" once, but found {key:?} again"
            ));
        }
        names.push(name);
    }
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::parse_for_tests;

    fn read(yaml: &str) -> Result<Options, String> {
        let node = parse_for_tests(yaml);
        let options: Result<Options, Problems> = Section::new(&node, "b").read();
        options.map_err(|problems| problems.to_string())
    }

    #[test]
    fn groups_have_names_of_headers() {
        let grouping = |yaml| read(yaml).unwrap().grouping;
        assert_eq!(grouping("{}"), None);
        assert_eq!(grouping("{metadata_cardinality_limit: 5}"), None);
        let two = grouping("{metadata_keys: [X-Tenant, token]}").unwrap();
        assert_eq!(
            *two.keys,
            ["x-tenant", "token"].map(HeaderName::from_static)
        );
        assert_eq!(two.limit, 1000);
        let no_limit = "{metadata_keys: [a], metadata_cardinality_limit: 0}";
        assert_eq!(grouping(no_limit).unwrap().limit, usize::MAX);
        let error = read("{metadata_keys: [a, A]}").unwrap_err();
        assert!(error.contains("once, but found \"A\" again"), "{error}");
        let error = read("{metadata_keys: [a b]}").unwrap_err();
        assert!(error.contains("but found \"a b\""), "{error}");
    }
}
