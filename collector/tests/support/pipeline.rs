//! Pipelines to one back end or several, and the spans that go through them.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::ops::Range;

use prost::Message;

use super::Collector;
use super::telemetry::traces;

/// Retries come soon, and none of them because an answer takes its time.
const SENDING: &str =
    "timeout: 1m\n    retry_on_failure: {initial_interval: 10ms, max_interval: 50ms}";

/// A traces pipeline with `batch` to these exporters.
pub fn sections(exporters: &str, names: &str) -> String {
    format!(
        "
processors:
  batch: {{timeout: 10ms}}
exporters:
{exporters}
service:
  {{metrics}}
  pipelines:
    traces: {{receivers: [otlp], processors: [batch], exporters: [{names}]}}
"
    )
}

pub fn grpc_exporter(address: SocketAddr, more: &str) -> String {
    let exporter = format!(
        "  otlp_grpc:\n    endpoint: {address}\n    tls: {{insecure: true}}\n    {SENDING}\n    {more}"
    );
    sections(&exporter, "otlp_grpc")
}

pub fn http_exporter(address: SocketAddr, more: &str) -> String {
    let exporter =
        format!("  otlp_http:\n    endpoint: http://{address}\n    {SENDING}\n    {more}");
    sections(&exporter, "otlp_http")
}

pub async fn send(collector: &Collector, ids: Range<u64>) {
    collector.post_traces(traces(ids).encode_to_vec()).await;
}

pub fn all(ids: Range<u64>) -> BTreeSet<u64> {
    ids.collect()
}
